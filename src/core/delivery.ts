import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Row } from "../db/entities/entities.ts";
import { type CallbackKind, type CallbackRole, decidesPayment } from "../domain/callback.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import { type Amount, money } from "../wire/values.ts";
import { type CoreContext, type DueCallback, leaseMs } from "./context.ts";
import {
  decidedMessage,
  messageColumns,
  messageJoins,
  type PaymentMessageRow,
  toPaymentMessage,
} from "./paymentMessages.ts";

/** A leased callback with everything that its claims are built from. */
export type ClaimedCallback = {
  guid: string;
  kind: CallbackKind;
  series: number;
  /** The attempt to make now, already counted. */
  attempt: number;
  refusals: number;
  receiverGuid: string;
  reason: string;
  registerId: string | null;
  /** The instant of the claim by PostgreSQL's clock: signatures take it, so a wrong clock of this process does no harm. */
  claimedAt: Date;
  order: { id: string; ref: string; purpose: string; amount: Amount } | undefined;
  paymentMessage: PaymentMessage | undefined;
  /** Who has which role in the payment. */
  parties: Record<CallbackRole, string> | undefined;
};

/** A callback that was leased in the statement that inserted it. */
export type BornClaimed = Pick<ClaimedCallback, "guid" | "kind" | "receiverGuid" | "reason" | "claimedAt"> & {
  /** What became of the payment in the same statement. */
  decided: { status: PaymentMessageStatus; reason: string } | undefined;
};

/** What a claim of it would have answered, made from the callback whose end it follows. */
export function claimOfBorn(cause: ClaimedCallback, { decided, ...born }: BornClaimed): ClaimedCallback {
  const { paymentMessage } = cause;
  return {
    ...cause,
    ...born,
    ...{ series: 1, attempt: 1, refusals: 0 },
    paymentMessage:
      paymentMessage && decided ? decidedMessage(paymentMessage, { ...decided, at: born.claimedAt }) : paymentMessage,
  };
}

/** The queue ticket of a callback's row. */
export function toDue(
  row: Pick<Row<"callback">, "guid" | "kind" | "series" | "attempts" | "receiverGuid">,
): DueCallback {
  const { guid, kind, series, attempts, receiverGuid } = row;
  return { callbackGuid: guid, series, attempt: attempts, receiverGuid, decides: decidesPayment(kind) };
}

export type ClaimAnswer =
  | { claimed: ClaimedCallback }
  /** The ticket came too early, for example because the receiver asked for a longer wait. */
  | { notDueForMs: number }
  /** Delivered, leased by somebody else, or overtaken: nothing to do for this ticket. */
  | "obsolete";

/** Exact to the instant: neither a documented wait nor a Retry-After is ever shortened. */
const isDue = "c.due_at <= now()";

/**
 * The state as an expression that the planner cannot match with the relay's partial index. Before the first ANALYZE the planner
 * takes the tables for tiny and would read that whole index (the backlog and all dead callbacks) for every group. For the same
 * reason the statements below name the guids twice, in the join and as a list for the primary key.
 */
export const stateOf = (callback: string) => `${callback}.state || ''`;

const claimStatement = {
  name: "claim_callbacks",
  text: `
    with ticket as (
      select * from unnest($1::uuid[], $2::int[], $3::int[]) as ticket(guid, series, attempts)
    ), due as (
      select c.guid from ticket join callback c using (guid, series, attempts)
      where c.guid = any($1::uuid[]) and ${stateOf("c")} = 'waiting' and c.attempts < $4 and ${isDue}
      order by c.guid for update of c skip locked
    ), claimed as (
      update callback c
      set state = 'in_flight', attempts = c.attempts + 1, wake_at = now() + $5 * interval '1 millisecond',
        updated_at = now()
      from due where c.guid = due.guid
      returning c.guid, c.kind, c.series, c.attempts, c.refusals, c.receiver_guid, c.register_id, c.reason, c.order_guid,
        c.payment_message_guid
    )
    select c.guid as "callbackGuid", c.kind, c.series, c.attempts, c.refusals, c.receiver_guid as "receiverGuid",
      c.register_id as "registerId", c.reason as "callbackReason", now() as "claimedAt", message.*,
      o.guid as "toldOrderGuid", o.ref as "orderRef", o.amount_minor as "orderAmountMinor", o.currency as "orderCurrency",
      o.purpose as "orderPurpose"
    from claimed c
    left join payment_order o on o.guid = c.order_guid
    left join lateral (
      select ${messageColumns}, m.merchant_guid as "merchantGuid" from payment_message m ${messageJoins}
      where m.guid = c.payment_message_guid
    ) message on true`,
};

const notDueStatement = {
  name: "callbacks_not_due",
  text: `
    select c.guid, (extract(epoch from c.due_at - now()) * 1000)::float8 as wait_ms
    from unnest($1::uuid[], $2::int[], $3::int[]) as ticket(guid, series, attempts)
    join callback c using (guid, series, attempts)
    where c.guid = any($1::uuid[]) and ${stateOf("c")} = 'waiting' and not (${isDue})`,
};

/** The columns of a left join: all of them, or all null. */
type Joined<Columns> = Columns | { [Name in keyof Columns]: null };

type ClaimRow = Pick<Row<"callback">, "kind" | "series" | "attempts" | "refusals" | "receiverGuid" | "registerId"> & {
  callbackGuid: string;
  callbackReason: string;
  claimedAt: Date;
} & Joined<PaymentMessageRow & { merchantGuid: string }> &
  Joined<{
    toldOrderGuid: string;
    orderRef: string;
    orderAmountMinor: number;
    orderCurrency: string;
    orderPurpose: string;
  }>;

/** What a ticket says about the state of its callback: one that has moved on is not claimed. */
export type Claimable = Pick<DueCallback, "callbackGuid" | "series" | "attempt">;

/**
 * Leases callbacks for one attempt each and counts the attempt before anything is sent, so that no crash can make more
 * calls than the policy allows. One answer per ticket in the same order.
 */
export async function claimCallbacks(context: CoreContext, tickets: readonly Claimable[]): Promise<ClaimAnswer[]> {
  const keys = ticketArrays(tickets);
  const { retryPolicy } = context;
  const values = [...keys, retryPolicy.maxAttempts, leaseMs(retryPolicy)];
  const rows = await context.db.hot<ClaimRow>(claimStatement, values);
  const claimed = new Map(rows.map((row) => [row.callbackGuid, toClaimed(row)]));
  const waits = new Map<string, number>();
  if (claimed.size < tickets.length) {
    for (const row of await readNotDue(context, keys, claimed.size)) waits.set(row.guid, row.wait_ms);
  }
  return tickets.map((ticket) => {
    const callback = claimed.get(ticket.callbackGuid);
    // A second ticket of the same callback in the group must not get the same claim.
    if (callback !== undefined && claimed.delete(ticket.callbackGuid)) return { claimed: callback };
    const notDueForMs = waits.get(ticket.callbackGuid);
    return notDueForMs === undefined ? "obsolete" : { notDueForMs };
  });
}

/** Says why the other tickets were not claimed. It must not fail the group: the claims are committed and their attempts counted. */
async function readNotDue(context: CoreContext, keys: ReturnType<typeof ticketArrays>, claimed: number) {
  try {
    return await context.db.hot<{ guid: string; wait_ms: number }>(notDueStatement, [...keys]);
  } catch (error) {
    if (claimed === 0) throw error;
    return [];
  }
}

function ticketArrays(tickets: readonly Claimable[]) {
  return [
    tickets.map((ticket) => ticket.callbackGuid),
    tickets.map((ticket) => ticket.series),
    tickets.map((ticket) => ticket.attempt),
  ] as const;
}

function toClaimed(row: ClaimRow): ClaimedCallback {
  const { callbackGuid, kind, series, attempts, refusals, receiverGuid, callbackReason, registerId, claimedAt } = row;
  return {
    guid: callbackGuid,
    kind,
    series,
    attempt: attempts,
    refusals,
    receiverGuid,
    reason: callbackReason,
    registerId,
    claimedAt,
    order:
      row.toldOrderGuid === null
        ? undefined
        : {
            id: row.toldOrderGuid,
            ref: row.orderRef,
            purpose: row.orderPurpose,
            amount: money(row.orderAmountMinor, row.orderCurrency),
          },
    ...paymentOf(row),
  };
}

function paymentOf(row: ClaimRow): Pick<ClaimedCallback, "paymentMessage" | "parties"> {
  if (row.guid === null) return { paymentMessage: undefined, parties: undefined };
  const { merchantGuid, ...message } = row;
  const { debtorAgentGuid, creditorAgentGuid } = message;
  return {
    paymentMessage: toPaymentMessage(message),
    parties: { initiator_bank: debtorAgentGuid, recipient_bank: creditorAgentGuid, merchant: merchantGuid },
  };
}

const buryStatement = {
  name: "bury_callback",
  text: `
    update callback set state = 'dead', attempts = attempts - 1, resolution_note = $4, updated_at = now()
    where guid = $1 and series = $2 and attempts = $3 and state = 'in_flight'`,
};

/**
 * Marks a callback that the platform itself could not prepare as dead, with the problem in one sentence. Nothing was sent, so the
 * attempt is given back: the receiver must not lose one of its attempts to a fault of ours.
 */
export async function buryCallback(context: CoreContext, claimed: ClaimedCallback, problem: string): Promise<void> {
  await context.db.hot(buryStatement, [claimed.guid, claimed.series, claimed.attempt, problem]);
}
