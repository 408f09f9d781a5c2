import type { Sql, Statement } from "../db/pool.ts";
import type {
  BankRole,
  Participant,
  ParticipantKey,
  ParticipantKind,
  StatedParticipant,
} from "../domain/participant.ts";
import { digestOf, insertEntry } from "./audit.ts";

/** The column of every member, which is also its name in the documents. */
export const columnOf = {
  guid: "guid",
  kind: "kind",
  name: "name",
  taxCode: "tax_code",
  bic: "bic",
  uid: "uid",
  roles: "roles",
  iban: "iban",
  mcc: "mcc",
  servicingBankGuid: "servicing_bank_guid",
  callbackUrls: "callback_urls",
  callbackBodyFormat: "callback_body_format",
  jwksUrl: "jwks_url",
  email: "email",
  deepLinkPrefix: "deep_link_prefix",
  logoUrl: "logo_url",
  redirectUrl: "redirect_url",
  feeBasisPoints: "fee_basis_points",
  version: "version",
  createdAt: "created_at",
  updatedAt: "updated_at",
  requiresBodySha256: "requires_body_sha256",
  callbackAlg: "callback_alg",
  status: "status",
  deepLinkContent: "deep_link_content",
} as const satisfies Record<Exclude<keyof Participant, "keys">, string>;

const members = Object.entries(columnOf) as [keyof typeof columnOf, string][];

/** The columns that somebody states; the database adds two instants by its own clock. */
const statedColumns = members
  .map(([, column]) => column)
  .filter((column) => column !== "created_at" && column !== "updated_at")
  .join(", ");

/**
 * SQL: the key of this alias is not retired. As of this statement, not of its transaction: whoever has waited for the lock began
 * before others retired what they retired.
 */
export const isNotRetired = (key: string) => `(${key}.retire_at is null or ${key}.retire_at > statement_timestamp())`;

/** SQL: a key as JSON, with its instants in milliseconds. */
export const keyJson = (
  key: string,
) => `json_build_object('id', ${key}.id, 'use', ${key}.use, 'kid', ${key}.kid, 'jwk', ${key}.jwk,
  'activeFrom', extract(epoch from ${key}.active_from) * 1000, 'retireAt', extract(epoch from ${key}.retire_at) * 1000,
  'seenAt', extract(epoch from ${key}.seen_at) * 1000, 'addedBy', ${key}.added_by, 'addedWith', ${key}.added_with)`;

/** The newest first; those of one moment as they were given. */
export const newestKeyFirst = (key: string) => `${key}.active_from desc, ${key}.id`;

/**
 * SQL: the number of the key that personal data is encrypted for now, of the bank with this guid: one that is for that alone, or
 * else its newest signing key (wire contract, section 8). The only place that says so.
 */
export const currentEncryptionKey = (bankGuid: string) => `(
    select k.id from participant_key k
    where k.participant_guid = ${bankGuid} and k.jwk->>'kty' = 'RSA' and ${isNotRetired("k")}
    order by k.use = 'enc' desc, ${newestKeyFirst("k")} limit 1)`;

/** SQL: the same of an order, whose own key stays as long as it is not retired (wire contract, section 3). */
export const orderEncryptionKey = (order: string, bankGuid: string) => `coalesce(
    (select k.id from participant_key k where k.id = ${order}.encryption_key_id and ${isNotRetired("k")}),
    ${currentEncryptionKey(bankGuid)})`;

/** A participant as an object of its members. By name: `*` would fail in a prepared statement once a migration added one. */
const selection = `${members.map(([member, column]) => `participant.${column} as "${member}"`).join(", ")}, (
    select coalesce(json_agg(${keyJson("k")} order by ${newestKeyFirst("k")}), '[]') from participant_key k
    where k.participant_guid = participant.guid and ${isNotRetired("k")}
  ) as keys`;

// These statements run alone (`Database.sql`) and not through MikroORM. Its transactions keep a connection for ever that
// died inside one, and even its single statements hand one that has died, or that answers nothing, to the next caller.

/** By guid, bank code or uid. */
export const selectParticipants = {
  name: "select_participants",
  text: `select ${selection} from participant where guid = $1::uuid or bic = $2 or uid = $3`,
};

/** Two at most: of a kid that two banks hold nobody is the holder. */
export const selectBanksWithKid = {
  name: "select_banks_with_kid",
  text: `
    select ${selection} from participant where guid in (
      select k.participant_guid from participant_key k
      where k.kid = $1 and k.participant_kind = 'bank' and k.use = 'sig' and ${isNotRetired("k")}
    ) limit 2`,
};

export type ParticipantFilter = { kind?: ParticipantKind | undefined; role?: BankRole | undefined };

/** `after`: the last participant of the page before. */
export type ParticipantPage = { limit: number; after?: { name: string; guid: string } | undefined };

/** A page by name and guid. A statement for each set of conditions: one that may be missing would keep it from every index. */
export function participantPage({ kind, role }: ParticipantFilter, { limit, after }: ParticipantPage) {
  // Banks are few among merchants, and only they have roles.
  const ofKind = kind ?? (role === undefined ? undefined : "bank");
  const values: unknown[] = [limit];
  const value = (given: unknown, type: string) => `$${values.push(given)}::${type}`;
  const conditions = {
    kind: ofKind && `kind = ${value(ofKind, "text")}`,
    role: role && `${value(role, "text")} = any(roles)`,
    after: after && `(name, guid) > (${value(after.name, "text")}, ${value(after.guid, "uuid")})`,
  };
  const given = Object.entries(conditions).filter(([, condition]) => condition !== undefined);
  const where = ["true", ...given.map(([, condition]) => condition)].join(" and ");
  const statement = {
    name: ["select_participant_page", ...given.map(([name]) => name)].join("_"),
    text: `select ${selection} from participant where ${where} order by name, guid limit $1`,
  };
  return { statement, values };
}

/** `$2` is who registers. Fails as a lost race when the guid, the bank code or the uid is known. */
export const insertParticipant = {
  name: "insert_participant",
  text: `
    with inserted as (
      insert into participant (${statedColumns}, created_at, updated_at)
      select ${statedColumns}, now(), now() from json_populate_record(null::participant, $1::json)
      returning guid, kind, fee_basis_points, ${digestOf("participant")} as digest
    ), rate as (
      insert into fee_rate (bank_guid, effective_from, basis_points)
      select guid, now(), fee_basis_points from inserted where kind = 'bank'
    ), entry as (${insertEntry({
      act: "participant_registered",
      actor: "$2",
      object: "guid",
      digests: { after: "digest" },
      from: "inserted",
    })}
    )
    select guid from inserted`,
};

/** What changes never: who it is, when it came, and when the database changed it last. */
const changing = Object.values(columnOf).filter(
  (column) => !["guid", "kind", "created_at", "updated_at"].includes(column),
);

/**
 * Replaces the version before this one, in the name of `$2`, by what happened to it; answers its guid, nothing when somebody else
 * has replaced it already. What was is read under the lock, so that it is what the update replaces. A bank's new fee counts from
 * now on: what was accepted before keeps the rate of its instant. (A bank that a node of the version before registered has no
 * rate yet.)
 */
export const replaceParticipant = (act: ChangeOfParticipant): Statement => ({
  name: act,
  text: `
    with before as (
      select guid, created_at, fee_basis_points, ${digestOf("participant")} as digest from participant
      where guid = ($1::json->>'guid')::uuid for no key update
    ), replaced as (
      update participant set ${changing.map((column) => `${column} = new.${column}`).join(", ")}, updated_at = now()
      from (select ${["guid", ...changing].join(", ")} from json_populate_record(null::participant, $1::json)) new
      join before on before.guid = new.guid
      where participant.guid = new.guid and participant.version = new.version - 1
      returning participant.guid, participant.kind, participant.fee_basis_points, ${digestOf("participant")} as digest
    ), rate as (
      insert into fee_rate (bank_guid, effective_from, basis_points)
      select guid, now(), fee_basis_points from replaced
      where kind = 'bank' and fee_basis_points is distinct from (select f.basis_points from fee_rate f
        where f.bank_guid = replaced.guid order by f.effective_from desc limit 1)
      union all
      select before.guid, before.created_at, before.fee_basis_points from before join replaced on replaced.guid = before.guid
      where replaced.kind = 'bank' and not exists (select from fee_rate f where f.bank_guid = before.guid)
      on conflict (bank_guid, effective_from) do update set basis_points = excluded.basis_points
    ), entry as (${insertEntry({
      act,
      actor: "$2",
      object: "replaced.guid",
      digests: { before: "before.digest", after: "replaced.digest" },
      from: "replaced join before on before.guid = replaced.guid",
    })}
    )
    select guid from replaced`,
});

/** A participant as the database answers it. */
export type ParticipantRow = Omit<Participant, "keys"> & { keys: readonly KeyRow[] };
export type KeyRow = Omit<ParticipantKey, "activeFrom" | "retireAt" | "seenAt"> & {
  activeFrom: number;
  retireAt: number | null;
  seenAt: number | null;
};

/** Reads participants by one of the statements above. */
export async function readParticipants(sql: Sql, statement: Statement, values: readonly unknown[]) {
  const rows = await sql<ParticipantRow>(statement, values);
  return rows.map((row): Participant => ({ ...row, keys: row.keys.map(toKey) }));
}

export const toKey = (row: KeyRow): ParticipantKey => ({
  ...row,
  activeFrom: new Date(row.activeFrom),
  retireAt: dateOrNull(row.retireAt),
  seenAt: dateOrNull(row.seenAt),
});

const dateOrNull = (ms: number | null) => (ms === null ? null : new Date(ms));

/** What can happen to the row of a participant; each is an act of the audit trail. */
export type ChangeOfParticipant =
  | "participant_updated"
  | "participant_suspended"
  | "participant_resumed"
  | "participant_closed";

/** A participant as the statements above take it. */
export function rowOf(participant: StatedParticipant): string {
  const stated: Partial<Participant> = participant;
  return JSON.stringify(Object.fromEntries(members.map(([member, column]) => [column, stated[member]])));
}
