import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import {
  type Callback,
  type CallbackAttempt,
  CallbackAttemptSchema,
  CallbackSchema,
} from "../../gen/dcm/v1/callback_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { query, rowsOf, selected } from "../db/query.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import type { CallbackKind, CallbackState } from "../domain/callback.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import { lengthOf } from "../domain/text.ts";
import { callbackKinds, callbackStates } from "../wire/enums.ts";
import { instantOrUnset } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { toDue } from "./delivery.ts";
import { isGuid } from "./guid.ts";

/** Columns that an answer does not show: the text sent, and what only the relay and the retry policy use. */
const notShown = ["reason", "refusals", "wakeAt"] as const satisfies (keyof Row<"callback">)[];

/** A callback as `callbackColumns` reads it. */
type CallbackRow = Omit<Row<"callback">, (typeof notShown)[number]> & { lastAttemptAt: Date | null };

/** SQL: the columns of `CallbackRow`, for every statement that reads or returns `callback c`. */
const callbackColumns = `${columns("callback", { of: "c", but: notShown })},
  (select max(a.started_at) from callback_attempt a where a.callback_guid = c.guid) as "lastAttemptAt"`;

/** A callback as operators and its receiver see it. */
function toCallback(row: CallbackRow): Callback {
  const { kind, state, orderGuid, dueAt, createdAt, updatedAt, lastAttemptAt, ...same } = row;
  return whole(CallbackSchema, {
    ...same,
    kind: callbackKinds[kind],
    state: callbackStates[state],
    paymentMessageGuid: row.paymentMessageGuid ?? "",
    orderId: orderGuid ?? "",
    registerId: row.registerId ?? "",
    dueAt: state === "waiting" ? timestampFromDate(dueAt) : undefined,
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
    lastAttemptAt: instantOrUnset(lastAttemptAt),
    lastOutcome: row.lastOutcome ?? "",
    resolvedBy: row.resolvedBy ?? "",
    resolutionNote: row.resolutionNote ?? "",
  });
}

type AttemptRow = Omit<Row<"callback_attempt">, "callbackGuid">;

function toAttempt({ startedAt, httpStatus, answer, problem, ...same }: AttemptRow): CallbackAttempt {
  return whole(CallbackAttemptSchema, {
    ...same,
    startedAt: timestampFromDate(startedAt),
    httpStatus: httpStatus ?? 0,
    answer: answer ?? "",
    problem: problem ?? "",
  });
}

/** Members that are absent do not restrict. */
export type CallbackFilter = {
  states?: readonly CallbackState[] | undefined;
  kinds?: readonly CallbackKind[] | undefined;
  receiverGuid?: string | undefined;
  paymentMessageGuid?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  /** Only callbacks that failed at least once, or are dead, and are not delivered. */
  missed?: boolean | undefined;
};

/** The query of the callbacks that match a filter. */
function matching({ states, kinds, receiverGuid, paymentMessageGuid, since, until, missed }: CallbackFilter) {
  let found = query.selectFrom("callback as c");
  if (kinds?.length) found = found.where("c.kind", "in", kinds);
  if (receiverGuid) found = found.where("c.receiver_guid", "=", receiverGuid);
  if (paymentMessageGuid) found = found.where("c.payment_message_guid", "=", paymentMessageGuid);
  if (since) found = found.where("c.created_at", ">=", since);
  if (until) found = found.where("c.created_at", "<", until);
  // Written as literals, because the planner uses a partial index only for states that it can see; they come from a closed list.
  if (states?.length) {
    found = found.where(
      "c.state",
      "in",
      states.map((state) => sql.lit(state)),
    );
  }
  if (missed)
    found = found.where(sql<boolean>`c.state <> 'delivered' and (c.last_outcome is not null or c.state = 'dead')`);
  return found;
}

/** Whether a guid in the filter is malformed, so that no row can match. */
function matchesNothing(filter: CallbackFilter): boolean {
  return [filter.receiverGuid, filter.paymentMessageGuid].some((guid) => guid && !isGuid(guid));
}

/** Lists callbacks, newest first; `after` is the guid of the last one of the previous page. */
export async function listCallbacks(
  { db }: CoreContext,
  filter: CallbackFilter,
  { limit, after }: { limit: number; after?: string | undefined },
): Promise<Callback[]> {
  if (matchesNothing(filter) || (after && !isGuid(after))) return [];
  const found = after ? matching(filter).where("c.guid", "<", after) : matching(filter);
  const page = found.select(selected<CallbackRow>(callbackColumns)).orderBy("c.guid", "desc").limit(limit);
  return (await rowsOf(db.sql, page)).map(toCallback);
}

const selectCallback = { name: "select_callback", text: `select ${callbackColumns} from callback c where c.guid = $1` };

async function findCallback({ db }: CoreContext, guid: string): Promise<CallbackRow | Refusal> {
  const [row] = isGuid(guid) ? await db.sql<CallbackRow>(selectCallback, [guid]) : [];
  return row ?? refuse("CALLBACK_NOT_FOUND", "no such callback", { field: "guid" });
}

const selectAttempts = {
  name: "select_attempts",
  text: `
    select ${columns("callback_attempt", { of: "a", but: ["callbackGuid"] })}
    from callback_attempt a where a.callback_guid = $1 order by a.series, a.attempt`,
};

/** Reads one callback with every attempt, oldest first. */
export async function getCallback(
  context: CoreContext,
  guid: string,
): Promise<{ callback: Callback; attempts: CallbackAttempt[] } | Refusal> {
  const found = await findCallback(context, guid);
  if (isRefusal(found)) return found;
  const attempts = await context.db.sql<AttemptRow>(selectAttempts, [guid]);
  return { callback: toCallback(found), attempts: attempts.map(toAttempt) };
}

/** The most callbacks that one call replays. */
const replayLimit = 1000;

/** The beginning of a query for `change`: callbacks, and their digest before the change for the audit trail. */
const before = `select c.guid, ${digestOf("c")} as digest from callback c`;

type Change = { act: "callback_replayed" | "callback_resolved"; actor: string; chosen: string; assignments: string };

/**
 * SQL that changes the callbacks that the query `chosen` selects and locks, and adds an audit entry for each one, so that the
 * history of a callback can be read by its guid. `actor` is a parameter.
 */
const change = ({ act, actor, chosen, assignments }: Change) => `
  with before as (${chosen}
  ), changed as (
    update callback c set ${assignments}
    from before where c.guid = before.guid
    returning ${callbackColumns}, before.digest as digest_before, ${digestOf("c")} as digest_after
  ), entry as (${insertEntry({
    act,
    actor,
    object: "guid",
    digests: { before: "digest_before", after: "digest_after" },
    from: "changed",
  })}
  )
  select * from changed`;

/**
 * SQL for a replay. The relay leaves the new tickets alone for the milliseconds of parameter `wakeMs`. A dead callback continues
 * its series, because its failure was our fault: only the first series has effects, and the payment may still be pending for it.
 */
const newSeries = ({ wakeMs, ...which }: Pick<Change, "actor" | "chosen"> & { wakeMs: string }) =>
  change({
    act: "callback_replayed",
    ...which,
    assignments: `state = 'waiting', series = case c.state when 'dead' then c.series else c.series + 1 end,
      attempts = case c.state when 'dead' then c.attempts else 0 end,
      refusals = case c.state when 'dead' then c.refusals else 0 end, due_at = now(),
      wake_at = now() + ${wakeMs} * interval '1 millisecond', resolved_by = null, resolution_note = null,
      updated_at = now()`,
  });

/**
 * A Pay-in that ended cannot be replayed: its payment was rejected with it, and telling the receiver `success` later would be
 * false, with nothing to correct it (wire-contract section 5). A dead Pay-in has not ended; its payment is still pending.
 */
const isReplayable =
  "(c.state = 'dead' or c.state in ('review', 'resolved') and c.kind not in ('pay_in_bank', 'pay_in_merchant'))";

const replayOne = {
  name: "replay_callback",
  text: newSeries({ actor: "$2", wakeMs: "$3", chosen: `${before} where c.guid = $1 and ${isReplayable} for update` }),
};

/**
 * Starts a new series of attempts under the same guid, or continues the series of a dead callback. A new series never changes the
 * payment (see `afterAttempt`). Refused for callbacks that must not be repeated.
 */
export async function replayCallback(context: CoreContext, actor: Actor, guid: string): Promise<Callback | Refusal> {
  const found = await findCallback(context, guid);
  if (isRefusal(found)) return found;
  const [row] = await context.db.sql<CallbackRow>(replayOne, [guid, actorName(actor), context.republishAfterMs]);
  if (row === undefined) {
    const { kind, state } = found;
    const isPayIn = kind === "pay_in_bank" || kind === "pay_in_merchant";
    const isOver = state === "failed" || (isPayIn && (state === "review" || state === "resolved"));
    const message = isOver
      ? `the callback is ${state} and its payment is decided; telling it again would not be true`
      : `the callback is ${state}; only review, resolved and dead can be replayed`;
    return refuse("CALLBACK_NOT_REPLAYABLE", message, { field: "guid" });
  }
  context.onCallbacksDue([toDue(row)]);
  return toCallback(row);
}

const replayableInBulk: readonly CallbackState[] = ["review", "dead"];

/** Replays callbacks in review or dead that match the filter, at most `replayLimit`; answers how many. */
export async function replayCallbacks(context: CoreContext, actor: Actor, filter: CallbackFilter): Promise<number> {
  const states = filter.states?.length
    ? filter.states.filter((state) => replayableInBulk.includes(state))
    : replayableInBulk;
  if (states.length === 0 || matchesNothing(filter)) return 0;
  const chosen = matching({ ...filter, states })
    .select(["c.guid", sql`${sql.raw(digestOf("c"))}`.as("digest")])
    .where(sql<boolean>`${sql.raw(isReplayable)}`)
    .orderBy("c.guid")
    .limit(replayLimit)
    .forUpdate()
    .skipLocked()
    .compile();
  const values = [...chosen.parameters];
  const actorAt = `$${values.push(actorName(actor))}`;
  const wakeMs = `$${values.push(context.republishAfterMs)}`;
  const statement = { name: "", text: newSeries({ chosen: chosen.sql, actor: actorAt, wakeMs }) };
  const rows = await context.db.sql<CallbackRow>(statement, values);
  context.onCallbacksDue(rows.map(toDue));
  return rows.length;
}

/** Idempotent: the same actor and note again leave `updated_at` as it is. */
const resolveStatement = {
  name: "resolve_callback",
  text: change({
    act: "callback_resolved",
    actor: "$2",
    chosen: `${before} where c.guid = $1 and (c.state in ('review', 'resolved')
      or c.state = 'dead' and c.kind not in ('pay_in_bank', 'pay_in_merchant')) for update`,
    assignments: `state = 'resolved', resolved_by = $2, resolution_note = $3,
      updated_at = case when c.state = 'resolved' and c.resolved_by = $2 and c.resolution_note = $3
        then c.updated_at else now() end`,
  }),
};

/**
 * Closes a review, with the actor and a note. A dead Pay-in cannot be closed, because its payment would stay pending for ever; it
 * has to be replayed.
 */
export async function resolveCallback(
  context: CoreContext,
  actor: Actor,
  guid: string,
  note: string,
): Promise<Callback | Refusal> {
  if (note === "" || lengthOf(note) > 2000) {
    return refuse("INVALID_REQUEST", "note does not have 1 to 2000 characters", { field: "note" });
  }
  const found = await findCallback(context, guid);
  if (isRefusal(found)) return found;
  const [row] = await context.db.sql<CallbackRow>(resolveStatement, [guid, actorName(actor), note]);
  if (row !== undefined) return toCallback(row);
  const message =
    found.state === "dead"
      ? "the callback is dead and its payment waits for it; replay it instead"
      : `the callback is ${found.state}; only review and dead can be resolved`;
  return refuse("CALLBACK_NOT_REPLAYABLE", message, { field: "guid" });
}
