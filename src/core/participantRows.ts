import { columns, insertedColumns, jsonRow, type Row } from "../db/entities/entities.ts";
import type { Sql, Statement } from "../db/pool.ts";
import type { LogoCopy, Participant, ParticipantKey, StatedParticipant } from "../domain/participant.ts";
import { digestOf, insertEntry } from "./audit.ts";

/**
 * SQL: the key of this alias is not retired, as of this statement. `now()` would be the start of the transaction, which may have
 * waited for the lock while others retired keys.
 */
export const isNotRetired = (key: string) => `(${key}.retire_at is null or ${key}.retire_at > statement_timestamp())`;

/** Columns that a key does not show: the participant that it belongs to. */
const notShown = ["participantGuid", "participantKind"] as const satisfies (keyof Row<"participant_key">)[];

/** SQL: the columns of a key, as `ParticipantKey` has them. */
export const keyColumns = (key: string) => columns("participant_key", { of: key, but: notShown });

/** Newest first; keys added together keep the order in which they were given. */
export const newestKeyFirst = (key: string) => `${key}.active_from desc, ${key}.id`;

/**
 * SQL: the id of the key that personal data is now encrypted for, of the bank with this guid: its encryption key, or else its
 * newest signing key (wire contract, section 8). This is the only place that says so.
 */
export const currentEncryptionKey = (bankGuid: string) => `(
    select k.id from participant_key k
    where k.participant_guid = ${bankGuid} and k.jwk->>'kty' = 'RSA' and ${isNotRetired("k")}
    order by k.use = 'enc' desc, ${newestKeyFirst("k")} limit 1)`;

/** SQL: the key to encrypt an order's personal data for: the order's own until that is retired (wire contract, section 3). */
export const orderEncryptionKey = (order: string, bankGuid: string) => `coalesce(
    (select k.id from participant_key k where k.id = ${order}.encryption_key_id and ${isNotRetired("k")}),
    ${currentEncryptionKey(bankGuid)})`;

/** SQL: the columns of `ParticipantRow`, for every statement that reads participants. */
export const participantColumns = `${columns("participant", { of: "participant" })}, (
    select coalesce(json_agg(shown order by ${newestKeyFirst("k")}), '[]')
    from participant_key k cross join lateral (select ${keyColumns("k")}) shown
    where k.participant_guid = participant.guid and ${isNotRetired("k")}
  ) as keys, (
    select json_build_object('sha256', l.sha256, 'problem', l.problem) from participant_logo l
    where l.participant_guid = participant.guid
  ) as logo`;

/** SQL: the participant with this guid as one value, for statements that answer it beside something else. */
export const participantJson = (guid: string) =>
  `select row_to_json(found) from (select ${participantColumns} from participant where participant.guid = ${guid}) found`;

// These statements run by `Database.sql` and not through MikroORM: its transactions keep a connection for ever that died within
// one, and even its single statements hand a connection that is dead or hangs to the next caller.

/** By guid, bank code or uid. */
export const selectParticipants = {
  name: "select_participants",
  text: `select ${participantColumns} from participant where guid = $1::uuid or bic = $2 or uid = $3`,
};

/** Two at most: a kid that two banks have identifies neither. */
export const selectBanksWithKid = {
  name: "select_banks_with_kid",
  text: `
    select ${participantColumns} from participant where guid in (
      select k.participant_guid from participant_key k
      where k.kid = $1 and k.participant_kind = 'bank' and k.use = 'sig' and ${isNotRetired("k")}
    ) limit 2`,
};

/** The columns that a registration states; the database adds two instants by its own clock. */
const statedColumns = insertedColumns("participant", ["createdAt", "updatedAt"]).join(", ");

/** `$2` is the actor. Fails as a lost race when the guid, the bank code or the uid exists already. */
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

/** The columns that can change: all but identity, kind and the two instants. */
const changing = insertedColumns("participant", ["guid", "kind", "createdAt", "updatedAt"]);

/**
 * Replaces the version before this one, with actor `$2` and the act for the audit trail; answers the guid, or no row when another
 * process has replaced that version already. The digest of the old row is read under the row lock, so it is of what the update
 * replaces. A new fee of a bank counts from now on: messages accepted before keep the rate of their instant. (A bank that an older
 * node registered has no rate row yet.)
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

/** A row as PostgreSQL's JSON has it: its instants are texts. */
type AsJson<Columns> = {
  [Name in keyof Columns]: Extract<Columns[Name], Date> extends never
    ? Columns[Name]
    : Exclude<Columns[Name], Date> | string;
};

/** A participant as `participantColumns` reads it. */
export type ParticipantRow = Row<"participant"> & { keys: readonly AsJson<ParticipantKey>[]; logo: LogoCopy | null };

/** Reads participants by one of the statements above. */
export async function readParticipants(sql: Sql, statement: Statement, values: readonly unknown[]) {
  return (await sql<ParticipantRow>(statement, values)).map(participantOf);
}

export const participantOf = ({ keys, ...row }: ParticipantRow): Participant => ({ ...row, keys: keys.map(toKey) });

/** A participant as `participantJson` reads it. */
export type ParticipantJson = AsJson<ParticipantRow>;

export const participantOfJson = ({ createdAt, updatedAt, ...same }: ParticipantJson): Participant =>
  participantOf({ ...same, createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) });

const toKey = ({ activeFrom, retireAt, seenAt, ...same }: AsJson<ParticipantKey>): ParticipantKey => ({
  ...same,
  activeFrom: new Date(activeFrom),
  retireAt: dateOrNull(retireAt),
  seenAt: dateOrNull(seenAt),
});

const dateOrNull = (text: string | null) => (text === null ? null : new Date(text));

/** The acts of the audit trail that change the row of a participant. */
export type ChangeOfParticipant =
  | "participant_updated"
  | "participant_suspended"
  | "participant_resumed"
  | "participant_closed";

/** A participant as the parameter of the statements above: all columns but those that the database adds. */
export function rowOf(participant: StatedParticipant): string {
  return JSON.stringify(
    jsonRow("participant", participant satisfies Omit<Row<"participant">, "createdAt" | "updatedAt">),
  );
}
