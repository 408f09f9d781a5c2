import { setTimeout as pause } from "node:timers/promises";
import { type AsyncMessage, type Connection, type Consumer, ConsumerStatus } from "rabbitmq-client";
import { withDeadline } from "./deadline.ts";
import type { DeclaredTopology } from "./declaring.ts";
import type { MessageBody } from "./publisher.ts";
import { type Lane, type QueueLog, type TicketHandler, verdictOf } from "./queue.ts";
import { encodeTicket, readTicket } from "./ticket.ts";
import type { Topology } from "./topology.ts";

/** When a message can neither be settled nor moved, it waits this long before the broker hands it out again. */
const RETURN_PAUSE_MS = 1_000;

export type Consuming = {
  connection: Connection;
  topology: Topology;
  declared: DeclaredTopology;
  put(queue: string, bodies: readonly MessageBody[]): Promise<void>;
  drainTimeoutMs: number;
  log: QueueLog;
  signal: AbortSignal;
};

/** Starts when the queues are declared and comes back by itself after a lost connection, channel or queue. */
export function consumeLane(
  consuming: Consuming,
  lane: Lane,
  handler: TicketHandler,
  concurrency: number,
): { stop(): Promise<void> } {
  const { connection, topology, declared, drainTimeoutMs, log } = consuming;
  let stopped: Promise<void> | undefined;
  const consumer = connection.createConsumer(
    {
      queue: topology.lanes[lane],
      // Declaring has one owner; a consumer that declared its queue too would have to know the same arguments.
      queueOptions: { passive: true },
      qos: { prefetchCount: concurrency },
      concurrency,
      lazy: true,
    },
    (message) => settle(consuming, lane, handler, message),
  );
  consumer.on("error", (error: { code?: string }) => {
    log.warn({ err: error, lane }, "consumer interrupted; it comes back by itself");
    if (error.code === "CANCEL_FORCED" || error.code === "NOT_FOUND") declared.declareAgain();
  });
  // Not before: the consumer's passive declaration must not run ahead of the real one.
  void declared.whenDeclared().then(() => {
    if (stopped === undefined) consumer.start();
  });
  return {
    stop() {
      stopped ??= stopConsumer(consumer, drainTimeoutMs);
      return stopped;
    },
  };
}

async function settle(
  { topology, put, log, signal }: Consuming,
  lane: Lane,
  handler: TicketHandler,
  message: AsyncMessage,
): Promise<ConsumerStatus> {
  try {
    const ticket = readTicket(message.body);
    if (ticket === undefined) {
      log.error({ lane, messageId: message.messageId }, "message is not a ticket; moved to the dead queue");
      await put(topology.dead, [message.body]);
      return ConsumerStatus.ACK;
    }
    const verdict = await verdictOf(handler, ticket, log);
    // The original is acknowledged only after its copy is confirmed: a crash in between duplicates, it never loses.
    if (verdict === "dead") await put(topology.dead, [encodeTicket(ticket)]);
    if (verdict === "requeue") await put(topology.parked[lane], [encodeTicket(ticket)]);
    return ConsumerStatus.ACK;
  } catch (error) {
    log.warn({ err: error, lane }, "message could not be moved; handing it back to the broker");
    await pause(RETURN_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    return ConsumerStatus.REQUEUE;
  }
}

/** Handlers that outlast the bound keep running; their messages return to the queue when the channel goes. */
async function stopConsumer(consumer: Consumer, timeoutMs: number): Promise<void> {
  await withDeadline(consumer.close(), timeoutMs, "handlers are still running").catch(() => undefined);
}
