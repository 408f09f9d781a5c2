import { afterAttempt, type CallbackKind, type Decision, type Outcome } from "../domain/callback.ts";
import type { PaymentState } from "../domain/order.ts";
import type { PaymentMessageStatus } from "../domain/paymentMessage.ts";
import {
  type Following,
  firstTickets,
  type Inserted,
  insertFollowingText,
  type PaymentEffect,
  paymentEffect,
} from "./cascade.ts";
import { type CoreContext, leaseMs, type Traced } from "./context.ts";
import { type BornClaimed, stateOf } from "./delivery.ts";

/** The result of one delivery attempt. Durations are milliseconds; `answer` holds at most 4 KiB. */
export type AttemptRecord = Traced & {
  callbackGuid: string;
  kind: CallbackKind;
  series: number;
  attempt: number;
  /** 4xx answers earlier in this series. */
  refusals: number;
  paymentMessageGuid: string | null;
  outcome: Outcome;
  durationMs: number;
  httpStatus?: number | undefined;
  retryAfterMs?: number | undefined;
  answer?: string | undefined;
  problem?: string | undefined;
  /** Kinds whose receivers have a slot in the caller's hand: those that follow are leased for it as they are inserted. */
  inHand?: readonly CallbackKind[] | undefined;
};

/**
 * `applied`: the record decided about its callback. `late`: the attempt had already been counted as lost, so the record corrects
 * the history and decides nothing. Neither: this attempt has been recorded already. `born`: what follows and is leased for the
 * caller, to be attempted now.
 */
export type RecordAnswer = { applied: boolean; late: boolean; decision: Decision; born: BornClaimed[] };

// One statement, and so one transaction, for a group of attempts and everything that follows from them. The lease is the fencing
// token: only the attempt that still holds it decides about its callback (`applied`). Every result is kept in the history, and a
// late one replaces the outcome `lost`. No ticket exists for the retry of a lost attempt, so its `wake_at` makes the relay publish
// it as soon as it is due. Messages are locked in the order of their guids, against deadlocks. An effect without a status (the
// cascade goes on) has only one condition: its payment is still pending.
const recordStatement = {
  name: "record_attempts",
  text: `
    with done as materialized (
      select * from json_to_recordset($1::json) as done(place int, guid uuid, series int, attempt int, state text,
        refusals int, outcome text, delay_ms float8, duration_ms int, http_status int, answer text, problem text,
        payment_message_guid uuid, message_status text, message_reason text, order_from text, order_to text)
    ), kept as (
      insert into callback_attempt (callback_guid, series, attempt, started_at, duration_ms, outcome, http_status, answer,
        problem)
      select distinct on (guid, series, attempt) guid, series, attempt, now() - duration_ms * interval '1 millisecond',
        duration_ms, outcome, http_status, answer, problem
      from done order by guid, series, attempt, outcome = 'lost'
      on conflict (callback_guid, series, attempt) do update
      set started_at = excluded.started_at, duration_ms = excluded.duration_ms, outcome = excluded.outcome,
        http_status = excluded.http_status, answer = excluded.answer, problem = excluded.problem
      where callback_attempt.outcome = 'lost' and excluded.outcome <> 'lost'
      returning callback_guid, series, attempt
    ), applied as (
      update callback c
      set state = done.state, refusals = done.refusals, last_outcome = done.outcome, updated_at = now(),
        due_at = now() + done.delay_ms * interval '1 millisecond',
        wake_at = now() + (done.delay_ms + case done.outcome when 'lost' then 0 else $2 end) * interval '1 millisecond'
      from done
      where c.guid = any($3::uuid[]) and c.guid = done.guid and c.series = done.series and c.attempts = done.attempt
        and ${stateOf("c")} = 'in_flight'
      returning done.place, done.payment_message_guid, done.message_status, done.message_reason, done.order_from,
        done.order_to, done.state, c.register_id, c.receiver_guid
    ), told as (
      insert into register_act (register_id, kind, actor, at)
      select register_id, 'told', receiver_guid::text, now() from applied
      where register_id is not null and state = 'delivered'
    ), pending as (
      select applied.place, m.guid, m.order_guid, m.merchant_guid, m.debtor_agent_guid, m.creditor_agent_guid,
        applied.message_status, applied.message_reason, applied.order_from, applied.order_to
      from applied join payment_message m on m.guid = applied.payment_message_guid
      where m.status = 'pending'
      order by m.guid for update of m
    ), decided as (
      update payment_message m set status = pending.message_status, reason = pending.message_reason, decided_at = now()
      from pending where m.guid = pending.guid and pending.message_status is not null
      returning m.order_guid, m.status, extract(epoch from now() - m.received_at)::float8 as seconds, pending.order_from,
        pending.order_to
    ), moved as (
      update payment_order o set status = decided.order_to, updated_at = now()
      from decided where o.guid = decided.order_guid and o.status = decided.order_from
    ), following as (${insertFollowingText("$4", "pending", "cause.place = next.place", "$2", "$5")}
    )
    select now() as at, (select json_agg(place) from applied) as applied,
      (select json_agg(done.place) from kept join done
        on done.guid = kept.callback_guid and done.series = kept.series and done.attempt = kept.attempt) as kept,
      (select json_agg(decided) from decided) as decided, (select json_agg(following) from following) as following`,
};

type Recorded = {
  at: Date;
  applied: number[] | null;
  kept: number[] | null;
  decided: { order_guid: string; status: Exclude<PaymentMessageStatus, "pending">; seconds: number }[] | null;
  following: Inserted[] | null;
};

/**
 * Records attempts and everything that follows from them (callback state, payment, order, next callbacks) in one transaction; one
 * answer per record in the same order. A late record of an attempt that was counted as lost replaces that in the history and
 * changes nothing else. A payment that is already decided is left alone, so recording is idempotent: a repeat can neither revive
 * nor undo it.
 */
export async function recordAttempts(context: CoreContext, records: readonly AttemptRecord[]): Promise<RecordAnswer[]> {
  const decided = records.map((record) => {
    const decision = afterAttempt({ ...record, policy: context.retryPolicy });
    return { record, decision, effect: paymentEffect(context, decision.effect, record) };
  });
  // Joined by the place of the record: if a group holds two records of one payment, only the applied one may cause callbacks.
  const following = decided.flatMap(({ effect }, place) =>
    (effect?.following ?? []).map((next) => ({ ...next, place, in_hand: isInHand(next, records[place]) })),
  );
  const [recorded] = await context.db.hot<Recorded>(recordStatement, [
    JSON.stringify(decided.map(doneRow)),
    context.republishAfterMs,
    records.map((record) => record.callbackGuid),
    JSON.stringify(following),
    leaseMs(context.retryPolicy),
  ]);
  context.onCallbacksDue(firstTickets(recorded?.following ?? [], following));
  const payments = recorded?.decided ?? [];
  context.onOrdersChanged(
    payments.map(({ order_guid, status }) => ({ orderGuid: order_guid, state: stateAfter[status] })),
  );
  for (const { status, seconds } of payments) context.observer?.decided(status, seconds);
  const applied = new Set(recorded?.applied);
  const kept = new Set(recorded?.kept);
  const born = bornOf(recorded);
  return decided.map(({ decision, effect }, place) => {
    const isApplied = applied.has(place);
    const late = kept.has(place) && !isApplied;
    return { applied: isApplied, late, decision, born: effect === undefined ? [] : born(effect) };
  });
}

const isInHand = ({ kind }: Following, record: AttemptRecord | undefined) => record?.inHand?.includes(kind) ?? false;

/** Answers what an effect has inserted as leased. */
function bornOf(recorded: Recorded | undefined): (effect: PaymentEffect) => BornClaimed[] {
  const leased = (recorded?.following ?? []).filter(({ attempts }) => attempts > 0);
  const receivers = new Map(leased.map(({ guid, receiver_guid }) => [guid, receiver_guid]));
  return ({ columns, following }) => {
    const { message_status: status, message_reason: reason } = columns;
    const decided = status === null ? undefined : { status, reason };
    return following.flatMap(({ guid, kind, reason }) => {
      const receiverGuid = receivers.get(guid);
      if (recorded === undefined || receiverGuid === undefined) return [];
      return { guid, kind, reason, receiverGuid, claimedAt: recorded.at, decided };
    });
  };
}

/** What the payer of an order is told once its payment message is decided. */
const stateAfter = { success: "paid", reject: "rejected" } as const satisfies Record<string, PaymentState>;

type Decided = { record: AttemptRecord; decision: Decision; effect: PaymentEffect | undefined };

function doneRow({ record, decision, effect }: Decided, place: number) {
  return {
    place,
    guid: record.callbackGuid,
    series: record.series,
    attempt: record.attempt,
    state: decision.state,
    delay_ms: decision.state === "waiting" ? decision.delayMs : 0,
    refusals: record.refusals + (record.outcome === "refused" ? 1 : 0),
    outcome: record.outcome,
    duration_ms: Math.round(record.durationMs),
    http_status: record.httpStatus ?? null,
    answer: record.answer ?? null,
    problem: record.problem ?? null,
    ...effect?.columns,
  };
}
