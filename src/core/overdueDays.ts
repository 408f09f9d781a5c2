import { CLOSING } from "../db/entities/settlement.ts";
import type { Actor } from "../domain/actor.ts";
import { closeRegisters } from "./closing.ts";
import type { CoreContext } from "./context.ts";
import { firstOpenDay, ofPair, unsettled, unsettledPairs } from "./unsettled.ts";

/**
 * Days that are over and have no complete set of registers: every day since the first bank was registered that was never closed,
 * and any day with an unsettled payment. After an outage this includes the days on which nobody paid, because they have empty
 * registers.
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

/** How long the database may take to answer a ping. */
const pingMs = 5_000;

export type OverdueClosing = {
  /** The days that this call closed. */
  days: string[];
  /** Days that could not be closed, with the problem; the next call tries them again. */
  failures: { day: string; problem: string }[];
};

/**
 * Closes every Kyiv day that is over and not closed, oldest first; usually one, after an outage several. A day that fails does not
 * stop the others, unless the database cannot be reached.
 */
export async function closeOverdueDays(context: CoreContext, actor: Actor): Promise<OverdueClosing> {
  const closing: OverdueClosing = { days: [], failures: [] };
  for (const { day } of await context.db.sql<{ day: string }>(owedDays)) {
    try {
      await closeRegisters(context, actor, day, false);
      closing.days.push(day);
    } catch (error) {
      closing.failures.push({ day, problem: (error as Error).message });
      // Whatever made this day fail, its own time-out included, the next day is tried, unless the database cannot be reached.
      await context.db.ping(pingMs);
    }
  }
  return closing;
}
