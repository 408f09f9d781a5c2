import { setTimeout as pause } from "node:timers/promises";
import { type AsyncMessage, type Connection, type Consumer, ConsumerStatus } from "rabbitmq-client";
import { withDeadline } from "./deadline.ts";
import type { DeclaredTopology } from "./declaring.ts";
import { createFifo } from "./delayLine.ts";
import type { MessageBody } from "./publisher.ts";
import { type Lane, type QueueLog, type Ticket, type TicketHandler, type Verdict, verdictOf } from "./queue.ts";
import { encodeTickets, readTickets } from "./ticket.ts";
import type { Topology } from "./topology.ts";

/**
 * If a message can neither be acknowledged nor moved, it waits this long before it is returned to the broker, so that it does not
 * spin.
 */
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
  /** Subscribes again, on a new channel, once the running handlers are done. */
  restart(): void;
};

/** Starts once the queues are declared, and restarts by itself after a lost connection, channel or queue. */
export function consumeLane(
  consuming: Consuming,
  lane: Lane,
  handler: TicketHandler,
  concurrency: number,
): LaneConsumer {
  const { declared, drainTimeoutMs, log } = consuming;
  const running = new Set<Promise<ConsumerStatus>>();
  const inTurn = atMost(concurrency);
  let consumer = subscribe(consuming, lane, concurrency, handle);
  let restarting = false;
  let stopped: Promise<void> | undefined;

  function handle(message: AsyncMessage): Promise<ConsumerStatus> {
    const run = handOn(consuming, lane, judge, message).finally(() => running.delete(run));
    running.add(run);
    return run;
  }

  function judge(ticket: Ticket): Promise<Verdict> {
    return inTurn(async () => (stopped === undefined ? await verdictOf(handler, ticket, log) : "unhandled"));
  }

  /** If the connection breaks meanwhile the subscription is gone as well; running handlers are waited for either way. */
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

  // Waits, because the consumer's passive declaration fails before the real one has been made.
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
      // Passive: only `declaring.ts` declares queues; another declaration would have to repeat the same arguments.
      queueOptions: { passive: true },
      // As many messages as handlers, because at low load a message holds a single ticket.
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

/**
 * Handles every ticket of a message and moves each to where its verdict says; answers what the broker is told about the message.
 */
async function handOn(
  { topology, put, log, signal }: Consuming,
  lane: Lane,
  judge: (ticket: Ticket) => Promise<Verdict>,
  message: AsyncMessage,
): Promise<ConsumerStatus> {
  try {
    const tickets = readTickets(message.body);
    if (tickets === undefined) {
      log.error({ lane, messageId: message.messageId }, "message holds no tickets; moved to the dead queue");
      await put(topology.dead, [message.body]);
      return ConsumerStatus.ACK;
    }
    const judgements = await Promise.all(tickets.map(judge));
    const judged = (as: Verdict) => encodeTickets(tickets.filter((_, index) => judgements[index] === as));
    // The original is acknowledged only after its copies are confirmed (at least once): a crash in between duplicates, and never
    // loses.
    await put(topology.dead, judged("dead"));
    await put(topology.parked[lane], judged("requeue"));
    await put(topology.lanes[lane], judged("unhandled"));
    return ConsumerStatus.ACK;
  } catch (error) {
    log.warn({ err: error, lane }, "message could not be moved; handing it back to the broker");
    await pause(RETURN_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    return ConsumerStatus.REQUEUE;
  }
}

/** A limiter: runs at most `limit` jobs at once, the others in the order in which they came. */
function atMost(limit: number): <T>(job: () => Promise<T>) => Promise<T> {
  const waiting = createFifo<() => void>();
  let running = 0;
  return async (job) => {
    if (running < limit) running += 1;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await job();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}
