import { defineEntity, p, Routine } from "@mikro-orm/core";
import { type AuditAct, actsWithoutDigests, auditActs, makingActs } from "../domain/audit.ts";
import {
  CALLBACK_STATES,
  type CallbackKind,
  type CallbackState,
  STORED_OUTCOMES,
  type StoredOutcome,
} from "../domain/callback.ts";
import { type Scope, scopes } from "../domain/credential.ts";
import { MAX_AMOUNT_MINOR, MAX_TOTAL_MINOR } from "../domain/money.ts";
import { type OrderStatus, orderStatuses, type UltimateCreditor } from "../domain/order.ts";
import {
  type BankRole,
  bankRoles,
  type CallbackAlg,
  type CallbackBodyFormat,
  type CallbackUrls,
  callbackAlgs,
  callbackBodyFormats,
  type DeepLinkContent,
  deepLinkContents,
  type KeyUse,
  keyUses,
  type ParticipantKind,
  type ParticipantStatus,
  type PublicJwk,
  participantKinds,
  participantStatuses,
} from "../domain/participant.ts";
import {
  type PaymentMessageStatus,
  type PaymentType,
  paymentMessageStatuses,
  paymentTypes,
  type SenderAccountType,
  senderAccountTypes,
} from "../domain/paymentMessage.ts";
import { type RegisterActKind, type RegisterStatus, registerActKinds, registerStatuses } from "../domain/settlement.ts";

/** Amounts: at most 99 999 999 999 minor units a payment, far below 2^53, so JavaScript numbers are exact. */
const amountMinor = () => p.bigint("number").columnType("bigint");
const instant = () => p.datetime().columnType("timestamptz");
const text = () => p.text();

/** A CHECK of a table: what the code assumes of a row, the schema enforces, whoever writes it. */
const check = (name: string, expression: string) => ({ name, expression });

const quoted = (values: readonly string[]) => values.map((value) => `'${value}'`).join(", ");

/** The column holds one of a closed list of the domain. */
const oneOf = (table: string, column: string, values: readonly string[]) =>
  check(`${table}_${column}_check`, `${column} in (${quoted(values)})`);

/** What one payment may move (wire-contract section 3). */
const payable = (table: string) =>
  check(`${table}_amount_check`, `amount_minor >= 1 and amount_minor <= ${MAX_AMOUNT_MINOR}`);

/** A bank or a merchant (wire-contract section 8). */
const ParticipantEntity = defineEntity({
  name: "Participant",
  tableName: "participant",
  indexes: [
    // Pages of the list.
    { name: "participant_name", properties: ["name", "guid"] },
    { name: "participant_kind_name", properties: ["kind", "name", "guid"] },
  ],
  checks: [
    oneOf("participant", "kind", participantKinds),
    oneOf("participant", "callback_body_format", callbackBodyFormats),
    oneOf("participant", "callback_alg", callbackAlgs),
    oneOf("participant", "status", participantStatuses),
    oneOf("participant", "deep_link_content", deepLinkContents),
    check(
      "participant_bank_check",
      `kind <> 'bank' or (bic is not null and uid is null and servicing_bank_guid is null
        and roles <@ array[${quoted(bankRoles)}]::text[])`,
    ),
    check(
      "participant_merchant_check",
      "kind <> 'merchant' or (uid is not null and bic is null and servicing_bank_guid is not null and roles = '{}'::text[])",
    ),
    check("participant_fee_check", "fee_basis_points >= 0 and fee_basis_points <= 10000"),
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
    servicingBankGuid: () =>
      p
        .manyToOne(ParticipantEntity)
        .mapToPk()
        .fieldName("servicing_bank_guid")
        .deleteRule("no action")
        .strictNullable(),
    callbackUrls: p.json<CallbackUrls>(),
    callbackBodyFormat: text().$type<CallbackBodyFormat>(),
    jwksUrl: text().strictNullable(),
    email: text(),
    deepLinkPrefix: text().strictNullable(),
    logoUrl: text().strictNullable(),
    redirectUrl: text().strictNullable(),
    feeBasisPoints: p.integer(),
    version: p.integer(),
    createdAt: instant(),
    updatedAt: instant(),
    requiresBodySha256: p.boolean().default(false),
    callbackAlg: text().$type<CallbackAlg>().default("RS256"),
    status: text().$type<ParticipantStatus>().default("active"),
    deepLinkContent: text().$type<DeepLinkContent>().default("signed_order"),
  },
});

/** A key of a participant. Rows are added and retired; which of them are good, their instants say. */
const ParticipantKeyEntity = defineEntity({
  name: "ParticipantKey",
  tableName: "participant_key",
  indexes: [
    { name: "participant_key_kid", properties: ["participantGuid", "kid"] },
    // Anybody may send a kid: looking for its bank must not read every merchant.
    {
      name: "participant_key_bank_kid",
      expression:
        "create index participant_key_bank_kid on participant_key (kid) where participant_kind = 'bank' and use = 'sig'",
    },
    // No two parties have one key, whatever they call it.
    {
      name: "participant_key_numbers",
      expression: "create index participant_key_numbers on participant_key ((jwk - '{kid,alg,use}'::text[]))",
    },
  ],
  checks: [
    oneOf("participant_key", "participant_kind", participantKinds),
    oneOf("participant_key", "use", keyUses),
    check("participant_key_kid_check", "kid = jwk->>'kid'"),
    check("participant_key_retire_check", "retire_at >= active_from"),
  ],
  properties: {
    id: p.bigint("number").primary().autoincrement().generated("identity"),
    participantGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("participant_guid").deleteRule("no action"),
    /** That of its participant, which never changes. */
    participantKind: text().$type<ParticipantKind>(),
    use: text().$type<KeyUse>(),
    kid: text(),
    jwk: p.json<PublicJwk>(),
    activeFrom: instant(),
    retireAt: instant().strictNullable(),
    seenAt: instant().strictNullable(),
    /** As the audit trail names who acted. */
    addedBy: text(),
    addedWith: text().strictNullable(),
  },
});

/** The key set that a merchant publishes: when it was read, and when it will be read next. */
const PublishedKeySetEntity = defineEntity({
  name: "PublishedKeySet",
  tableName: "published_key_set",
  indexes: [{ name: "published_key_set_next", properties: ["nextAt"] }],
  checks: [check("published_key_set_failures_check", "failures >= 0 and (failures = 0 or problem is not null)")],
  properties: {
    participantGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("participant_guid").deleteRule("no action").primary(),
    url: text(),
    nextAt: instant(),
    /** When somebody began to read it. */
    askedAt: instant().strictNullable(),
    /** When it was read with success. */
    readAt: instant().strictNullable(),
    /** Readings that failed since then. */
    failures: p.integer(),
    /** What was wrong with the address or the set. */
    problem: text().strictNullable(),
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
const SignedOrderEntity = defineEntity({
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
const PaymentEvidenceEntity = defineEntity({
  name: "PaymentEvidence",
  tableName: "payment_evidence",
  properties: {
    paymentMessageGuid: p.uuid().primary(),
    jws: text(),
  },
});

/** In the order in which the last migration wrote them, which PostgreSQL keeps; the contract may have another. */
const storedCallbackKinds: Record<CallbackKind, true> = {
  pay_in_bank: true,
  pay_in_merchant: true,
  pay_out: true,
  credit: true,
  pay_in_bank_reject: true,
  pay_in_merchant_reject: true,
  expiration: true,
  gross_settlement: true,
};

/** Something to tell a participant, until it is told or a person decided otherwise. */
const CallbackEntity = defineEntity({
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
    // The relay reads only what waits, in the order in which it must look again; and lost attempts are found whatever the
    // length of that backlog. A row is in one of the two.
    {
      name: "callback_waiting",
      expression: "create index callback_waiting on callback (wake_at) where state = 'waiting'",
    },
    {
      name: "callback_in_flight",
      expression: "create index callback_in_flight on callback (wake_at) where state = 'in_flight'",
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
  checks: [
    oneOf("callback", "kind", Object.keys(storedCallbackKinds)),
    oneOf("callback", "state", CALLBACK_STATES),
    oneOf("callback", "last_outcome", STORED_OUTCOMES),
    // What it tells is about an order that expired, about a register, or about a payment message with its order.
    check(
      "callback_subject_check",
      `case kind
        when 'expiration' then order_guid is not null and payment_message_guid is null and register_id is null
        when 'gross_settlement' then register_id is not null and payment_message_guid is null and order_guid is null
        else payment_message_guid is not null and order_guid is not null and register_id is null
      end`,
    ),
    check("callback_counts_check", "series >= 1 and attempts >= 0 and refusals >= 0 and refusals <= attempts"),
    check("callback_resolved_check", "resolved_by is null or (state = 'resolved' and resolution_note is not null)"),
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
    lastOutcome: text().$type<StoredOutcome>().strictNullable(),
    resolvedBy: text().strictNullable(),
    resolutionNote: text().strictNullable(),
    createdAt: instant(),
    updatedAt: instant(),
  },
});

/** One attempt, kept for whoever reviews the callback. */
const CallbackAttemptEntity = defineEntity({
  name: "CallbackAttempt",
  tableName: "callback_attempt",
  checks: [
    oneOf("callback_attempt", "outcome", STORED_OUTCOMES),
    check("callback_attempt_counts_check", "series >= 1 and attempt >= 1 and duration_ms >= 0"),
  ],
  properties: {
    callbackGuid: p.uuid().primary(),
    series: p.integer().primary(),
    attempt: p.integer().primary(),
    startedAt: instant(),
    durationMs: p.integer(),
    outcome: text().$type<StoredOutcome>(),
    httpStatus: p.integer().strictNullable(),
    answer: text().strictNullable(),
    problem: text().strictNullable(),
  },
});

/** What a bank's payments cost from an instant on; rows are only added (wire-contract section 7, fees). */
const FeeRateEntity = defineEntity({
  name: "FeeRate",
  tableName: "fee_rate",
  checks: [check("fee_rate_basis_points_check", "basis_points >= 0 and basis_points <= 10000")],
  properties: {
    bankGuid: () => p.manyToOne(ParticipantEntity).mapToPk().fieldName("bank_guid").deleteRule("no action").primary(),
    effectiveFrom: instant().primary(),
    basisPoints: p.integer(),
  },
});

/** A register that a closing still fills has this status; nobody sees it. */
export const CLOSING = "closing";

/**
 * A gross settlement register (wire-contract section 7): a snapshot of the closing. Membership is the payment message's
 * `registerId`; what happened to it afterwards are its acts, and `status` is what they say.
 */
const SettlementRegisterEntity = defineEntity({
  name: "SettlementRegister",
  tableName: "settlement_register",
  uniques: [{ name: "settlement_register_increment_unique", properties: ["day", "increment"] }],
  indexes: [
    { name: "settlement_register_debtor", properties: ["debtorAgentGuid", "createdAt"] },
    { name: "settlement_register_creditor", properties: ["creditorAgentGuid", "createdAt"] },
    { name: "settlement_register_debtor_updated", properties: ["debtorAgentGuid", "updatedAt"] },
    { name: "settlement_register_creditor_updated", properties: ["creditorAgentGuid", "updatedAt"] },
    // A closing that was interrupted finds the registers that it began, and begins none of them twice.
    {
      name: "settlement_register_closing_unique",
      expression:
        "create unique index settlement_register_closing_unique on settlement_register (period_start, debtor_agent_guid, creditor_agent_guid, currency) where status = 'closing'",
    },
  ],
  checks: [
    oneOf("settlement_register", "status", [CLOSING, ...registerStatuses]),
    // Only an empty register has no creditor agent.
    check("settlement_register_creditor_check", "(creditor_agent_guid is null) = (status = 'sent_no_pm')"),
    check(
      "settlement_register_totals_check",
      "increment >= 1 and payment_count >= 0 and total_fee_minor >= 0 and total_fee_minor <= total_amount_minor",
    ),
    // Beyond it no JSON number is exact to the minor unit: no register is better than one that cannot be paid.
    check("settlement_register_exact_check", `total_amount_minor <= ${MAX_TOTAL_MINOR}`),
    check("settlement_register_period_check", "period_start < period_end"),
  ],
  properties: {
    id: p.text().primary(),
    day: p.date(),
    increment: p.integer(),
    debtorAgentGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("debtor_agent_guid").deleteRule("no action"),
    creditorAgentGuid: () =>
      p
        .manyToOne(ParticipantEntity)
        .mapToPk()
        .fieldName("creditor_agent_guid")
        .deleteRule("no action")
        .strictNullable(),
    currency: text(),
    totalAmountMinor: amountMinor(),
    totalFeeMinor: amountMinor(),
    paymentCount: p.integer(),
    status: text().$type<RegisterStatus | typeof CLOSING>(),
    periodStart: instant(),
    periodEnd: instant(),
    createdAt: instant(),
    updatedAt: instant(),
    debtorName: text(),
    debtorBic: text(),
    creditorName: text(),
    creditorBic: text(),
    creditorCode: text(),
    chargingAccount: text(),
    purpose: text(),
    /** The closed day that an adjustment belongs to. */
    adjustsDay: p.date().strictNullable(),
  },
});

/** Something that happened to a register; rows are only added. */
const RegisterActEntity = defineEntity({
  name: "RegisterAct",
  tableName: "register_act",
  indexes: [
    { name: "register_act_register", properties: ["registerId", "number"] },
    // One transfer settles one register, ever.
    {
      name: "register_act_payment_unique",
      expression:
        "create unique index register_act_payment_unique on register_act (actor, payment_external_id) where kind = 'paid'",
    },
  ],
  checks: [
    oneOf("register_act", "kind", registerActKinds),
    check(
      "register_act_payment_check",
      `case when kind in ('paid', 'confirmed', 'rejected')
        then payment_external_id is not null and creditor_iban is not null and amount_minor is not null
          and currency is not null and purpose is not null and creation_date is not null
        else payment_external_id is null and creditor_iban is null and amount_minor is null
          and currency is null and purpose is null and creation_date is null
      end`,
    ),
    check("register_act_status_check", "(kind in ('confirmed', 'rejected')) = (payment_status is not null)"),
    check("register_act_note_check", "(kind = 'reopened') = (note is not null)"),
  ],
  properties: {
    number: p.bigint("number").primary().autoincrement(),
    registerId: () => p.manyToOne(SettlementRegisterEntity).mapToPk().fieldName("register_id").deleteRule("no action"),
    kind: text().$type<RegisterActKind>(),
    /** A bank's guid, the operator's name, or `platform`. */
    actor: text(),
    at: instant(),
    paymentExternalId: text().strictNullable(),
    creditorIban: text().strictNullable(),
    amountMinor: amountMinor().strictNullable(),
    currency: text().strictNullable(),
    purpose: text().strictNullable(),
    creationDate: text().strictNullable(),
    paymentStatus: text().strictNullable(),
    note: text().strictNullable(),
    /** What the bank signed. */
    jws: text().strictNullable(),
  },
});

/** A Kyiv day that is over and whose registers have been made, the empty ones too. */
const ClosedDayEntity = defineEntity({
  name: "ClosedDay",
  tableName: "closed_day",
  properties: {
    day: p.date().primary(),
    closedAt: instant(),
  },
});

/** Access tokens that a stored change used up, until they are too old to be accepted anyway. */
const UsedAccessTokenEntity = defineEntity({
  name: "UsedAccessToken",
  tableName: "used_access_token",
  indexes: [{ name: "used_access_token_expiry", properties: ["expiresAt"] }],
  properties: {
    participantGuid: p.uuid().primary(),
    jti: text().primary(),
    expiresAt: instant(),
    /** Of the request that used the token up and may come again; null where a node of the version before kept it. */
    requestDigest: p.blob().strictNullable(),
  },
});

/** A service that may call the core; what it sends is kept as its SHA-256 digest only. */
const ServiceCredentialEntity = defineEntity({
  name: "ServiceCredential",
  tableName: "service_credential",
  uniques: [{ name: "service_credential_secret_unique", properties: ["secretSha256"] }],
  checks: [check("service_credential_scopes_check", `scopes <@ array[${quoted(scopes)}]::text[] and scopes <> '{}'`)],
  properties: {
    name: text().primary(),
    scopes: p.array().columnType("text[]").$type<Scope[]>(),
    secretSha256: p.blob(),
    expiresAt: instant(),
    createdAt: instant(),
    revokedAt: instant().strictNullable(),
  },
});

/** A key that the platform signs with; its state follows from the instants (`domain/platformKey.ts`). */
const PlatformKeyEntity = defineEntity({
  name: "PlatformKey",
  tableName: "platform_key",
  checks: [
    oneOf("platform_key", "alg", callbackAlgs),
    check("platform_key_end_check", "(retire_at is null) = (unpublish_at is null)"),
    check("platform_key_order_check", "retire_at <= unpublish_at"),
  ],
  properties: {
    kid: text().primary(),
    alg: text().$type<CallbackAlg>(),
    publicJwk: p.json().$type<PublicJwk>(),
    /** Encrypted under the master key (`core/masterKey.ts`). */
    privateKey: p.blob(),
    /** Which master key that was. */
    masterKeyId: text(),
    createdAt: instant(),
    activeFrom: instant(),
    /** Both null until a successor is announced. */
    retireAt: instant().strictNullable(),
    unpublishAt: instant().strictNullable(),
  },
});

/** Who changed what, and when; rows are only added, also by hand. */
const AuditEntryEntity = defineEntity({
  name: "AuditEntry",
  tableName: "audit_entry",
  indexes: [
    { name: "audit_entry_actor", properties: ["actor", "at", "number"] },
    { name: "audit_entry_act", properties: ["act", "at", "number"] },
    { name: "audit_entry_object", properties: ["object", "at", "number"] },
    { name: "audit_entry_at", properties: ["at", "number"] },
  ],
  checks: [
    oneOf("audit_entry", "act", auditActs),
    // What is no change has no entry.
    check(
      "audit_entry_digests_check",
      `case
        when act in (${quoted(actsWithoutDigests)}) then digest_before is null and digest_after is null
        when act in (${quoted(makingActs)}) then digest_before is null and digest_after is not null
        else digest_before is not null and digest_after is not null and digest_before <> digest_after
      end`,
    ),
  ],
  triggers: [
    {
      name: "append_only",
      timing: "before",
      // And truncate, which MikroORM cannot see in the database.
      events: ["update", "delete"],
      forEach: "statement",
      body: "raise exception 'audit_entry only grows: % is refused', tg_op using errcode = 'insufficient_privilege'",
    },
  ],
  properties: {
    number: p.bigint("number").primary().autoincrement().generated("identity"),
    at: instant(),
    /** A bank's guid, the name of a credential, or `platform`. */
    actor: text(),
    act: text().$type<AuditAct>(),
    object: text(),
    digestBefore: p.blob().strictNullable(),
    digestAfter: p.blob().strictNullable(),
  },
});

export const entities = [
  ParticipantEntity,
  ParticipantKeyEntity,
  PublishedKeySetEntity,
  PaymentOrderEntity,
  PaymentMessageEntity,
  PaymentEvidenceEntity,
  SignedOrderEntity,
  CallbackEntity,
  CallbackAttemptEntity,
  FeeRateEntity,
  SettlementRegisterEntity,
  RegisterActEntity,
  ClosedDayEntity,
  UsedAccessTokenEntity,
  ServiceCredentialEntity,
  PlatformKeyEntity,
  AuditEntryEntity,
] as const;

/** The columns of an entity's table, in its order: statements name them, so that they survive a column of a newer node. */
export function columnsOf({ meta }: (typeof entities)[number]): string[] {
  return Object.keys(meta.properties).map((name) => name.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`));
}

/** Ends a statement whose premises are gone; callers take its code for a race that they lost, and decide again. */
const lostRace = new Routine({
  name: "lost_race",
  type: "function",
  language: "plpgsql",
  params: { premise: { type: "text" } },
  returns: { runtimeType: "boolean", columnType: "boolean" },
  body: "begin raise exception using message = premise, errcode = 'serialization_failure'; end",
});

/** The digest of a row, or of several, as the audit trail keeps it (`core/audit.ts`). */
const auditDigest = new Routine({
  name: "audit_digest",
  type: "function",
  language: "sql",
  params: { state: { type: "anyelement" } },
  returns: { runtimeType: "Buffer", columnType: "bytea" },
  body: "select sha256(convert_to(to_jsonb(state)::text, 'UTF8'))",
});

export const routines = [lostRace, auditDigest] as const;
