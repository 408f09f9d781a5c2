import type { CallbackKind } from "../domain/callback.ts";
import { type AttemptRecord, recordAttempts, toDue } from "./callbacks.ts";
import type { CoreContext, DueCallback } from "./context.ts";

const overdueStatement = {
  name: "overdue_callbacks",
  text: `
    with overdue as (
      select guid from callback
      where state in ('waiting', 'in_flight') and wake_at <= now()
      order by wake_at limit $1
      for update skip locked
    )
    update callback c set wake_at = now() + $2 * interval '1 millisecond'
    from overdue where c.guid = overdue.guid
    returning c.guid, c.kind, c.series, c.attempts, c.refusals, c.receiver_guid, c.state, c.payment_message_guid`,
};

type OverdueRow = {
  guid: string;
  kind: CallbackKind;
  series: number;
  attempts: number;
  refusals: number;
  receiver_guid: string;
  state: "waiting" | "in_flight";
  payment_message_guid: string | null;
};

/**
 * Finds at most `limit` callbacks that nobody looks after: waiting ones, never published or lost with the broker, and
 * attempts whose lease has lapsed because their process died. Each is left alone for a while, whatever comes of it.
 */
export async function takeOverdueCallbacks(
  context: CoreContext,
  limit: number,
): Promise<{ waiting: DueCallback[]; lost: AttemptRecord[] }> {
  const rows = await context.db.sql<OverdueRow>(overdueStatement, [limit, context.republishAfterMs]);
  const byState = Object.groupBy(rows, (row) => row.state);
  return { waiting: (byState.waiting ?? []).map(toDue), lost: (byState.in_flight ?? []).map(lostAttempt) };
}

/** Records attempts whose process died: lost, but counted. */
export async function recordLostAttempts(context: CoreContext, lost: readonly AttemptRecord[]): Promise<void> {
  await recordAttempts(context, lost);
  for (const attempt of lost) context.observer?.lost(attempt.kind);
}

function lostAttempt(row: OverdueRow): AttemptRecord {
  return {
    callbackGuid: row.guid,
    kind: row.kind,
    series: row.series,
    attempt: row.attempts,
    refusals: row.refusals,
    paymentMessageGuid: row.payment_message_guid,
    outcome: "lost",
    durationMs: 0,
    problem: "the process that made this attempt ended before it recorded the answer",
    random: 0,
  };
}
