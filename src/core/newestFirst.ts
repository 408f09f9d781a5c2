import { type RawBuilder, sql } from "kysely";
import { whenGiven } from "../db/query.ts";
import { firstGuidOf } from "./guid.ts";

// Keyset pages of the two tables that grow with every payment. Guids are time-ordered (`createGuids`), so an index that ends with
// the guid has the newest row last, the next page continues after the last guid, and a period is a range of the same index.

/** `after`: the guid of the last row of the page before. */
export type Page = { limit: number; after?: string | undefined };

export type ListedTable<Status extends string> = {
  name: string;
  /** The column that holds when a row was made, by the database's clock. */
  madeAt: string;
  statuses: readonly Status[];
};

export type ListFilter<Status extends string> = {
  /** A column and its value; it has an index on (column, status, guid). */
  party?: readonly [column: string, guid: string] | undefined;
  /** Columns of which at least one has an index that finds one row or few; the others are compared in those. */
  exactly?: readonly (readonly [column: string, value: string, type: "uuid" | "text"])[] | undefined;
  /** Empty: all. */
  statuses: readonly Status[];
  since?: Date | undefined;
  until?: Date | undefined;
};

/**
 * The most that a row's instant is later than its guid's: its statement waits for its turn, for a connection and for locks
 * (together half of this at most), and a process knows the database's clock to a few milliseconds.
 */
const latenessMs = 60_000;

/**
 * The guids of a page, newest first. One branch per status reads the end of its own index range, so no page reads rows of other
 * statuses. Limits and statuses are literals, because the planner has to see them (a generic plan does not know parameters).
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
  // `offset 0` is an optimisation fence: without it the planner may look for these few rows by walking the whole of another index.
  const from =
    found.length === 0
      ? sql.table(table.name)
      : sql`(select * from ${sql.table(table.name)} where ${all(found)} offset 0) found`;
  const rows = sql.lit(Math.trunc(limit));
  const branch = (ofStatus: RawBuilder<unknown>[]) =>
    sql`(select guid from ${from} where ${all([...conditions, ...ofStatus])} order by guid desc limit ${rows})`;
  // Without a party the primary key gives the order over all statuses; where only a few rows are found, the order costs nothing.
  const isOrdered = party === undefined || found.length > 0;
  const wanted = statuses.length === 0 && !isOrdered ? table.statuses : [...new Set(statuses)];
  const branches =
    wanted.length === 0 ? [branch([])] : wanted.map((status) => branch([sql`status = ${sql.lit(status)}`]));
  return sql`select guid from (${sql.join(branches, sql` union all `)}) listed order by guid desc limit ${rows}`;
}

const all = (conditions: readonly RawBuilder<unknown>[]) => sql.join([sql`true`, ...conditions], sql` and `);
