import type { Database } from "../db/database.ts";
import type { Row } from "../db/entities/entities.ts";
import type { CallbackKind, Outcome, RetryPolicy } from "../domain/callback.ts";
import type { CallbackAlg, PublicJwk, StatedParticipant } from "../domain/participant.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";

/** What the queue needs to know of a callback that is due; `attempt` counts those already made in the series. */
export type DueCallback = {
  callbackGuid: string;
  series: number;
  attempt: number;
  receiverGuid: string;
  /** The trace that led here, as W3C traceparent; nothing depends on it. */
  trace?: string;
};

/** Work that says which trace it belongs to: calls are grouped, so the running span is not theirs any more. */
export type Traced = { trace?: string | undefined };

/** What the metrics want to know; each is called once per event and must not throw. */
export type CoreObserver = {
  /** So many calls of one use-case shared a transaction. */
  grouped(useCase: string, size: number): void;
  /** An attempt whose process ended before it recorded the answer. */
  lost(kind: CallbackKind): void;
  /** A payment message got its result so long after it was received. */
  decided(result: PaymentMessageStatus, seconds: number): void;
};

/** What is wrong with a URL. `ofHost`: not with its text but with what DNS says about its host, which is its owner's. */
export type UrlProblem = { text: string; ofHost: boolean };

/**
 * Everything the core needs from outside. Whatever the database keeps is judged by the database's clock, in the statement
 * that decides, so that processes whose clocks differ cannot disagree.
 */
export type CoreContext = {
  db: Database;
  /** Time-ordered UUIDs (version 7), so that new rows stay together in every index. */
  newGuid: () => string;
  supportedCurrencies: readonly string[];
  /** How far ahead an order may expire. */
  maxOrderLifeDays: number;
  retryPolicy: RetryPolicy;
  /** How long after its publication a callback that nobody claimed is published again. */
  republishAfterMs: number;
  /** Called after a commit. It must not throw; whatever it loses, the relay finds again. */
  onCallbacksDue: (callbacks: readonly DueCallback[]) => void;
  /** Moves tickets of the system dead-letter queue back to the workers; answers how many. */
  redriveDeadLetters?: (limit: number) => Promise<number>;
  observer?: CoreObserver;
  /** The database's clock as this process knows it, for what is judged before a statement: the claims of access tokens. */
  now: () => Date;
  /** The platform's public address, which access tokens may name as their audience. */
  publicUrl: () => string;
  /** The keys that the platform signs with. */
  platformKeys: PlatformKeys;
  /** How long whoever reads the public ones may remember them. */
  jwksMaxAgeSeconds: number;
  /** The running span as W3C traceparent. */
  currentTrace?: () => string | undefined;
  /** What is wrong with a callback URL, or undefined: the address guard. */
  callbackUrlProblem: (url: string) => Promise<UrlProblem | undefined>;
  /** Turns a JWK into what is stored (public members, kid and alg always there), or says what is wrong. */
  publicKey: (jwk: unknown) => Promise<PublicJwk | { problem: string }>;
  /** Sends a test to an address of a participant. */
  ping: (receiver: PingedParticipant, url: string, challenge: string) => Promise<PingAnswer>;
  /** The keys that a merchant publishes. */
  fetchJwks: (url: string) => Promise<unknown[] | { problem: string }>;
};

/** What a test needs to know of its receiver, which need not be registered yet. */
export type PingedParticipant = Pick<
  StatedParticipant,
  "guid" | "uid" | "callbackUrls" | "callbackBodyFormat" | "callbackAlg"
>;

/** What came of a test, as of an attempt to deliver a callback; `body` is what was answered, safe to show. */
export type PingAnswer = {
  outcome: Outcome;
  durationMs: number;
  httpStatus?: number;
  problem?: string;
  body?: string;
};

/** A private key as the database has it. */
export type SealedKey = Pick<Row<"platform_key">, "privateKey" | "masterKeyId">;

export type PlatformKeys = {
  /** The public ones, as everybody may read them: announced, active and retiring, RS256 first. */
  jwks: () => readonly PublicJwk[];
  /** Signs claims as a compact JWS, with the active key of the algorithm; of RS256 where none is named. */
  sign: (claims: Record<string, unknown>, alg?: CallbackAlg) => Promise<string>;
  /** Whether the key of this name signs now, here or in another process. */
  isActive: (kid: string) => boolean;
  /**
   * What every process of this platform knows and nobody else does, for what the platform tells itself. The same whatever keys
   * come and go.
   */
  secret: Uint8Array;
  /** Encrypts a private key, as the database keeps it. */
  seal: (kid: string, text: string) => SealedKey;
  /** Learns at once what was changed. */
  refresh: () => Promise<void>;
};

/**
 * A lease is as long as it takes to begin an attempt, to make it and to record it, each at its slowest. An attempt that
 * could not begin in the first of these times is not made: its lease could lapse under it, and its payment be decided
 * without its answer.
 */
export const beginWithinMs = 10_000;
/** 8.5 s of trying (`deliver.ts`), and what the last try itself takes. */
export const recordWithinMs = 10_000;

export function leaseMs({ attemptTimeoutMs }: RetryPolicy): number {
  return beginWithinMs + attemptTimeoutMs + recordWithinMs;
}
