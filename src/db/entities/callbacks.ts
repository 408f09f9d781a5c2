import { defineEntity, p } from "@mikro-orm/core";
import {
  CALLBACK_STATES,
  type CallbackKind,
  type CallbackState,
  STORED_OUTCOMES,
  type StoredOutcome,
} from "../../domain/callback.ts";
import { check, instant, oneOf, text } from "./columns.ts";

/** In the order in which the last migration wrote them, as PostgreSQL keeps it; the contract may list them in another. */
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

/** A callback to a participant (the outbox): pending, delivered, or decided by a person. */
export const CallbackEntity = defineEntity({
  name: "Callback",
  tableName: "callback",
  indexes: [
    // A callback of a payment exists only once, so the cascade is idempotent: recording an attempt twice cannot run it twice.
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
    // Partial indexes for the relay: waiting callbacks by the time of its next look, and leased ones apart, so that lost attempts
    // are found however long the backlog is. A row is in at most one of the two.
    {
      name: "callback_waiting",
      expression: "create index callback_waiting on callback (wake_at) where state = 'waiting'",
    },
    {
      name: "callback_in_flight",
      expression: "create index callback_in_flight on callback (wake_at) where state = 'in_flight'",
    },
    // Callbacks that need a person; guids are time-ordered, so this index gives newest first.
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
    // A callback is about an order that expired, or about a register, or about a payment message with its order.
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
    /** One of the documented reasons, if the kind has one, or empty. */
    reason: text(),
    series: p.integer(),
    attempts: p.integer(),
    /** 4xx answers in this series: the second one of a Pay-out or a Credit ends in review. */
    refusals: p.integer(),
    dueAt: instant(),
    /** When the relay looks at the row again: after a lost publish, a lapsed lease, or the wait for a retry. */
    wakeAt: instant(),
    lastOutcome: text().$type<StoredOutcome>().strictNullable(),
    resolvedBy: text().strictNullable(),
    resolutionNote: text().strictNullable(),
    createdAt: instant(),
    updatedAt: instant(),
  },
});

/** A delivery attempt, kept for people who review the callback. */
export const CallbackAttemptEntity = defineEntity({
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
