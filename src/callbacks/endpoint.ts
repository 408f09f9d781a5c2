import { createWaitingLines, type WaitingLines } from "./waitingLines.ts";

/** How many attempts an endpoint may have at the same time, and what is known about its answers. */
export type Endpoint<Waiter> = {
  readonly name: string;
  /** Slots that it holds, and those that it may hold. */
  held: number;
  share: number;
  /** Whether its last attempt was answered. */
  answers: boolean;
  /** Requests that have left and are not answered. */
  posted: number;
  /** The tick in which it answered last, or the first of the present requests left. */
  heardAt: number;
  /** How long its answers take: smoothed, and the best, which is forgotten slowly. */
  paceMs: number;
  bestMs: number;
  waiting: WaitingLines<Waiter>;
};

export const newEndpoint = <Waiter>(name: string, share: number): Endpoint<Waiter> => ({
  name,
  share,
  ...{ held: 0, answers: false, posted: 0, heardAt: 0, paceMs: 0, bestMs: Number.POSITIVE_INFINITY },
  waiting: createWaitingLines(),
});

const paceWeight = 0.1;
const bestGrowsBy = 1.002;

/**
 * Adapts the share. An answer wins one slot back, and a further one while more waits and answers do not slow down: where they do,
 * the endpoint, or this process, has all that it can do. A missing answer halves the share.
 */
export function adapt(
  endpoint: Endpoint<unknown>,
  outcome: { answered: boolean; tookMs: number },
  { first, mostOfEndpoint }: { first: number; mostOfEndpoint: number },
): void {
  if (!outcome.answered) {
    endpoint.share = Math.max(1, Math.floor(endpoint.share / 2));
    return;
  }
  const { tookMs } = outcome;
  endpoint.paceMs = endpoint.paceMs === 0 ? tookMs : endpoint.paceMs + paceWeight * (tookMs - endpoint.paceMs);
  endpoint.bestMs = Math.min(endpoint.bestMs * bestGrowsBy, tookMs);
  const slowsDown = endpoint.paceMs > 2 * endpoint.bestMs + 50;
  const wins = endpoint.share < first || (endpoint.waiting.size() > 0 && !slowsDown);
  if (wins) endpoint.share = Math.min(mostOfEndpoint, endpoint.share + 1);
}

/** The slots of all endpoints together. */
export type Room = {
  /** Whether the endpoint has a slot left: of its share, and of what others leave. */
  hasFree(endpoint: Endpoint<unknown>): boolean;
  take(endpoint: Endpoint<unknown>): void;
  giveBack(endpoint: Endpoint<unknown>): void;
  /** Notes whether the endpoint answers. */
  heard(endpoint: Endpoint<unknown>, answered: boolean): void;
  held(): number;
};

/**
 * Nobody may hold more slots than are left for all others. Endpoints whose last attempt was not answered, or that were never asked,
 * share a half of all slots; one of them that holds none gets its first as long as they hold less than three quarters together.
 */
export function createRoom(most: number): Room {
  let held = 0;
  let heldByUnheard = 0;
  function count(endpoint: Endpoint<unknown>, change: 1 | -1): void {
    endpoint.held += change;
    held += change;
    if (!endpoint.answers) heldByUnheard += change;
  }
  function leftFor(endpoint: Endpoint<unknown>): number {
    const left = most - held;
    if (endpoint.answers) return left;
    const theirs = endpoint.held === 0 ? (3 * most) / 4 : most / 2;
    return Math.min(left, theirs - heldByUnheard);
  }
  return {
    hasFree: (endpoint) => endpoint.held < Math.min(endpoint.share, leftFor(endpoint)),
    take: (endpoint) => count(endpoint, 1),
    giveBack: (endpoint) => count(endpoint, -1),
    heard(endpoint, answered) {
      if (answered === endpoint.answers) return;
      heldByUnheard += answered ? -endpoint.held : endpoint.held;
      endpoint.answers = answered;
    },
    held: () => held,
  };
}
