/**
 * The queue hands work from whoever finds a due callback to whoever delivers it. It is a clock and a distributor, never
 * the truth: a ticket may arrive twice, late, out of order or (when everything is lost) not at all, and the callback row
 * in the database decides what a ticket still means. Two implementations behave the same: rabbitmq.ts and local.ts.
 */

/**
 * A reference to a callback row; the row is the truth. `attempt`: attempts made before the ticket was issued (fencing against
 * duplicates).
 */
export type Ticket = {
  callbackGuid: string;
  series: number;
  attempt: number;
  receiverGuid: string;
  /** Whether a payment waits for the callback; a ticket of an older process does not say. */
  decides?: boolean;
  /** How often it has been parked since it was published. */
  parks?: number;
  /** The trace that issued the ticket, as W3C traceparent; for observation only. */
  trace?: string;
};

/** First attempts and retries have lanes of their own, so that a wave of retries never delays a first attempt (bulkhead). */
export type Lane = "first" | "retry";

export const LANES = ["first", "retry"] as const satisfies readonly Lane[];

/**
 * What becomes of a ticket once its handler is done with it.
 * `ack`: done or obsolete. `dead`: our own fault, to the dead queue. `requeue`: cannot be handled now, comes back on the
 * same lane after the park time. `unhandled`: not begun, because the handler is stopping; the next consumer has it at once.
 * (Parking for want of room and delayed repetition are publishes of their own, then `ack`.) A handler that throws is logged and
 * counts as `requeue`.
 */
export type Verdict = "ack" | "dead" | "requeue" | "unhandled";

export type TicketHandler = (ticket: Ticket) => Promise<Verdict>;

/**
 * What waits, by the role of its queue; what a consumer has taken is not counted. The embedded queue counts tickets; RabbitMQ
 * counts messages, of which one on a lane may hold several tickets.
 */
export type QueueDepths = { first: number; retry: number; delayed: number; parked: number; dead: number };

export type CallbackQueue = {
  /** Resolves when every ticket is safely queued; rejects when that was not so within the deadline (callers leave the row to the relay). */
  publish(lane: Lane, tickets: readonly Ticket[]): Promise<void>;
  /** Puts tickets on the longest delay queue whose wait is ≤ `delayMs` (at least the shortest); they come back on lane "retry". */
  publishDelayed(tickets: readonly Ticket[], delayMs: number): Promise<void>;
  /**
   * Puts tickets aside because their endpoint has no free slot; they come back on the same lane after the park time. No attempt is
   * used.
   */
  park(lane: Lane, tickets: readonly Ticket[]): Promise<void>;
  /** Puts tickets into the dead-letter queue: of callbacks that no ticket was handled for. */
  publishDead(tickets: readonly Ticket[]): Promise<void>;
  /** At most `concurrency` handlers run at once. stop() waits for running handlers; tickets not yet handled go to the next consumer. */
  consume(lane: Lane, handler: TicketHandler, options: { concurrency: number }): Promise<{ stop(): Promise<void> }>;
  /** For back-pressure of the relay and for metrics. */
  depths(): Promise<QueueDepths>;
  /**
   * Moves up to `limit` dead tickets to lane "retry" and returns how many; a message is moved whole, so it may be a few
   * more. What is not a ticket stays dead.
   */
  redriveDead(limit: number): Promise<number>;
  /** True when a publish made now would be accepted: connected, topology declared, not blocked by the broker. */
  isReady(): boolean;
  /** Stops consuming, waits for running handlers and open publishes (both bounded), then releases sockets and timers. */
  close(): Promise<void>;
};

/** The part of a structured logger the queue needs; pino's logger fits as it is. */
export type QueueLog = Record<"info" | "warn" | "error", (fields: object, message: string) => void>;

/** Runs the handler. One that throws is a bug: it is logged once per ticket, and the ticket is tried again later. */
export async function verdictOf(handler: TicketHandler, ticket: Ticket, log: QueueLog): Promise<Verdict> {
  try {
    return await handler(ticket);
  } catch (error) {
    const { callbackGuid, attempt } = ticket;
    log.error({ err: error, callbackGuid, attempt }, "callback handler threw; its ticket is parked");
    return "requeue";
  }
}
