import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Register, RegisterPayment } from "../../gen/dcm/v1/settlement_pb.ts";
import { limits } from "../../gen/rest/limits.ts";
import type { Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { reasons, webhookOf, webhooks } from "../../gen/rest/webhooks.ts";
import type { CallbackKind } from "../domain/callback.ts";
import { answeredName, paymentMessageStatuses } from "./enums.ts";
import { isSameMoney } from "./order.ts";
import { paymentMessageDetails } from "./paymentMessage.ts";
import { registerAnswer, registerPaymentAnswer } from "./register.ts";
import { type Amount, amountNumber } from "./values.ts";

type Schemas = components["schemas"];

/** The facts that a callback's body is built from, read when it was claimed. */
export type CallbackFacts = {
  claimed: {
    guid: string;
    kind: CallbackKind;
    /** One of the documented reasons, or empty. */
    reason: string;
    order: { id: string; ref: string; purpose: string; amount: Amount } | undefined;
    paymentMessage: PaymentMessage | undefined;
  };
  /** Only for Gross_Settlement; its payments are empty if they are too many for a callback anyway. */
  settlement?: { register: Register; payments: readonly RegisterPayment[]; registerUrl: string } | undefined;
};

/** The limits of a Gross_Settlement with payments (wire-contract section 7). */
export const maxCallbackPayments = limits.callbackPayments;
/** 512 KiB are 683 KiB in base64url, so that the token stays below the 1 MiB that receivers have to take. */
const maxCallbackPaymentsBytes = limits.callbackPaymentsBytes;

/** A body as documented: claims to be signed, or (Expiration) open JSON. */
export type CallbackContent = { form: "signed"; claims: object } | { form: "open"; body: object };

type Webhook = Exclude<keyof typeof webhooks, "ping">;

/** The members of a body apart from those that the envelope adds (`sealEnvelope`); optional claims have to be named. */
type Content<Schema extends keyof Schemas> = Whole<Omit<Schemas[Schema], keyof Schemas["CallbackClaims"]>>;
type ClaimsOf<Name extends Webhook> = Content<(typeof webhooks)[Name]["claims"]>;

/**
 * One row per kind of callback. Each is a function with a declared result that names every claim, so a claim that is added to the
 * contract, or removed from it, does not compile. A missing fact is a fault of ours and throws.
 */
const claimsOf: {
  [Name in Webhook]: { [Kind in (typeof webhooks)[Name]["kinds"][number]]: (facts: CallbackFacts) => ClaimsOf<Name> };
} = {
  payInBank: { pay_in_bank: payInBankClaims, pay_in_bank_reject: payInBankRejectClaims },
  payInMerchant: {
    pay_in_merchant: (facts) => payInMerchantClaims(facts, "success"),
    pay_in_merchant_reject: (facts) => payInMerchantClaims(facts, "reject"),
  },
  payOut: { pay_out: payOutClaims },
  credit: { credit: creditClaims },
  expiration: { expiration: expirationBody },
  grossSettlement: { gross_settlement: grossSettlementClaims },
};

const claimsOfKind: Record<CallbackKind, (facts: CallbackFacts) => object> = Object.assign(
  {},
  ...Object.values(claimsOf),
);

/** Builds the documented body of a callback from the facts. */
export function callbackContent(facts: CallbackFacts): CallbackContent {
  const { kind } = facts.claimed;
  const claims = claimsOfKind[kind](facts);
  return webhooks[webhookOf[kind]].form === "open" ? { form: "open", body: claims } : { form: "signed", claims };
}

function messageOf({ claimed }: CallbackFacts): PaymentMessage {
  if (claimed.paymentMessage === undefined) throw new Error(`a ${claimed.kind} callback has no payment message`);
  return claimed.paymentMessage;
}

function orderOf({ claimed }: CallbackFacts) {
  if (claimed.order === undefined) throw new Error(`a ${claimed.kind} callback has no order`);
  return claimed.order;
}

/** Pay-out states the result. A pending message has none, so this throws. */
function resultOf(facts: CallbackFacts): "success" | "reject" {
  const status = answeredName(paymentMessageStatuses, messageOf(facts).status);
  if (status === "pending") throw new Error("a Pay-out exists for a payment message that is not decided");
  return status;
}

const rejectReasons = Object.values(reasons.RejectReason);

const rejectReasonOf = ({ reason }: PaymentMessage) => oneOf(rejectReasons, reason);

/** The contract lists every reason; another one is a fault of ours, and is not sent. */
function oneOf<Text extends string>(documented: readonly Text[], reason: string): Text {
  const found = documented.find((text) => text === reason);
  if (found === undefined) throw new Error(`the contract has no reason "${reason}" here`);
  return found;
}

/** Members beside the message itself that banks receive. */
const aboutMessage = (message: PaymentMessage) => ({
  payment_message: paymentMessageDetails(message),
  payment_message_guid: message.guid,
});

function payInBankClaims(facts: CallbackFacts): Content<"PayInBankClaims"> {
  return { ...aboutMessage(messageOf(facts)), status: "success", reason: undefined };
}

function payInBankRejectClaims(facts: CallbackFacts): Content<"PayInBankClaims"> {
  const message = messageOf(facts);
  return { ...aboutMessage(message), status: "reject", reason: rejectReasonOf(message) };
}

function payOutClaims(facts: CallbackFacts): Content<"PayOutClaims"> {
  const reason = oneOf([reasons.PayOutSuccessReason, ...rejectReasons], facts.claimed.reason);
  return { ...aboutMessage(messageOf(facts)), status: resultOf(facts), reason };
}

function creditClaims(facts: CallbackFacts): Content<"CreditClaims"> {
  const reason = oneOf([reasons.CreditReason], facts.claimed.reason);
  return { ...aboutMessage(messageOf(facts)), status: "success", reason };
}

/** `amount_matched` and `ref_found` tell the merchant how the payment fits its order; neither decides anything (section 5). */
function payInMerchantClaims(facts: CallbackFacts, status: "success" | "reject"): Content<"PayInMerchantClaims"> {
  const message = messageOf(facts);
  const order = orderOf(facts);
  return {
    amount: amountNumber(message.amount),
    amount_matched: isSameMoney(order.amount, message.amount),
    callback_guid: facts.claimed.guid,
    currency: message.amount?.currency ?? "",
    order_id: message.orderId,
    payment_message_external_id: message.externalId,
    payment_message_guid: message.guid,
    purpose: message.purpose,
    receiver_account_iban: message.creditor?.account ?? "",
    ref_found: message.purpose === order.purpose || message.purpose.includes(order.ref),
    ref_number: order.ref,
    sender_account_iban: message.debtor?.account ?? "",
    status,
    reason: status === "reject" ? rejectReasonOf(message) : undefined,
  };
}

/** Members that have no value for an order that expired are constants of the contract. */
function expirationBody(facts: CallbackFacts): Content<"ExpirationBody"> {
  const order = orderOf(facts);
  const { constants } = webhooks.expiration;
  return {
    amount: amountNumber(order.amount),
    amount_matched: constants.amount_matched,
    callback_guid: constants.callback_guid,
    code: constants.code,
    currency: order.amount.currency,
    order_id: order.id,
    payment_message_external_id: constants.payment_message_external_id,
    payment_message_guid: constants.payment_message_guid,
    purpose: constants.purpose,
    reason: constants.reason,
    receiver_account_iban: constants.receiver_account_iban,
    ref_found: constants.ref_found,
    ref_number: order.ref,
    sender_account_iban: constants.sender_account_iban,
    status: constants.status,
  };
}

function grossSettlementClaims({ claimed, settlement }: CallbackFacts): Content<"GrossSettlementClaims"> {
  if (settlement === undefined) throw new Error(`callback ${claimed.guid} has no register`);
  const { register, registerUrl } = settlement;
  const payments = settlement.payments.map((payment) => registerPaymentAnswer(payment, register));
  const isWhole =
    register.paymentCount <= maxCallbackPayments &&
    Buffer.byteLength(JSON.stringify(payments)) <= maxCallbackPaymentsBytes;
  return {
    ...registerAnswer(register),
    // All payments or none: a part of a register would not add up to its totals.
    payments: isWhole ? payments : [],
    payment_count: isWhole ? undefined : register.paymentCount,
    register_url: isWhole ? undefined : registerUrl,
  };
}
