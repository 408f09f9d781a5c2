/**
 * How many attempts one endpoint may hold at the same time. An endpoint that answers has its full share; one that does
 * not answer loses half of it with every silence and wins it back answer by answer, down to one probing attempt, so
 * hundreds of hanging endpoints together cannot take the room of those that work.
 */
export type SlotLimits = {
  /** The full share of an endpoint. */
  perEndpoint: number;
  /** A busy endpoint that has freed no slot for this long is not moving: more work for it is parked at once. */
  stalledAfterMs: number;
  /** How long work may wait in memory for a slot of an endpoint that is moving. */
  maxWaitMs: number;
};

/** 16 in flight saturate an endpoint that answers within 10 ms at 1 600 a second. */
const defaultSlotLimits: SlotLimits = { perEndpoint: 16, stalledAfterMs: 500, maxWaitMs: 1_000 };

/** Undefined: nothing was asked of the endpoint, so nothing was learnt about it. */
export type Slot = { release(answered?: boolean): void };

export type Slots = {
  /** A slot, or undefined when the work is better parked. */
  acquire(endpoint: string): Promise<Slot | undefined>;
  /** Whether an endpoint's slots are all taken and it has answered nothing for a while. */
  isStalled(endpoint: string): boolean;
  /** Slots held now, by all endpoints. */
  held(): number;
};

type Endpoint = {
  held: number;
  share: number;
  /** When it last answered, or got work after it had had none: an endpoint that was asked nothing does not stand still. */
  movedAtMs: number;
  /** The time from one answer to the next while there is work, smoothed. */
  paceMs: number;
  waiting: Set<(slot: Slot | undefined) => void>;
};

/** How much the latest answer weighs in the pace. */
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
      // What cannot have its turn in time must not hold a place that other endpoints need.
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

/** An answer wins one slot back and tells the pace; a silence costs half of the share. */
function learn(endpoint: Endpoint, answered: boolean, fullShare: number, atMs: number): void {
  if (!answered) {
    endpoint.share = Math.max(1, Math.floor(endpoint.share / 2));
    return;
  }
  endpoint.share = Math.min(fullShare, endpoint.share + 1);
  endpoint.paceMs += paceWeight * (atMs - endpoint.movedAtMs - endpoint.paceMs);
  endpoint.movedAtMs = atMs;
}

/** Waits in order for a slot of the endpoint; undefined when none was free in time. */
function turnAt(endpoint: Endpoint, maxWaitMs: number): Promise<Slot | undefined> {
  return new Promise((resolve) => {
    // An endpoint that has answered nothing yet gets a quarter of the patience: if it hangs, that is known only after a while,
    // and what waits for it until then must not hold the places of others for long.
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
