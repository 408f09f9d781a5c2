import { repeat } from "../repeat.ts";
import type { Sql } from "./pool.ts";

/** How often the difference to the database's clock is measured. Clocks drift by milliseconds an hour; this is for a failover. */
const measureEveryMs = 10_000;

/** A slower answer leaves too much doubt when the database read its clock, and is ignored. */
const longestAnswerMs = 1_000;

const readClock = { name: "read_clock", text: "select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms" };

export type DatabaseClock = { now: () => Date; stop(): Promise<void> };

/**
 * The database's clock as this process estimates it, to some milliseconds, for what is judged before a statement runs. What is
 * stored is judged within the statement that decides. Until the database has answered for the first time it is the process's own
 * clock.
 */
export async function followDatabaseClock(sql: Sql): Promise<DatabaseClock> {
  let aheadMs = Date.now() - performance.now();
  const measure = async () => {
    const askedMs = performance.now();
    const [row] = await sql<{ now_ms: number }>(readClock);
    const answeredMs = performance.now();
    if (row === undefined || answeredMs - askedMs > longestAnswerMs) return;
    aheadMs = row.now_ms - (askedMs + answeredMs) / 2;
  };
  // Failed measurements are ignored: everything else that needs the database reports it, and the last difference stays in use.
  await measure().catch(() => undefined);
  const measuring = repeat({ everyMs: measureEveryMs, round: measure, pausesFirst: true });
  return { now: () => new Date(performance.now() + aheadMs), stop: measuring.stop };
}
