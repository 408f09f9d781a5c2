import { columns, type Row } from "../db/entities/entities.ts";
import { isRefusal, type Refusal } from "../domain/errors.ts";
import type { AttemptRecord, RecordAnswer } from "./attempts.ts";
import type { CoreContext, DueCallback } from "./context.ts";
import { toDue } from "./delivery.ts";

const ofOverdue = ["guid", "kind", "series", "attempts", "refusals", "receiverGuid", "paymentMessageGuid"] as const;

/** Takes at most `$1` callbacks in one state whose `wake_at` has passed, and postpones it by `$2` milliseconds. */
const takeOverdue = (state: "waiting" | "in_flight") => `
    with overdue as (
      select guid from callback
      where state = '${state}' and wake_at <= now()
      order by wake_at limit $1
      for update skip locked
    )
    update callback c set wake_at = now() + $2 * interval '1 millisecond'
    from overdue where c.guid = overdue.guid
    returning ${columns("callback", { of: "c", only: ofOverdue })}`;

const overdueCallbacks = { name: "overdue_callbacks", text: takeOverdue("waiting") };
const lapsedLeases = { name: "lapsed_leases", text: takeOverdue("in_flight") };

type OverdueRow = Pick<Row<"callback">, (typeof ofOverdue)[number]>;

/**
 * Takes at most `limit` waiting callbacks whose ticket was never published, or was lost with the broker. Their `wake_at` is
 * postponed, so the relay tries again only later even if publishing fails now.
 */
export async function takeOverdueCallbacks(context: CoreContext, limit: number): Promise<DueCallback[]> {
  return (await context.db.hot<OverdueRow>(overdueCallbacks, [limit, context.republishAfterMs])).map(toDue);
}

/**
 * Records at most `limit` attempts whose lease has lapsed, because their process died, as lost but counted; answers how many. It
 * needs the database alone, so trouble of the broker cannot delay it. `record` groups calls, so one whose payment is locked does
 * not block the others.
 */
export async function recordLostAttempts(
  context: CoreContext,
  limit: number,
  record: (attempt: AttemptRecord) => Promise<RecordAnswer | Refusal>,
): Promise<number> {
  const rows = await context.db.hot<OverdueRow>(lapsedLeases, [limit, context.republishAfterMs]);
  const answers = await Promise.allSettled(rows.map((row) => record(lostAttempt(row))));
  const isRecorded = answers.map((answer) => answer.status === "fulfilled" && !isRefusal(answer.value));
  rows.forEach(({ kind }, place) => {
    if (isRecorded[place]) context.observer?.lost(kind);
  });
  const failed = answers.find((answer) => answer.status === "rejected");
  if (failed) throw failed.reason;
  return isRecorded.filter(Boolean).length;
}

function lostAttempt(row: OverdueRow): AttemptRecord {
  return {
    callbackGuid: row.guid,
    kind: row.kind,
    series: row.series,
    attempt: row.attempts,
    refusals: row.refusals,
    paymentMessageGuid: row.paymentMessageGuid,
    outcome: "lost",
    durationMs: 0,
    problem: "the process that made this attempt ended before it recorded the answer",
  };
}
