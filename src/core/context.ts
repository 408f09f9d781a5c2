import type { Database } from "../db/database.ts";
import type { Row } from "../db/entities/entities.ts";
import type { CallbackKind, Outcome, RetryPolicy } from "../domain/callback.ts";
import type { CallbackAlg, PublicJwk, StatedParticipant } from "../domain/participant.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { OrderChange, OrderChanges } from "./orderChanges.ts";

/** A queue ticket: a callback that is due. `attempt` counts the attempts already made in the series. */
export type DueCallback = {
  callbackGuid: string;
  series: number;
  attempt: number;
  receiverGuid: string;
  /** Whether a payment waits for it. */
  decides: boolean;
  /** The trace that led to it, as W3C traceparent; for observation only. */
  trace?: string;
};

/** Something that carries its own trace: calls are grouped, so the running span is not the one of this call. */
export type Traced = { trace?: string | undefined };

/** Events for the metrics; each is called once per event and must not throw. */
export type CoreObserver = {
  /** This many calls of one use-case shared a transaction. */
  grouped(useCase: string, size: number): void;
  /** An attempt whose process ended before it recorded the answer. */
  lost(kind: CallbackKind): void;
  /** A payment message was decided, this many seconds after it was received. */
  decided(result: PaymentMessageStatus, seconds: number): void;
};

/**
 * What is wrong with a URL. `ofHost`: the text is right, but what its host resolves to is not, which is in the host owner's hands.
 */
export type UrlProblem = { text: string; ofHost: boolean };

/**
 * Everything the core needs from outside. Whatever is stored is judged by the database's clock, in the statement that decides, so
 * that processes whose clocks differ cannot disagree.
 */
export type CoreContext = {
  db: Database;
  /** Time-ordered UUIDs (version 7), so that new rows stay together in every index. */
  newGuid: () => string;
  supportedCurrencies: readonly string[];
  /** How far ahead an order may expire. */
  maxOrderLifeDays: number;
  retryPolicy: RetryPolicy;
  /** After how many milliseconds the relay publishes a callback again that no worker has claimed. */
  republishAfterMs: number;
  /** Called after a commit. It must not throw; tickets that it loses are published again by the relay. */
  onCallbacksDue: (callbacks: readonly DueCallback[]) => void;
  /** Called after a commit. It must not throw; what it loses a payer's page finds out by asking. */
  onOrdersChanged: (changes: readonly OrderChange[]) => void;
  /** Waits for what changed since the cursor (see `orderChanges.ts`). */
  orderChanges: Pick<OrderChanges, "wait">;
  /** Moves tickets of the system dead-letter queue back to the workers; answers how many. */
  redriveDeadLetters?: (limit: number) => Promise<number>;
  observer?: CoreObserver;
  /** The database's clock as this process estimates it, for what is judged without a statement: the claims of access tokens. */
  now: () => Date;
  /** The platform's public address, which access tokens may name as their audience. */
  publicUrl: () => string;
  /** The keys that the platform signs with. */
  platformKeys: PlatformKeys;
  /** For how long readers may cache the platform's public keys. */
  jwksMaxAgeSeconds: number;
  /** The running span as W3C traceparent. */
  currentTrace?: () => string | undefined;
  /** What is wrong with a callback URL, or undefined: the address guard against SSRF. */
  callbackUrlProblem: (url: string) => Promise<UrlProblem | undefined>;
  /**
   * Checks a JWK and turns it into what is stored (public members only; kid and alg always there), or says what is wrong with it.
   */
  publicKey: (jwk: unknown) => Promise<PublicJwk | { problem: string }>;
  /** Sends a test call (ping) to an address of a participant. */
  ping: (receiver: PingedParticipant, url: string, challenge: string) => Promise<PingAnswer>;
  /** Fetches a participant's logo and draws it anew, as a PNG. */
  fetchLogo: (url: string) => Promise<{ png: Uint8Array } | { problem: string }>;
  /** Fetches the key set that a merchant publishes. */
  fetchJwks: (url: string) => Promise<unknown[] | { problem: string }>;
};

/** What a ping needs to know of its receiver, which need not be registered yet. */
export type PingedParticipant = Pick<
  StatedParticipant,
  "guid" | "uid" | "callbackUrls" | "callbackBodyFormat" | "callbackAlg"
>;

/** The result of a ping, in the terms of a delivery attempt; `body` is the answer, cleaned so that it can be shown. */
export type PingAnswer = {
  outcome: Outcome;
  durationMs: number;
  httpStatus?: number;
  problem?: string;
  body?: string;
};

/** A private key as the database stores it, encrypted. */
export type SealedKey = Pick<Row<"platform_key">, "privateKey" | "masterKeyId">;

export type PlatformKeys = {
  /** The published keys (announced, active and retiring), RS256 first. */
  jwks: () => readonly PublicJwk[];
  /** Signs claims as a compact JWS with the active key of the algorithm; RS256 when none is named. */
  sign: (claims: Record<string, unknown>, alg?: CallbackAlg) => Promise<string>;
  /** Whether the key with this kid signs now, in this process or another. */
  isActive: (kid: string) => boolean;
  /**
   * A secret that every process of this platform derives from the master key and nobody else knows, for tokens that the platform
   * issues to itself. It does not depend on the signing keys.
   */
  secret: Uint8Array;
  /** Encrypts a private key for storage. */
  seal: (kid: string, text: string) => SealedKey;
  /** Reads the keys again at once. */
  refresh: () => Promise<void>;
};

/**
 * The lease of an attempt covers the time to begin it, to make it and to record it, each at its slowest. An attempt that cannot
 * begin within this time is not made at all: its lease could lapse while it runs, and its payment be decided without its answer.
 */
export const beginWithinMs = 10_000;
/** 8.5 s of trying (`deliver.ts`), plus the time that the last try itself takes. */
export const recordWithinMs = 10_000;

export function leaseMs({ attemptTimeoutMs }: RetryPolicy): number {
  return beginWithinMs + attemptTimeoutMs + recordWithinMs;
}
