import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "rabbitmq-client";
import type { QueueLog } from "./queue.ts";
import type { Topology } from "./topology.ts";

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/**
 * If a queue is declared again while the broker is still deleting the old one of the same name, a consumer of the old queue may be
 * neither cancelled nor served. So declaring waits this long first, and consumers are restarted after it.
 */
const SETTLE_MS = 250;

/** How often the queues are declared again, in case one was deleted: about a dozen small requests. */
const AUDIT_MS = 30_000;

export type DeclaredTopology = {
  isDeclared(): boolean;
  /** Call when a queue is missing: declares everything until it works. Concurrent calls share the work (single flight). */
  revive(): void;
  /** Resolves when the queues are declared, at once if they are; never if the connection is closed before. */
  whenDeclared(): Promise<void>;
};

type DeclaringOptions = {
  connection: Connection;
  topology: Topology;
  log: QueueLog;
  signal: AbortSignal;
  onDeclared: () => void;
  /** Called when missing queues have been declared again; their consumers have to subscribe again. */
  onRevived: () => void;
};

/** Declares the queues on every (re)connect: a broker may come back empty, and an operator may delete a queue. */
export function keepTopologyDeclared(options: DeclaringOptions): DeclaredTopology {
  const { connection, topology, log, signal, onDeclared, onRevived } = options;
  let declared = false;
  let declaring = false;
  let reviving = false;
  /** Counts the requests, so that one which arrives during a declaration causes a further one. */
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
  // The broker does not report the deletion of a queue without consumers here, for example one that only dead-letters.
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
  // The declaration itself rejects on a refusal; the channel's `error` event without a listener would end the process.
  channel.on("error", () => undefined);
  try {
    for (const declaration of topology.declarations) await channel.queueDeclare(declaration);
  } finally {
    await channel.close();
  }
}

function reportRefusal(log: QueueLog, error: unknown): void {
  if (error instanceof Error && "code" in error && error.code === "PRECONDITION_FAILED") {
    // The arguments of a queue are fixed when it is made; only an operator can decide what becomes of its content.
    log.error({ err: error }, "a queue exists with other settings; delete it once empty, or choose another prefix");
  } else {
    log.warn({ err: error }, "queues could not be declared; trying again");
  }
}
