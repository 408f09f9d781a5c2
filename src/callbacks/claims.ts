import { limits } from "../../gen/rest/limits.ts";
import type { components } from "../../gen/rest/types.ts";
import type { ClaimedCallback } from "../core/callbacks.ts";
import type { PaymentMessage } from "../core/paymentMessages.ts";
import type { Register, RegisterPayment, RegisterWithPayments } from "../core/settlements.ts";
import { type CallbackKind, EXPIRATION_CODE, EXPIRATION_REASON } from "../domain/callback.ts";
import { formatAmount, formatAmountText } from "../domain/money.ts";
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
export const maxCallbackPayments = limits.callbackPayments;
/** 512 KiB are 683 KiB in base64url, so that the token stays below the 1 MiB that receivers have to take. */
const maxCallbackPaymentsBytes = limits.callbackPaymentsBytes;

/** A body as documented: claims to be signed, or (Expiration) open JSON. */
export type CallbackContent = { form: "signed"; claims: object } | { form: "open"; body: object };

const nilGuid = "00000000-0000-0000-0000-000000000000";

/** One row a kind (wire-contract section 5). A fact that is missing is a fault of ours and throws. */
const contentOf = {
  pay_in_bank: (facts) => signed(bankClaims(facts, "success")),
  pay_in_merchant: (facts) => signed(payInMerchantClaims(facts)),
  pay_out: (facts) => signed({ ...bankClaims(facts, resultOf(facts)), reason: facts.claimed.reason }),
  credit: (facts) => signed({ ...bankClaims(facts, "success"), reason: facts.claimed.reason }),
  pay_in_bank_reject: (facts) => signed({ ...bankClaims(facts, "reject"), reason: messageOf(facts).reason }),
  expiration: (facts) => ({ form: "open", body: expirationBody(facts) }),
  gross_settlement: (facts) => signed(grossSettlementClaims(facts)),
} as const satisfies Record<CallbackKind, (facts: CallbackFacts) => CallbackContent>;

/** Builds the documented body of a callback from what the database says now. */
export function callbackContent(facts: CallbackFacts): CallbackContent {
  return contentOf[facts.claimed.kind](facts);
}

const signed = (claims: object): CallbackContent => ({ form: "signed", claims });

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

function bankClaims(facts: CallbackFacts, status: "success" | "reject"): Schemas["PayInBankClaims"] {
  const message = messageOf(facts);
  return { payment_message: paymentMessageDetails(message), payment_message_guid: message.guid, status };
}

function payInMerchantClaims(facts: CallbackFacts): Schemas["PayInMerchantClaims"] {
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
    status: "success",
  };
}

function paymentMessageDetails(message: PaymentMessage): Schemas["PaymentMessageDetails"] {
  return {
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
    ...(message.ultimateCreditor && {
      ultimate_creditor: {
        ultimate_creditor_name: message.ultimateCreditor.name,
        ultimate_creditor_id: message.ultimateCreditor.taxNumber,
        ultimate_creditor_iban: message.ultimateCreditor.iban,
        ultimate_creditor_bic: message.ultimateCreditor.bic,
        ultimate_creditor_mcc: message.ultimateCreditor.mcc,
      },
    }),
    order_id: message.orderGuid,
    purpose: message.purpose,
    msg_creation_date: message.msgCreationDate,
    msg_creation_time: message.msgCreationTime,
    pm_type: message.pmType,
    sender_account_type: message.senderAccountType,
    encryption: { nonce: message.nonce, encrypted_key: message.encryptedKey },
    public_key: (message.creditorAgentJwk ?? { kty: "RSA", kid: "" }) as Schemas["Jwk"],
  };
}

/** The documented sample letter by letter: strings "null", the nil guid, code 4001. */
function expirationBody(facts: CallbackFacts): Schemas["ExpirationBody"] {
  const order = orderOf(facts);
  return {
    amount: formatAmount(order.amountMinor),
    amount_matched: "null",
    callback_guid: "null",
    code: EXPIRATION_CODE,
    currency: order.currency,
    order_id: order.guid,
    payment_message_external_id: "null",
    payment_message_guid: nilGuid,
    purpose: "null",
    reason: EXPIRATION_REASON,
    receiver_account_iban: "null",
    ref_found: "null",
    ref_number: order.ref,
    sender_account_iban: "null",
    status: "reject",
  };
}

function grossSettlementClaims({ claimed, settlement }: CallbackFacts): Schemas["GrossSettlementClaims"] {
  if (settlement === undefined) throw new Error(`callback ${claimed.guid} has no register`);
  const { register } = settlement;
  const payments = settlement.payments.map((payment) => registerPayment(payment, register));
  const isWhole =
    register.paymentCount <= maxCallbackPayments &&
    Buffer.byteLength(JSON.stringify(payments)) <= maxCallbackPaymentsBytes;
  return {
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
    ...(register.adjustsDay !== null && { adjusts_day: register.adjustsDay }),
    // All or none: half of a register would not add up to its totals.
    payments: isWhole ? payments : [],
    ...(!isWhole && { payment_count: register.paymentCount, register_url: settlement.registerUrl }),
  };
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
