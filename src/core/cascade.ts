import type { Sql } from "../db/database.ts";
import { type CallbackKind, type CallbackRole, type Effect, follows } from "../domain/callback.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";
import { moveOrders } from "./orders.ts";

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

const insertCallbacksStatement = {
  name: "insert_callbacks",
  text: `
    insert into callback (guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, state, reason,
      series, attempts, refusals, due_at, wake_at, created_at, updated_at)
    select guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, 'waiting', reason,
      1, 0, 0, now(), now() + $2 * interval '1 millisecond', now(), now()
    from json_to_recordset($1::json) as new(guid uuid, kind text, payment_message_guid uuid, order_guid uuid,
      register_id text, receiver_guid uuid, reason text)
    on conflict do nothing
    returning guid, receiver_guid`,
};

/**
 * Inserts callbacks inside the caller's transaction and answers those that are new, to be handed to the queue after the
 * commit. A callback that exists already is passed over: the cascade of a payment happens once, whatever is repeated.
 */
export async function insertCallbacks(
  context: CoreContext,
  sql: Sql,
  callbacks: readonly NewCallback[],
): Promise<DueCallback[]> {
  if (callbacks.length === 0) return [];
  const rows = callbacks.map((callback) => ({
    guid: context.newGuid(),
    kind: callback.kind,
    payment_message_guid: callback.paymentMessageGuid ?? null,
    order_guid: callback.orderGuid ?? null,
    register_id: callback.registerId ?? null,
    receiver_guid: callback.receiverGuid,
    reason: callback.reason ?? "",
  }));
  const inserted = await sql<{ guid: string; receiver_guid: string }>(insertCallbacksStatement, [
    JSON.stringify(rows),
    context.republishAfterMs,
  ]);
  const traces = new Map(rows.map((row, index) => [row.guid, callbacks[index]?.trace]));
  return inserted.map((row) => {
    const trace = traces.get(row.guid);
    return {
      callbackGuid: row.guid,
      series: 1,
      attempt: 0,
      receiverGuid: row.receiver_guid,
      ...(trace !== undefined && { trace }),
    };
  });
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

const lockPending = {
  name: "lock_pending_messages",
  text: `
    select guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid from payment_message
    where guid = any($1::uuid[]) and status = 'pending'
    order by guid for update`,
};

const decideMessages = {
  name: "decide_messages",
  text: `
    update payment_message set status = $2, reason = $3, decided_at = now()
    where guid = any($1::uuid[])
    returning extract(epoch from decided_at - received_at)::float8 as seconds`,
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
  const wanted = new Map(effects.map((wish) => [wish.paymentMessageGuid, wish]));
  const effectOn = (message: MessageSides) => wanted.get(message.guid)?.effect ?? "none";
  if (wanted.size === 0) return { due: [], decided: [] };
  const decided: DecidedMessage[] = [];
  const pending = await sql<MessageSides>(lockPending, [[...wanted.keys()]]);
  const byEffect = Map.groupBy(pending, effectOn);
  for (const [effect, messages] of byEffect) {
    const { messageStatus, messageReasonText } = follows(effect);
    if (messageStatus === undefined) continue;
    const guids = messages.map((message) => message.guid);
    const rows = await sql<{ seconds: number }>(decideMessages, [guids, messageStatus, messageReasonText ?? ""]);
    decided.push(...rows.map(({ seconds }) => ({ result: messageStatus, seconds })));
    const transition = orderTransitionOf[messageStatus];
    if (transition !== undefined) {
      await moveOrders(
        sql,
        transition,
        messages.map((message) => message.order_guid),
      );
    }
  }
  const callbacks = pending.flatMap((message) =>
    followingCallbacks(effectOn(message), message, wanted.get(message.guid)?.trace),
  );
  return { due: await insertCallbacks(context, sql, callbacks), decided };
}

const orderTransitionOf = {
  pending: undefined,
  success: "payment_message_succeeded",
  reject: "payment_message_rejected",
} as const satisfies Record<PaymentMessageStatus, string | undefined>;
