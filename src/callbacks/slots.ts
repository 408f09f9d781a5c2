import { adapt, createRoom, type Endpoint, newEndpoint } from "./endpoint.ts";
import type { Line } from "./waitingLines.ts";

/**
 * The bulkhead of delivery: how many attempts to one endpoint may run at the same time, and what waits for one in memory. An
 * endpoint begins with a few slots and wins one with each answer while more waits and answers do not slow down; each missing answer
 * halves them, down to one probing attempt. Nobody may hold more slots than are left for all others, and the endpoints whose last
 * attempt was not answered leave at least a quarter of all slots alone: what hangs, however much of it, takes nothing from what works.
 */
export type SlotLimits = {
  /** The slots that an endpoint begins with. */
  first: number;
  /** The most slots that an endpoint can win. */
  mostOfEndpoint: number;
  /** The most slots of all endpoints together. */
  most: number;
  /** The most that waits in memory, for all endpoints together. */
  mostWaiting: number;
  /** An endpoint that has answered nothing for this long, while attempts at it are under way, counts as silent. */
  silentAfterMs: number;
  /** Nothing waits longer than this in memory. */
  mostWaitMs: number;
};

/**
 * With 16 slots and 10 ms an answer an endpoint hears 1 600 callbacks a second; with 512 and 200 ms, 2 560. An attempt takes some
 * 30 KB, what waits 1 KB.
 */
export const defaultSlotLimits: SlotLimits = {
  first: 16,
  mostOfEndpoint: 512,
  most: 1_024,
  mostWaiting: 3_072,
  silentAfterMs: 1_000,
  mostWaitMs: 25_000,
};

export type Slot = {
  /** The request leaves now: silence, and the pace of answers, are counted from here. */
  posting(): void;
  /** `answered` undefined: no request was made, so nothing is learnt about the endpoint. Only the first call counts. */
  release(answered?: boolean): void;
};

/**
 * Why there is no slot. "full": there is no room left to wait in. "overdue": it waited so long that the relay is about to publish
 * the callback again. "closed": the worker stops.
 */
export type NoSlot = "full" | "overdue" | "closed";

export type Slots = {
  /** A slot, now or in its turn. */
  acquire(endpoint: string, line: Line): Promise<Slot | NoSlot>;
  /** A slot if one is free now. */
  take(endpoint: string): Slot | undefined;
  /** Whether attempts at the endpoint are under way and it has answered nothing for a while. */
  isSilent(endpoint: string): boolean;
  /** Slots held now, by all endpoints. */
  held(): number;
  /** Sends away whoever waits, and from now on everybody. */
  close(): void;
};

type Waiter = { answer(slot: Slot | NoSlot): void; sinceMs: number };

/** As many endpoints are remembered while nothing is asked of them. */
const mostRemembered = 10_000;

/** Silence is counted in ticks of this process, of which one that comes late counts once: our own slowness is nobody's silence. */
const tickMs = 100;
const ticksASweep = 10;

function startTicks(sweep: () => void): { count(): number; stop(): void } {
  let ticks = 0;
  const ticking = setInterval(() => {
    ticks += 1;
    if (ticks % ticksASweep === 0) sweep();
  }, tickMs).unref();
  return { count: () => ticks, stop: () => clearInterval(ticking) };
}

export function createSlots(limits: SlotLimits = defaultSlotLimits): Slots {
  const endpoints = new Map<string, Endpoint<Waiter>>();
  const room = createRoom(limits.most);
  const waiting = createWaitingRoom(endpoints, limits, isSilent);
  let isClosed = false;
  const ticks = startTicks(waiting.sendAwayOverdue);

  function isSilent({ posted, heardAt }: Endpoint<Waiter>): boolean {
    return posted > 0 && (ticks.count() - heardAt) * tickMs > limits.silentAfterMs;
  }

  function endpointOf(name: string): Endpoint<Waiter> {
    const endpoint = endpoints.get(name) ?? newEndpoint<Waiter>(name, limits.first);
    endpoints.set(name, endpoint);
    return endpoint;
  }

  const isFree = (endpoint: Endpoint<Waiter>) => endpoint.waiting.size() === 0 && room.hasFree(endpoint);

  function hold(endpoint: Endpoint<Waiter>): Slot {
    room.take(endpoint);
    let isHeld = true;
    let postedAtMs: number | undefined;
    return {
      posting() {
        if (endpoint.posted === 0) endpoint.heardAt = ticks.count();
        endpoint.posted += 1;
        postedAtMs = performance.now();
      },
      release(answered) {
        if (!isHeld) return;
        isHeld = false;
        room.giveBack(endpoint);
        if (postedAtMs !== undefined) endpoint.posted -= 1;
        if (answered !== undefined) {
          room.heard(endpoint, answered);
          adapt(endpoint, { answered, tookMs: performance.now() - (postedAtMs ?? performance.now()) }, limits);
        }
        if (answered) endpoint.heardAt = ticks.count();
        waiting.serve(endpoint, room.hasFree, hold);
        if (endpoint.held > 0 || endpoint.waiting.size() > 0) return;
        // What an endpoint has won counts as long as there is work for it; what it lost, until it has answered.
        endpoint.share = Math.min(endpoint.share, limits.first);
        if (endpoints.size > mostRemembered) endpoints.delete(endpoint.name);
      },
    };
  }

  return {
    async acquire(name, line) {
      if (isClosed) return "closed";
      const endpoint = endpointOf(name);
      return isFree(endpoint) ? hold(endpoint) : waiting.wait(endpoint, line);
    },
    take(name) {
      const endpoint = endpointOf(name);
      return !isClosed && isFree(endpoint) ? hold(endpoint) : undefined;
    },
    isSilent(name) {
      const endpoint = endpoints.get(name);
      return endpoint !== undefined && isSilent(endpoint);
    },
    held: room.held,
    close() {
      isClosed = true;
      ticks.stop();
      waiting.close();
    },
  };
}

/** What waits, of all endpoints. */
function createWaitingRoom(
  endpoints: ReadonlyMap<string, Endpoint<Waiter>>,
  { mostWaiting, mostWaitMs }: SlotLimits,
  isSilent: (endpoint: Endpoint<Waiter>) => boolean,
) {
  /** Those that have less than their share because others hold too much. */
  const crowdedOut = new Set<Endpoint<Waiter>>();
  let size = 0;

  function noteCrowding(endpoint: Endpoint<Waiter>): void {
    if (endpoint.waiting.size() > 0 && endpoint.held < endpoint.share) crowdedOut.add(endpoint);
    else crowdedOut.delete(endpoint);
  }

  function sendAway(endpoint: Endpoint<Waiter>, why: NoSlot, those: (waiter: Waiter) => boolean = () => true): void {
    for (const waiter of endpoint.waiting.takeWhile(those)) {
      size -= 1;
      waiter.answer(why);
    }
    noteCrowding(endpoint);
  }

  /** Where there is no room left, what waits for silent endpoints goes first, then the last of the longest line. */
  function makeRoomFor(newcomer: Endpoint<Waiter>): boolean {
    if (size < mostWaiting) return true;
    if (isSilent(newcomer)) return false;
    for (const endpoint of endpoints.values()) if (isSilent(endpoint)) sendAway(endpoint, "full");
    if (size < mostWaiting) return true;
    let longest = newcomer;
    for (const endpoint of endpoints.values()) {
      if (endpoint.waiting.size() > longest.waiting.size()) longest = endpoint;
    }
    if (longest === newcomer) return false;
    size -= 1;
    longest.waiting.pop()?.answer("full");
    return true;
  }

  return {
    wait(endpoint: Endpoint<Waiter>, line: Line): Promise<Slot | NoSlot> | NoSlot {
      if (!makeRoomFor(endpoint)) return "full";
      size += 1;
      return new Promise((answer) => {
        endpoint.waiting.push(line, { answer, sinceMs: performance.now() });
        noteCrowding(endpoint);
      });
    },
    /** Gives free slots to those who wait for the endpoint, and to those that it had crowded out. */
    serve(
      endpoint: Endpoint<Waiter>,
      hasFree: (endpoint: Endpoint<Waiter>) => boolean,
      hold: (endpoint: Endpoint<Waiter>) => Slot,
    ): void {
      for (const one of [endpoint, ...crowdedOut]) {
        while (one.waiting.size() > 0 && hasFree(one)) {
          size -= 1;
          one.waiting.shift()?.answer(hold(one));
        }
        noteCrowding(one);
      }
    },
    sendAwayOverdue(): void {
      const before = performance.now() - mostWaitMs;
      for (const endpoint of endpoints.values()) sendAway(endpoint, "overdue", ({ sinceMs }) => sinceMs <= before);
    },
    close(): void {
      for (const endpoint of endpoints.values()) sendAway(endpoint, "closed");
    },
  };
}
