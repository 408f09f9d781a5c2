import type { Call, OptionSpec } from "./action.ts";
import { countOf } from "./values.ts";

/** What the core answers at most at once. */
const pageSize = 500;
const mostRows = 100_000;

type AskedPage = { pageSize: number; pageToken: string };

export const limitOption = (fallback: number) =>
  ({ type: "string", value: "N", help: `At most so many. Default: ${fallback}.` }) as const satisfies OptionSpec;

/** Reads pages until the rows are as many as `--limit` says. `more`: what people are told of those that are left. */
export async function rowsOf<Row>(
  call: Call,
  fallback: number,
  read: (page: AskedPage) => Promise<{ rows: readonly Row[]; nextPageToken: string }>,
): Promise<{ rows: Row[]; more: string[] }> {
  const limit = countOf(call, "limit", fallback, mostRows);
  const rows: Row[] = [];
  let pageToken = "";
  do {
    const page = await read({ pageSize: Math.min(pageSize, limit - rows.length), pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && rows.length < limit);
  return { rows, more: pageToken === "" ? [] : [`There are more than ${limit}; --limit shows more.`] };
}

/** The whole of a list that is short by nature. */
export async function allRowsOf<Row>(
  read: (page: AskedPage) => Promise<{ rows: readonly Row[]; nextPageToken: string }>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let pageToken = "";
  do {
    const page = await read({ pageSize, pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
  return rows;
}
