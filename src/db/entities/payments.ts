import { defineEntity, p } from "@mikro-orm/core";
import { type OrderStatus, orderStatuses, type UltimateCreditor } from "../../domain/order.ts";
import {
  type PaymentMessageStatus,
  type PaymentType,
  paymentMessageStatuses,
  paymentTypes,
  type SenderAccountType,
  senderAccountTypes,
} from "../../domain/paymentMessage.ts";
import { amountMinor, check, instant, oneOf, payable, text } from "./columns.ts";

/** An order; `jws` is the evidence of what the merchant signed. */
export const PaymentOrderEntity = defineEntity({
  name: "PaymentOrder",
  tableName: "payment_order",
  uniques: [{ name: "payment_order_ref_unique", properties: ["merchantGuid", "ref"] }],
  indexes: [
    // A partial index: the expiry chore reads only orders that have not been paid.
    {
      name: "payment_order_expiry",
      expression: "create index payment_order_expiry on payment_order (expires_at) where status = 'created'",
    },
    // For keyset pages of lists, newest first, by party and status. Every index makes each change of the status dearer, so lists
    // without a party have only a partial one, of unpaid orders; most orders are paid, and of those the primary key finds a page.
    { name: "payment_order_merchant", properties: ["merchantGuid", "status", "guid"] },
    { name: "payment_order_creditor_agent", properties: ["creditorAgentGuid", "status", "guid"] },
    {
      name: "payment_order_unpaid",
      expression: "create index payment_order_unpaid on payment_order (status, guid) where status <> 'success'",
    },
  ],
  checks: [oneOf("payment_order", "status", orderStatuses), payable("payment_order")],
  properties: {
    guid: p.uuid().primary(),
    merchantGuid: p.uuid(),
    ref: text(),
    amountMinor: amountMinor(),
    currency: text(),
    purpose: text(),
    redirectUrl: text(),
    ultimateCreditor: p.json<UltimateCreditor>().strictNullable(),
    issuedAt: instant(),
    expiresAt: instant(),
    status: text().$type<OrderStatus>(),
    createdAt: instant(),
    updatedAt: instant(),
    jws: text(),
    // Where the order is paid to and the key to encrypt for, as of its creation, whatever changes later; null if a node of an older
    // version created it.
    creditorAccount: text().strictNullable(),
    creditorAgentGuid: p.uuid().strictNullable(),
    encryptionKeyId: p.bigint("number").columnType("bigint").strictNullable(),
    /** The cancellation that the merchant signed; null: none. */
    cancelJws: text().strictNullable(),
  },
});

/**
 * The details of an order as the platform signed them for deep links. A table of its own, because the row of an order is rewritten
 * with every change of its state; and only for orders whose signed details were asked for.
 */
export const SignedOrderEntity = defineEntity({
  name: "SignedOrder",
  tableName: "signed_order",
  properties: {
    orderGuid: p.uuid().primary(),
    /** The platform's key that signed them. */
    kid: text(),
    jws: text(),
  },
});

/** A payment message. */
export const PaymentMessageEntity = defineEntity({
  name: "PaymentMessage",
  tableName: "payment_message",
  uniques: [
    { name: "payment_message_order_unique", properties: ["orderGuid"] },
    // `jti` comes first, the bank second: with the bank in front, the planner may take either unique index for both look-ups while
    // the tables are small, and the wrong one reads all messages of the bank.
    { name: "payment_message_jti_unique", properties: ["jti", "debtorAgentGuid"] },
    { name: "payment_message_external_id_unique", properties: ["externalId", "debtorAgentGuid"] },
  ],
  indexes: [
    // A partial index of unsettled payments, by the register that each will belong to.
    {
      name: "payment_message_unsettled",
      expression:
        "create index payment_message_unsettled on payment_message (debtor_agent_guid, creditor_agent_guid, currency, decided_at) where status = 'success' and register_id is null",
    },
    {
      name: "payment_message_register",
      expression:
        "create index payment_message_register on payment_message (register_id, guid) where register_id is not null",
    },
    // For keyset pages of lists, as with orders.
    { name: "payment_message_merchant", properties: ["merchantGuid", "status", "guid"] },
    { name: "payment_message_debtor_agent", properties: ["debtorAgentGuid", "status", "guid"] },
    { name: "payment_message_creditor_agent", properties: ["creditorAgentGuid", "status", "guid"] },
    {
      name: "payment_message_unsuccessful",
      expression:
        "create index payment_message_unsuccessful on payment_message (status, guid) where status <> 'success'",
    },
  ],
  checks: [
    oneOf("payment_message", "status", paymentMessageStatuses),
    oneOf("payment_message", "pm_type", paymentTypes),
    oneOf("payment_message", "sender_account_type", senderAccountTypes),
    payable("payment_message"),
    check("payment_message_decided_check", "(status = 'pending') = (decided_at is null)"),
    // Only successful payments are settled, and from then on their fee is fixed.
    check(
      "payment_message_register_check",
      "(register_id is null) = (fee_minor is null) and (register_id is null or status = 'success')",
    ),
    check("payment_message_fee_check", "fee_minor >= 0 and fee_minor <= amount_minor"),
  ],
  properties: {
    guid: p.uuid().primary(),
    orderGuid: p.uuid(),
    merchantGuid: p.uuid(),
    debtorAgentGuid: p.uuid(),
    creditorAgentGuid: p.uuid(),
    jti: text(),
    externalId: text(),
    amountMinor: amountMinor(),
    currency: text(),
    debtorName: text(),
    debtorTaxNumber: text(),
    debtorAccount: text(),
    creditorName: text(),
    creditorTaxNumber: text(),
    creditorAccount: text(),
    purpose: text(),
    msgCreationDate: text(),
    msgCreationTime: text(),
    pmType: text().$type<PaymentType>(),
    senderAccountType: text().$type<SenderAccountType>(),
    nonce: text(),
    encryptedKey: text(),
    /** The kid of the recipient bank's key that the personal data is encrypted for. */
    creditorAgentKid: text(),
    status: text().$type<PaymentMessageStatus>(),
    reason: text(),
    receivedAt: instant(),
    decidedAt: instant().strictNullable(),
    registerId: text().strictNullable(),
    feeMinor: amountMinor().strictNullable(),
    /** The row of that key; null if a node of an older version stored the message. */
    creditorAgentKeyId: p.bigint("number").columnType("bigint").strictNullable(),
  },
});

/**
 * The JWS of the debtor agent, letter by letter. A table of its own, because it is more than half of a message's bytes and never
 * changes: the row of a message is rewritten with every change of its state, its evidence is written once.
 */
export const PaymentEvidenceEntity = defineEntity({
  name: "PaymentEvidence",
  tableName: "payment_evidence",
  properties: {
    paymentMessageGuid: p.uuid().primary(),
    jws: text(),
  },
});
