import { type CallbackQueue, type Lane, type QueueLog, type Ticket, type TicketHandler, verdictOf } from "./queue.ts";
import { DEFAULT_PARK_MS, DEFAULT_RUNG_DELAYS_MS, MAX_WAITING_TICKETS, rungFor, sortedRungs } from "./topology.ts";

export type LocalQueueOptions = {
  log: QueueLog;
  rungDelaysMs?: readonly number[];
  parkMs?: number;
  /** How long stop() and close() wait for running handlers. Default 15 s: one attempt may take 10 s. */
  drainTimeoutMs?: number;
};

type Consumer = { handler: TicketHandler; concurrency: number; running: Set<Promise<void>> };
type LaneState = { tickets: Fifo<Ticket>; consumers: Set<Consumer> };

/** The queue inside one process: same behaviour, nothing kept. After a restart the relay finds the rows in the database. */
export function createLocalQueue(options: LocalQueueOptions): CallbackQueue {
  const { log, parkMs = DEFAULT_PARK_MS, drainTimeoutMs = 15_000 } = options;
  const lanes: Record<Lane, LaneState> = { first: emptyLane(), retry: emptyLane() };
  const rungs = sortedRungs(options.rungDelaysMs ?? DEFAULT_RUNG_DELAYS_MS).map((delayMs) => ({
    delayMs,
    line: createDelayLine(delayMs, (tickets) => enter("retry", tickets)),
  }));
  const parked = {
    first: createDelayLine(parkMs, (tickets) => enter("first", tickets)),
    retry: createDelayLine(parkMs, (tickets) => enter("retry", tickets)),
  };
  const dead = createFifo<Ticket>();
  let closing: Promise<void> | undefined;
  let closed = false;

  function enter(lane: Lane, tickets: readonly Ticket[]): void {
    for (const ticket of tickets) lanes[lane].tickets.push(ticket);
    // Never inside the caller's turn: a publisher must not find a handler running before its publish has returned.
    setImmediate(dispatch, lane);
  }

  function dispatch(lane: Lane): void {
    const { tickets, consumers } = lanes[lane];
    while (tickets.size() > 0) {
      const consumer = idlest(consumers);
      const ticket = consumer && tickets.shift();
      if (!consumer || !ticket) return;
      const run = settle(lane, consumer.handler, ticket).finally(() => {
        consumer.running.delete(run);
        dispatch(lane);
      });
      consumer.running.add(run);
    }
  }

  async function settle(lane: Lane, handler: TicketHandler, ticket: Ticket): Promise<void> {
    const verdict = await verdictOf(handler, ticket, log);
    if (verdict === "dead") dead.push(ticket);
    // A full park drops the ticket; its row is overdue by then and the relay issues a new one.
    if (verdict === "requeue")
      await accepted([ticket], parked[lane].push).catch((error) => log.warn({ err: error, lane }, "ticket dropped"));
  }

  async function accepted(tickets: readonly Ticket[], into: (copies: readonly Ticket[]) => void): Promise<void> {
    if (closed) throw new Error("publishing failed: the queue is closed");
    // Copies, as a broker would make: what the caller does to its object later is not seen here.
    into(tickets.map((ticket) => ({ ...ticket })));
  }

  async function stop(lane: Lane, consumer: Consumer): Promise<void> {
    lanes[lane].consumers.delete(consumer);
    await settledWithin(consumer.running, drainTimeoutMs);
  }

  async function close(): Promise<void> {
    const stops = (["first", "retry"] as const).flatMap((lane) =>
      [...lanes[lane].consumers].map((consumer) => stop(lane, consumer)),
    );
    await Promise.all(stops);
    closed = true;
    for (const { line } of rungs) line.stop();
    parked.first.stop();
    parked.retry.stop();
  }

  return {
    publish: (lane, tickets) => accepted(tickets, (copies) => enter(lane, copies)),
    publishDelayed: (tickets, delayMs) => accepted(tickets, (copies) => rungFor(rungs, delayMs).line.push(copies)),
    park: (lane, tickets) => accepted(tickets, (copies) => parked[lane].push(copies)),
    async consume(lane, handler, { concurrency }) {
      const consumer: Consumer = { handler, concurrency, running: new Set() };
      lanes[lane].consumers.add(consumer);
      setImmediate(dispatch, lane);
      return { stop: () => stop(lane, consumer) };
    },
    async depths() {
      return {
        first: lanes.first.tickets.size(),
        retry: lanes.retry.tickets.size(),
        delayed: rungs.reduce((total, { line }) => total + line.size(), 0),
        parked: parked.first.size() + parked.retry.size(),
        dead: dead.size(),
      };
    },
    async redriveDead(limit) {
      const tickets: Ticket[] = [];
      while (tickets.length < limit) {
        const ticket = dead.shift();
        if (ticket === undefined) break;
        tickets.push(ticket);
      }
      enter("retry", tickets);
      return tickets.length;
    },
    isReady: () => closing === undefined,
    close() {
      closing ??= close();
      return closing;
    },
  };
}

function emptyLane(): LaneState {
  return { tickets: createFifo(), consumers: new Set() };
}

/** The consumer with the fewest running handlers among those that have a slot free. */
function idlest(consumers: ReadonlySet<Consumer>): Consumer | undefined {
  let best: Consumer | undefined;
  for (const consumer of consumers) {
    if (consumer.running.size >= consumer.concurrency) continue;
    if (best === undefined || consumer.running.size < best.running.size) best = consumer;
  }
  return best;
}

async function settledWithin(running: ReadonlySet<Promise<void>>, timeoutMs: number): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = setTimeout(late.resolve, timeoutMs);
  await Promise.race([Promise.allSettled(running), late.promise]);
  clearTimeout(timer);
}

type DelayLine = { push(tickets: readonly Ticket[]): void; size(): number; stop(): void };

/** One wait for all its tickets, so the oldest is always the next to go and one timer is enough. */
function createDelayLine(delayMs: number, onDue: (tickets: readonly Ticket[]) => void): DelayLine {
  const waiting = createFifo<{ ticket: Ticket; dueAtMs: number }>();
  let timer: NodeJS.Timeout | undefined;

  function arm(): void {
    const next = waiting.peek();
    // Rounded up: a ticket may come late, never early.
    timer = next && setTimeout(release, Math.max(1, Math.ceil(next.dueAtMs - performance.now())));
  }

  function release(): void {
    const due: Ticket[] = [];
    for (let next = waiting.peek(); next && next.dueAtMs <= performance.now(); next = waiting.peek()) {
      due.push(next.ticket);
      waiting.shift();
    }
    if (due.length > 0) onDue(due);
    arm();
  }

  return {
    push(tickets) {
      if (waiting.size() + tickets.length > MAX_WAITING_TICKETS) throw new Error("publishing failed: too many waiting");
      const dueAtMs = performance.now() + delayMs;
      for (const ticket of tickets) waiting.push({ ticket, dueAtMs });
      if (timer === undefined) arm();
    },
    size: () => waiting.size(),
    stop: () => clearTimeout(timer),
  };
}

type Fifo<T> = { push(item: T): void; shift(): T | undefined; peek(): T | undefined; size(): number };

/** First in, first out in constant time: Array.shift moves every element behind it, which a long backlog would feel. */
function createFifo<T>(): Fifo<T> {
  let items: T[] = [];
  let head = 0;
  return {
    push: (item) => void items.push(item),
    peek: () => items[head],
    size: () => items.length - head,
    shift() {
      const item = items[head];
      if (head < items.length) head += 1;
      if (head > 1_024 && head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
  };
}
