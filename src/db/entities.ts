import { defineEntity, p, Routine } from "@mikro-orm/core";
import type { CallbackKind, CallbackState, Outcome } from "../domain/callback.ts";
import type { OrderStatus, UltimateCreditor } from "../domain/order.ts";
import type { BankRole, CallbackBodyFormat, CallbackUrls, ParticipantKind, PublicJwk } from "../domain/participant.ts";
import type { PaymentMessageStatus, PaymentType, SenderAccountType } from "../domain/paymentMessage.ts";
import type { RegisterStatus } from "../domain/settlement.ts";

/** Amounts: at most 99 999 999 999 minor units a payment, far below 2^53, so JavaScript numbers are exact. */
const amountMinor = () => p.bigint("number").columnType("bigint");
const instant = () => p.datetime().columnType("timestamptz");
const text = () => p.text();

/** A bank or a merchant (wire-contract section 8). */
export const ParticipantEntity = defineEntity({
  name: "Participant",
  tableName: "participant",
  indexes: [
    // Anybody may send a kid: looking for its bank must not read every merchant.
    {
      name: "participant_bank_kid",
      expression:
        "create index participant_bank_kid on participant using gin (signing_jwks jsonb_path_ops) where kind = 'bank'",
    },
  ],
  properties: {
    guid: p.uuid().primary(),
    kind: text().$type<ParticipantKind>(),
    name: text(),
    taxCode: text(),
    bic: text().strictNullable().unique("participant_bic_unique"),
    uid: text().strictNullable().unique("participant_uid_unique"),
    roles: p.array().$type<BankRole[]>(),
    iban: text(),
    mcc: text().strictNullable(),
    servicingBankGuid: p.uuid().strictNullable(),
    callbackUrls: p.json<CallbackUrls>(),
    callbackBodyFormat: text().$type<CallbackBodyFormat>(),
    signingJwks: p.json<PublicJwk[]>(),
    encryptionJwk: p.json<PublicJwk>().strictNullable(),
    pastJwks: p.json<PublicJwk[]>(),
    jwksUrl: text().strictNullable(),
    email: text(),
    deepLinkPrefix: text().strictNullable(),
    logoUrl: text().strictNullable(),
    redirectUrl: text().strictNullable(),
    feeBasisPoints: p.integer(),
    version: p.integer(),
    createdAt: instant(),
    updatedAt: instant(),
  },
});

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
  ],
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
    {
      name: "payment_message_unregistered",
      expression:
        "create index payment_message_unregistered on payment_message (decided_at) where status = 'success' and register_id is null",
    },
    {
      name: "payment_message_register",
      expression:
        "create index payment_message_register on payment_message (register_id, guid) where register_id is not null",
    },
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
    /** Names the recipient bank's key at the time of submission, so that a later rotation does not rewrite the past. */
    creditorAgentKid: text(),
    status: text().$type<PaymentMessageStatus>(),
    reason: text(),
    receivedAt: instant(),
    decidedAt: instant().strictNullable(),
    registerId: text().strictNullable(),
    feeMinor: amountMinor().strictNullable(),
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

/** Something to tell a participant, until it is told or a person decided otherwise. */
export const CallbackEntity = defineEntity({
  name: "Callback",
  tableName: "callback",
  indexes: [
    // Each callback of a payment exists once: the cascade cannot run twice, whatever is recorded twice.
    {
      name: "callback_payment_unique",
      expression:
        "create unique index callback_payment_unique on callback (payment_message_guid, kind) where payment_message_guid is not null",
    },
    {
      name: "callback_expiration_unique",
      expression: "create unique index callback_expiration_unique on callback (order_guid) where kind = 'expiration'",
    },
    {
      name: "callback_register_unique",
      expression:
        "create unique index callback_register_unique on callback (register_id, receiver_guid) where register_id is not null",
    },
    // The relay reads only what is unfinished, in the order in which it must look again.
    {
      name: "callback_wake",
      expression: "create index callback_wake on callback (wake_at) where state in ('waiting', 'in_flight')",
    },
    // Work for people; guids are time-ordered, so this is also newest first.
    {
      name: "callback_attention",
      expression:
        "create index callback_attention on callback (state, guid) where state in ('review', 'dead', 'failed', 'resolved')",
    },
    {
      name: "callback_missed",
      expression:
        "create index callback_missed on callback (receiver_guid, guid) where state <> 'delivered' and (last_outcome is not null or state = 'dead')",
    },
    { name: "callback_receiver", properties: ["receiverGuid", "guid"] },
  ],
  properties: {
    guid: p.uuid().primary(),
    kind: text().$type<CallbackKind>(),
    paymentMessageGuid: p.uuid().strictNullable(),
    orderGuid: p.uuid().strictNullable(),
    registerId: text().strictNullable(),
    receiverGuid: p.uuid(),
    state: text().$type<CallbackState>(),
    /** Why, in the documented words, where the callback carries a reason. */
    reason: text(),
    series: p.integer(),
    attempts: p.integer(),
    /** 4xx answers in this series: the second one of a Pay-out or a Credit goes to people. */
    refusals: p.integer(),
    dueAt: instant(),
    /** When the relay looks again: past a lost publish, a lost lease, or the wait for a retry. */
    wakeAt: instant(),
    lastOutcome: text().$type<Outcome>().strictNullable(),
    resolvedBy: text().strictNullable(),
    resolutionNote: text().strictNullable(),
    createdAt: instant(),
    updatedAt: instant(),
  },
});

/** One attempt, kept for whoever reviews the callback. */
export const CallbackAttemptEntity = defineEntity({
  name: "CallbackAttempt",
  tableName: "callback_attempt",
  properties: {
    callbackGuid: p.uuid().primary(),
    series: p.integer().primary(),
    attempt: p.integer().primary(),
    startedAt: instant(),
    durationMs: p.integer(),
    outcome: text().$type<Outcome>(),
    httpStatus: p.integer().strictNullable(),
    answer: text().strictNullable(),
    problem: text().strictNullable(),
  },
});

/** A gross settlement register (wire-contract section 7). Membership is the payment message's `registerId`. */
export const SettlementRegisterEntity = defineEntity({
  name: "SettlementRegister",
  tableName: "settlement_register",
  uniques: [{ name: "settlement_register_increment_unique", properties: ["day", "increment"] }],
  indexes: [
    { name: "settlement_register_debtor", properties: ["debtorAgentGuid", "createdAt"] },
    { name: "settlement_register_creditor", properties: ["creditorAgentGuid", "createdAt"] },
  ],
  properties: {
    id: p.text().primary(),
    day: p.date(),
    increment: p.integer(),
    debtorAgentGuid: p.uuid(),
    creditorAgentGuid: p.uuid().strictNullable(),
    currency: text(),
    totalAmountMinor: amountMinor(),
    totalFeeMinor: amountMinor(),
    paymentCount: p.integer(),
    status: text().$type<RegisterStatus>(),
    periodStart: instant(),
    periodEnd: instant(),
    createdAt: instant(),
    updatedAt: instant(),
  },
});

/** One-time access tokens already used, until they are too old to be accepted anyway. */
export const UsedAccessTokenEntity = defineEntity({
  name: "UsedAccessToken",
  tableName: "used_access_token",
  indexes: [{ name: "used_access_token_expiry", properties: ["expiresAt"] }],
  properties: {
    participantGuid: p.uuid().primary(),
    jti: text().primary(),
    expiresAt: instant(),
  },
});

export const entities = [
  ParticipantEntity,
  PaymentOrderEntity,
  PaymentMessageEntity,
  PaymentEvidenceEntity,
  CallbackEntity,
  CallbackAttemptEntity,
  SettlementRegisterEntity,
  UsedAccessTokenEntity,
] as const;

/** Ends a statement whose premises are gone; callers take its code for a race that they lost, and decide again. */
const lostRace = new Routine({
  name: "lost_race",
  type: "function",
  language: "plpgsql",
  params: { premise: { type: "text" } },
  returns: { runtimeType: "boolean", columnType: "boolean" },
  body: "begin raise exception using message = premise, errcode = 'serialization_failure'; end",
});

export const routines = [lostRace] as const;
