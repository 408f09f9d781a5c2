import { setTimeout as pause } from "node:timers/promises";
import { type AsyncMessage, type Channel, Connection, type Consumer, ConsumerStatus } from "rabbitmq-client";
import { keepTopologyDeclared } from "./declaring.ts";
import { createPublisher, type MessageBody } from "./publisher.ts";
import {
  type CallbackQueue,
  LANES,
  type Lane,
  type QueueDepths,
  type QueueLog,
  type Ticket,
  type TicketHandler,
  verdictOf,
} from "./queue.ts";
import { rungFor, type Topology } from "./topology.ts";

/** Two missed heartbeats of 10 s: a dead peer is noticed after about 20 s, a living one costs a frame every 5 s. */
const CONNECTION_OPTIONS = {
  heartbeat: 10,
  connectionTimeout: 5_000,
  acquireTimeout: 5_000,
  retryLow: 250,
  retryHigh: 5_000,
  noDelay: true,
};

/** When a message can neither be settled nor moved, it waits this long before the broker hands it out again. */
const RETURN_PAUSE_MS = 1_000;

/** How many dead tickets are moved per round trip. */
const REDRIVE_CHUNK = 100;

const CLOSE_CONNECTION_MS = 2_000;

export type RabbitmqQueueOptions = {
  url: string;
  topology: Topology;
  log: QueueLog;
  /** How long a publish may take before it rejects. Default 5 s. */
  publishDeadlineMs?: number;
  /** How long stop() and close() wait for running handlers. Default 15 s: one attempt may take 10 s. */
  drainTimeoutMs?: number;
};

/** Connects in the background and keeps trying: an absent broker delays callbacks, it does not stop the program. */
export function createRabbitmqQueue(options: RabbitmqQueueOptions): CallbackQueue {
  const { url, topology, log, publishDeadlineMs = 5_000, drainTimeoutMs = 15_000 } = options;
  const ended = new AbortController();
  // Apart, because a broker short of memory stops reading from connections that publish: acks must still get through.
  const publishing = connect(url, "publish", log);
  const consuming = connect(url, "consume", log);
  const consumers = new Set<{ stop(): Promise<void> }>();

  const declared = keepTopologyDeclared({
    connection: consuming,
    topology,
    log,
    signal: ended.signal,
    onDeclared: () => publisher.flush(),
  });
  const publisher = createPublisher({
    connection: publishing,
    gateIsOpen: declared.isDeclared,
    log,
    signal: ended.signal,
  });

  async function put(queue: string, bodies: readonly MessageBody[]): Promise<void> {
    if (bodies.length === 0) return;
    const startedAt = performance.now();
    const unroutable = await publisher.send(queue, bodies, publishDeadlineMs);
    if (unroutable.length === 0) return;
    // Somebody deleted the queue. The gate stays shut until it is declared again, so the second try waits for that.
    log.warn({ queue, count: unroutable.length }, "queue is gone; declaring it again");
    declared.declareAgain();
    const again = unroutable.map((index) => bodies[index] ?? "");
    const restMs = Math.max(1, publishDeadlineMs - (performance.now() - startedAt));
    const lost = await publisher.send(queue, again, restMs);
    if (lost.length > 0) throw new Error(`publishing failed: queue ${queue} does not exist`);
  }

  async function settle(lane: Lane, handler: TicketHandler, message: AsyncMessage): Promise<ConsumerStatus> {
    try {
      const ticket = readTicket(message.body);
      if (ticket === undefined) {
        log.error({ lane, messageId: message.messageId }, "message is not a ticket; moved to the dead queue");
        await put(topology.dead, [message.body]);
        return ConsumerStatus.ACK;
      }
      const verdict = await verdictOf(handler, ticket, log);
      // The original is acknowledged only after its copy is confirmed: a crash in between duplicates, it never loses.
      if (verdict === "dead") await put(topology.dead, [encode(ticket)]);
      if (verdict === "requeue") await put(topology.parked[lane], [encode(ticket)]);
      return ConsumerStatus.ACK;
    } catch (error) {
      log.warn({ err: error, lane }, "message could not be moved; handing it back to the broker");
      await pause(RETURN_PAUSE_MS, undefined, { signal: ended.signal }).catch(() => undefined);
      return ConsumerStatus.REQUEUE;
    }
  }

  function consume(lane: Lane, handler: TicketHandler, concurrency: number): { stop(): Promise<void> } {
    const consumer = consuming.createConsumer(
      {
        queue: topology.lanes[lane],
        // The topology belongs to keepTopologyDeclared; a consumer that declared it too would need the same arguments.
        queueOptions: { passive: true },
        qos: { prefetchCount: concurrency },
        concurrency,
        lazy: true,
      },
      (message) => settle(lane, handler, message),
    );
    let stopped: Promise<void> | undefined;
    consumer.on("error", (error: { code?: string }) => {
      log.warn({ err: error, lane }, "consumer interrupted; it comes back by itself");
      if (error.code === "CANCEL_FORCED" || error.code === "NOT_FOUND") declared.declareAgain();
    });
    // Started late, so that the first passive declaration does not run ahead of the real one.
    void declared.whenDeclared().then(() => {
      if (stopped === undefined) consumer.start();
    });
    const subscription = {
      stop(): Promise<void> {
        stopped ??= stopConsumer(consumer, drainTimeoutMs).finally(() => consumers.delete(subscription));
        return stopped;
      },
    };
    consumers.add(subscription);
    return subscription;
  }

  /** A channel of its own for a short errand, closed whatever happens, given up at the publish deadline. */
  async function onChannel<T>(errand: (channel: Channel) => Promise<T>): Promise<T> {
    const work = async (): Promise<T> => {
      const channel = await consuming.acquire({ emitErrorsFromChannel: true });
      channel.on("error", () => undefined);
      try {
        return await errand(channel);
      } finally {
        await channel.close();
      }
    };
    return withDeadline(work(), publishDeadlineMs, "the broker has not answered in time");
  }

  async function readDepths(channel: Channel): Promise<QueueDepths> {
    const ready = async (queue: string): Promise<number> =>
      (await channel.queueDeclare({ queue, passive: true })).messageCount;
    const sum = async (queues: readonly string[]): Promise<number> => {
      let total = 0;
      for (const queue of queues) total += await ready(queue);
      return total;
    };
    try {
      return {
        first: await ready(topology.lanes.first),
        retry: await ready(topology.lanes.retry),
        delayed: await sum(topology.rungs.map((rung) => rung.queue)),
        parked: await sum(LANES.map((lane) => topology.parked[lane])),
        dead: await ready(topology.dead),
      };
    } catch (error) {
      if (isNotFound(error)) declared.declareAgain();
      throw error;
    }
  }

  /** Moves one chunk; what is not a ticket goes back to the tail, so that it cannot hide the tickets behind it. */
  async function redriveChunk(
    channel: Channel,
    wanted: number,
  ): Promise<{ seen: number; moved: number; left: number }> {
    const messages = [];
    let left = 0;
    while (messages.length < wanted) {
      const message = await channel.basicGet({ queue: topology.dead });
      if (message === undefined) break;
      messages.push(message);
      left = message.messageCount;
    }
    const tickets = messages.map((message) => readTicket(message.body)).filter((ticket) => ticket !== undefined);
    const others = messages.filter((message) => readTicket(message.body) === undefined);
    await put(topology.lanes.retry, tickets.map(encode));
    await put(
      topology.dead,
      others.map((message) => message.body),
    );
    for (const { deliveryTag } of messages) channel.basicAck({ deliveryTag });
    return { seen: messages.length, moved: tickets.length, left };
  }

  async function redriveDead(limit: number): Promise<number> {
    let moved = 0;
    let unseen = Number.POSITIVE_INFINITY;
    while (moved < limit && unseen > 0) {
      const wanted = Math.min(limit - moved, unseen, REDRIVE_CHUNK);
      const chunk = await onChannel((channel) => redriveChunk(channel, wanted));
      moved += chunk.moved;
      // Only what was there at the start is looked at; what we put back at the tail must not be met again.
      unseen = chunk.seen < wanted ? 0 : Number.isFinite(unseen) ? unseen - chunk.seen : chunk.left;
    }
    return moved;
  }

  let closed: Promise<void> | undefined;
  async function close(): Promise<void> {
    await Promise.all([...consumers].map((consumer) => consumer.stop()));
    await publisher.drain();
    ended.abort();
    await Promise.all([endConnection(publishing), endConnection(consuming)]);
  }

  return {
    publish: (lane, tickets) => put(topology.lanes[lane], tickets.map(encode)),
    publishDelayed: (tickets, delayMs) => put(rungFor(topology.rungs, delayMs).queue, tickets.map(encode)),
    park: (lane, tickets) => put(topology.parked[lane], tickets.map(encode)),
    consume: async (lane, handler, { concurrency }) => consume(lane, handler, concurrency),
    depths: () => onChannel(readDepths),
    redriveDead,
    isReady: () => publisher.isOpen() && consuming.ready,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

function connect(url: string, role: "publish" | "consume", log: QueueLog): Connection {
  const connection = new Connection({ ...CONNECTION_OPTIONS, url, connectionName: `dcm-gateway ${role}` });
  connection.on("error", (error) => log.warn({ err: error, role }, "broker connection failed; reconnecting"));
  connection.on("connection", () => log.info({ role }, "connected to the broker"));
  return connection;
}

/** Handlers that outlast the bound keep running; their messages return to the queue when the channel goes. */
async function stopConsumer(consumer: Consumer, timeoutMs: number): Promise<void> {
  await withDeadline(consumer.close(), timeoutMs, "handlers are still running").catch(() => undefined);
}

/** Closing politely needs a broker that reads; one that blocks us or is gone gets the socket cut. */
async function endConnection(connection: Connection): Promise<void> {
  await withDeadline(connection.close(), CLOSE_CONNECTION_MS, "closing takes too long").catch(() => undefined);
  connection.unsafeDestroy();
}

function encode({ callbackGuid, series, attempt, receiverGuid }: Ticket): Buffer {
  return Buffer.from(JSON.stringify({ callbackGuid, series, attempt, receiverGuid }));
}

/** Anyone with access to the broker can put anything into a queue: what is not exactly a ticket is not handled as one. */
function readTicket(body: unknown): Ticket | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { callbackGuid, series, attempt, receiverGuid } = body as Partial<Record<keyof Ticket, unknown>>;
  if (typeof callbackGuid !== "string" || typeof receiverGuid !== "string") return undefined;
  if (typeof series !== "number" || !Number.isSafeInteger(series)) return undefined;
  if (typeof attempt !== "number" || !Number.isSafeInteger(attempt)) return undefined;
  return { callbackGuid, series, attempt, receiverGuid };
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "NOT_FOUND";
}

async function withDeadline<T>(work: Promise<T>, deadlineMs: number, message: string): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(message)), deadlineMs);
  try {
    return await Promise.race([work, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
