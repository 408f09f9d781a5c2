import type { Sql } from "../db/database.ts";
import { type CallbackKind, type CallbackRole, type Effect, follows } from "../domain/callback.ts";
import { type OrderStatus, orderTransitions } from "../domain/order.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";

// ---------------------------------------------------------------------------------------- callbacks about no payment

/** A callback about an order or a register. */
export type NewCallback = { kind: CallbackKind; receiverGuid: string; orderGuid?: string; registerId?: string };

const insertCallbacksStatement = {
  name: "insert_callbacks",
  text: `
    insert into callback (guid, kind, order_guid, register_id, receiver_guid, state, reason, series, attempts, refusals,
      due_at, wake_at, created_at, updated_at)
    select guid, kind, order_guid, register_id, receiver_guid, 'waiting', '', 1, 0, 0,
      now(), now() + $2 * interval '1 millisecond', now(), now()
    from json_to_recordset($1::json) as new(guid uuid, kind text, order_guid uuid, register_id text, receiver_guid uuid)
    on conflict do nothing
    returning guid, receiver_guid`,
};

/**
 * Inserts callbacks inside the caller's transaction and answers those that are new, for the queue after the commit. One
 * that exists already is passed over: what it tells happens once, whatever is repeated.
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
    order_guid: callback.orderGuid ?? null,
    register_id: callback.registerId ?? null,
    receiver_guid: callback.receiverGuid,
  }));
  const values = [JSON.stringify(rows), context.republishAfterMs];
  return firstTickets(await sql<Inserted>(insertCallbacksStatement, values), rows);
}

/** A callback that is new. */
export type Inserted = { guid: string; receiver_guid: string };

/** What the queue has to know of callbacks that were inserted just now. */
export function firstTickets(
  inserted: readonly Inserted[],
  asked: ReadonlyArray<{ guid: string } & Traced>,
): DueCallback[] {
  const traces = new Map(asked.map(({ guid, trace }) => [guid, trace]));
  return inserted.map(({ guid, receiver_guid }) => {
    const trace = traces.get(guid);
    const ticket = { callbackGuid: guid, series: 1, attempt: 0, receiverGuid: receiver_guid };
    return trace === undefined ? ticket : { ...ticket, trace };
  });
}

// ------------------------------------------------------------------------------------------- the cascade of a payment

/** A callback that follows from an event of the cascade; the database knows who has the role. */
export type Following = Traced & {
  guid: string;
  payment_message_guid: string;
  kind: CallbackKind;
  role: CallbackRole;
  reason: string;
};

/** The callbacks that an event of the cascade makes for one payment message (wire-contract section 5). */
export function followingCallbacks(
  context: CoreContext,
  event: Effect | "submit",
  paymentMessageGuid: string,
  trace: string | undefined,
): Following[] {
  return follows(event).callbacks.map(({ kind, role, reasonText }) => ({
    guid: context.newGuid(),
    payment_message_guid: paymentMessageGuid,
    kind,
    role,
    reason: reasonText ?? "",
    trace,
  }));
}

/**
 * The text that inserts the callbacks in the JSON of parameter `rows` where their cause is in the table `causes`, which has
 * the sides of the payment; answers the new ones. `key` is the column that both sides know the cause by. The relay leaves
 * them alone for the milliseconds of parameter `wakeMs`. A callback that exists already is passed over: the cascade of a
 * payment happens once, whatever is repeated.
 */
export const insertFollowingText = (rows: string, causes: string, key: "guid" | "place", wakeMs: string) => `
      insert into callback (guid, kind, payment_message_guid, order_guid, receiver_guid, state, reason, series, attempts,
        refusals, due_at, wake_at, created_at, updated_at)
      select next.guid, next.kind, cause.guid, cause.order_guid,
        case next.role
          when 'initiator_bank' then cause.debtor_agent_guid
          when 'recipient_bank' then cause.creditor_agent_guid
          when 'merchant' then cause.merchant_guid
        end,
        'waiting', next.reason, 1, 0, 0, now(), now() + ${wakeMs} * interval '1 millisecond', now(), now()
      from json_to_recordset(${rows}::json)
        as next(guid uuid, payment_message_guid uuid, place int, kind text, role text, reason text)
      join ${causes} cause on cause.${key} = next.${key === "guid" ? "payment_message_guid" : key}
      on conflict do nothing
      returning guid, receiver_guid`;

/** What the end of a callback does to its payment: columns of the statement that records it, and what follows. */
export type PaymentEffect = {
  columns: {
    payment_message_guid: string;
    message_status: PaymentMessageStatus | null;
    message_reason: string;
    order_from: OrderStatus | null;
    order_to: OrderStatus | null;
  };
  following: Following[];
};

/** Undefined where the end of a callback has no effect on a payment. */
export function paymentEffect(
  context: CoreContext,
  effect: Effect,
  { paymentMessageGuid, trace }: { paymentMessageGuid: string | null } & Traced,
): PaymentEffect | undefined {
  if (effect === "none" || paymentMessageGuid === null) return undefined;
  const { messageStatus, messageReasonText } = follows(effect);
  const transition = messageStatus && orderTransitionOf[messageStatus];
  return {
    columns: {
      payment_message_guid: paymentMessageGuid,
      message_status: messageStatus ?? null,
      message_reason: messageReasonText ?? "",
      order_from: transition?.from ?? null,
      order_to: transition?.to ?? null,
    },
    following: followingCallbacks(context, effect, paymentMessageGuid, trace),
  };
}

const orderTransitionOf = {
  pending: undefined,
  success: orderTransitions.payment_message_succeeded,
  reject: orderTransitions.payment_message_rejected,
} as const satisfies Record<PaymentMessageStatus, (typeof orderTransitions)[keyof typeof orderTransitions] | undefined>;
