import type { components } from "../../../gen/rest/types.ts";
import { isRefusal, type Refusal, type RefusalReason, refuse } from "../../domain/errors.ts";
import { type AmountProblem, MAX_AMOUNT_MINOR, MAX_TOTAL_MINOR, parseAmount } from "../../domain/money.ts";
import type { OrderCancellation, OrderRequest, UltimateCreditor } from "../../domain/order.ts";
import type { SettlementPayment } from "../../domain/settlement.ts";
import { MAX_UNIX_SECONDS } from "../../wire/values.ts";
import type { KeyWish } from "../participantKeys.ts";
import type { SubmittedMessage } from "../paymentMessages.ts";

// From signed claims to the requests of the use-cases. A change by a bank or a merchant can get into the core in no other way.

type Schemas = components["schemas"];

/** What an order says, apart from who signed it. */
export type OrderContent = Omit<OrderRequest, "merchantGuid" | "merchantVersion" | "jws">;

export function orderContent(claims: Schemas["OrderClaims"]): OrderContent | Refusal {
  // The merchant (`sub`) is the one whose key verified the order.
  const { sub: _merchant, iat, exp, amt, cur, ref, prp: purpose, url: redirectUrl, fri, ...others } = claims;
  noneIsDocumented(others);
  const money = moneyOf(amt, cur, "amt");
  if (isRefusal(money)) return money;
  const issuedAt = instantOf(iat, "iat", "INVALID_ISSUE_TIME");
  if (isRefusal(issuedAt)) return issuedAt;
  const expiresAt = instantOf(exp, "exp", "INVALID_EXPIRY");
  if (isRefusal(expiresAt)) return expiresAt;
  const ultimateCreditor = fri ? ultimateCreditorOf(fri) : null;
  return { ref, ...money, purpose, redirectUrl, ultimateCreditor, issuedAt, expiresAt };
}

/** Unknown claims are ignored. A claim that the contract documents and this file does not read is a compile error here. */
function noneIsDocumented(..._others: { [claim: string]: never }[]): void {}

/** What a cancellation says, apart from who signed it. */
export function orderCancellation(
  claims: Schemas["OrderCancellationClaims"],
): Pick<OrderCancellation, "orderGuid" | "issuedAt"> | Refusal {
  const issuedAt = instantOf(claims.iat, "iat", "INVALID_ISSUE_TIME");
  return isRefusal(issuedAt) ? issuedAt : { orderGuid: claims.order_id.toLowerCase(), issuedAt };
}

function ultimateCreditorOf(fri: Schemas["UltimateBeneficiary"]): UltimateCreditor {
  return { name: fri.frn, taxNumber: fri.frc, iban: fri.fra, bic: fri.frb, mcc: fri.frm };
}

/** What a payment message says, apart from who signed it and its access token. */
export type SignedPaymentMessage = Omit<SubmittedMessage, "callerGuid" | "callerVersion" | "accessToken" | "jws">;

export function paymentMessageContent(claims: Schemas["PaymentMessageClaims"]): SignedPaymentMessage | Refusal {
  const {
    jti,
    payment_message_external_id: externalId,
    amount,
    currency,
    debtor_agent_bic: debtorAgentBic,
    debtor: {
      debtor_name: debtorName,
      debtor_id: debtorTaxNumber,
      debtor_account: debtorAccount,
      debtor_phone: debtorPhone = "",
      ...ofDebtor
    },
    creditor_agent_bic: creditorAgentBic,
    creditor: {
      creditor_name: creditorName,
      creditor_id: creditorTaxNumber,
      creditor_account: creditorAccount,
      ...ofCreditor
    },
    order_id: orderId,
    purpose,
    msg_creation_date: msgCreationDate,
    msg_creation_time: msgCreationTime,
    pm_type: pmType,
    sender_account_type: senderAccountType,
    encryption: { nonce, encrypted_key: encryptedKey, kid: encryptionKid, ...ofEncryption },
    ...others
  } = claims;
  noneIsDocumented(others, ofDebtor, ofCreditor, ofEncryption);
  const money = moneyOf(amount, currency, "amount");
  if (isRefusal(money)) return money;
  return {
    jti,
    externalId,
    ...money,
    debtorAgentBic,
    debtorName,
    debtorTaxNumber,
    debtorAccount,
    debtorPhone,
    creditorAgentBic,
    creditorName,
    creditorTaxNumber,
    creditorAccount,
    orderGuid: orderId.toLowerCase(),
    purpose,
    msgCreationDate,
    msgCreationTime,
    pmType,
    senderAccountType,
    nonce,
    encryptedKey,
    encryptionKid,
  };
}

/** A register's payment as a bank states it; a confirmation has the same members and more. */
export function settlementPayment(claims: Schemas["GrossSettlementPaymentClaims"]): SettlementPayment | Refusal {
  const { payment_message_external_id: externalId, creditor_iban: creditorIban, amount, currency, ...rest } = claims;
  const { purpose, creation_date: creationDate, ...others } = rest;
  noneIsDocumented(others);
  const money = moneyOf(amount, currency, "amount", total);
  return isRefusal(money) ? money : { externalId, creditorIban, ...money, purpose, creationDate };
}

/** A new key of a bank, as it was signed. */
export function keyWish({ jwk, retire_others_at: at }: Schemas["NewKeyClaims"]): KeyWish | Refusal {
  const retireOthersAt = at === undefined ? null : instantOf(at, "retire_others_at", "INVALID_REQUEST");
  return isRefusal(retireOthersAt) ? retireOthersAt : { jwk, retireOthersAt };
}

/** The upper limit of an amount, and the reason with which it is refused. */
type AmountKind = { maxMinor: number; reason: RefusalReason };

const payment: AmountKind = { maxMinor: MAX_AMOUNT_MINOR, reason: "INVALID_AMOUNT" };
/** A sum of many payments. */
const total: AmountKind = { maxMinor: MAX_TOTAL_MINOR, reason: "INVALID_REQUEST" };

const amountSentences = {
  NOT_A_NUMBER: "must be a number",
  NOT_POSITIVE: "must be above 0",
  TOO_MANY_DECIMALS: "must have at most two decimals",
  TOO_LARGE: "is too large",
} as const satisfies Record<AmountProblem, string>;

function moneyOf(amount: number, currency: string, field: string, kind: AmountKind = payment) {
  const parsed = parseAmount(amount, kind.maxMinor);
  if (!parsed.ok) return refuse(kind.reason, `${field} ${amountSentences[parsed.problem]}`, { field });
  return { amountMinor: parsed.amountMinor, currency };
}

/** A JWT time in seconds, given as a number or as digits. */
function instantOf(claim: number | string, field: string, reason: RefusalReason): Date | Refusal {
  const seconds = Number(claim);
  return seconds >= 0 && seconds <= MAX_UNIX_SECONDS
    ? new Date(Math.floor(seconds * 1000))
    : refuse(reason, `${field} is not in Unix seconds (milliseconds?)`, { field });
}
