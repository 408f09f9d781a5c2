import { type RawBuilder, sql } from "kysely";
import { whenGiven } from "../db/query.ts";
import { firstGuidOf } from "./guid.ts";

// Pages of the two tables that grow with every payment. Identifiers are time-ordered (`createGuids`), so the newest row is the last of
// every index that ends with the guid, a page continues where the one before has ended, and a period is a range of such an index.

/** `after`: the guid of the last row of the page before. */
export type Page = { limit: number; after?: string | undefined };

export type ListedTable<Status extends string> = {
  name: string;
  /** When a row was made, by the database's clock. */
  madeAt: string;
  statuses: readonly Status[];
};

export type ListFilter<Status extends string> = {
  /** A column that has an index with the status and the guid behind it, and its value. */
  party?: readonly [column: string, guid: string] | undefined;
  /** What an index finds one row by, or few; the rest need not be found by one. */
  exactly?: readonly (readonly [column: string, value: string, type: "uuid" | "text"])[] | undefined;
  /** None: all. */
  statuses: readonly Status[];
  since?: Date | undefined;
  until?: Date | undefined;
};

/**
 * A row is made this much after its guid at most: its statement waits for its turn, for a connection and for locks, half of this in
 * all, and what a process knows of the database's clock is exact to some milliseconds.
 */
const latenessMs = 60_000;

/**
 * The guids of a page, newest first. A branch for each status reads its own end of an index, so that no page reads what stands
 * otherwise; their limits and statuses are written out, because the planner has to know them.
 */
export function newestFirst<Status extends string>(
  table: ListedTable<Status>,
  { party, exactly = [], statuses, since, until }: ListFilter<Status>,
  { limit, after }: Page,
): RawBuilder<{ guid: string }> {
  const madeAt = sql.ref(table.madeAt);
  const conditions = [
    ...whenGiven(party, ([column, guid]) => sql`${sql.ref(column)} = ${guid}::uuid`),
    ...whenGiven(after, (guid) => sql`guid < ${guid}::uuid`),
    ...whenGiven(since, (instant) => {
      const first = firstGuidOf(new Date(instant.getTime() - latenessMs));
      return sql`guid >= ${first}::uuid and ${madeAt} >= ${instant}::timestamptz`;
    }),
    ...whenGiven(until, (instant) => {
      const first = firstGuidOf(new Date(instant.getTime() + latenessMs));
      return sql`guid < ${first}::uuid and ${madeAt} < ${instant}::timestamptz`;
    }),
  ];
  const found = exactly.map(([column, given, type]) => sql`${sql.ref(column)} = ${given}::${sql.raw(type)}`);
  // The fence keeps the planner from looking for these few rows along the whole of another index.
  const from =
    found.length === 0
      ? sql.table(table.name)
      : sql`(select * from ${sql.table(table.name)} where ${all(found)} offset 0) found`;
  const rows = sql.lit(Math.trunc(limit));
  const branch = (ofStatus: RawBuilder<unknown>[]) =>
    sql`(select guid from ${from} where ${all([...conditions, ...ofStatus])} order by guid desc limit ${rows})`;
  // Without a party the primary key has them all in order; where so few are looked at, any order will do.
  const isOrdered = party === undefined || found.length > 0;
  const wanted = statuses.length === 0 && !isOrdered ? table.statuses : [...new Set(statuses)];
  const branches =
    wanted.length === 0 ? [branch([])] : wanted.map((status) => branch([sql`status = ${sql.lit(status)}`]));
  return sql`select guid from (${sql.join(branches, sql` union all `)}) listed order by guid desc limit ${rows}`;
}

const all = (conditions: readonly RawBuilder<unknown>[]) => sql.join([sql`true`, ...conditions], sql` and `);
