import { sql } from "kysely";
import { query, rowsOf, selected } from "../db/query.ts";
import type { ParticipantKey } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { keyColumns, newestKeyFirst } from "./participantRows.ts";

/** Lists the keys that a participant has had, the newest first; `after` is the number of the last one of the previous page. */
export function listParticipantKeys(
  { db }: CoreContext,
  guid: string,
  { limit = 100, after }: { limit?: number; after?: number | undefined } = {},
): Promise<ParticipantKey[]> {
  const keys = query.selectFrom("participant_key as k").where("k.participant_guid", "=", guid);
  // The rows after the given one in the order of `newestKeyFirst`.
  const from = sql<boolean>`(k.active_from, -k.id) < (
    select last.active_from, -last.id from participant_key last where last.id = ${after} and last.participant_guid = ${guid})`;
  const page = (after === undefined ? keys : keys.where(from))
    .select(selected<ParticipantKey>(keyColumns("k")))
    .orderBy(sql.raw(newestKeyFirst("k")))
    .limit(limit);
  return rowsOf(db.sql, page);
}
