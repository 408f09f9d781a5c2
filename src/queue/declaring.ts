import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "rabbitmq-client";
import type { QueueLog } from "./queue.ts";
import type { Topology } from "./topology.ts";

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/**
 * A queue of the same name made while the broker still takes the old one down can swallow the news: a consumer of the
 * old queue is then neither cancelled nor served. So a moment passes first, and the consumers are started anew after it.
 */
const SETTLE_MS = 250;

/** About a dozen small questions to the broker every half minute. */
const AUDIT_MS = 30_000;

export type DeclaredTopology = {
  isDeclared(): boolean;
  /** A queue is gone: declares everything until it works; calls made meanwhile share the work. */
  revive(): void;
  /** Resolves when the queues are declared, at once if they are; never when the queue is closed before. */
  whenDeclared(): Promise<void>;
};

type DeclaringOptions = {
  connection: Connection;
  topology: Topology;
  log: QueueLog;
  signal: AbortSignal;
  onDeclared: () => void;
  /** Queues that were gone are back; what listened to the old ones has to listen again. */
  onRevived: () => void;
};

/** Declares the queues on every (re)connect: a broker may come back empty, and an operator may delete a queue. */
export function keepTopologyDeclared(options: DeclaringOptions): DeclaredTopology {
  const { connection, topology, log, signal, onDeclared, onRevived } = options;
  let declared = false;
  let declaring = false;
  let reviving = false;
  /** Counts the requests, so that one made while declaring is not taken for done. */
  let wanted = 0;
  let next = Promise.withResolvers<void>();

  async function declareUntilDone(): Promise<void> {
    let retryMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      try {
        if (reviving) await pause(SETTLE_MS, undefined, { signal });
        const started = wanted;
        await declareAll(connection, topology);
        if (started === wanted) return;
      } catch (error) {
        // Once per outage: an unreachable broker must not fill the log.
        if (retryMs === FIRST_RETRY_MS && !signal.aborted) reportRefusal(log, error);
        await pause(retryMs, undefined, { signal }).catch(() => undefined);
        retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
      }
    }
  }

  async function run(): Promise<void> {
    if (declaring) return;
    declaring = true;
    await declareUntilDone();
    declaring = false;
    if (signal.aborted) return;
    const revived = reviving;
    reviving = false;
    declared = true;
    next.resolve();
    onDeclared();
    if (revived) onRevived();
  }

  function declareAgain(): void {
    if (declared) next = Promise.withResolvers<void>();
    declared = false;
    wanted += 1;
    void run();
  }

  connection.on("connection", declareAgain);
  // Nobody tells when a queue is deleted that has no consumer here, for example one that only dead-letters.
  const audit = setInterval(() => void run(), AUDIT_MS);
  signal.addEventListener("abort", () => clearInterval(audit));
  return {
    isDeclared: () => declared,
    revive() {
      reviving = true;
      declareAgain();
    },
    whenDeclared: () => next.promise,
  };
}

async function declareAll(connection: Connection, topology: Topology): Promise<void> {
  const channel = await connection.acquire({ emitErrorsFromChannel: true });
  // A refusal rejects the declaration itself; without a listener this second report would end the process.
  channel.on("error", () => undefined);
  try {
    for (const declaration of topology.declarations) await channel.queueDeclare(declaration);
  } finally {
    await channel.close();
  }
}

function reportRefusal(log: QueueLog, error: unknown): void {
  if (error instanceof Error && "code" in error && error.code === "PRECONDITION_FAILED") {
    // Arguments of a queue are fixed when it is made; only an operator can decide what becomes of its content.
    log.error({ err: error }, "a queue exists with other settings; delete it once empty, or choose another prefix");
  } else {
    log.warn({ err: error }, "queues could not be declared; trying again");
  }
}
