import { query, rowsOf, selected } from "../db/query.ts";
import type { BankRole, Participant, ParticipantKind } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { type ParticipantRow, participantColumns, participantOf } from "./participantRows.ts";

/** Members that are absent do not restrict. */
export type ParticipantFilter = { kind?: ParticipantKind | undefined; role?: BankRole | undefined };

/** Lists participants by name and guid; `after` is the last one of the previous page. */
export async function listParticipants(
  { db }: CoreContext,
  { kind, role }: ParticipantFilter,
  { limit, after }: { limit: number; after?: { name: string; guid: string } | undefined },
): Promise<Participant[]> {
  let asked = query.selectFrom("participant").select(selected<ParticipantRow>(participantColumns));
  // Only banks have roles, and they are few among many merchants, so the kind narrows the search.
  const ofKind = kind ?? (role === undefined ? undefined : "bank");
  if (ofKind) asked = asked.where("kind", "=", ofKind);
  if (role) asked = asked.where(({ eb, val, fn }) => eb(val(role), "=", fn.any("roles")));
  if (after)
    asked = asked.where(({ eb, refTuple, tuple }) => eb(refTuple("name", "guid"), ">", tuple(after.name, after.guid)));
  return (await rowsOf(db.sql, asked.orderBy("name").orderBy("guid").limit(limit))).map(participantOf);
}
