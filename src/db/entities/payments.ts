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
    // The expiry scan reads only orders that nobody has paid.
    {
      name: "payment_order_expiry",
      expression: "create index payment_order_expiry on payment_order (expires_at) where status = 'created'",
    },
    // Lists, newest first. A change of the status writes every index of its row again, so there are no more of them than parties,
    // and without a party only what is rare has one: of the orders that are paid the primary key is nearly a list.
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
    // What the order is paid to and encrypted for, as of its creation, whatever changes later; null where a node of the version
    // before created it.
    creditorAccount: text().strictNullable(),
    creditorAgentGuid: p.uuid().strictNullable(),
    encryptionKeyId: p.bigint("number").columnType("bigint").strictNullable(),
    /** What the merchant signed to cancel the order; null: it did not. */
    cancelJws: text().strictNullable(),
  },
});

/**
 * An order's details as the platform signed them for deep links. Apart from the order, which is written again with every change of
 * its state; and only of orders that somebody asked them of.
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
    // The bank comes second: with it in front, either index would seem good enough for both look-ups while the tables are
    // small, and the wrong one reads all messages of the bank.
    { name: "payment_message_jti_unique", properties: ["jti", "debtorAgentGuid"] },
    { name: "payment_message_external_id_unique", properties: ["externalId", "debtorAgentGuid"] },
  ],
  indexes: [
    // What no register has yet, by the register that it will be in.
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
    // Lists, as those of orders.
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
    // Only what succeeded is settled, and its fee is known from then on.
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
    /** Names the recipient bank's key that the personal data is encrypted for. */
    creditorAgentKid: text(),
    status: text().$type<PaymentMessageStatus>(),
    reason: text(),
    receivedAt: instant(),
    decidedAt: instant().strictNullable(),
    registerId: text().strictNullable(),
    feeMinor: amountMinor().strictNullable(),
    /** That key itself; null where a node of the version before stored the message. */
    creditorAgentKeyId: p.bigint("number").columnType("bigint").strictNullable(),
  },
});

/**
 * What the debtor agent signed, letter by letter. Apart from the message, because it is more than half of its bytes and
 * never changes: a message is written again with every change of its state, its evidence once.
 */
export const PaymentEvidenceEntity = defineEntity({
  name: "PaymentEvidence",
  tableName: "payment_evidence",
  properties: {
    paymentMessageGuid: p.uuid().primary(),
    jws: text(),
  },
});
