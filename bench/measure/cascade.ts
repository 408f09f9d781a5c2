import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type Bench, expectAllAccepted } from "../bench.ts";
import type { Child } from "../child.ts";
import type { Batch } from "../payments.ts";
import { query } from "../services.ts";
import { type Percentiles, percentiles } from "../statistics.ts";
import { type Metered, meterCpu } from "../usage.ts";
import { addShares, CONNECTIONS, settleTables } from "./intake.ts";
import { inTurn, type Plan } from "./rounds.ts";

export type StoringSide = { url: string; databaseUrl: string };
export type CascadeSide = { name: string; processes: Metered[] } & ({ loop: Child } | StoringSide);

export type CascadeResult = { rates: Record<string, number[]>; cpuMs: Record<string, Record<string, number>> };

/** Callbacks of one payment that ends well. */
export const CALLBACKS_A_PAYMENT = 4;
const LOOP_CONCURRENCY = 64;
const DEADLINE_MS = 180_000;

/** Payments a second from the first POST until all four callbacks of all of them are delivered and recorded. */
export async function measureCascade(
  bench: Bench,
  sides: readonly CascadeSide[],
  plan: Plan,
  title = "Cascade",
): Promise<CascadeResult> {
  const cpu: Record<string, Record<string, number>> = {};
  const databases = sides.flatMap((side) => ("databaseUrl" in side ? side.databaseUrl : []));
  let batch: Batch;
  const rates = await inTurn(title, sides, plan, {
    async prepare(count) {
      batch = await bench.prepare(count, databases);
    },
    warm: () => settleTables(databases),
    async measure(side, count, counts) {
      const spent = meterCpu([...side.processes, ...bench.services.processes, ...bench.loadProcesses]);
      const seconds =
        "loop" in side
          ? (await side.loop.call<{ seconds: number }>("run", loopTask(bench, batch, count))).seconds
          : await timeCascades(bench, side, count, side.name);
      if (counts) cpu[side.name] = addShares(cpu[side.name], spent(), count * plan.rounds);
      return count / seconds;
    },
  });
  return { rates, cpuMs: cpu };
}

export const loopTask = ({ cast }: Bench, batch: Batch, count: number) => ({
  cast,
  batch: { ...batch, orderGuids: batch.orderGuids.slice(0, count) },
  concurrency: LOOP_CONCURRENCY,
});

async function timeCascades(bench: Bench, side: StoringSide, count: number, who: string): Promise<number> {
  const total = await bench.participants.call<number>("total");
  const startedAt = performance.now();
  const result = await bench.send(side.databaseUrl, { url: side.url, connections: CONNECTIONS, count, keep: true });
  expectAllAccepted(who, result, count);
  const goal = { total: total + count * CALLBACKS_A_PAYMENT, timeoutMs: DEADLINE_MS };
  await bench.participants.call("untilTotal", goal);
  await untilSettled(side.databaseUrl);
  return (performance.now() - startedAt) / 1000;
}

/** Resolves when no callback is waiting or under way: all are recorded. The look is one step in a partial index. */
export async function untilSettled(databaseUrl: string, timeoutMs = DEADLINE_MS): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const deadline = performance.now() + timeoutMs;
  try {
    for (;;) {
      const open = await client.query("select 1 from callback where state in ('waiting', 'in_flight') limit 1");
      if (open.rowCount === 0) return;
      if (performance.now() > deadline) throw new Error(`callbacks are still open after ${timeoutMs} ms`);
      await sleep(10);
    }
  } finally {
    await client.end();
  }
}

export type Latency = {
  /** From the instant a POST was due until its payment was a success. */
  success: Percentiles;
  /** From the instant a callback was due until its first attempt began, by its kind. */
  begun: Record<string, Percentiles>;
};

/** At a steady rate, whatever is answered: an open loop. */
export async function measureLatency(
  bench: Bench,
  side: StoringSide,
  load: { ratePerSecond: number; seconds: number },
): Promise<Latency> {
  const count = Math.round(load.ratePerSecond * load.seconds);
  await bench.prepare(count, [side.databaseUrl]);
  const options = { url: side.url, connections: CONNECTIONS, count, ratePerSecond: load.ratePerSecond };
  const result = await bench.send(side.databaseUrl, options);
  expectAllAccepted("steady load", result, count);
  await untilSettled(side.databaseUrl);
  const orders = result.accepted.map(({ orderGuid }) => orderGuid);
  const rows = await query<{ order_guid: string; decided_ms: number }>(
    side.databaseUrl,
    `select order_guid, extract(epoch from decided_at)::float8 * 1000 as decided_ms from payment_message
     where order_guid = any($1::uuid[]) and status = 'success'`,
    [orders],
  );
  const decidedMs = new Map(rows.map((row) => [row.order_guid, row.decided_ms]));
  const success = percentiles(
    result.accepted.map(({ orderGuid, sentAtMs }) => (decidedMs.get(orderGuid) ?? Infinity) - sentAtMs),
  );
  return { success, begun: await begunAfter(side.databaseUrl, orders) };
}

async function begunAfter(databaseUrl: string, orders: readonly string[]): Promise<Record<string, Percentiles>> {
  const rows = await query<{ kind: string; waited_ms: number[] }>(
    databaseUrl,
    `select c.kind, array_agg(extract(epoch from a.started_at - c.created_at)::float8 * 1000) as waited_ms
     from callback c join callback_attempt a on a.callback_guid = c.guid and a.series = 1 and a.attempt = 1
     where c.order_guid = any($1::uuid[]) group by c.kind order by min(c.created_at)`,
    [orders],
  );
  return Object.fromEntries(rows.map(({ kind, waited_ms }) => [kind, percentiles(waited_ms)]));
}
