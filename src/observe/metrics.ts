import type { IncomingMessage } from "node:http";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import type { CoreObserver } from "../core/context.ts";
import type { Database } from "../db/database.ts";
import type { CallbackKind, Outcome } from "../domain/callback.ts";
import { addressSet } from "../outbound/address.ts";
import type { CallbackQueue } from "../queue/queue.ts";

/**
 * The metrics of one process, in a registry of its own. Events are counted as they happen; what waits in PostgreSQL and in the
 * queue is read on a scrape, at most once in `snapshotMaxAgeMs`, by statements of bounded cost.
 */
export type Metrics = {
  text(): Promise<string>;
  core: CoreObserver;
  delivery: { attempted(kind: CallbackKind, outcome: Outcome, durationMs: number): void; parked(): void };
  requestDone(operation: string, status: number, durationMs: number): void;
  /** The number of discrepancies of the reconciliation after a closing. */
  reconciled(discrepancies: number): void;
  /** From now on scrapes include what waits in the database and in the queue. */
  watchBacklog(database: Database, queue: CallbackQueue): void;
  /** From now on scrapes include the attempts that this process has in flight. */
  watchInFlight(inFlight: () => number): void;
  /** From now on scrapes include the payment pages that this process keeps up to date. */
  watchEventStreams(open: () => number): void;
};

const snapshotMaxAgeMs = 5_000;
/** Prometheus drops a scrape after 10 s; a source that has not answered after this time is reported as unknown. */
const sourceTimeoutMs = 2_000;

/** Rows are counted up to this number only: a backlog of a million must not make a scrape slow. */
export const countedAtMost = 10_000;
const orMore = `${countedAtMost} stands for that many or more.`;

/** Buckets from a callback that is answered at once to eleven attempts at every step: 303 s and more. */
const cascadeSeconds = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_200];
const requestSeconds = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const attemptSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
const groupSizes = [1, 2, 5, 10, 20, 50, 100];

/** A gauge that is read at each scrape, once its source is known. */
const gauge = (registers: Registry[], name: string, help: string) => (read: () => number) => {
  new Gauge({
    name,
    help,
    registers,
    collect() {
      this.set(read());
    },
  });
};

export function createMetrics(): Metrics {
  const registry = new Registry();
  const registers = [registry];
  collectDefaultMetrics({ register: registry });
  const { lost, ...delivery } = deliveryMetrics(registers);
  const requests = new Histogram({
    name: "dcm_http_request_duration_seconds",
    help: "REST requests by operation of the contract and status; 499 is a caller that left.",
    labelNames: ["operation", "status"],
    buckets: requestSeconds,
    registers,
  });
  return {
    text: () => registry.metrics(),
    core: { ...coreMetrics(registers), lost },
    delivery,
    requestDone: (operation, status, durationMs) =>
      requests.observe({ operation, status: String(status) }, durationMs / 1_000),
    reconciled: reconciliationMetrics(registers),
    watchBacklog: (database, queue) => watchBacklog(registers, database, queue),
    watchInFlight: gauge(registers, "dcm_callbacks_in_flight", "Attempts that this process has under way."),
    watchEventStreams: gauge(registers, "dcm_event_streams", "Payment pages that this process keeps up to date."),
  };
}

function deliveryMetrics(registers: Registry[]): Metrics["delivery"] & Pick<CoreObserver, "lost"> {
  const attempts = new Counter({
    name: "dcm_callback_attempts_total",
    help: "Attempts to deliver a callback, by its kind and by what came of the attempt.",
    labelNames: ["kind", "outcome"],
    registers,
  });
  const attemptDuration = new Histogram({
    name: "dcm_callback_attempt_duration_seconds",
    help: "How long attempts took, connecting and answering together.",
    labelNames: ["kind"],
    buckets: attemptSeconds,
    registers,
  });
  const parked = new Counter({
    name: "dcm_callback_parked_total",
    help: "Times that a callback was put aside because no room was left to wait for a slot of its endpoint; no attempt was made.",
    registers,
  });
  return {
    attempted(kind, outcome, durationMs) {
      attempts.inc({ kind, outcome });
      attemptDuration.observe({ kind }, durationMs / 1_000);
    },
    parked: () => parked.inc(),
    lost: (kind) => attempts.inc({ kind, outcome: "lost" }),
  };
}

function coreMetrics(registers: Registry[]): Omit<CoreObserver, "lost"> {
  const cascade = new Histogram({
    name: "dcm_cascade_duration_seconds",
    help: "From the acceptance of a payment message to its result.",
    labelNames: ["result"],
    buckets: cascadeSeconds,
    registers,
  });
  const groups = new Histogram({
    name: "dcm_grouped_calls",
    help: "Calls of the core that shared one transaction.",
    labelNames: ["use_case"],
    buckets: groupSizes,
    registers,
  });
  return {
    grouped: (useCase, size) => groups.observe({ use_case: useCase }, size),
    // Acceptance is dated by the core's clock and the result by PostgreSQL's, so the difference may come out negative.
    decided: (result, seconds) => cascade.observe({ result }, Math.max(0, seconds)),
  };
}

function reconciliationMetrics(registers: Registry[]): Metrics["reconciled"] {
  const discrepancies = new Gauge({
    name: "dcm_register_discrepancies",
    help:
      "What did not add up in the last reconciliation of registers by this process, after it closed days; 100 stands for " +
      "that many or more, NaN for none yet.",
    registers,
  });
  // NaN until the first reconciliation: 0 would claim that all is well.
  discrepancies.set(Number.NaN);
  const reconciledAt = new Gauge({
    name: "dcm_register_reconciliation_timestamp_seconds",
    help: "When this process last reconciled registers, in Unix seconds; of several workers the latest counts. 0: never.",
    registers,
  });
  return (count) => {
    discrepancies.set(count);
    reconciledAt.setToCurrentTime();
  };
}

type Backlog = { due: number; oldest_overdue_seconds: number; review: number; dead: number };

/**
 * The oldest waiting callbacks, by the time at which the relay looks at them and through its partial index (not quite the oldest:
 * the relay has just postponed a few). Callbacks in review and dead ones are counted in an index of their own.
 */
const backlogStatement = {
  name: "metrics_backlog",
  text: `
    with waiting_callback as (
      select due_at from callback where state = 'waiting' order by wake_at limit ${countedAtMost}
    ), overdue as (
      select count(*)::int as due, coalesce(extract(epoch from now() - min(due_at)), 0)::float8 as oldest_overdue_seconds
      from waiting_callback where due_at <= now()
    )
    select overdue.*,
      (select count(*)::int from (select from callback where state = 'review' limit ${countedAtMost}) counted) as review,
      (select count(*)::int from (select from callback where state = 'dead' limit ${countedAtMost}) counted) as dead
    from overdue`,
};

const backlogGauges = {
  dcm_callback_oldest_overdue_seconds: {
    help: "Age of the oldest callback that is due and that nobody has claimed; 0 when none is due.",
    of: (backlog) => backlog.oldest_overdue_seconds,
  },
  dcm_callbacks_due: {
    help: `Callbacks that are due and that nobody has claimed. ${orMore}`,
    of: (backlog) => backlog.due,
  },
  dcm_callbacks_review: {
    help: `Callbacks in manual review. ${orMore}`,
    of: (backlog) => backlog.review,
  },
  dcm_callbacks_dead: {
    help: `Callbacks that the platform itself could not prepare. ${orMore}`,
    of: (backlog) => backlog.dead,
  },
} as const satisfies Record<string, { help: string; of: (backlog: Backlog) => number }>;

function watchBacklog(registers: Registry[], database: Database, queue: CallbackQueue): void {
  const readBacklog = remembered(async () => (await database.hot<Backlog>(backlogStatement))[0]);
  const readDepths = remembered(async () => (queue.isReady() ? await queue.depths() : undefined));
  for (const [name, { help, of }] of Object.entries(backlogGauges)) {
    new Gauge({
      name,
      help,
      registers,
      async collect() {
        const backlog = await readBacklog();
        this.set(backlog === undefined ? Number.NaN : of(backlog));
      },
    });
  }
  new Gauge({
    name: "dcm_queue_depth",
    help: "What waits in the queue, by the role of the queue that holds it: messages in RabbitMQ, tickets in the embedded queue.",
    labelNames: ["queue"],
    registers,
    async collect() {
      this.reset();
      const depths = await readDepths();
      for (const [role, depth] of Object.entries(depths ?? {})) this.set({ queue: role }, depth);
    },
  });
  new Gauge({
    name: "dcm_dependency_up",
    help: "1 when the dependency answered this scrape, 0 when it did not.",
    labelNames: ["dependency"],
    registers,
    async collect() {
      const [backlog, depths] = await Promise.all([readBacklog(), readDepths()]);
      this.set({ dependency: "database" }, backlog === undefined ? 0 : 1);
      this.set({ dependency: "queue" }, depths === undefined ? 0 : 1);
    },
  });
}

/** Caches a read for all gauges and scrapes, also a failed one; undefined when there was no answer in time. */
function remembered<T>(read: () => Promise<T | undefined>): () => Promise<T | undefined> {
  let readAtMs = Number.NEGATIVE_INFINITY;
  let kept: Promise<T | undefined> = Promise.resolve(undefined);
  return () => {
    if (performance.now() - readAtMs < snapshotMaxAgeMs) return kept;
    readAtMs = performance.now();
    kept = withinTime(read()).catch(() => undefined);
    return kept;
  };
}

async function withinTime<T>(answer: Promise<T>): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const deadline = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), sourceTimeoutMs);
  });
  try {
    return await Promise.race([answer, deadline]);
  } finally {
    clearTimeout(timer);
  }
}

/** How a caller reaches us: the peer of its connection, and headers that proxies add. */
type Reached = Pick<IncomingMessage, "headers"> & { socket: Pick<IncomingMessage["socket"], "remoteAddress"> };

/** Headers that proxies add: with a proxy on this machine, all requests come from loopback. */
const proxyHeaders = ["forwarded", "x-forwarded-for", "x-real-ip", "via"];

/** Metrics show the volume of business, so only direct callers on loopback and in the given networks may read them. */
export function metricsReaders(allowCidrs: readonly string[]): (request: Reached) => boolean {
  const isReader = addressSet(["127.0.0.0/8", "::1/128", ...allowCidrs]);
  return ({ socket: { remoteAddress = "" }, headers }) => {
    if (proxyHeaders.some((name) => headers[name] !== undefined)) return false;
    // A dual-stack socket shows IPv4 callers as IPv4-mapped IPv6 addresses.
    return isReader(remoteAddress.replace(/^::ffff:(?=\d+\.)/i, ""));
  };
}
