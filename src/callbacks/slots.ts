/**
 * The bulkhead of delivery: how many attempts to one endpoint may run at the same time. An endpoint that answers has its full
 * share. Each missing answer halves the share, down to one probing attempt, and each answer wins one slot back, so hundreds of
 * hanging endpoints together cannot take the capacity of those that work.
 */
export type SlotLimits = {
  /** The full share of an endpoint. */
  perEndpoint: number;
  /** A busy endpoint that has freed no slot for this long counts as stalled: more work for it is parked at once. */
  stalledAfterMs: number;
  /** How long work may wait in memory for a slot of an endpoint that is not stalled. */
  maxWaitMs: number;
};

/** With 10 ms per answer, 16 concurrent attempts make 1 600 a second. */
const defaultSlotLimits: SlotLimits = { perEndpoint: 16, stalledAfterMs: 500, maxWaitMs: 1_000 };

/** `answered` undefined: no request was made, so the share of the endpoint stays as it is. */
export type Slot = { release(answered?: boolean): void };

export type Slots = {
  /** A slot, or undefined if the work should be parked. */
  acquire(endpoint: string): Promise<Slot | undefined>;
  /** Whether an endpoint's slots are all taken and it has answered nothing for a while. */
  isStalled(endpoint: string): boolean;
  /** Slots held now, by all endpoints. */
  held(): number;
};

type Endpoint = {
  held: number;
  share: number;
  /** When it last answered, or got work after it had none: an endpoint without requests does not count as stalled. */
  movedAtMs: number;
  /** The smoothed time between two answers while there is work. */
  paceMs: number;
  waiting: Set<(slot: Slot | undefined) => void>;
};

/** The weight of the latest answer in the smoothed pace. */
const paceWeight = 0.2;

export function createSlots(
  limits: SlotLimits = defaultSlotLimits,
  nowMs: () => number = () => performance.now(),
): Slots {
  const endpoints = new Map<string, Endpoint>();
  let heldInAll = 0;

  const standsStill = (endpoint: Endpoint) => nowMs() - endpoint.movedAtMs > limits.stalledAfterMs;

  function take(name: string, endpoint: Endpoint): Slot {
    endpoint.held += 1;
    heldInAll += 1;
    let isHeld = true;
    return {
      release(answered) {
        if (!isHeld) return;
        isHeld = false;
        free(name, endpoint, answered);
      },
    };
  }

  function free(name: string, endpoint: Endpoint, answered: boolean | undefined): void {
    endpoint.held -= 1;
    heldInAll -= 1;
    if (answered !== undefined) learn(endpoint, answered, limits.perEndpoint, nowMs());
    for (const grant of endpoint.waiting) {
      if (endpoint.held >= endpoint.share) break;
      endpoint.waiting.delete(grant);
      grant(take(name, endpoint));
    }
    const isAsNew = endpoint.held === 0 && endpoint.waiting.size === 0 && endpoint.share === limits.perEndpoint;
    if (isAsNew) endpoints.delete(name);
  }

  return {
    async acquire(name) {
      let endpoint = endpoints.get(name);
      if (endpoint === undefined) {
        endpoint = { held: 0, share: limits.perEndpoint, movedAtMs: nowMs(), paceMs: 0, waiting: new Set() };
        endpoints.set(name, endpoint);
      }
      if (endpoint.held === 0) endpoint.movedAtMs = nowMs();
      if (endpoint.held < endpoint.share) return take(name, endpoint);
      if (standsStill(endpoint)) return undefined;
      // Work that cannot get its turn in time is parked at once, so that it does not take up the worker's concurrency.
      if ((endpoint.waiting.size + 1) * endpoint.paceMs > limits.maxWaitMs) return undefined;
      return turnAt(endpoint, limits.maxWaitMs);
    },
    isStalled(name) {
      const endpoint = endpoints.get(name);
      return endpoint !== undefined && endpoint.held >= endpoint.share && standsStill(endpoint);
    },
    held: () => heldInAll,
  };
}

/** Adapts the share: an answer wins one slot back and updates the pace, a missing answer halves the share. */
function learn(endpoint: Endpoint, answered: boolean, fullShare: number, atMs: number): void {
  if (!answered) {
    endpoint.share = Math.max(1, Math.floor(endpoint.share / 2));
    return;
  }
  endpoint.share = Math.min(fullShare, endpoint.share + 1);
  endpoint.paceMs += paceWeight * (atMs - endpoint.movedAtMs - endpoint.paceMs);
  endpoint.movedAtMs = atMs;
}

/** Waits, in order of arrival, for a slot of the endpoint; undefined when none came free in time. */
function turnAt(endpoint: Endpoint, maxWaitMs: number): Promise<Slot | undefined> {
  return new Promise((resolve) => {
    // An endpoint that has not answered yet gets a quarter of the time: if it hangs, that is known only after a while, and until
    // then its waiting work must not take up the worker's concurrency for long.
    const patienceMs = endpoint.paceMs === 0 ? maxWaitMs / 4 : maxWaitMs;
    const timer = setTimeout(() => {
      endpoint.waiting.delete(grant);
      resolve(undefined);
    }, patienceMs);
    const grant = (slot: Slot | undefined) => {
      clearTimeout(timer);
      resolve(slot);
    };
    endpoint.waiting.add(grant);
  });
}
