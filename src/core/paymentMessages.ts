import { PAYMENT_MESSAGE_SUCCESS_REASON } from "../domain/callback.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { UltimateCreditor } from "../domain/order.ts";
import type { PublicJwk } from "../domain/participant.ts";
import type { PaymentMessageContent, PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import type { MessageJson } from "./submission.ts";

/** A payment message with the names of its sides, as answers, callbacks and registers show it. */
export type PaymentMessage = PaymentMessageContent & {
  guid: string;
  debtorAgent: { guid: string; name: string; bic: string };
  creditorAgent: { guid: string; name: string; bic: string };
  merchantGuid: string;
  creditorUid: string;
  ultimateCreditor: UltimateCreditor | null;
  /** The recipient bank's key when the message was submitted. */
  creditorAgentJwk: PublicJwk | null;
  status: PaymentMessageStatus;
  reason: string;
  receivedAt: Date;
  feeMinor: number;
};

/** The columns and joins of `PaymentMessageRow`, for every statement that reads whole messages. */
export const messageColumns = `
  m.guid, m.order_guid, m.merchant_guid, m.debtor_agent_guid, m.creditor_agent_guid, m.jti, m.external_id,
  m.amount_minor, m.currency, m.debtor_name, m.debtor_tax_number, m.debtor_account, m.creditor_name,
  m.creditor_tax_number, m.creditor_account, m.purpose, m.msg_creation_date, m.msg_creation_time, m.pm_type,
  m.sender_account_type, m.nonce, m.encrypted_key, m.creditor_agent_kid, m.status, m.reason, m.received_at,
  coalesce(m.fee_minor, 0) as fee_minor, o.ultimate_creditor, merchant.uid as creditor_uid,
  debtor_agent.name as debtor_agent_name, debtor_agent.bic as debtor_agent_bic,
  creditor_agent.name as creditor_agent_name, creditor_agent.bic as creditor_agent_bic,
  -- Of a message that a node of the version before stored, only the name of the key is known: it is none that came later.
  (select k.jwk from participant_key k where k.participant_guid = m.creditor_agent_guid and k.kid = m.creditor_agent_kid
    order by k.id = m.creditor_agent_key_id desc nulls last, k.active_from <= m.received_at desc, k.id desc limit 1) as creditor_agent_jwk`;

export const messageJoins = `
  join payment_order o on o.guid = m.order_guid
  join participant merchant on merchant.guid = m.merchant_guid
  join participant debtor_agent on debtor_agent.guid = m.debtor_agent_guid
  join participant creditor_agent on creditor_agent.guid = m.creditor_agent_guid`;

export type PaymentMessageRow = MessageJson & {
  ultimate_creditor: UltimateCreditor | null;
  creditor_uid: string;
  debtor_agent_name: string;
  debtor_agent_bic: string;
  creditor_agent_name: string;
  creditor_agent_bic: string;
  creditor_agent_jwk: PublicJwk | null;
  status: PaymentMessageStatus;
  fee_minor: number;
};

export function toPaymentMessage(row: PaymentMessageRow): PaymentMessage {
  return {
    guid: row.guid,
    jti: row.jti,
    externalId: row.external_id,
    amountMinor: row.amount_minor,
    currency: row.currency,
    debtorAgent: { guid: row.debtor_agent_guid, name: row.debtor_agent_name, bic: row.debtor_agent_bic },
    debtorName: row.debtor_name,
    debtorTaxNumber: row.debtor_tax_number,
    debtorAccount: row.debtor_account,
    creditorAgent: { guid: row.creditor_agent_guid, name: row.creditor_agent_name, bic: row.creditor_agent_bic },
    creditorName: row.creditor_name,
    creditorTaxNumber: row.creditor_tax_number,
    creditorAccount: row.creditor_account,
    creditorUid: row.creditor_uid,
    merchantGuid: row.merchant_guid,
    ultimateCreditor: row.ultimate_creditor,
    creditorAgentJwk: row.creditor_agent_jwk,
    orderGuid: row.order_guid,
    purpose: row.purpose,
    msgCreationDate: row.msg_creation_date,
    msgCreationTime: row.msg_creation_time,
    pmType: row.pm_type,
    senderAccountType: row.sender_account_type,
    nonce: row.nonce,
    encryptedKey: row.encrypted_key,
    status: row.status,
    reason: row.status === "success" ? PAYMENT_MESSAGE_SUCCESS_REASON : row.reason,
    receivedAt: row.received_at,
    feeMinor: row.fee_minor,
  };
}

const selectMessageByGuid = {
  name: "select_payment_message",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.guid = $1`,
};

const selectMessageByOrder = {
  name: "select_payment_message_by_order",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.order_guid = $1`,
};

/** Finds a payment message by one of its two keys, whoever asks. */
export async function findPaymentMessage(
  context: CoreContext,
  by: { guid: string } | { orderGuid: string },
): Promise<PaymentMessage | undefined> {
  const [statement, value] =
    "guid" in by ? ([selectMessageByGuid, by.guid] as const) : ([selectMessageByOrder, by.orderGuid] as const);
  if (!isGuid(value)) return undefined;
  const [row] = await context.db.hot<PaymentMessageRow>(statement, [value]);
  return row && toPaymentMessage(row);
}

/**
 * Reads a payment message. `bankGuid`: for this bank, which learns nothing of messages that it is no side of, not even that
 * they exist; undefined for a service.
 */
export async function getPaymentMessage(
  context: CoreContext,
  bankGuid: string | undefined,
  by: { guid: string } | { orderGuid: string },
): Promise<PaymentMessage | Refusal> {
  const message = await findPaymentMessage(context, by);
  const isSide = message?.debtorAgent.guid === bankGuid || message?.creditorAgent.guid === bankGuid;
  if (message === undefined || (bankGuid !== undefined && !isSide))
    return refuse("PAYMENT_MESSAGE_NOT_FOUND", "not found");
  return message;
}
