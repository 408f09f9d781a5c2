/**
 * What callbacks exist, what can come of one attempt to deliver them, and what the platform does then. Everything here
 * is data with pure functions over it: time and counts come in as arguments.
 */

import { callbackKinds, outcomeRows, reasons, retryPolicy } from "../../gen/rest/webhooks.ts";
import type { PaymentMessageStatus } from "./paymentMessage.ts";

/**
 * Every kind, as the contract lists them at its webhooks. A reject tells that a payment is canceled to whoever may believe
 * otherwise.
 */
export const CALLBACK_KINDS = callbackKinds;
export type CallbackKind = (typeof CALLBACK_KINDS)[number];

export const CALLBACK_STATES = [
  "waiting",
  /** Leased by a worker: its attempt is already counted. */
  "in_flight",
  "delivered",
  /** Its failure rejected the payment; nothing is left to do. */
  "failed",
  /** The participant's endpoint failed to the end: a person decides. */
  "review",
  /** A person decided. */
  "resolved",
  /** Our own fault, for example a body that cannot be built. */
  "dead",
] as const;
export type CallbackState = (typeof CALLBACK_STATES)[number];

/** Outcomes as the history stores them, including those that can no longer occur, so that old rows stay readable. */
export const STORED_OUTCOMES = [
  /** 2xx */
  "accepted",
  /** 4xx other than 408, 425 and 429 */
  "refused",
  /** 3xx: redirects are never followed. */
  "redirected",
  /** 408 */
  "request_timeout",
  /** 425 */
  "too_early",
  /** 429 */
  "throttled",
  /** 5xx and every status code that HTTP does not define. */
  "server_error",
  "connect_refused",
  "dns_failure",
  "tls_failure",
  /** No status line and headers within the time of one attempt. */
  "timeout",
  /** No longer occurs: status line and headers came, but the rest of the answer was late. */
  "body_timeout",
  /** No longer occurs: the answer was larger than what is read. */
  "oversized",
  /** The connection ended before status line and headers. */
  "connection_reset",
  /** What came is not HTTP/1.1, has headers beyond 16 KiB, or switches to a protocol that nobody asked for. */
  "malformed_http",
  /** The address guard (against SSRF) refused the address that the endpoint's name resolves to. */
  "address_refused",
  /** The receiver is suspended or closed: nothing was sent, and it counts as if it had answered nothing. */
  "suspended",
  /** The process died before it recorded what happened: the receiver may or may not have the callback. */
  "lost",
] as const;
export type StoredOutcome = (typeof STORED_OUTCOMES)[number];

/** The status line alone is the answer now, so the body cannot end an attempt any more. */
const pastOutcomes = ["body_timeout", "oversized"] as const satisfies readonly StoredOutcome[];

/** What an attempt can end with. */
export type Outcome = Exclude<StoredOutcome, (typeof pastOutcomes)[number]>;
export const OUTCOMES: readonly Outcome[] = STORED_OUTCOMES.filter(
  (outcome): outcome is Outcome => !(pastOutcomes as readonly string[]).includes(outcome),
);

// ---------------------------------------------------------------------------------------------------------------- retries

export type RetryPolicy = {
  /** Wait after the n-th attempt; the last entry repeats. */
  waitsMs: readonly number[];
  /** The first attempt and its retries. */
  maxAttempts: number;
  /** Connect and answer of one attempt together. */
  attemptTimeoutMs: number;
  /** How much of a Retry-After is honoured. */
  maxRetryAfterMs: number;
};

/**
 * 1 + 2 + 4 + 8 + 16 + 32 = 63 s for the first six waits and 4 × 60 = 240 s for the other four: at most 11 calls over
 * 303 s, not counting the attempts' own time (at most 11 × 10 s) and the turns of the queues.
 */
export const defaultRetryPolicy: RetryPolicy = {
  waitsMs: retryPolicy.waits_seconds.map((seconds) => seconds * 1_000),
  maxAttempts: retryPolicy.max_attempts,
  attemptTimeoutMs: retryPolicy.attempt_timeout_seconds * 1_000,
  maxRetryAfterMs: retryPolicy.max_retry_after_seconds * 1_000,
};

/** Longer than any attempt may take, and short enough that a captured token is soon worthless. */
export const callbackTokenLifeSeconds = retryPolicy.token_life_seconds;

/** The least wait before the next attempt, after `attempt` (counted from 1); never shorter than what the receiver asked for. */
export function retryDelayMs(policy: RetryPolicy, attempt: number, retryAfterMs: number): number {
  const waitMs = policy.waitsMs[Math.min(attempt, policy.waitsMs.length) - 1] ?? 0;
  const askedMs = Math.min(Math.max(retryAfterMs, 0), policy.maxRetryAfterMs);
  return Math.ceil(Math.max(waitMs, askedMs));
}

// ---------------------------------------------------------------------------------------------------------- outcome table

/** What the end of a callback does to its payment. */
export const EFFECTS = [
  "none",
  "advance",
  "succeed",
  "reject_by_bank_answer",
  "reject_by_bank_silence",
  "reject_by_merchant_answer",
  "reject_by_merchant_silence",
] as const;
export type Effect = (typeof EFFECTS)[number];

export type OutcomeRow = {
  /** Whether an attempt that ended so is followed by another one while the policy has any left. */
  retry: "never" | "after_first_refusal" | "always";
  /** The callback's final state, and the effect on its payment, when no retry follows. */
  end: { state: "delivered" | "failed" | "review"; effect: Effect };
};

/** Outcomes fall into three classes: the receiver accepted, it refused, or its answer is unknown. */
export type OutcomeClass = "accepted" | "refused" | "unanswered";

/** The contract's table. A word in it that is not one of the types above does not compile. */
const rowsByClass: Record<CallbackKind, Record<OutcomeClass, OutcomeRow>> = outcomeRows;

export const outcomeClasses = {
  accepted: "accepted",
  refused: "refused",
  redirected: "unanswered",
  request_timeout: "unanswered",
  too_early: "unanswered",
  throttled: "unanswered",
  server_error: "unanswered",
  connect_refused: "unanswered",
  dns_failure: "unanswered",
  tls_failure: "unanswered",
  timeout: "unanswered",
  connection_reset: "unanswered",
  malformed_http: "unanswered",
  address_refused: "unanswered",
  suspended: "unanswered",
  lost: "unanswered",
} as const satisfies Record<Outcome, OutcomeClass>;

/** The one table, total over kind and outcome: whether to retry, and what stands at the end. */
export function outcomeRow(kind: CallbackKind, outcome: Outcome): OutcomeRow {
  return rowsByClass[kind][outcomeClasses[outcome]];
}

/** Whether the end of such a callback decides about a payment, which therefore waits for it; all others tell what stands. */
export const decidesPayment = (kind: CallbackKind): boolean =>
  Object.values(rowsByClass[kind]).some(({ end }) => end.effect !== "none");

// --------------------------------------------------------------------------------------------------------------- decision

export type AttemptInput = {
  kind: CallbackKind;
  outcome: Outcome;
  /** The attempt just made, counted from 1 within its series. */
  attempt: number;
  /** 1 is the platform's own series; every replay by an operator is a series of its own. */
  series: number;
  /** Earlier attempts of this series that ended `refused`. */
  refusals: number;
  policy: RetryPolicy;
  retryAfterMs?: number | undefined;
};

export type Decision =
  | { state: "waiting"; delayMs: number; effect: "none" }
  | { state: "delivered" | "failed" | "review"; effect: Effect };

/** What one recorded attempt means for its callback and its payment. */
export function afterAttempt(input: AttemptInput): Decision {
  const { attempt, series, policy } = input;
  if (!Number.isInteger(attempt) || attempt < 1) throw new RangeError(`attempts count from 1, not ${attempt}`);
  const row = outcomeRow(input.kind, input.outcome);
  if (mayRetry(row, input)) {
    const delayMs = retryDelayMs(policy, attempt, input.retryAfterMs ?? 0);
    return { state: "waiting", delayMs, effect: "none" };
  }
  const { state, effect } = row.end;
  if (series === 1) return { state, effect };
  // A replay can never revive or undo a finished payment: only the first series has effects, later ones only endings.
  return { state: state === "delivered" ? state : "review", effect: "none" };
}

function mayRetry(row: OutcomeRow, input: AttemptInput): boolean {
  if (input.attempt >= input.policy.maxAttempts || row.retry === "never") return false;
  return row.retry === "always" || input.refusals === 0;
}

// ---------------------------------------------------------------------------------------------------------------- cascade

// The exact texts are the contract's.
export const PAY_OUT_SUCCESS_REASON = reasons.PayOutSuccessReason;
export const PAY_OUT_REJECT_BY_MERCHANT_REASON = reasons.RejectReason.merchant;
export const PAY_OUT_REJECT_BY_BANK_SILENCE_REASON = reasons.RejectReason.bank_silence;
export const PAY_OUT_REJECT_BY_BANK_ANSWER_REASON = reasons.RejectReason.bank_answer;
export const CREDIT_REASON = reasons.CreditReason;
/** What GET of a payment message says once it succeeded. */
export const PAYMENT_MESSAGE_SUCCESS_REASON = reasons.PaymentMessageSuccessReason;

type RejectReason = (typeof reasons.RejectReason)[keyof typeof reasons.RejectReason];
/** What a callback may say as its reason. */
type CallbackReason = RejectReason | typeof PAY_OUT_SUCCESS_REASON | typeof CREDIT_REASON;

export type CallbackRole = "initiator_bank" | "recipient_bank" | "merchant";

type FollowingCallback = {
  kind: CallbackKind;
  role: CallbackRole;
  reasonText?: CallbackReason;
};

export type Consequences = {
  callbacks: readonly FollowingCallback[];
  messageStatus?: PaymentMessageStatus;
  /** What GET of the payment message gives as its reason from now on. */
  messageReasonText?: RejectReason | typeof PAYMENT_MESSAGE_SUCCESS_REASON;
};

/** The effects of callbacks, and the acceptance of a payment message, which starts the cascade. */
export type CascadeEvent = Effect | "submit";

function rejection(reasonText: RejectReason, ...others: FollowingCallback[]): Consequences {
  return {
    callbacks: [{ kind: "pay_out", role: "initiator_bank", reasonText }, ...others],
    messageStatus: "reject",
    messageReasonText: reasonText,
  };
}

/**
 * Tells a recipient bank that accepted the Pay-in, or whose answer is unknown, of the reject: it may have booked the payment
 * already.
 */
const correctionForBank: FollowingCallback = { kind: "pay_in_bank_reject", role: "recipient_bank" };
/**
 * Tells the merchant of the reject, except where its own refusal caused it. Its answer may have been lost on the way, and where it
 * was not asked at all its order is canceled.
 */
const correctionForMerchant: FollowingCallback = { kind: "pay_in_merchant_reject", role: "merchant" };

const cascade = {
  submit: {
    callbacks: [{ kind: "pay_in_bank", role: "recipient_bank" }],
  },
  none: { callbacks: [] },
  advance: { callbacks: [{ kind: "pay_in_merchant", role: "merchant" }] },
  succeed: {
    callbacks: [
      { kind: "pay_out", role: "initiator_bank", reasonText: PAY_OUT_SUCCESS_REASON },
      { kind: "credit", role: "recipient_bank", reasonText: CREDIT_REASON },
    ],
    messageStatus: "success",
    messageReasonText: PAYMENT_MESSAGE_SUCCESS_REASON,
  },
  reject_by_bank_answer: rejection(PAY_OUT_REJECT_BY_BANK_ANSWER_REASON, correctionForMerchant),
  reject_by_bank_silence: rejection(PAY_OUT_REJECT_BY_BANK_SILENCE_REASON, correctionForBank, correctionForMerchant),
  reject_by_merchant_answer: rejection(PAY_OUT_REJECT_BY_MERCHANT_REASON, correctionForBank),
  reject_by_merchant_silence: rejection(PAY_OUT_REJECT_BY_MERCHANT_REASON, correctionForBank, correctionForMerchant),
} as const satisfies Record<CascadeEvent, Consequences>;

/** Which callbacks follow an event, to whom, and what the payment message becomes. */
export function consequencesOf(event: CascadeEvent): Consequences {
  return cascade[event];
}
