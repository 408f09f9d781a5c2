import { repeat } from "../repeat.ts";
import type { Sql } from "./pool.ts";

/** Monotonic clocks drift by some milliseconds an hour; this often is for a database that was restored or moved elsewhere. */
const measureEveryMs = 10_000;

/** An answer that took longer says too little about when it was given. */
const longestAnswerMs = 1_000;

const readClock = { name: "read_clock", text: "select extract(epoch from clock_timestamp())::float8 * 1000 as now_ms" };

export type DatabaseClock = { now: () => Date; stop(): Promise<void> };

/**
 * The database's clock as this process knows it, to some milliseconds, for what is judged without a statement. Until the
 * database has answered for the first time it is the process's own. What the database keeps is judged in the statement that
 * decides; this is for what comes before it.
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
  // A database that does not answer is told by everybody who needs it; the clock goes on as it was.
  await measure().catch(() => undefined);
  const measuring = repeat({ everyMs: measureEveryMs, round: measure, pausesFirst: true });
  return { now: () => new Date(performance.now() + aheadMs), stop: measuring.stop };
}
