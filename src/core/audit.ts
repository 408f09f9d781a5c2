import type { AuditAct } from "../domain/audit.ts";
import type { CoreContext } from "./context.ts";

/** What somebody did; entries are only ever added, in the transaction of the change. */
export type AuditEntry = {
  /** Grows with every entry; a number that is missing was never an entry. */
  number: number;
  at: Date;
  /** A bank's guid, the name of a credential, or `platform`. */
  actor: string;
  act: AuditAct;
  object: string;
  /** Of the row as it was; null where there was none. */
  digestBefore: Buffer | null;
  digestAfter: Buffer | null;
};

/**
 * SQL for the digest of a row: SHA-256 over the UTF-8 text of `to_jsonb(row)`, instants in UTC. PostgreSQL writes the members
 * of a jsonb in one order and in one way, so whoever has a copy of the row comes to the same bytes.
 */
export const digestOf = (row: string): string => `audit_digest(${row})`;

/** An entry in SQL: `actor` and `object` are texts, the digests are columns of `from`, or null. */
type NewEntry = {
  act: AuditAct;
  actor: string;
  object: string;
  digests?: { before?: string; after: string };
  from?: string;
};

/**
 * The insert of an entry, to be put into the statement that makes the change. What left everything as it was adds none. One
 * statement is one instant, whatever the number of its entries.
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

/** Lists entries, newest first; `before` is the number of the last one of the previous page. */
export async function listAuditEntries(
  context: CoreContext,
  { actor, acts, object, since, until }: AuditFilter,
  { limit, before }: { limit: number; before?: number | undefined },
): Promise<AuditEntry[]> {
  const parts: [condition: string, value: unknown][] = [];
  if (actor) parts.push(["actor = #", actor]);
  if (acts?.length) parts.push(["act = any(#::text[])", acts]);
  if (object) parts.push(["object = #", object]);
  if (since) parts.push(["at >= #::timestamptz", since]);
  if (until) parts.push(["at < #::timestamptz", until]);
  if (before !== undefined) {
    parts.push([
      "(at, number) < (select last.at, last.number from audit_entry last where last.number = #::bigint)",
      before,
    ]);
  }
  const conditions = parts.map(([condition], index) => condition.replace("#", `$${index + 1}`));
  const statement = {
    // Planned for what is asked: a condition that may be missing would keep a prepared plan from every index.
    name: "",
    text: `
      select number, at, actor, act, object, digest_before as "digestBefore", digest_after as "digestAfter"
      from audit_entry where ${["true", ...conditions].join(" and ")}
      order by at desc, number desc limit $${parts.length + 1}`,
  };
  return context.db.sql<AuditEntry>(statement, [...parts.map(([, value]) => value), limit]);
}
