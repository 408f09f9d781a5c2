import { columns, insertedColumns, jsonRow, type Row } from "../db/entities/entities.ts";
import type { Sql, Statement } from "../db/pool.ts";
import type { Participant, ParticipantKey, StatedParticipant } from "../domain/participant.ts";
import { digestOf, insertEntry } from "./audit.ts";

/**
 * SQL: the key of this alias is not retired. As of this statement, not of its transaction: whoever has waited for the lock began
 * before others retired what they retired.
 */
export const isNotRetired = (key: string) => `(${key}.retire_at is null or ${key}.retire_at > statement_timestamp())`;

/** What a key of a participant does not say again: whose it is. */
const notShown = ["participantGuid", "participantKind"] as const satisfies (keyof Row<"participant_key">)[];

/** SQL: the columns of a key, as `ParticipantKey` has them. */
export const keyColumns = (key: string) => columns("participant_key", { of: key, but: notShown });

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

/** SQL: the columns of `ParticipantRow`, for every statement that reads participants. */
export const participantColumns = `${columns("participant", { of: "participant" })}, (
    select coalesce(json_agg(shown order by ${newestKeyFirst("k")}), '[]')
    from participant_key k cross join lateral (select ${keyColumns("k")}) shown
    where k.participant_guid = participant.guid and ${isNotRetired("k")}
  ) as keys`;

// These statements run alone (`Database.sql`) and not through MikroORM. Its transactions keep a connection for ever that
// died inside one, and even its single statements hand one that has died, or that answers nothing, to the next caller.

/** By guid, bank code or uid. */
export const selectParticipants = {
  name: "select_participants",
  text: `select ${participantColumns} from participant where guid = $1::uuid or bic = $2 or uid = $3`,
};

/** Two at most: of a kid that two banks hold nobody is the holder. */
export const selectBanksWithKid = {
  name: "select_banks_with_kid",
  text: `
    select ${participantColumns} from participant where guid in (
      select k.participant_guid from participant_key k
      where k.kid = $1 and k.participant_kind = 'bank' and k.use = 'sig' and ${isNotRetired("k")}
    ) limit 2`,
};

/** The columns that somebody states; the database adds two instants by its own clock. */
const statedColumns = insertedColumns("participant", ["createdAt", "updatedAt"]).join(", ");

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
const changing = insertedColumns("participant", ["guid", "kind", "createdAt", "updatedAt"]);

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

type Instant = "activeFrom" | "retireAt" | "seenAt";

/** A key as JSON, which has its instants as texts. */
type KeyJson = Omit<ParticipantKey, Instant> &
  Record<"activeFrom", string> &
  Record<Exclude<Instant, "activeFrom">, string | null>;

/** A participant as `participantColumns` reads it. */
export type ParticipantRow = Row<"participant"> & { keys: readonly KeyJson[] };

/** Reads participants by one of the statements above. */
export async function readParticipants(sql: Sql, statement: Statement, values: readonly unknown[]) {
  return (await sql<ParticipantRow>(statement, values)).map(participantOf);
}

export const participantOf = ({ keys, ...row }: ParticipantRow): Participant => ({ ...row, keys: keys.map(toKey) });

const toKey = ({ activeFrom, retireAt, seenAt, ...same }: KeyJson): ParticipantKey => ({
  ...same,
  activeFrom: new Date(activeFrom),
  retireAt: dateOrNull(retireAt),
  seenAt: dateOrNull(seenAt),
});

const dateOrNull = (text: string | null) => (text === null ? null : new Date(text));

/** What can happen to the row of a participant; each is an act of the audit trail. */
export type ChangeOfParticipant =
  | "participant_updated"
  | "participant_suspended"
  | "participant_resumed"
  | "participant_closed";

/** A participant as the statements above take it: every column of it but those that the database adds. */
export function rowOf(participant: StatedParticipant): string {
  return JSON.stringify(
    jsonRow("participant", participant satisfies Omit<Row<"participant">, "createdAt" | "updatedAt">),
  );
}
