import type { Call } from "./action.ts";

/** The most rows of one page of the core. */
const pageSize = 500;

type AskedPage = { pageSize: number; pageToken: string };

/** Reads pages until there are `--limit` rows. `more`: the remark for people when rows are left. */
export async function rowsOf<Row>(
  call: Call,
  read: (page: AskedPage) => Promise<{ rows: readonly Row[]; nextPageToken: string }>,
): Promise<{ rows: Row[]; more: string[] }> {
  const limit = Number(call.text("limit"));
  const rows: Row[] = [];
  let pageToken = "";
  do {
    const page = await read({ pageSize: Math.min(pageSize, limit - rows.length), pageToken });
    rows.push(...page.rows);
    pageToken = page.nextPageToken;
  } while (pageToken !== "" && rows.length < limit);
  return { rows, more: pageToken === "" ? [] : [`There are more than ${limit}; --limit shows more.`] };
}

/** Reads the whole of a list that is always short. */
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
