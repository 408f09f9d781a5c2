import type { Lane } from "./queue.ts";

/** Waits between attempts are 1, 2, 4, 8, 16, 32 seconds, then 60 each: one delay queue per distinct wait. */
export const DEFAULT_RUNG_DELAYS_MS: readonly number[] = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000];

/**
 * How long a ticket is parked: long enough that the overflow of hanging endpoints costs little (2 000 tickets come back 400 times a
 * second), short enough that a freed slot is used soon.
 */
export const DEFAULT_PARK_MS = 5_000;

/**
 * Bound of every waiting queue. Worst case: 2,000 callbacks/s, all failing, park on the 60 s rung for up to 5 passes:
 * 2,000 × 60 s × 5 = 600,000 tickets. A stored ticket takes about 0.4 KiB, so a full queue is about 400 MiB of disk.
 * Beyond the bound the broker refuses the publish and the row waits in the database for the relay instead.
 */
export const MAX_WAITING_TICKETS = 1_000_000;

/**
 * The delivery limit. A ticket that was delivered and returned this often (each time because a process or connection died with it)
 * is probably a poison message, and goes to the dead-letter queue. Set explicitly, because brokers differ: before 4.0 there is no
 * limit at all, from 4.0 on it is 20 and messages beyond it are dropped.
 */
const DELIVERY_LIMIT = 100;

/** Redriving takes dead tickets out by hand; the 4.0 default could drop one after some interrupted redrives. */
const DEAD_DELIVERY_LIMIT = 1_000_000;

export type TopologyOptions = { prefix?: string; rungDelaysMs?: readonly number[]; parkMs?: number };

type QueueDeclaration = {
  readonly queue: string;
  readonly durable: true;
  readonly arguments: Readonly<Record<string, string | number>>;
};

export type Topology = {
  readonly lanes: Readonly<Record<Lane, string>>;
  readonly rungs: readonly { readonly delayMs: number; readonly queue: string }[];
  readonly parked: Readonly<Record<Lane, string>>;
  readonly dead: string;
  /** Every queue, targets before the queues that dead-letter into them. */
  readonly declarations: readonly QueueDeclaration[];
};

export function buildTopology(options: TopologyOptions = {}): Topology {
  const { prefix = "dcm", parkMs = DEFAULT_PARK_MS } = options;
  const base = `${prefix}.callbacks`;
  const lanes = { first: `${base}.first`, retry: `${base}.retry` };
  // The park time is a part of the name, as with the delay queues: a queue keeps the TTL it was declared with, so another time
  // needs another.
  const parked = { first: `${base}.parked.first.${parkMs}`, retry: `${base}.parked.retry.${parkMs}` };
  const dead = `${base}.dead`;
  const rungs = sortedRungs(options.rungDelaysMs ?? DEFAULT_RUNG_DELAYS_MS).map((delayMs) => ({
    delayMs,
    queue: `${base}.delay.${delayMs}`,
  }));
  return {
    lanes,
    rungs,
    parked,
    dead,
    declarations: [
      declare(dead, { "x-delivery-limit": DEAD_DELIVERY_LIMIT }),
      declare(lanes.first, { "x-delivery-limit": DELIVERY_LIMIT, ...deadLetterTo(dead) }),
      declare(lanes.retry, { "x-delivery-limit": DELIVERY_LIMIT, ...deadLetterTo(dead) }),
      ...rungs.map(({ delayMs, queue }) => declare(queue, waiting(delayMs, lanes.retry))),
      declare(parked.first, waiting(parkMs, lanes.first)),
      declare(parked.retry, waiting(parkMs, lanes.retry)),
    ],
  };
}

/** Ascending and without repetition; a ladder without a rung could not delay anything. */
export function sortedRungs(rungDelaysMs: readonly number[]): readonly number[] {
  const rungs = [...new Set(rungDelaysMs)].sort((a, b) => a - b);
  if (rungs.length === 0 || rungs.some((delayMs) => !Number.isSafeInteger(delayMs) || delayMs < 1)) {
    throw new RangeError("rungDelaysMs must hold at least one whole positive number of milliseconds");
  }
  return rungs;
}

/** The delay queue with the longest wait that is not above the wanted delay, or the shortest one. Expects ascending rungs. */
export function rungFor<R extends { readonly delayMs: number }>(rungs: readonly R[], delayMs: number): R {
  const rung = rungs.findLast((candidate) => candidate.delayMs <= delayMs) ?? rungs[0];
  if (rung === undefined) throw new RangeError("the delay ladder has no rung");
  return rung;
}

function declare(queue: string, args: Record<string, string | number>): QueueDeclaration {
  return { queue, durable: true, arguments: { "x-queue-type": "quorum", ...args } };
}

/** A TTL of the queue, not of each message: with a single wait per queue, its head is always the next to expire. */
function waiting(ttlMs: number, target: string): Record<string, string | number> {
  return { "x-message-ttl": ttlMs, "x-max-length": MAX_WAITING_TICKETS, ...deadLetterTo(target) };
}

/** at-least-once keeps the ticket until the target has confirmed it, and is only valid together with reject-publish. */
function deadLetterTo(queue: string): Record<string, string> {
  return {
    "x-dead-letter-exchange": "",
    "x-dead-letter-routing-key": queue,
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
  };
}
