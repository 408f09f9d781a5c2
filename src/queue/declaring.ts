import { setTimeout as pause } from "node:timers/promises";
import type { Connection } from "rabbitmq-client";
import type { QueueLog } from "./queue.ts";
import type { Topology } from "./topology.ts";

const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

export type DeclaredTopology = {
  isDeclared(): boolean;
  /** Declares everything (again) until it works; calls made meanwhile share the work. */
  declareAgain(): void;
  /** Resolves when the queues are declared, at once if they are; never when the queue is closed before. */
  whenDeclared(): Promise<void>;
};

/** Declares the queues on every (re)connect: a broker may come back empty, and an operator may delete a queue. */
export function keepTopologyDeclared(options: {
  connection: Connection;
  topology: Topology;
  log: QueueLog;
  signal: AbortSignal;
  onDeclared: () => void;
}): DeclaredTopology {
  const { connection, topology, log, signal, onDeclared } = options;
  let declared = false;
  let declaring = false;
  let firstTime = Promise.withResolvers<void>();

  async function declareOnce(): Promise<void> {
    const channel = await connection.acquire({ emitErrorsFromChannel: true });
    // Refusals reject the declaration itself; without a listener this second report would end the process.
    channel.on("error", () => undefined);
    try {
      for (const declaration of topology.declarations) await channel.queueDeclare(declaration);
    } finally {
      await channel.close();
    }
  }

  function report(error: unknown): void {
    if (error instanceof Error && "code" in error && error.code === "PRECONDITION_FAILED") {
      // Arguments of a queue are fixed when it is made; only an operator can decide what becomes of its content.
      log.error({ err: error }, "a queue exists with other settings; delete it once empty, or choose another prefix");
    } else {
      log.warn({ err: error }, "queues could not be declared; trying again");
    }
  }

  async function declareUntilDone(): Promise<void> {
    for (let retryMs = FIRST_RETRY_MS; !signal.aborted; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
      try {
        await declareOnce();
        declared = true;
        firstTime.resolve();
        onDeclared();
        return;
      } catch (error) {
        // Once per outage: an unreachable broker must not fill the log.
        if (retryMs === FIRST_RETRY_MS && !signal.aborted) report(error);
        await pause(retryMs, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  function declareAgain(): void {
    if (declared) firstTime = Promise.withResolvers<void>();
    declared = false;
    if (declaring) return;
    declaring = true;
    void declareUntilDone().finally(() => {
      declaring = false;
    });
  }

  connection.on("connection", declareAgain);
  return { isDeclared: () => declared, declareAgain, whenDeclared: () => firstTime.promise };
}
