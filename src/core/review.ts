import { type Actor, actorName } from "../domain/actor.ts";
import type { CallbackKind, CallbackState, StoredOutcome } from "../domain/callback.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { lengthOf } from "../domain/text.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { toDue } from "./delivery.ts";
import { isGuid } from "./guid.ts";

/** A callback as operators and its receiver see it. */
export type CallbackView = {
  guid: string;
  kind: CallbackKind;
  state: CallbackState;
  receiverGuid: string;
  paymentMessageGuid: string | null;
  orderGuid: string | null;
  registerId: string | null;
  series: number;
  attempts: number;
  dueAt: Date;
  createdAt: Date;
  updatedAt: Date;
  lastOutcome: StoredOutcome | null;
  lastAttemptAt: Date | null;
  resolvedBy: string | null;
  resolutionNote: string | null;
};

export type CallbackAttempt = {
  series: number;
  attempt: number;
  startedAt: Date;
  durationMs: number;
  outcome: StoredOutcome;
  httpStatus: number | null;
  answer: string | null;
  problem: string | null;
};

/** Members that are absent do not restrict. */
export type CallbackFilter = {
  states?: readonly CallbackState[] | undefined;
  kinds?: readonly CallbackKind[] | undefined;
  receiverGuid?: string | undefined;
  paymentMessageGuid?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
  /** Only callbacks that failed at least once, or died of our fault, and are not delivered. */
  missed?: boolean | undefined;
};

type CallbackRow = {
  guid: string;
  kind: CallbackKind;
  state: CallbackState;
  receiver_guid: string;
  payment_message_guid: string | null;
  order_guid: string | null;
  register_id: string | null;
  series: number;
  attempts: number;
  due_at: Date;
  created_at: Date;
  updated_at: Date;
  last_outcome: StoredOutcome | null;
  last_attempt_at: Date | null;
  resolved_by: string | null;
  resolution_note: string | null;
};

/** The columns of `CallbackRow`, for every statement that reads or returns `callback c`. */
const columns = `
  c.guid, c.kind, c.state, c.receiver_guid, c.payment_message_guid, c.order_guid, c.register_id, c.series, c.attempts,
  c.due_at, c.created_at, c.updated_at, c.last_outcome, c.resolved_by, c.resolution_note,
  (select max(a.started_at) from callback_attempt a where a.callback_guid = c.guid) as last_attempt_at`;

function toView(row: CallbackRow): CallbackView {
  return {
    guid: row.guid,
    kind: row.kind,
    state: row.state,
    receiverGuid: row.receiver_guid,
    paymentMessageGuid: row.payment_message_guid,
    orderGuid: row.order_guid,
    registerId: row.register_id,
    series: row.series,
    attempts: row.attempts,
    dueAt: row.due_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastOutcome: row.last_outcome,
    lastAttemptAt: row.last_attempt_at,
    resolvedBy: row.resolved_by,
    resolutionNote: row.resolution_note,
  };
}

/** The conditions of a filter as SQL over `callback c`; their values come behind `before` in the numbering. */
function conditions(filter: CallbackFilter, before: readonly unknown[] = []): { text: string; values: unknown[] } {
  const parts: [condition: string, value: unknown][] = [];
  if (filter.kinds?.length) parts.push(["c.kind = any(#::text[])", filter.kinds]);
  if (filter.receiverGuid) parts.push(["c.receiver_guid = #::uuid", filter.receiverGuid]);
  if (filter.paymentMessageGuid) parts.push(["c.payment_message_guid = #::uuid", filter.paymentMessageGuid]);
  if (filter.since) parts.push(["c.created_at >= #::timestamptz", filter.since]);
  if (filter.until) parts.push(["c.created_at < #::timestamptz", filter.until]);
  const numbered = parts.map(([condition], index) => condition.replace("#", `$${before.length + index + 1}`));
  // Written out, because a partial index is used only for states that the planner can read; they come from a closed list.
  if (filter.states?.length) numbered.push(`c.state in (${filter.states.map((state) => `'${state}'`).join(", ")})`);
  if (filter.missed) numbered.push("c.state <> 'delivered' and (c.last_outcome is not null or c.state = 'dead')");
  return { text: ["true", ...numbered].join(" and "), values: [...before, ...parts.map(([, value]) => value)] };
}

/** A filter that no row can match because a guid in it is none. */
function matchesNothing(filter: CallbackFilter): boolean {
  return [filter.receiverGuid, filter.paymentMessageGuid].some((guid) => guid && !isGuid(guid));
}

/** Lists callbacks, newest first; `after` is the guid of the last one of the previous page. */
export async function listCallbacks(
  context: CoreContext,
  filter: CallbackFilter,
  page: { limit: number; after?: string | undefined },
): Promise<CallbackView[]> {
  if (matchesNothing(filter) || (page.after && !isGuid(page.after))) return [];
  const { text, values } = conditions(filter);
  const after = page.after ? `and c.guid < $${values.push(page.after)}::uuid` : "";
  const statement = {
    name: "",
    text: `select ${columns} from callback c where ${text} ${after} order by c.guid desc limit $${values.push(page.limit)}`,
  };
  return (await context.db.sql<CallbackRow>(statement, values)).map(toView);
}

const selectCallback = { name: "select_callback", text: `select ${columns} from callback c where c.guid = $1` };

const selectAttempts = {
  name: "select_attempts",
  text: `
    select series, attempt, started_at as "startedAt", duration_ms as "durationMs", outcome,
      http_status as "httpStatus", answer, problem
    from callback_attempt where callback_guid = $1 order by series, attempt`,
};

/** Reads one callback with every attempt, oldest first. */
export async function getCallback(
  context: CoreContext,
  guid: string,
): Promise<{ callback: CallbackView; attempts: CallbackAttempt[] } | Refusal> {
  const [row] = isGuid(guid) ? await context.db.sql<CallbackRow>(selectCallback, [guid]) : [];
  if (row === undefined) return refuse("CALLBACK_NOT_FOUND", "no such callback", { field: "guid" });
  return { callback: toView(row), attempts: await context.db.sql<CallbackAttempt>(selectAttempts, [guid]) };
}

/** What one call replays at most. */
const replayLimit = 1000;

/**
 * Changes the callbacks of a condition, which locks them, in the name of `$2`. Each has an audit entry of its own, so that
 * whoever looks at one sees what was done with it.
 */
const change = (act: "callback_replayed" | "callback_resolved", which: string, assignments: string) => `
  with before as (
    select c.guid, ${digestOf("c")} as digest from callback c where ${which}
  ), changed as (
    update callback c set ${assignments}
    from before where c.guid = before.guid
    returning ${columns}, before.digest as digest_before, ${digestOf("c")} as digest_after
  ), entry as (${insertEntry({
    act,
    actor: "$2",
    object: "guid",
    digests: { before: "digest_before", after: "digest_after" },
    from: "changed",
  })}
  )
  select * from changed`;

/**
 * `$1` is how long the relay leaves the new tickets alone, in milliseconds. A dead callback goes on where we failed it instead of
 * beginning a new series: only the first series has effects, and its payment may still wait for them.
 */
const newSeries = (which: string) =>
  change(
    "callback_replayed",
    which,
    `state = 'waiting', series = case c.state when 'dead' then c.series else c.series + 1 end,
      attempts = case c.state when 'dead' then c.attempts else 0 end,
      refusals = case c.state when 'dead' then c.refusals else 0 end, due_at = now(),
      wake_at = now() + $1 * interval '1 millisecond', resolved_by = null, resolution_note = null,
      updated_at = now()`,
  );

/**
 * A Pay-in that ended is over: its payment was rejected with it, and telling its receiver `success` afterwards would be a lie
 * that nothing corrects (wire-contract section 5). A dead Pay-in has not ended; its payment waits for it.
 */
const isReplayable =
  "(c.state = 'dead' or c.state in ('review', 'resolved') and c.kind not in ('pay_in_bank', 'pay_in_merchant'))";

const replayOne = {
  name: "replay_callback",
  text: newSeries(`c.guid = $3 and ${isReplayable} for update`),
};

/**
 * Starts a new series of attempts under the same guid, or lets a dead callback go on. What the payment came to stays as it
 * is: only the first series has effects (see `afterAttempt`).
 */
export async function replayCallback(
  context: CoreContext,
  actor: Actor,
  guid: string,
): Promise<CallbackView | Refusal> {
  const found = await getCallback(context, guid);
  if ("refused" in found) return found;
  const [row] = await context.db.sql<CallbackRow>(replayOne, [context.republishAfterMs, actorName(actor), guid]);
  if (row === undefined) {
    const { kind, state } = found.callback;
    const isPayIn = kind === "pay_in_bank" || kind === "pay_in_merchant";
    const isOver = state === "failed" || (isPayIn && (state === "review" || state === "resolved"));
    const message = isOver
      ? `the callback is ${state} and its payment is decided; telling it again would not be true`
      : `the callback is ${state}; only review, resolved and dead can be replayed`;
    return refuse("CALLBACK_NOT_REPLAYABLE", message, { field: "guid" });
  }
  context.onCallbacksDue([toDue({ ...row, receiverGuid: row.receiver_guid })]);
  return toView(row);
}

const replayableInBulk: readonly CallbackState[] = ["review", "dead"];

/** Replays what is in review or dead and matches the filter, at most `replayLimit`; answers how many. */
export async function replayCallbacks(context: CoreContext, actor: Actor, filter: CallbackFilter): Promise<number> {
  const states = filter.states?.length
    ? filter.states.filter((state) => replayableInBulk.includes(state))
    : replayableInBulk;
  if (states.length === 0 || matchesNothing(filter)) return 0;
  const { text, values } = conditions({ ...filter, states }, [context.republishAfterMs, actorName(actor)]);
  const statement = {
    name: "",
    text: newSeries(`${text} and ${isReplayable} order by c.guid limit ${replayLimit} for update skip locked`),
  };
  const rows = await context.db.sql<CallbackRow>(statement, values);
  context.onCallbacksDue(rows.map((row) => toDue({ ...row, receiverGuid: row.receiver_guid })));
  return rows.length;
}

/** The same said again by the same leaves the row as it is. */
const resolveStatement = {
  name: "resolve_callback",
  text: change(
    "callback_resolved",
    `c.guid = $1 and (c.state in ('review', 'resolved')
      or c.state = 'dead' and c.kind not in ('pay_in_bank', 'pay_in_merchant')) for update`,
    `state = 'resolved', resolved_by = $2, resolution_note = $3,
      updated_at = case when c.state = 'resolved' and c.resolved_by = $2 and c.resolution_note = $3
        then c.updated_at else now() end`,
  ),
};

/**
 * Closes a review in the name of whoever does it. A dead Pay-in cannot be closed: its payment would stay undecided for ever,
 * so it has to be replayed.
 */
export async function resolveCallback(
  context: CoreContext,
  actor: Actor,
  guid: string,
  note: string,
): Promise<CallbackView | Refusal> {
  if (note === "" || lengthOf(note) > 2000) {
    return refuse("INVALID_REQUEST", "note does not have 1 to 2000 characters", { field: "note" });
  }
  const found = await getCallback(context, guid);
  if ("refused" in found) return found;
  const [row] = await context.db.sql<CallbackRow>(resolveStatement, [guid, actorName(actor), note]);
  if (row !== undefined) return toView(row);
  const message =
    found.callback.state === "dead"
      ? "the callback is dead and its payment waits for it; replay it instead"
      : `the callback is ${found.callback.state}; only review and dead can be resolved`;
  return refuse("CALLBACK_NOT_REPLAYABLE", message, { field: "guid" });
}
