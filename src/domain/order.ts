import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, type RefusalReason, refuse } from "./errors.ts";
import { currencyProblem, MAX_AMOUNT_MINOR } from "./money.ts";
import type { ParticipantStatus } from "./participant.ts";
import { isWebUrl, textRefusal } from "./text.ts";

export const orderStatuses = ["created", "in_progress", "success", "canceled"] as const;
export type OrderStatus = (typeof orderStatuses)[number];

/**
 * Every change of an order's status that exists (wire-contract section 6). Whatever is not here does not happen:
 * expiry, above all, never cancels an order in progress.
 */
export const orderTransitions = {
  payment_message_accepted: { from: "created", to: "in_progress" },
  payment_message_succeeded: { from: "in_progress", to: "success" },
  payment_message_rejected: { from: "in_progress", to: "canceled" },
  expired: { from: "created", to: "canceled" },
  canceled_by_merchant: { from: "created", to: "canceled" },
} as const satisfies Record<string, { from: OrderStatus; to: OrderStatus }>;

/** What a payer is told of an order; a canceled one says by what it was. */
export type PaymentState = "waiting" | "processing" | "paid" | "rejected" | "expired" | "canceled";

/** Who finally receives the money, when that is not the merchant (claim `fri`). */
export type UltimateCreditor = { name: string; taxNumber: string; iban: string; bic: string; mcc: string };

/** An order as a merchant signed it, in our own terms; `jws` is the evidence. */
export type OrderRequest = {
  merchantGuid: string;
  /** The version of the merchant whose keys verified the signature (optimistic locking). */
  merchantVersion: number;
  ref: string;
  amountMinor: number;
  currency: string;
  purpose: string;
  redirectUrl: string;
  ultimateCreditor: UltimateCreditor | null;
  issuedAt: Date;
  expiresAt: Date;
  jws: string;
};

/** That an order is not to be paid any more, as its merchant signed it; `jws` is the evidence. */
export type OrderCancellation = {
  merchantGuid: string;
  /** The version of the merchant whose keys verified the signature (optimistic locking). */
  merchantVersion: number;
  orderGuid: string;
  issuedAt: Date;
  jws: string;
};

/** How far ahead an order may expire where a deployment says nothing else (wire-contract section 3): a year, in leap years too. */
export const defaultOrderLifeDays = limits.orderLifeDays;

export const orderLifeMs = (days: number) => days * 24 * 60 * 60 * 1000;

/** How far the merchant's clock may run ahead of ours. */
export const clockToleranceMs = limits.clockToleranceSeconds * 1000;

/**
 * The texts of an order: their maximum length and the reason of a refusal. The value is undefined where the order has no such text.
 */
const texts: ReadonlyArray<
  [field: string, limit: number, reason: RefusalReason, value: (order: OrderRequest) => string | undefined]
> = [
  ["ref", limits.refChars, "INVALID_REQUEST", (order) => order.ref],
  ["prp", limits.purposeChars, "INVALID_PURPOSE", (order) => order.purpose],
  ["fri.frn", limits.nameChars, "INVALID_REQUEST", (order) => order.ultimateCreditor?.name],
  ["fri.frc", limits.taxCodeChars, "INVALID_REQUEST", (order) => order.ultimateCreditor?.taxNumber],
];

/**
 * What is wrong with an order apart from its times, or undefined (wire-contract section 3, "Order"). Amounts are minor units.
 * `orderTimeProblem` judges the times, because that takes the database's clock.
 */
export function orderProblem(order: OrderRequest, supportedCurrencies: readonly string[]): Refusal | undefined {
  const currency = currencyProblem(order.currency, supportedCurrencies);
  if (currency !== undefined) return refuse(currency, `cur ${currencySentence[currency]}`, { field: "cur" });
  if (order.amountMinor <= 0) return refuse("INVALID_AMOUNT", "amt is not above 0", { field: "amt" });
  if (order.amountMinor > MAX_AMOUNT_MINOR) {
    return refuse("INVALID_AMOUNT", `amt is above ${limits.amountMax}`, { field: "amt" });
  }
  for (const [field, limit, reason, value] of texts) {
    const text = value(order);
    const problem = text === undefined ? undefined : textRefusal(reason, field, text, limit);
    if (problem !== undefined) return problem;
  }
  if (!isWebUrl(order.redirectUrl)) {
    return refuse("INVALID_REQUEST", "url is not an http or https URL without a user name", { field: "url" });
  }
  // Milliseconds taken for seconds land tens of thousands of years ahead, so the message names that mistake.
  const inSeconds = "is not in Unix seconds (milliseconds?)";
  if (!isCalendarTime(order.expiresAt)) return refuse("INVALID_EXPIRY", `exp ${inSeconds}`, { field: "exp" });
  if (!isCalendarTime(order.issuedAt)) return refuse("INVALID_ISSUE_TIME", `iat ${inSeconds}`, { field: "iat" });
  return undefined;
}

/** Whether the instant has a year of four digits, which is what the database and people can read. */
function isCalendarTime(instant: Date): boolean {
  const year = instant.getUTCFullYear();
  return year >= 1000 && year <= 9999;
}

/**
 * What is wrong with an order's times as of `now`, or undefined: it must not have expired, must expire within `maxLifeDays`, and
 * must not be issued more than `clockToleranceMs` ahead of now. The statement that inserts orders checks the same three conditions.
 */
export function orderTimeProblem(order: OrderRequest, now: Date, maxLifeDays: number): Refusal | undefined {
  const leftMs = order.expiresAt.getTime() - now.getTime();
  if (leftMs > orderLifeMs(maxLifeDays)) {
    return refuse("INVALID_EXPIRY", `exp is more than ${maxLifeDays} days ahead`, { field: "exp" });
  }
  if (leftMs <= 0) return refuse("ORDER_IS_EXPIRED", "exp has passed", { field: "exp" });
  return issueTimeProblem(order, now);
}

/**
 * What is wrong with the instant at which something was signed, or undefined. There is no lower limit: a cancellation may be
 * retried at any later time, because it still says what its merchant wants.
 */
export function issueTimeProblem({ issuedAt }: { issuedAt: Date }, now: Date): Refusal | undefined {
  return issuedAt.getTime() > now.getTime() + clockToleranceMs
    ? refuse("INVALID_ISSUE_TIME", "iat lies in the future", { field: "iat" })
    : undefined;
}

/**
 * Why an order cannot be paid now, or undefined (wire contract, section 8): neither its merchant nor its creditor agent may be
 * suspended.
 */
export function suspendedSideProblem(status: {
  merchant: ParticipantStatus;
  creditorAgent: ParticipantStatus;
}): Refusal | undefined {
  const [side] = [
    status.merchant === "active" ? [] : ["merchant"],
    status.creditorAgent === "active" ? [] : ["bank that services the merchant"],
  ].flat();
  if (side === undefined) return undefined;
  const message = `the order cannot be paid now: the ${side} is suspended`;
  return refuse("RECEIVER_COUNTERPARTY_SUSPENDED", message, { field: "order_id" });
}

export const currencySentence = {
  INVALID_CURRENCY: "is not an ISO 4217 code",
  UNSUPPORTED_CURRENCY: "is not processed here",
} as const;

/** Whether two requests of a merchant with the same `ref` are the same order. */
export function isSameOrder(
  first: Omit<OrderRequest, "jws" | "merchantGuid" | "merchantVersion" | "ref">,
  second: typeof first,
): boolean {
  return (
    first.amountMinor === second.amountMinor &&
    first.currency === second.currency &&
    first.purpose === second.purpose &&
    first.redirectUrl === second.redirectUrl &&
    first.issuedAt.getTime() === second.issuedAt.getTime() &&
    first.expiresAt.getTime() === second.expiresAt.getTime() &&
    isSameUltimateCreditor(first.ultimateCreditor, second.ultimateCreditor)
  );
}

function isSameUltimateCreditor(first: UltimateCreditor | null, second: UltimateCreditor | null): boolean {
  if (first === null || second === null) return first === second;
  return (Object.keys(first) as Array<keyof UltimateCreditor>).every((field) => first[field] === second[field]);
}
