import type { components } from "../../gen/rest/types.ts";
import { reasons, webhookOf, webhooks } from "../../gen/rest/webhooks.ts";
import type { ClaimedCallback } from "../core/callbacks.ts";
import type { PaymentMessage } from "../core/paymentMessages.ts";
import type { Register, RegisterPayment, RegisterWithPayments } from "../core/settlements.ts";
import type { CallbackKind } from "../domain/callback.ts";
import { formatAmount, formatAmountText } from "../domain/money.ts";
import type { UltimateCreditor } from "../domain/order.ts";
import { matchFlags } from "../domain/paymentMessage.ts";
import { registerStatusText } from "../domain/settlement.ts";

type Schemas = components["schemas"];

/** The facts that a callback's body is built from, read when it was claimed. */
export type CallbackFacts = {
  claimed: ClaimedCallback;
  /** Only for Gross_Settlement; payments that do not fit into a callback anyway need not be read. */
  settlement?: (Pick<RegisterWithPayments, "register" | "payments"> & { registerUrl: string }) | undefined;
};

/** The bounds of what a Gross_Settlement carries (wire-contract section 7). */
export const maxCallbackPayments = 500;
/** 512 KiB are 683 KiB in base64url, so that the token stays below the 1 MiB that receivers have to take. */
const maxCallbackPaymentsBytes = 512 * 1024;

/** A body as documented: claims to be signed, or (Expiration) open JSON. */
export type CallbackContent = { form: "signed"; claims: object } | { form: "open"; body: object };

type Webhook = Exclude<keyof typeof webhooks, "ping">;
type ClaimsOf<Name extends Webhook> = Schemas[(typeof webhooks)[Name]["claims"]];

/**
 * For every webhook of the contract one row a kind. Each row is a function with a declared result that writes out every claim, so
 * that a claim which is added to the contract, or dropped from it, does not compile. A fact that is missing is a fault of ours and
 * throws.
 */
const claimsOf: {
  [Name in Webhook]: { [Kind in (typeof webhooks)[Name]["kinds"][number]]: (facts: CallbackFacts) => ClaimsOf<Name> };
} = {
  payInBank: { pay_in_bank: payInBankClaims, pay_in_bank_reject: payInBankRejectClaims },
  payInMerchant: {
    pay_in_merchant: (facts) => payInMerchantClaims(facts, "success"),
    pay_in_merchant_reject: payInMerchantRejectClaims,
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

/** Builds the documented body of a callback from what the database says now. */
export function callbackContent(facts: CallbackFacts): CallbackContent {
  const { kind } = facts.claimed;
  const claims = claimsOfKind[kind](facts);
  return webhooks[webhookOf[kind]].form === "open" ? { form: "open", body: claims } : { form: "signed", claims };
}

function messageOf({ claimed }: CallbackFacts): PaymentMessage {
  if (claimed.paymentMessage === null) throw new Error(`a ${claimed.kind} callback has no payment message`);
  return claimed.paymentMessage;
}

function orderOf({ claimed }: CallbackFacts) {
  if (claimed.order === null) throw new Error(`a ${claimed.kind} callback has no order`);
  return claimed.order;
}

/** Pay-out tells the result; a message that is still pending has none, and saying one would be invented. */
function resultOf(facts: CallbackFacts): "success" | "reject" {
  const { status } = messageOf(facts);
  if (status === "pending") throw new Error("a Pay-out exists for a payment message that is not decided");
  return status;
}

const rejectReasons = Object.values(reasons.RejectReason);

const rejectReasonOf = ({ reason }: PaymentMessage) => oneOf(rejectReasons, reason);

/** The contract prints every reason: another one is a fault of ours, and is not sent. */
function oneOf<Text extends string>(documented: readonly Text[], reason: string): Text {
  const found = documented.find((text) => text === reason);
  if (found === undefined) throw new Error(`the contract has no reason "${reason}" here`);
  return found;
}

function payInBankClaims(facts: CallbackFacts): Schemas["PayInBankClaims"] {
  const message = messageOf(facts);
  return { payment_message: detailsOf(message), payment_message_guid: message.guid, status: "success" };
}

function payInBankRejectClaims(facts: CallbackFacts): Schemas["PayInBankClaims"] {
  const message = messageOf(facts);
  return {
    payment_message: detailsOf(message),
    payment_message_guid: message.guid,
    status: "reject",
    reason: rejectReasonOf(message),
  };
}

function payOutClaims(facts: CallbackFacts): Schemas["PayOutClaims"] {
  const message = messageOf(facts);
  return {
    payment_message: detailsOf(message),
    payment_message_guid: message.guid,
    status: resultOf(facts),
    reason: oneOf([reasons.PayOutSuccessReason, ...rejectReasons], facts.claimed.reason),
  };
}

function creditClaims(facts: CallbackFacts): Schemas["CreditClaims"] {
  const message = messageOf(facts);
  return {
    payment_message: detailsOf(message),
    payment_message_guid: message.guid,
    status: "success",
    reason: oneOf([reasons.CreditReason], facts.claimed.reason),
  };
}

function payInMerchantClaims(facts: CallbackFacts, status: "success" | "reject"): Schemas["PayInMerchantClaims"] {
  const message = messageOf(facts);
  const order = orderOf(facts);
  const { amountMatched, refFound } = matchFlags(message, order);
  return {
    amount: formatAmount(message.amountMinor),
    amount_matched: amountMatched,
    callback_guid: facts.claimed.guid,
    currency: message.currency,
    order_id: message.orderGuid,
    payment_message_external_id: message.externalId,
    payment_message_guid: message.guid,
    purpose: message.purpose,
    receiver_account_iban: message.creditorAccount,
    ref_found: refFound,
    ref_number: order.ref,
    sender_account_iban: message.debtorAccount,
    status,
  };
}

function payInMerchantRejectClaims(facts: CallbackFacts): Schemas["PayInMerchantClaims"] {
  const claims = payInMerchantClaims(facts, "reject");
  claims.reason = rejectReasonOf(messageOf(facts));
  return claims;
}

function detailsOf(message: PaymentMessage): Schemas["PaymentMessageDetails"] {
  const details: Schemas["PaymentMessageDetails"] = {
    jti: message.jti,
    payment_message_external_id: message.externalId,
    amount: formatAmount(message.amountMinor),
    currency: message.currency,
    debtor_agent: { debtor_agent_name: message.debtorAgent.name, debtor_agent_bic: message.debtorAgent.bic },
    debtor: {
      debtor_name: message.debtorName,
      debtor_id: message.debtorTaxNumber,
      debtor_account: message.debtorAccount,
    },
    creditor_agent: {
      creditor_agent_name: message.creditorAgent.name,
      creditor_agent_bic: message.creditorAgent.bic,
    },
    creditor: {
      creditor_name: message.creditorName,
      creditor_id: message.creditorTaxNumber,
      creditor_account: message.creditorAccount,
      creditor_uid: message.creditorUid,
    },
    order_id: message.orderGuid,
    purpose: message.purpose,
    msg_creation_date: message.msgCreationDate,
    msg_creation_time: message.msgCreationTime,
    pm_type: message.pmType,
    sender_account_type: message.senderAccountType,
    encryption: { nonce: message.nonce, encrypted_key: message.encryptedKey },
    public_key: (message.creditorAgentJwk ?? { kty: "RSA", kid: "" }) as Schemas["Jwk"],
  };
  const { ultimateCreditor } = message;
  // Not spread into the literal: the compiler takes an object with a spread for one that may have more.
  if (ultimateCreditor !== null) details.ultimate_creditor = ultimateCreditorOf(ultimateCreditor);
  return details;
}

function ultimateCreditorOf(
  creditor: UltimateCreditor,
): NonNullable<Schemas["PaymentMessageDetails"]["ultimate_creditor"]> {
  return {
    ultimate_creditor_name: creditor.name,
    ultimate_creditor_id: creditor.taxNumber,
    ultimate_creditor_iban: creditor.iban,
    ultimate_creditor_bic: creditor.bic,
    ultimate_creditor_mcc: creditor.mcc,
  };
}

/** What has no value in it says so by constants of the contract. */
function expirationBody(facts: CallbackFacts): Schemas["ExpirationBody"] {
  const order = orderOf(facts);
  const { constants } = webhooks.expiration;
  return {
    amount: formatAmount(order.amountMinor),
    amount_matched: constants.amount_matched,
    callback_guid: constants.callback_guid,
    code: constants.code,
    currency: order.currency,
    order_id: order.guid,
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

function grossSettlementClaims({ claimed, settlement }: CallbackFacts): Schemas["GrossSettlementClaims"] {
  if (settlement === undefined) throw new Error(`callback ${claimed.guid} has no register`);
  const { register } = settlement;
  const payments = settlement.payments.map((payment) => registerPayment(payment, register));
  const isWhole =
    register.paymentCount <= maxCallbackPayments &&
    Buffer.byteLength(JSON.stringify(payments)) <= maxCallbackPaymentsBytes;
  const claims: Schemas["GrossSettlementClaims"] = {
    id: register.id,
    debtor_name: register.debtorAgent.name,
    debtor_bic: register.debtorAgent.bic,
    creditor_name: register.creditorAgent?.name ?? "",
    creditor_bic: register.creditorAgent?.bic ?? "",
    creditor_code: register.creditorAgent?.taxCode ?? "",
    charging_account: register.creditorAgent?.iban ?? "",
    purpose: register.purpose,
    period_start: register.periodStart.toISOString(),
    period_end: register.periodEnd.toISOString(),
    total_amount: formatAmountText(register.totalAmountMinor),
    total_amount_to_pay: formatAmountText(register.totalAmountMinor - register.totalFeeMinor),
    total_fee_amount: formatAmountText(register.totalFeeMinor),
    currency: register.currency,
    status: registerStatusText[register.status],
    created_at: register.createdAt.toISOString(),
    updated_at: register.updatedAt.toISOString(),
    deleted_at: null,
    // All or none: half of a register would not add up to its totals.
    payments: isWhole ? payments : [],
  };
  if (register.adjustsDay !== null) claims.adjusts_day = register.adjustsDay;
  if (!isWhole) {
    claims.payment_count = register.paymentCount;
    claims.register_url = settlement.registerUrl;
  }
  return claims;
}

function registerPayment(payment: RegisterPayment, register: Register): Schemas["RegisterPayment"] {
  return {
    payment_message_external_id: payment.externalId,
    payment_message_guid: payment.guid,
    pm_type: payment.pmType,
    amount: formatAmountText(payment.amountMinor),
    fee_amount: formatAmountText(payment.feeMinor),
    amount_to_pay: formatAmountText(payment.amountMinor - payment.feeMinor),
    issuer_fee: formatAmountText(0),
    currency: register.currency,
    purpose: payment.purpose,
    recipient_iban: payment.creditorAccount,
    recipient_agent_id: register.creditorAgent?.guid ?? "",
    debtor_iban: payment.debtorAccount,
    debtor_agent_id: register.debtorAgent.guid,
    register_id: register.id,
    created_at: payment.receivedAt.toISOString(),
  };
}
