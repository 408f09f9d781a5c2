import { type Channel, Connection } from "rabbitmq-client";
import { consumeLane, type LaneConsumer } from "./consuming.ts";
import { withDeadline } from "./deadline.ts";
import { keepTopologyDeclared } from "./declaring.ts";
import { readDepths, redriveDead } from "./inspecting.ts";
import { createPublisher, type MessageBody, type Publisher } from "./publisher.ts";
import type { CallbackQueue, QueueLog } from "./queue.ts";
import { encodeTickets, MAX_TICKETS_PER_MESSAGE } from "./ticket.ts";
import { rungFor, type Topology } from "./topology.ts";

/** A dead peer is noticed after four silent half-heartbeats, 20 s; a reconnect is tried every 0.25 to 5 s. */
const CONNECTION_OPTIONS = {
  heartbeat: 10,
  connectionTimeout: 5_000,
  acquireTimeout: 5_000,
  retryLow: 250,
  retryHigh: 5_000,
  noDelay: true,
};

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

/** Connects in the background and retries: without a broker callbacks are late, and the program goes on. */
export function createRabbitmqQueue(options: RabbitmqQueueOptions): CallbackQueue {
  const { url, topology, log, publishDeadlineMs = 5_000, drainTimeoutMs = 15_000 } = options;
  const ended = new AbortController();
  const { signal } = ended;
  // A connection of its own: a broker short of memory stops reading from connections that publish, and acks must still get through.
  const publishing = connect(url, "publish", log);
  const connection = connect(url, "consume", log);
  const consumers = new Set<LaneConsumer>();
  const declared = keepTopologyDeclared({
    connection,
    topology,
    log,
    signal,
    onDeclared: () => publisher.flush(),
    onRevived: () => {
      for (const consumer of consumers) consumer.restart();
    },
  });
  const publisher = createPublisher({ connection: publishing, gateIsOpen: declared.isDeclared, log, signal });

  async function put(queue: string, bodies: readonly MessageBody[]): Promise<void> {
    if (bodies.length > 0) await putAll(publisher, queue, bodies, publishDeadlineMs, reviveQueues);
  }

  function reviveQueues(queue: string): void {
    log.warn({ queue }, "queue is gone; declaring it again");
    declared.revive();
  }

  async function onChannel<T>(errand: (channel: Channel) => Promise<T>): Promise<T> {
    try {
      return await withDeadline(
        runErrand(connection, errand),
        publishDeadlineMs,
        "the broker has not answered in time",
      );
    } catch (error) {
      if (isNotFound(error)) declared.revive();
      throw error;
    }
  }

  async function end(): Promise<void> {
    await Promise.all([...consumers].map((consumer) => consumer.stop()));
    await publisher.drain();
    ended.abort();
    await Promise.all([endConnection(publishing), endConnection(connection)]);
  }

  let closing: Promise<void> | undefined;
  return {
    publish: (lane, tickets) => put(topology.lanes[lane], encodeTickets(tickets, MAX_TICKETS_PER_MESSAGE)),
    publishDelayed: (tickets, delayMs) => put(rungFor(topology.rungs, delayMs).queue, encodeTickets(tickets)),
    publishDead: (tickets) => put(topology.dead, encodeTickets(tickets)),
    park: (lane, tickets) => put(topology.parked[lane], encodeTickets(tickets)),
    async consume(lane, handler, { concurrency }) {
      const consuming = { connection, topology, declared, put, drainTimeoutMs, log, signal };
      const consumer = consumeLane(consuming, lane, handler, concurrency);
      consumers.add(consumer);
      return { stop: () => consumer.stop().finally(() => consumers.delete(consumer)) };
    },
    depths: () => onChannel((channel) => readDepths(channel, topology)),
    redriveDead: (limit) => redriveDead({ topology, put, onChannel }, limit),
    isReady: () => closing === undefined && publisher.isOpen() && connection.ready,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

function connect(url: string, role: "publish" | "consume", log: QueueLog): Connection {
  const connection = new Connection({ ...CONNECTION_OPTIONS, url, connectionName: `dcm-gateway ${role}` });
  connection.on("error", (error) => log.warn({ err: error, role }, "broker connection failed; reconnecting"));
  connection.on("connection", () => log.info({ role }, "connected to the broker"));
  return connection;
}

/** Publishes, and once more what came back as unroutable: the publisher holds it until the queues are declared again. */
async function putAll(
  publisher: Publisher,
  queue: string,
  bodies: readonly MessageBody[],
  deadlineMs: number,
  reviveQueues: (queue: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  const unroutable = await publisher.send(queue, bodies, deadlineMs);
  if (unroutable.length === 0) return;
  reviveQueues(queue);
  const again = unroutable.map((index) => bodies[index] ?? "");
  const restMs = Math.max(1, deadlineMs - (performance.now() - startedAt));
  const lost = await publisher.send(queue, again, restMs);
  if (lost.length > 0) throw new Error(`publishing failed: queue ${queue} does not exist`);
}

/**
 * Runs a short task on a channel of its own: an error on it affects nobody else, and unacknowledged messages return when it closes.
 */
async function runErrand<T>(connection: Connection, errand: (channel: Channel) => Promise<T>): Promise<T> {
  const channel = await connection.acquire({ emitErrorsFromChannel: true });
  // The task itself rejects on a refusal; the channel's `error` event without a listener would end the process.
  channel.on("error", () => undefined);
  try {
    return await errand(channel);
  } finally {
    await channel.close();
  }
}

/** Closes the connection. An orderly close needs a broker that reads; if it blocks us or is gone, the socket is cut. */
async function endConnection(connection: Connection): Promise<void> {
  await withDeadline(connection.close(), CLOSE_CONNECTION_MS, "closing takes too long").catch(() => undefined);
  connection.unsafeDestroy();
}

function isNotFound(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "NOT_FOUND";
}
