/**
 * One attempt to deliver one callback: POST, and say what came of it. The status line is the answer: once it and the headers are
 * here, whatever the body does changes nothing, and its beginning is read for people alone. Nothing here throws for what an
 * endpoint does: every ending is an outcome.
 */
import { type buildConnector, type Dispatcher, Pool } from "undici";
import { limits } from "../../gen/rest/limits.ts";
import type { Outcome } from "../domain/callback.ts";
import type { AddressGuard } from "../outbound/address.ts";
import { guardedConnector } from "../outbound/connector.ts";
import { describeFailure, failureOutcome, safeText, statusOutcome } from "./outcomes.ts";
import { retryAfterMs } from "./retryAfter.ts";

export type AttemptResult = {
  outcome: Outcome;
  httpStatus?: number;
  /** The wait that the endpoint asked for, not yet capped: the retry policy does that. */
  retryAfterMs?: number;
  durationMs: number;
  /** The beginning of the answer's body, safe to store and to show. */
  answer?: string;
  problem?: string;
};

export type CallbackRequest = { headers: Record<string, string>; body: string };

export type CallbackClient = {
  post(url: string, request: CallbackRequest): Promise<AttemptResult>;
  /** The number of origins with open pools, for metrics. */
  openOrigins(): number;
  /** Waits for running attempts (each ends within its deadline) and closes every connection. */
  close(): Promise<void>;
};

export type CallbackClientOptions = {
  guard: AddressGuard;
  /** The deadline for connection, status line, headers and body together. */
  attemptTimeoutMs?: number;
  /** A body up to this size is read to its end, so that its connection can be used again; of a larger one the rest is left. */
  maxAnswerBytes?: number;
  /** How much of a body is kept for people to see. */
  keptAnswerBytes?: number;
  /** How long a body may take after the headers. The outcome, and so the cascade, waits for it. */
  bodyTimeMs?: number;
  /**
   * The most concurrent attempts to one origin. Further ones would wait for a connection on their own deadline, so this is at least
   * what the caller starts at once.
   */
  connectionsPerOrigin?: number;
  /** The most pools; beyond it the one that was idle the longest is closed. */
  maxOrigins?: number;
  idleOriginMs?: number;
  /** PEM of further certificate authorities, for this client alone. */
  extraCa?: string | undefined;
};

export function createCallbackClient(options: CallbackClientOptions): CallbackClient {
  const { guard, attemptTimeoutMs = 10_000 } = options;
  const { maxAnswerBytes = limits.callbackAnswerBytes, keptAnswerBytes = 4_096, bodyTimeMs = 1_000 } = options;
  const { connectionsPerOrigin = 16, maxOrigins = 1_000, idleOriginMs = 60_000 } = options;
  const bounds = { attemptTimeoutMs, maxAnswerBytes, keptAnswerBytes, bodyTimeMs };
  const connect = guardedConnector(guard, attemptTimeoutMs, options.extraCa);
  const pools = originPools({ connect, connectionsPerOrigin, maxOrigins, idleOriginMs });
  const underWay = new Set<Promise<Attempt>>();
  let isClosed = false;

  async function attemptOf(text: string, request: CallbackRequest): Promise<Attempt> {
    if (isClosed) return { outcome: "lost", problem: "the client is closed" };
    const form = guard.checkForm(text);
    if (!form.ok) return { outcome: "address_refused", problem: `the URL ${form.problem}` };
    const url = new URL(text);
    const entry = pools.take(url.origin);
    const running = attempt(entry.pool, url, request, bounds);
    underWay.add(running);
    try {
      return await running;
    } finally {
      underWay.delete(running);
      pools.release(entry);
    }
  }

  async function post(url: string, request: CallbackRequest): Promise<AttemptResult> {
    const startedMs = performance.now();
    const made = await attemptOf(url, request);
    return { ...made, durationMs: Math.round(performance.now() - startedMs) };
  }

  async function close(): Promise<void> {
    isClosed = true;
    await Promise.allSettled(underWay);
    await pools.close();
  }

  return { post, openOrigins: pools.size, close };
}

// ------------------------------------------------------------------------------------------------------------------ pools

type OriginPool = { origin: string; pool: Pool; underWay: number; idleSinceMs: number };
type OriginPoolOptions = Required<
  Pick<CallbackClientOptions, "connectionsPerOrigin" | "maxOrigins" | "idleOriginMs">
> & {
  connect: buildConnector.connector;
};

/**
 * Pools of keep-alive connections, ordered by last use, so the first idle one has been idle the longest. An LRU cache would also
 * evict pools in use, hence this map.
 */
function originPools({ connect, connectionsPerOrigin, maxOrigins, idleOriginMs }: OriginPoolOptions) {
  const pools = new Map<string, OriginPool>();
  const sweep = setInterval(() => evictIdleSince(performance.now() - idleOriginMs), idleOriginMs / 2).unref();

  function open(origin: string): OriginPool {
    const longestIdle =
      pools.size >= maxOrigins ? [...pools.values()].find((entry) => entry.underWay === 0) : undefined;
    if (longestIdle) void evict(longestIdle);
    const pool = new Pool(origin, {
      connect,
      connections: connectionsPerOrigin,
      pipelining: 1,
      allowH2: false,
      // The attempt's deadline covers both. undici's timers are coarse, and would only make it unclear which one ended the attempt.
      headersTimeout: 0,
      bodyTimeout: 0,
    });
    return { origin, pool, underWay: 0, idleSinceMs: 0 };
  }

  /** Destroys a pool at once: no attempt is running on it, so there is nothing to wait for. */
  function evict(entry: OriginPool): Promise<void> {
    if (pools.get(entry.origin) === entry) pools.delete(entry.origin);
    return entry.pool.destroy().catch(() => {});
  }

  function evictIdleSince(sinceMs: number): void {
    for (const entry of pools.values()) if (entry.underWay === 0 && entry.idleSinceMs <= sinceMs) void evict(entry);
  }

  return {
    take(origin: string): OriginPool {
      const entry = pools.get(origin) ?? open(origin);
      pools.set(origin, entry);
      entry.underWay += 1;
      return entry;
    },
    release(entry: OriginPool): void {
      entry.underWay -= 1;
      entry.idleSinceMs = performance.now();
      pools.delete(entry.origin);
      pools.set(entry.origin, entry);
    },
    size: () => pools.size,
    async close(): Promise<void> {
      clearInterval(sweep);
      await Promise.all([...pools.values()].map(evict));
    },
  };
}

// ---------------------------------------------------------------------------------------------------------------- attempt

type Attempt = Omit<AttemptResult, "durationMs">;
type Bounds = { attemptTimeoutMs: number; maxAnswerBytes: number; keptAnswerBytes: number; bodyTimeMs: number };

async function attempt(pool: Pool, url: URL, request: CallbackRequest, bounds: Bounds): Promise<Attempt> {
  const deadline = new AbortController();
  const { signal } = deadline;
  const timer = setTimeout(() => deadline.abort(), bounds.attemptTimeoutMs);
  try {
    const path = url.pathname + url.search;
    // A request that still waits for its connection ignores the abort signal, so the deadline is raced as well.
    const head = await Promise.race([pool.request({ ...request, path, method: "POST", signal }), aborted(signal)]);
    const { statusCode, headers } = head;
    const answer = await beginningOf(head.body, bounds);
    const askedMs = retryAfterMs(headers, Date.now());
    const outcome = statusOutcome(statusCode);
    return { outcome, httpStatus: statusCode, answer, ...(askedMs !== undefined && { retryAfterMs: askedMs }) };
  } catch (error) {
    const outcome = failureOutcome(error, signal.aborted);
    return {
      outcome,
      problem: signal.aborted ? `no answer within ${bounds.attemptTimeoutMs} ms` : describeFailure(error),
    };
  } finally {
    clearTimeout(timer);
  }
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

/**
 * The beginning of a body that can be shown. A body that is too long, too slow or breaks off is abandoned together with its
 * connection; the deadline of the attempt, whose signal the request still has, also ends it.
 */
async function beginningOf(
  body: Dispatcher.ResponseData["body"],
  { maxAnswerBytes, keptAnswerBytes, bodyTimeMs }: Bounds,
): Promise<string> {
  const kept = keeper(keptAnswerBytes);
  const timer = setTimeout(() => body.destroy(), bodyTimeMs);
  let readBytes = 0;
  try {
    for await (const chunk of body) {
      kept.add(chunk);
      readBytes += chunk.length;
      // Leaving the loop destroys the stream, and its connection with it.
      if (readBytes > maxAnswerBytes) break;
    }
  } catch {
    // A failing body changes nothing: the answer was the status line.
  } finally {
    clearTimeout(timer);
  }
  return kept.text();
}

type Keeper = { add(chunk: Buffer): void; text(): string };

/** Collects the first bytes of an answer as text. */
function keeper(maxBytes: number): Keeper {
  // In stream mode, the decoder drops a character that was cut in two by the limit.
  const decoder = new TextDecoder();
  let leftBytes = maxBytes;
  let text = "";
  return {
    add(chunk) {
      if (leftBytes <= 0) return;
      text += decoder.decode(chunk.subarray(0, leftBytes), { stream: true });
      leftBytes -= chunk.length;
    },
    text: () => safeText(text),
  };
}
