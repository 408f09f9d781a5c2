import type { Sql } from "../db/database.ts";
import { type CallbackKind, type CallbackRole, type Effect, follows } from "../domain/callback.ts";
import { orderTransitions } from "../domain/order.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";

export type NewCallback = {
  kind: CallbackKind;
  receiverGuid: string;
  paymentMessageGuid?: string;
  orderGuid?: string;
  registerId?: string;
  /** The documented words, where the callback carries a reason. */
  reason?: string | undefined;
  trace?: string | undefined;
};

/**
 * The text that inserts callbacks from the JSON of parameter `rows` and answers those that are new; the relay leaves them
 * alone for the milliseconds of parameter `wakeMs`. A callback that exists already is passed over: the cascade of a payment
 * happens once, whatever is repeated.
 */
export const insertCallbacksText = (rows: string, wakeMs: string) => `
    insert into callback (guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, state, reason,
      series, attempts, refusals, due_at, wake_at, created_at, updated_at)
    select guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, 'waiting', reason,
      1, 0, 0, now(), now() + ${wakeMs} * interval '1 millisecond', now(), now()
    from json_to_recordset(${rows}::json) as new(guid uuid, kind text, payment_message_guid uuid, order_guid uuid,
      register_id text, receiver_guid uuid, reason text)
    on conflict do nothing
    returning guid`;

const insertCallbacksStatement = { name: "insert_callbacks", text: insertCallbacksText("$1", "$2") };

/** Callbacks as rows for `insertCallbacksText`, and what the queue has to know of those that were inserted. */
export function callbackRows(context: CoreContext, callbacks: readonly NewCallback[]) {
  const rows = callbacks.map((callback) => ({
    guid: context.newGuid(),
    kind: callback.kind,
    payment_message_guid: callback.paymentMessageGuid ?? null,
    order_guid: callback.orderGuid ?? null,
    register_id: callback.registerId ?? null,
    receiver_guid: callback.receiverGuid,
    reason: callback.reason ?? "",
  }));
  const due = rows.map(({ guid, receiver_guid }, index): DueCallback => {
    const trace = callbacks[index]?.trace;
    const ticket = { callbackGuid: guid, series: 1, attempt: 0, receiverGuid: receiver_guid };
    return trace === undefined ? ticket : { ...ticket, trace };
  });
  return {
    json: JSON.stringify(rows),
    dueOf(inserted: ReadonlyArray<{ guid: string }>): DueCallback[] {
      const isNew = new Set(inserted.map(({ guid }) => guid));
      return due.filter(({ callbackGuid }) => isNew.has(callbackGuid));
    },
  };
}

/** Inserts callbacks inside the caller's transaction and answers those that are new, for the queue after the commit. */
export async function insertCallbacks(
  context: CoreContext,
  sql: Sql,
  callbacks: readonly NewCallback[],
): Promise<DueCallback[]> {
  if (callbacks.length === 0) return [];
  const rows = callbackRows(context, callbacks);
  return rows.dueOf(await sql<{ guid: string }>(insertCallbacksStatement, [rows.json, context.republishAfterMs]));
}

/** The sides of a payment message, as the cascade needs them. */
export type MessageSides = {
  guid: string;
  order_guid: string;
  merchant_guid: string;
  debtor_agent_guid: string;
  creditor_agent_guid: string;
};

const sideOf = {
  initiator_bank: (message) => message.debtor_agent_guid,
  recipient_bank: (message) => message.creditor_agent_guid,
  merchant: (message) => message.merchant_guid,
} as const satisfies Record<CallbackRole, (message: MessageSides) => string>;

/** The callbacks that an event of the cascade makes for one payment message (wire-contract section 5). */
export function followingCallbacks(
  event: Effect | "submit",
  message: MessageSides,
  trace: string | undefined,
): NewCallback[] {
  return follows(event).callbacks.map((callback) => ({
    kind: callback.kind,
    receiverGuid: sideOf[callback.role](message),
    paymentMessageGuid: message.guid,
    orderGuid: message.order_guid,
    reason: callback.reasonText,
    trace,
  }));
}

// One statement for all that the ends of callbacks do to payments. Locks come first and in the order of guids; a wish
// without a status (the cascade goes on) only needs the payment to be pending still.
const decideMessages = {
  name: "decide_messages",
  text: `
    with wish as (
      select * from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
        as wish(guid, status, reason, order_from, order_to)
    ), pending as (
      select m.guid, m.order_guid, m.merchant_guid, m.debtor_agent_guid, m.creditor_agent_guid
      from wish join payment_message m using (guid)
      where m.status = 'pending'
      order by m.guid for update of m
    ), decided as (
      update payment_message m set status = wish.status, reason = wish.reason, decided_at = now()
      from pending join wish using (guid)
      where m.guid = pending.guid and wish.status is not null
      returning m.guid, m.order_guid, wish.order_from, wish.order_to,
        extract(epoch from now() - m.received_at)::float8 as seconds
    ), moved as (
      update payment_order o set status = decided.order_to, updated_at = now()
      from decided where o.guid = decided.order_guid and o.status = decided.order_from
    )
    select pending.*, decided.seconds from pending left join decided using (guid)`,
};

/** A result and how long its payment took from its acceptance, by PostgreSQL's clock at the end. */
export type DecidedMessage = { result: PaymentMessageStatus; seconds: number };

/**
 * Applies what the ends of callbacks do to their payments, inside the caller's transaction: message and order states and
 * the callbacks that follow. A payment that is decided already is left alone, so a repeat can neither revive nor undo it.
 */
export async function applyEffects(
  context: CoreContext,
  sql: Sql,
  effects: ReadonlyArray<{ paymentMessageGuid: string; effect: Effect } & Traced>,
): Promise<{ due: DueCallback[]; decided: DecidedMessage[] }> {
  if (effects.length === 0) return { due: [], decided: [] };
  const wishes = new Map(effects.map((wish) => [wish.paymentMessageGuid, { ...wish, ...follows(wish.effect) }]));
  const asked = [...wishes.values()];
  const transitions = asked.map(({ messageStatus }) => messageStatus && orderTransitionOf[messageStatus]);
  const pending = await sql<MessageSides & { seconds: number | null }>(decideMessages, [
    asked.map((wish) => wish.paymentMessageGuid),
    asked.map((wish) => wish.messageStatus ?? null),
    asked.map((wish) => wish.messageReasonText ?? ""),
    transitions.map((transition) => transition?.from ?? null),
    transitions.map((transition) => transition?.to ?? null),
  ]);
  const callbacks = pending.flatMap((message) => {
    const { effect, trace } = wishes.get(message.guid) ?? { effect: "none" as const, trace: undefined };
    return followingCallbacks(effect, message, trace);
  });
  const decided = pending.flatMap(({ guid, seconds }) => {
    const result = wishes.get(guid)?.messageStatus;
    return result === undefined || seconds === null ? [] : [{ result, seconds }];
  });
  return { due: await insertCallbacks(context, sql, callbacks), decided };
}

const orderTransitionOf = {
  pending: undefined,
  success: orderTransitions.payment_message_succeeded,
  reject: orderTransitions.payment_message_rejected,
} as const satisfies Record<PaymentMessageStatus, (typeof orderTransitions)[keyof typeof orderTransitions] | undefined>;
