import { limits } from "../../gen/rest/limits.ts";
import { type AccessToken, accessTokenProblem, type UsedFor } from "./accessToken.ts";
import { type Refusal, type RefusalReason, refuse } from "./errors.ts";
import { ibanProblem, ibanSentence } from "./iban.ts";
import { isCalendarDay } from "./kyiv.ts";
import { currencyProblem, MAX_AMOUNT_MINOR } from "./money.ts";
import { currencySentence, type OrderStatus, suspendedSideProblem } from "./order.ts";
import { textRefusal } from "./text.ts";

export const paymentMessageStatuses = ["pending", "success", "reject"] as const;
export type PaymentMessageStatus = (typeof paymentMessageStatuses)[number];

export const paymentTypes = ["trade", "p2p", "return", "aid"] as const;
export type PaymentType = (typeof paymentTypes)[number];

export const senderAccountTypes = ["limit-related", "aid-related"] as const;
export type SenderAccountType = (typeof senderAccountTypes)[number];

/**
 * A payment message as a verified bank submitted it: the members that the decision needs. Names and tax numbers are ciphertexts
 * that the platform cannot read.
 */
export type PaymentMessageRequest = {
  jti: string;
  externalId: string;
  amountMinor: number;
  currency: string;
  debtorName: string;
  debtorTaxNumber: string;
  debtorAccount: string;
  creditorName: string;
  creditorTaxNumber: string;
  creditorAccount: string;
  orderGuid: string;
  purpose: string;
  msgCreationDate: string;
  msgCreationTime: string;
  pmType: PaymentType;
  senderAccountType: SenderAccountType;
  nonce: string;
  encryptedKey: string;
  callerGuid: string;
  /** The version of the bank whose keys verified the signature (optimistic locking). */
  callerVersion: number;
  accessToken: AccessToken;
  debtorAgentBic: string;
  debtorPhone: string;
  /** The kid of the recipient bank's key that was encrypted for; undefined: the order's key. */
  encryptionKid: string | undefined;
  creditorAgentBic: string;
  jws: string;
};

/** What the database knows that one submission is judged by. */
export type SubmissionFacts = {
  caller: { bic: string; isInitiator: boolean };
  /** The digest of the request that has already used the caller's access token, if any. */
  tokenUsedFor: UsedFor;
  order:
    | {
        status: OrderStatus;
        expiresAt: Date;
        creditorAccount: string;
        creditorAgentBic: string;
        creditorStatuses: Parameters<typeof suspendedSideProblem>[0];
        /** The recipient bank's key that the message is encrypted for; undefined: the bank has no such key. */
        key: { modulusBytes: number } | undefined;
      }
    | undefined;
  /** The guids of stored messages that have the same order, `jti` or external id, each of which must be unique. */
  existing: { byOrder?: string | undefined; byJti?: string | undefined; byExternalId?: string | undefined };
};

/**
 * Decides one submission by the database's clock: undefined accepts it (wire-contract sections 3, 4 and 6). Duplicates come before
 * the order's state and the content, so that the retry of an accepted request is always refused with the guid of the first message.
 */
export function submissionProblem(
  request: PaymentMessageRequest,
  facts: SubmissionFacts,
  now: Date,
  supportedCurrencies: readonly string[],
): Refusal | undefined {
  const tokenProblem = accessTokenProblem(request.accessToken, facts.tokenUsedFor, now);
  if (tokenProblem) return tokenProblem;
  if (!facts.caller.isInitiator || facts.caller.bic !== request.debtorAgentBic) {
    const message = "debtor_agent_bic is not the code of the calling initiator bank";
    return refuse("SENDER_COUNTERPARTY_NOT_FOUND", message, { field: "debtor_agent_bic" });
  }
  return (
    duplicateProblem(facts.existing) ??
    contentProblem(request, now, supportedCurrencies) ??
    orderSideProblem(request, facts.order, now)
  );
}

function duplicateProblem(existing: SubmissionFacts["existing"]): Refusal | undefined {
  if (existing.byJti !== undefined) {
    return refuse("JTI_IS_ALREADY_TAKEN", "payment message with provided jti already exists", {
      field: "jti",
      paymentMessageGuid: existing.byJti,
    });
  }
  if (existing.byOrder !== undefined) {
    return refuse("PAYMENT_MESSAGE_EXISTS", "payment message with provided order id already exists", {
      field: "order_id",
      paymentMessageGuid: existing.byOrder,
    });
  }
  if (existing.byExternalId !== undefined) {
    return refuse("EXTERNAL_ID_IS_ALREADY_TAKEN", "payment_message_external_id is already taken", {
      field: "payment_message_external_id",
      paymentMessageGuid: existing.byExternalId,
    });
  }
  return undefined;
}

type TextField = [
  field: string,
  limit: number,
  reason: RefusalReason,
  value: (message: PaymentMessageRequest) => string,
];

/** Texts, and how long they may be. */
const texts: readonly TextField[] = [
  ["jti", limits.jtiChars, "INVALID_REQUEST", (message) => message.jti],
  ["payment_message_external_id", limits.externalIdChars, "INVALID_EXTERNAL_ID", (message) => message.externalId],
  ["purpose", limits.purposeChars, "INVALID_PURPOSE", (message) => message.purpose],
];

/** The ciphertexts that must be there, and their maximum length; the platform cannot look into them. */
const ciphertexts: readonly TextField[] = [
  ["debtor.debtor_name", limits.ciphertextChars, "INVALID_DEBTOR_NAME", (message) => message.debtorName],
  ["debtor.debtor_id", limits.ciphertextChars, "INVALID_DEBTOR_ID", (message) => message.debtorTaxNumber],
  ["creditor.creditor_name", limits.ciphertextChars, "INVALID_CREDITOR_NAME", (message) => message.creditorName],
  ["creditor.creditor_id", limits.ciphertextChars, "INVALID_CREDITOR_ID", (message) => message.creditorTaxNumber],
  ["encryption.nonce", 64, "INVALID_NONCE", (message) => message.nonce],
  ["encryption.encrypted_key", limits.encryptedKeyChars, "INVALID_ENCRYPTED_KEY", (message) => message.encryptedKey],
];

function contentProblem(request: PaymentMessageRequest, now: Date, supported: readonly string[]): Refusal | undefined {
  for (const [field, limit, reason, value] of texts) {
    const problem = textRefusal(reason, field, value(request), limit);
    if (problem !== undefined) return problem;
  }
  for (const [field, limit, reason, value] of ciphertexts) {
    const { length } = value(request);
    if (length === 0 || length > limit) {
      return refuse(reason, `${field} does not have 1 to ${limit} characters`, { field });
    }
  }
  const currency = currencyProblem(request.currency, supported);
  if (currency !== undefined) return refuse(currency, `currency ${currencySentence[currency]}`, { field: "currency" });
  if (request.amountMinor <= 0 || request.amountMinor > MAX_AMOUNT_MINOR) {
    return refuse("INVALID_AMOUNT", `amount is not above 0 and at most ${limits.amountMax}`, { field: "amount" });
  }
  const debtorAccount = ibanProblem(request.debtorAccount);
  if (debtorAccount !== undefined) {
    return refuse("INVALID_DEBTOR_ACCOUNT", `debtor.debtor_account ${ibanSentence[debtorAccount]}`, {
      field: "debtor.debtor_account",
    });
  }
  const creditorAccount = ibanProblem(request.creditorAccount);
  if (creditorAccount !== undefined) {
    return refuse("INVALID_CREDITOR_ACCOUNT", `creditor.creditor_account ${ibanSentence[creditorAccount]}`, {
      field: "creditor.creditor_account",
    });
  }
  if ((request.senderAccountType === "aid-related") !== (request.pmType === "aid")) {
    const message = "sender_account_type is aid-related for pm_type aid, and limit-related for every other";
    return refuse("INVALID_REQUEST", message, { field: "sender_account_type" });
  }
  return creationProblem(request, now);
}

/** Kyiv is at most three hours ahead of UTC; a day of tolerance keeps a bank's clock from costing a payment. */
const creationToleranceMs = 24 * 60 * 60 * 1000;

function creationProblem(request: PaymentMessageRequest, now: Date): Refusal | undefined {
  if (!isCalendarDay(request.msgCreationDate)) {
    const message = "msg_creation_date is not a calendar date YYYY-MM-DD";
    return refuse("INVALID_CREATION_DATE", message, { field: "msg_creation_date" });
  }
  if (!/^([01]\d|2[0-3]):[0-5]\d:[0-5]\d$/.test(request.msgCreationTime)) {
    const message = "msg_creation_time is not a time of day HH:MM:SS";
    return refuse("INVALID_CREATION_TIME", message, { field: "msg_creation_time" });
  }
  if (Date.parse(`${request.msgCreationDate}T00:00:00Z`) > now.getTime() + creationToleranceMs) {
    return refuse("CREATION_DATE_IS_NOT_PAST", "msg_creation_date lies in the future", { field: "msg_creation_date" });
  }
  return undefined;
}

function orderSideProblem(
  request: PaymentMessageRequest,
  order: SubmissionFacts["order"],
  now: Date,
): Refusal | undefined {
  if (order === undefined) {
    return refuse("ORDER_NOT_FOUND", "order_id names no order", { field: "order_id" });
  }
  if (request.creditorAgentBic !== order.creditorAgentBic) {
    const message = "creditor_agent_bic is not the code of the bank that services the order's merchant";
    return refuse("RECEIVER_COUNTERPARTY_NOT_FOUND", message, { field: "creditor_agent_bic" });
  }
  if (request.creditorAccount !== order.creditorAccount) {
    const message = "creditor.creditor_account is not the account of the order's merchant";
    return refuse("INVALID_CREDITOR_ACCOUNT", message, { field: "creditor.creditor_account" });
  }
  const keyProblem = encryptionKeyProblem(request, order.key);
  if (keyProblem !== undefined) return keyProblem;
  if (order.status !== "created" || order.expiresAt.getTime() <= now.getTime()) {
    return refuse("ORDER_IS_EXPIRED", "the order has expired or was canceled", { field: "order_id" });
  }
  return suspendedSideProblem(order.creditorStatuses);
}

/**
 * A message that the recipient bank cannot decrypt would be found out only after the debit, so the length of the encrypted key is
 * checked.
 */
function encryptionKeyProblem(
  { encryptionKid, encryptedKey }: PaymentMessageRequest,
  key: { modulusBytes: number } | undefined,
): Refusal | undefined {
  if (key === undefined) {
    if (encryptionKid === undefined) return undefined;
    const message = "encryption.kid names no key that the recipient bank has had since the order was made";
    return refuse("INVALID_ENCRYPTED_KEY", message, { field: "encryption.kid" });
  }
  // What RSA encrypts is as long as its modulus, always (RFC 8017, section 7.1.1).
  if (base64Bytes(encryptedKey) === key.modulusBytes) return undefined;
  const field = "encryption.encrypted_key";
  const message = `${field} is not base64 of ${key.modulusBytes} bytes, as long as the recipient bank's key`;
  return refuse("INVALID_ENCRYPTED_KEY", message, { field });
}

/** How many bytes base64 with padding stands for. */
const base64Bytes = (text: string) => (text.length / 4) * 3 - (text.length - text.replace(/=*$/, "").length);
