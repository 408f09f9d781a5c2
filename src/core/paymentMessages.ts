import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type PaymentMessage, PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { PAYMENT_MESSAGE_SUCCESS_REASON } from "../domain/callback.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { UltimateCreditor } from "../domain/order.ts";
import type { PublicJwk } from "../domain/participant.ts";
import type { PaymentMessageRequest, PaymentMessageStatus } from "../domain/paymentMessage.ts";
import { paymentMessageStatuses, paymentTypes, senderAccountTypes } from "../wire/enums.ts";
import { jwkText } from "../wire/participant.ts";
import { instantOrUnset, money } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";

/** Columns that an answer does not show: the paid order, the state of settlement, and the row of the recipient bank's key. */
const notShown = [
  "merchantGuid",
  "creditorAgentKid",
  "creditorAgentKeyId",
  "registerId",
  "feeMinor",
] as const satisfies (keyof Row<"payment_message">)[];

/** Columns that the platform fills when it accepts a message, or later. */
type SaidByPlatform =
  | "guid"
  | "merchantGuid"
  | "debtorAgentGuid"
  | "creditorAgentGuid"
  | "creditorAgentKid"
  | "creditorAgentKeyId"
  | "status"
  | "reason"
  | "receivedAt"
  | "decidedAt"
  | "registerId"
  | "feeMinor";

/** A submitted message: the members that the decision needs, and all columns that the platform does not fill itself. */
export type SubmittedMessage = PaymentMessageRequest & Omit<Row<"payment_message">, SaidByPlatform>;

/** A payment message with the names of its parties, as `messageColumns` reads it. */
export type PaymentMessageRow = Omit<Row<"payment_message">, (typeof notShown)[number]> & {
  ultimateCreditor: UltimateCreditor | null;
  creditorUid: string;
  debtorAgentName: string;
  debtorAgentBic: string;
  creditorAgentName: string;
  creditorAgentBic: string;
  /** The recipient bank's key at the time of submission. */
  creditorAgentJwk: PublicJwk | null;
};

/** SQL: the columns and joins of `PaymentMessageRow`, for every statement that reads whole messages. */
export const messageColumns = `
  ${columns("payment_message", { of: "m", but: notShown })},
  o.ultimate_creditor as "ultimateCreditor", merchant.uid as "creditorUid",
  debtor_agent.name as "debtorAgentName", debtor_agent.bic as "debtorAgentBic",
  creditor_agent.name as "creditorAgentName", creditor_agent.bic as "creditorAgentBic",
  -- A message that an older node stored has only the kid of its key, which cannot be a key that was added later.
  (select k.jwk from participant_key k where k.participant_guid = m.creditor_agent_guid and k.kid = m.creditor_agent_kid
    order by k.id = m.creditor_agent_key_id desc nulls last, k.active_from <= m.received_at desc, k.id desc limit 1) as "creditorAgentJwk"`;

export const messageJoins = `
  join payment_order o on o.guid = m.order_guid
  join participant merchant on merchant.guid = m.merchant_guid
  join participant debtor_agent on debtor_agent.guid = m.debtor_agent_guid
  join participant creditor_agent on creditor_agent.guid = m.creditor_agent_guid`;

const reasonShown = (status: PaymentMessageStatus, reason: string) =>
  status === "success" ? PAYMENT_MESSAGE_SUCCESS_REASON : reason;

type Decision = { status: PaymentMessageStatus; reason: string; at: Date };

/** A message as it reads once it is decided. */
export const decidedMessage = (message: PaymentMessage, { status, reason, at }: Decision): PaymentMessage => ({
  ...message,
  status: paymentMessageStatuses[status],
  reason: reasonShown(status, reason),
  decidedAt: timestampFromDate(at),
});

/** The debtor's phone number is never stored, so it cannot be answered. */
export function toPaymentMessage({
  orderGuid,
  amountMinor,
  currency,
  debtorAgentGuid,
  debtorAgentName,
  debtorAgentBic,
  debtorName,
  debtorTaxNumber,
  debtorAccount,
  creditorAgentGuid,
  creditorAgentName,
  creditorAgentBic,
  creditorName,
  creditorTaxNumber,
  creditorAccount,
  creditorUid,
  ultimateCreditor,
  pmType,
  senderAccountType,
  nonce,
  encryptedKey,
  creditorAgentJwk,
  status,
  reason,
  receivedAt,
  decidedAt,
  ...same
}: PaymentMessageRow): PaymentMessage {
  return whole(PaymentMessageSchema, {
    ...same,
    orderId: orderGuid,
    amount: money(amountMinor, currency),
    debtorAgent: { guid: debtorAgentGuid, name: debtorAgentName, bic: debtorAgentBic },
    debtor: { name: debtorName, taxNumber: debtorTaxNumber, account: debtorAccount },
    creditorAgent: { guid: creditorAgentGuid, name: creditorAgentName, bic: creditorAgentBic },
    creditor: { name: creditorName, taxNumber: creditorTaxNumber, account: creditorAccount, uid: creditorUid },
    ultimateCreditor: ultimateCreditor ?? undefined,
    pmType: paymentTypes[pmType],
    senderAccountType: senderAccountTypes[senderAccountType],
    encryption: { nonce, encryptedKey },
    creditorAgentJwk: jwkText(creditorAgentJwk),
    status: paymentMessageStatuses[status],
    reason: reasonShown(status, reason),
    receivedAt: timestampFromDate(receivedAt),
    decidedAt: instantOrUnset(decidedAt),
  });
}

/** The part that anyone with the order's id may see: neither who paid, nor the accounts. */
export function publicPartOf({ guid, amount, orderId, status, reason, decidedAt }: PaymentMessage): PaymentMessage {
  return create(PaymentMessageSchema, { guid, amount, orderId, status, reason, decidedAt });
}

const selectMessageByGuid = {
  name: "select_payment_message",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.guid = $1`,
};

const selectMessageByOrder = {
  name: "select_payment_message_by_order",
  text: `select ${messageColumns} from payment_message m ${messageJoins} where m.order_guid = $1`,
};

/** Finds a payment message by its guid or its order's, without regard to who asks. */
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
 * Reads a payment message. `bankGuid`: the bank that reads it. To a bank that is not a party to the message it is not found, so
 * that not even its existence is disclosed. Undefined for a service.
 */
export async function getPaymentMessage(
  context: CoreContext,
  bankGuid: string | undefined,
  by: { guid: string } | { orderGuid: string },
): Promise<PaymentMessage | Refusal> {
  const message = await findPaymentMessage(context, by);
  const isSide = message?.debtorAgent?.guid === bankGuid || message?.creditorAgent?.guid === bankGuid;
  if (message === undefined || (bankGuid !== undefined && !isSide))
    return refuse("PAYMENT_MESSAGE_NOT_FOUND", "not found");
  return message;
}
