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
 * SQL for the guids of a page, newest first, as `select guid …`, with its values. A branch for each status reads its own end of an
 * index, so that no page reads what stands otherwise; their limits are written out, because the planner has to know them.
 */
export function newestFirst<Status extends string>(
  table: ListedTable<Status>,
  { party, exactly = [], statuses, since, until }: ListFilter<Status>,
  { limit, after }: Page,
): { text: string; values: unknown[] } {
  const values: unknown[] = [];
  const value = (given: unknown, type: string) => `$${values.push(given)}::${type}`;
  const conditions = [
    party && `${party[0]} = ${value(party[1], "uuid")}`,
    after && `guid < ${value(after, "uuid")}`,
    since && `guid >= ${value(firstGuidOf(new Date(since.getTime() - latenessMs)), "uuid")}`,
    since && `${table.madeAt} >= ${value(since, "timestamptz")}`,
    until && `guid < ${value(firstGuidOf(new Date(until.getTime() + latenessMs)), "uuid")}`,
    until && `${table.madeAt} < ${value(until, "timestamptz")}`,
  ].filter((condition) => condition !== undefined);
  const found = exactly.map(([column, given, type]) => `${column} = ${value(given, type)}`);
  // The fence keeps the planner from looking for these few rows along the whole of another index.
  const from =
    found.length === 0 ? table.name : `(select * from ${table.name} where ${found.join(" and ")} offset 0) found`;
  const rows = Math.trunc(limit);
  const branch = (ofStatus: string[]) =>
    `(select guid from ${from} where ${["true", ...conditions, ...ofStatus].join(" and ")} order by guid desc limit ${rows})`;
  // Without a party the primary key has them all in order; where so few are looked at, any order will do.
  const isOrdered = party === undefined || found.length > 0;
  const wanted = statuses.length === 0 && !isOrdered ? table.statuses : [...new Set(statuses)];
  const branches = wanted.length === 0 ? [branch([])] : wanted.map((status) => branch([`status = '${status}'`]));
  return { text: `select guid from (${branches.join(" union all ")}) listed order by guid desc limit ${rows}`, values };
}
