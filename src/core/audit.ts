import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type AuditEntry, AuditEntrySchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { query, rowsOf, selected } from "../db/query.ts";
import type { AuditAct } from "../domain/audit.ts";
import { auditActs } from "../wire/enums.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";

/**
 * SQL for the digest of a row: SHA-256 over the UTF-8 text of `to_jsonb(row)`, instants in UTC. PostgreSQL writes jsonb in one
 * canonical form, so anyone with a copy of the row can compute the same digest.
 */
export const digestOf = (row: string): string => `audit_digest(${row})`;

/** An audit entry in SQL: `actor` and `object` are expressions of type text, the digests are columns of `from`, or null. */
type NewEntry = {
  act: AuditAct;
  actor: string;
  object: string;
  digests?: { before?: string; after: string };
  from?: string;
};

/**
 * The SQL that inserts an audit entry, to be a part of the statement that makes the change. A row that the statement left as it was
 * adds no entry. All entries of one statement have the same instant.
 */
export function insertEntry({ act, actor, object, digests, from }: NewEntry): string {
  const { before = "null::bytea", after } = digests ?? { after: "null::bytea" };
  return `
    insert into audit_entry (at, actor, act, object, digest_before, digest_after)
    select (select clock_timestamp()), ${actor}::text, '${act}', ${object}::text, ${before}, ${after}
    ${from === undefined ? "" : `from ${from}`} ${digests === undefined ? "" : `where ${before} is distinct from ${after}`}`;
}

/** Members that are absent do not restrict. */
export type AuditFilter = {
  actor?: string | undefined;
  acts?: readonly AuditAct[] | undefined;
  object?: string | undefined;
  since?: Date | undefined;
  until?: Date | undefined;
};

/** An entry as the contract describes it. Entries are append-only and written in the transaction of the change. */
function toAuditEntry({ number, at, act, digestBefore, digestAfter, ...same }: Row<"audit_entry">): AuditEntry {
  return whole(AuditEntrySchema, {
    ...same,
    number: BigInt(number),
    at: timestampFromDate(at),
    act: auditActs[act],
    digestBefore: digestBefore?.toString("hex") ?? "",
    digestAfter: digestAfter?.toString("hex") ?? "",
  });
}

const entryColumns = selected<Row<"audit_entry">>(columns("audit_entry", { of: "e" }));

/** Lists entries, newest first; `before` is the number of the last one of the previous page. */
export async function listAuditEntries(
  { db }: CoreContext,
  { actor, acts, object, since, until }: AuditFilter,
  { limit, before }: { limit: number; before?: number | undefined },
): Promise<AuditEntry[]> {
  let asked = query.selectFrom("audit_entry as e").select(entryColumns);
  if (actor) asked = asked.where("e.actor", "=", actor);
  if (acts?.length) asked = asked.where("e.act", "in", acts);
  if (object) asked = asked.where("e.object", "=", object);
  if (since) asked = asked.where("e.at", ">=", since);
  if (until) asked = asked.where("e.at", "<", until);
  if (before !== undefined) {
    const last = query.selectFrom("audit_entry").select(["at", "number"]).where("number", "=", before);
    asked = asked.where(({ eb, refTuple }) => eb(refTuple("e.at", "e.number"), "<", last.$asTuple("at", "number")));
  }
  const page = asked.orderBy("e.at", "desc").orderBy("e.number", "desc").limit(limit);
  return (await rowsOf(db.sql, page)).map(toAuditEntry);
}
