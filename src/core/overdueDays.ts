import { CLOSING } from "../db/entities/settlement.ts";
import type { Actor } from "../domain/actor.ts";
import { closeRegisters } from "./closing.ts";
import type { CoreContext } from "./context.ts";
import { firstOpenDay, ofPair, unsettled, unsettledPairs } from "./unsettled.ts";

/**
 * Days that are over and owe registers: every day since the first bank was registered that was never closed, and any day
 * with a payment in no register. A platform that stood still owes the days on which nobody paid, too.
 */
const owedDays = {
  name: "owed_days",
  text: `
    with recursive ${unsettledPairs}, since as (
      select (min(created_at) at time zone 'Europe/Kyiv')::date as day from participant where kind = 'bank'
    ), owed as (
      select each::date as day from since, generate_series(since.day::timestamp, ${firstOpenDay} - 1, interval '1 day') as each
      where not exists (select from closed_day c where c.day = each::date)
      union
      select (m.decided_at at time zone 'Europe/Kyiv')::date from pair join payment_message m
        on ${unsettled} and ${ofPair} and m.decided_at < (${firstOpenDay})::timestamp at time zone 'Europe/Kyiv'
      union
      select (r.period_start at time zone 'Europe/Kyiv')::date from settlement_register r
      where r.status = '${CLOSING}' and r.period_start < (${firstOpenDay})::timestamp at time zone 'Europe/Kyiv'
    )
    select to_char(day, 'YYYY-MM-DD') as day from owed order by day`,
};

/** How long a database may take to show that it is there. */
const pingMs = 5_000;

export type OverdueClosing = {
  /** The days that are closed now. */
  days: string[];
  /** Days that could not be closed, with the problem; they are tried again the next time. */
  failures: { day: string; problem: string }[];
};

/**
 * Closes every Kyiv day that is over and not closed, oldest first, above all after the platform stood still. A day that
 * fails stops no other; only a database that is gone does.
 */
export async function closeOverdueDays(context: CoreContext, actor: Actor): Promise<OverdueClosing> {
  const closing: OverdueClosing = { days: [], failures: [] };
  for (const { day } of await context.db.sql<{ day: string }>(owedDays)) {
    try {
      await closeRegisters(context, actor, day, false);
      closing.days.push(day);
    } catch (error) {
      closing.failures.push({ day, problem: (error as Error).message });
      // Whatever this day failed of, its own time-out included, the next one is tried, unless the database is gone for all.
      await context.db.ping(pingMs);
    }
  }
  return closing;
}
