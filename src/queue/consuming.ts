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

export type LaneConsumer = {
  stop(): Promise<void>;
  /** Listens anew, on a new channel, once the running handlers are done. */
  restart(): void;
};

/** Starts when the queues are declared and comes back by itself after a lost connection, channel or queue. */
export function consumeLane(
  consuming: Consuming,
  lane: Lane,
  handler: TicketHandler,
  concurrency: number,
): LaneConsumer {
  const { declared, drainTimeoutMs } = consuming;
  const running = new Set<Promise<ConsumerStatus>>();
  let consumer = subscribe(consuming, lane, concurrency, handle);
  let restarting = false;
  let stopped: Promise<void> | undefined;

  function handle(message: AsyncMessage): Promise<ConsumerStatus> {
    const run = settle(consuming, lane, handler, message).finally(() => running.delete(run));
    running.add(run);
    return run;
  }

  /** A connection that breaks meanwhile has ended the subscription as well; the handlers are waited for either way. */
  async function end(): Promise<void> {
    await consumer.close().catch(() => undefined);
    await Promise.all(running);
  }

  async function startAnew(): Promise<void> {
    if (restarting || stopped !== undefined) return;
    restarting = true;
    await end();
    restarting = false;
    if (stopped !== undefined) return;
    consumer = subscribe(consuming, lane, concurrency, handle);
    consumer.start();
  }

  // Not before: the consumer's passive declaration must not run ahead of the real one.
  void declared.whenDeclared().then(() => {
    if (stopped === undefined) consumer.start();
  });
  return {
    restart: () => void startAnew(),
    stop() {
      // Handlers that outlast the bound keep running; their messages return to the queue when the channel goes.
      stopped ??= withDeadline(end(), drainTimeoutMs, "handlers are still running").catch(() => undefined);
      return stopped;
    },
  };
}

function subscribe(
  { connection, topology, declared, log }: Consuming,
  lane: Lane,
  concurrency: number,
  handle: (message: AsyncMessage) => Promise<ConsumerStatus>,
): Consumer {
  const consumer = connection.createConsumer(
    {
      queue: topology.lanes[lane],
      // Declaring has one owner; a consumer that declared its queue too would have to know the same arguments.
      queueOptions: { passive: true },
      qos: { prefetchCount: concurrency },
      concurrency,
      lazy: true,
    },
    handle,
  );
  consumer.on("error", (error: { code?: string }) => {
    log.warn({ err: error, lane }, "consumer interrupted; it comes back by itself");
    if (error.code === "CANCEL_FORCED" || error.code === "NOT_FOUND") declared.revive();
  });
  return consumer;
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
