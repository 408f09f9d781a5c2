import { withDeadline } from "./deadline.ts";
import { createDelayLine, createFifo } from "./delayLine.ts";
import {
  type CallbackQueue,
  LANES,
  type Lane,
  type QueueLog,
  type Ticket,
  type TicketHandler,
  verdictOf,
} from "./queue.ts";
import { DEFAULT_PARK_MS, DEFAULT_RUNG_DELAYS_MS, MAX_WAITING_TICKETS, rungFor, sortedRungs } from "./topology.ts";

export type LocalQueueOptions = {
  log: QueueLog;
  rungDelaysMs?: readonly number[];
  parkMs?: number;
  /** How long stop() and close() wait for running handlers. Default 15 s: one attempt may take 10 s. */
  drainTimeoutMs?: number;
};

/** The bound of a lane, about 30 MB. Tickets beyond it are refused, and wait in the database for the relay (back-pressure). */
export const MAX_LANE_TICKETS = 100_000;

/**
 * The queue within one process: it behaves like RabbitMQ but stores nothing. After a restart the relay finds the callbacks in the
 * database.
 */
export function createLocalQueue(options: LocalQueueOptions): CallbackQueue {
  const { log, parkMs = DEFAULT_PARK_MS, drainTimeoutMs = 15_000 } = options;
  const dead = createFifo<Ticket>();
  const lane = (name: Lane) => createLane((ticket, handler) => handle(name, ticket, handler), drainTimeoutMs);
  const lanes = { first: lane("first"), retry: lane("retry") };
  const waiting = (delayMs: number, name: Lane) => createDelayLine(delayMs, MAX_WAITING_TICKETS, lanes[name].enter);
  const parked = { first: waiting(parkMs, "first"), retry: waiting(parkMs, "retry") };
  const rungs = sortedRungs(options.rungDelaysMs ?? DEFAULT_RUNG_DELAYS_MS).map((delayMs) => ({
    delayMs,
    line: waiting(delayMs, "retry"),
  }));
  let closing: Promise<void> | undefined;
  let closed = false;

  async function handle(name: Lane, ticket: Ticket, handler: TicketHandler): Promise<void> {
    const verdict = await verdictOf(handler, ticket, log);
    if (verdict === "dead") dead.push(ticket);
    if (verdict === "unhandled") lanes[name].enter([ticket]);
    if (verdict !== "requeue") return;
    // A ticket that cannot be parked is not lost: the relay makes a new one when the callback is overdue.
    await put([ticket], parked[name].push).catch((error) => log.warn({ err: error, lane: name }, "ticket dropped"));
  }

  function enter(name: Lane, tickets: readonly Ticket[]): void {
    if (lanes[name].size() + tickets.length > MAX_LANE_TICKETS) throw new RangeError(`lane ${name} is full`);
    lanes[name].enter(tickets);
  }

  async function put(tickets: readonly Ticket[], into: (copies: readonly Ticket[]) => void): Promise<void> {
    if (closed) throw new Error("publishing failed: the queue is closed");
    // Copies, as with a broker: later changes of the caller's object must not show here.
    into(tickets.map((ticket) => ({ ...ticket })));
  }

  async function end(): Promise<void> {
    await Promise.all(LANES.map((name) => lanes[name].stop()));
    closed = true;
    for (const line of [parked.first, parked.retry, ...rungs.map((rung) => rung.line)]) line.stop();
  }

  return {
    publish: (name, tickets) => put(tickets, (copies) => enter(name, copies)),
    publishDelayed: (tickets, delayMs) => put(tickets, (copies) => rungFor(rungs, delayMs).line.push(copies)),
    park: (name, tickets) => put(tickets, parked[name].push),
    publishDead: (tickets) =>
      put(tickets, (copies) => {
        for (const ticket of copies) dead.push(ticket);
      }),
    consume: async (name, handler, { concurrency }) => lanes[name].consume(handler, concurrency),
    depths: async () => ({
      first: lanes.first.size(),
      retry: lanes.retry.size(),
      delayed: rungs.reduce((total, { line }) => total + line.size(), 0),
      parked: parked.first.size() + parked.retry.size(),
      dead: dead.size(),
    }),
    async redriveDead(limit) {
      const tickets = Array.from({ length: Math.min(limit, dead.size()) }, () => dead.shift());
      lanes.retry.enter(tickets.filter((ticket) => ticket !== undefined));
      return tickets.length;
    },
    isReady: () => closing === undefined,
    close() {
      closing ??= end();
      return closing;
    },
  };
}

type Consumer = { handler: TicketHandler; concurrency: number; running: Set<Promise<void>> };

function createLane(handle: (ticket: Ticket, handler: TicketHandler) => Promise<void>, drainTimeoutMs: number) {
  const tickets = createFifo<Ticket>();
  const consumers = new Set<Consumer>();

  function dispatch(): void {
    while (tickets.size() > 0) {
      const consumer = idlest(consumers);
      const ticket = consumer && tickets.shift();
      if (!consumer || !ticket) return;
      const run = handle(ticket, consumer.handler).finally(() => {
        consumer.running.delete(run);
        dispatch();
      });
      consumer.running.add(run);
    }
  }

  async function stop(consumer: Consumer): Promise<void> {
    consumers.delete(consumer);
    const running = Promise.all(consumer.running);
    await withDeadline(running, drainTimeoutMs, "handlers are still running").catch(() => undefined);
  }

  return {
    enter(entering: readonly Ticket[]): void {
      for (const ticket of entering) tickets.push(ticket);
      // Never synchronously: no handler may run before the publish that it comes from has returned.
      setImmediate(dispatch);
    },
    consume(handler: TicketHandler, concurrency: number): { stop(): Promise<void> } {
      const consumer: Consumer = { handler, concurrency, running: new Set() };
      consumers.add(consumer);
      setImmediate(dispatch);
      return { stop: () => stop(consumer) };
    },
    size: () => tickets.size(),
    stop: async () => void (await Promise.all([...consumers].map(stop))),
  };
}

/** Of the consumers with a free slot, the one with the fewest running handlers. */
function idlest(consumers: ReadonlySet<Consumer>): Consumer | undefined {
  let best: Consumer | undefined;
  for (const consumer of consumers) {
    if (consumer.running.size >= consumer.concurrency) continue;
    if (best === undefined || consumer.running.size < best.running.size) best = consumer;
  }
  return best;
}
