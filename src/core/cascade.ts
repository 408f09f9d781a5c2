import type { Sql } from "../db/pool.ts";
import { type CallbackKind, type CallbackRole, consequencesOf, type Effect } from "../domain/callback.ts";
import { type OrderStatus, orderTransitions } from "../domain/order.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import type { CoreContext, DueCallback, Traced } from "./context.ts";
import { toDue } from "./delivery.ts";

/**
 * SQL that inserts the callbacks of the query `source` as due now and returns the new ones. The relay (outbox) leaves them alone
 * for the milliseconds of parameter `wakeMs`, because they are published right after the commit. With a parameter `leaseMs` those
 * whose row says `in_hand` are leased as they are inserted, for their first attempt. A unique constraint makes it idempotent: a
 * callback that exists already is skipped.
 */
export function insertText(source: string, wakeMs: string, leaseMs?: string): string {
  const either = (leased: string, waiting: string) =>
    leaseMs === undefined ? waiting : `case when new.in_hand then ${leased} else ${waiting} end`;
  return `
      insert into callback (guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, reason, state,
        series, attempts, refusals, due_at, wake_at, created_at, updated_at)
      select guid, kind, payment_message_guid, order_guid, register_id, receiver_guid, reason,
        ${either("'in_flight'", "'waiting'")}, 1, ${either("1", "0")}, 0, now(),
        now() + ${either(leaseMs ?? "", wakeMs)} * interval '1 millisecond', now(), now()
      from (${source}) new
      on conflict do nothing
      returning guid, kind, receiver_guid, attempts`;
}

// ----------------------------------------------------------------------------------------- callbacks about a register

/** A callback about a register. */
export type NewCallback = { kind: CallbackKind; receiverGuid: string; registerId: string };

const insertCallbacksStatement = {
  name: "insert_callbacks",
  text: insertText(
    `select guid, kind, null::uuid as payment_message_guid, null::uuid as order_guid, register_id, receiver_guid,
       '' as reason
     from json_to_recordset($1::json) as new(guid uuid, kind text, register_id text, receiver_guid uuid)`,
    "$2",
  ),
};

/** Inserts callbacks inside the caller's transaction and answers those that are new, for the queue after the commit. */
export async function insertCallbacks(
  context: CoreContext,
  sql: Sql,
  callbacks: readonly NewCallback[],
): Promise<DueCallback[]> {
  if (callbacks.length === 0) return [];
  const rows = callbacks.map((callback) => ({
    guid: context.newGuid(),
    kind: callback.kind,
    register_id: callback.registerId,
    receiver_guid: callback.receiverGuid,
  }));
  const values = [JSON.stringify(rows), context.republishAfterMs];
  return firstTickets(await sql<Inserted>(insertCallbacksStatement, values), rows);
}

/** A callback that was inserted now. */
export type Inserted = { guid: string; kind: CallbackKind; receiver_guid: string; attempts: number };

/** The queue tickets of callbacks that were inserted just now; what is leased already needs none. */
export function firstTickets(
  inserted: readonly Inserted[],
  asked: ReadonlyArray<{ guid: string } & Traced>,
): DueCallback[] {
  const traces = new Map(asked.map(({ guid, trace }) => [guid, trace]));
  return inserted.flatMap(({ guid, kind, receiver_guid, attempts }) => {
    if (attempts > 0) return [];
    const trace = traces.get(guid);
    const ticket = toDue({ guid, kind, series: 1, attempts, receiverGuid: receiver_guid });
    return trace === undefined ? ticket : { ...ticket, trace };
  });
}

// ------------------------------------------------------------------------------------------- the cascade of a payment

/**
 * A callback that follows from an event of the cascade, addressed to a role; the insert looks up which participant has the role.
 */
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
  return consequencesOf(event).callbacks.map(({ kind, role, reasonText }) => ({
    guid: context.newGuid(),
    payment_message_guid: paymentMessageGuid,
    kind,
    role,
    reason: reasonText ?? "",
    trace,
  }));
}

/**
 * SQL that inserts callbacks given as the JSON of parameter `rows`. Each is joined by the condition `on` to its row `cause` in
 * `causes`, a table of payment messages, which says who initiator bank, recipient bank and merchant are. Otherwise as `insertText`.
 */
export const insertFollowingText = (rows: string, causes: string, on: string, wakeMs: string, leaseMs?: string) =>
  insertText(
    `select next.guid, next.kind, cause.guid as payment_message_guid, cause.order_guid, null::text as register_id,
       case next.role
         when 'initiator_bank' then cause.debtor_agent_guid
         when 'recipient_bank' then cause.creditor_agent_guid
         when 'merchant' then cause.merchant_guid
       end as receiver_guid, next.reason, next.in_hand
     from json_to_recordset(${rows}::json)
       as next(guid uuid, payment_message_guid uuid, place int, kind text, role text, reason text, in_hand boolean)
     join ${causes} cause on ${on}`,
    wakeMs,
    leaseMs,
  );

/**
 * The effect that the end of a callback has on its payment: columns for the statement that records the attempt, and the next
 * callbacks.
 */
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
  const { messageStatus, messageReasonText } = consequencesOf(effect);
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
