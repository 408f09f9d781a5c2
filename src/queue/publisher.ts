import { setImmediate as nextTurn, setTimeout as pause } from "node:timers/promises";
import type { Channel, Connection } from "rabbitmq-client";
import type { QueueLog } from "./queue.ts";

/** Messages sent and not yet confirmed. 4,096 tickets × about 0.3 KiB bound the memory a silent broker can tie up to about 1.2 MiB. */
const MAX_UNCONFIRMED = 4_096;

const CHANNEL_RETRY_MS = 250;

export type MessageBody = Buffer | string | object;

/** Messages of one send; `next` is the first not yet written, `unsettled` counts those whose confirm is still open. */
type Batch = {
  readonly id: number;
  readonly queue: string;
  readonly bodies: readonly MessageBody[];
  readonly returned: number[];
  next: number;
  unsettled: number;
  settle(error?: Error): void;
};

export type Publisher = {
  /** Resolves with the indexes of messages the broker returned as unroutable (normally none) once all others are confirmed. */
  send(queue: string, bodies: readonly MessageBody[], deadlineMs: number): Promise<number[]>;
  /** Writes what was held back; call when the gate has opened. */
  flush(): void;
  isOpen(): boolean;
  /** Refuses further sends and resolves when none is open any more. Every send has a deadline, so this ends. */
  drain(): Promise<void>;
};

/**
 * Confirmed publishing with many messages in flight and a deadline for each send.
 * Nothing is written while the broker blocks us or the gate is shut: a message waits in its batch, and the batch is
 * forgotten at its deadline, so an outage neither hangs callers nor grows memory.
 */
export function createPublisher(options: {
  connection: Connection;
  /** Shut while the topology is not declared: what is published then would only be returned. */
  gateIsOpen: () => boolean;
  log: QueueLog;
  signal: AbortSignal;
}): Publisher {
  const { connection, gateIsOpen, log, signal } = options;
  const held = new Set<Batch>();
  const open = new Map<number, Batch>();
  let channel: Channel | undefined;
  let blockedBecause: string | undefined;
  let unconfirmed = 0;
  let lastId = 0;
  let draining = false;

  connection.on("connection.blocked", (reason) => {
    blockedBecause = reason;
    log.warn({ reason }, "the broker blocks publishing");
  });
  connection.on("connection.unblocked", () => {
    blockedBecause = undefined;
    log.info({}, "the broker accepts publishing again");
    flush();
  });
  signal.addEventListener("abort", () => void channel?.close());
  void keepChannelOpen();

  async function keepChannelOpen(): Promise<void> {
    while (!signal.aborted) {
      try {
        const fresh = await connection.acquire({ emitErrorsFromChannel: true });
        const closed = new Promise<void>((resolve) => fresh.once("close", resolve));
        fresh.on("error", (error) => log.warn({ err: error }, "publishing channel failed"));
        fresh.on("basic.return", ({ messageId }) => noteReturn(messageId));
        await fresh.confirmSelect();
        channel = fresh;
        // A blocked connection writes nothing, so a channel could not have been opened on one.
        blockedBecause = undefined;
        flush();
        await closed;
        channel = undefined;
      } catch {
        // The connection reports its own loss; here it only matters to try again, at a bounded pace.
        await pause(CHANNEL_RETRY_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }

  function isOpen(): boolean {
    return channel !== undefined && blockedBecause === undefined && gateIsOpen();
  }

  function flush(): void {
    for (const batch of held) {
      while (batch.next < batch.bodies.length) {
        if (channel === undefined || !isOpen() || unconfirmed >= MAX_UNCONFIRMED) return;
        void write(channel, batch, batch.next++);
      }
      held.delete(batch);
    }
  }

  async function write(on: Channel, batch: Batch, index: number): Promise<void> {
    unconfirmed += 1;
    try {
      await on.basicPublish(
        {
          routingKey: batch.queue,
          messageId: `${batch.id}:${index}`,
          contentType: "application/json",
          durable: true,
          mandatory: true,
        },
        batch.bodies[index] ?? "",
      );
      batch.unsettled -= 1;
      if (batch.unsettled === 0) {
        // An unroutable message is returned just before it is confirmed, but the client tells of the return one turn later.
        await nextTurn();
        batch.settle();
      }
    } catch (error) {
      batch.settle(error instanceof Error ? error : new Error(String(error)));
    } finally {
      unconfirmed -= 1;
      flush();
    }
  }

  function noteReturn(messageId: string | undefined): void {
    const [id, index] = (messageId ?? "").split(":").map(Number);
    if (id !== undefined && index !== undefined) open.get(id)?.returned.push(index);
  }

  function whyLate(): string {
    if (channel === undefined) return "there is no connection to the broker";
    if (blockedBecause !== undefined) return `the broker blocks publishing (${blockedBecause})`;
    if (!gateIsOpen()) return "the queues are not declared yet";
    return "the broker has not confirmed in time";
  }

  function send(queue: string, bodies: readonly MessageBody[], deadlineMs: number): Promise<number[]> {
    if (draining) return Promise.reject(new Error("publishing failed: the queue is closed"));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => batch.settle(new Error(`publishing failed: ${whyLate()}`)), deadlineMs);
      const batch: Batch = {
        id: ++lastId,
        queue,
        bodies,
        returned: [],
        next: 0,
        unsettled: bodies.length,
        settle(error) {
          clearTimeout(timer);
          held.delete(batch);
          open.delete(batch.id);
          if (error) reject(error);
          else resolve(batch.returned);
        },
      };
      open.set(batch.id, batch);
      held.add(batch);
      flush();
    });
  }

  return {
    send,
    flush,
    isOpen,
    async drain() {
      draining = true;
      while (open.size > 0) await pause(20);
    },
  };
}
