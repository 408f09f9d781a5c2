import type { Participant, StatedParticipant } from "../domain/participant.ts";
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
  signingJwks: "signing_jwks",
  encryptionJwk: "encryption_jwk",
  pastJwks: "past_jwks",
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
} as const satisfies Record<keyof Participant, string>;

const members = Object.entries(columnOf) as [keyof Participant, string][];

/** The columns that somebody states; the database adds two instants by its own clock. */
const statedColumns = members
  .map(([, column]) => column)
  .filter((column) => column !== "created_at" && column !== "updated_at")
  .join(", ");

/** A participant as an object of its members. By name: `*` would fail in a prepared statement once a migration added one. */
const selection = members.map(([member, column]) => `${column} as "${member}"`).join(", ");

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
  text: `select ${selection} from participant where kind = 'bank' and signing_jwks @> $1::jsonb limit 2`,
};

/** Whoever signs with a key of these members, whatever it is called there. */
export const selectKeyHolders = {
  name: "select_key_holders",
  text: `select ${selection} from participant where signing_jwks @> any($1::jsonb[])`,
};

/** The page after a name and guid; every restriction may be null. */
export const selectParticipantPage = {
  name: "select_participant_page",
  text: `
    select ${selection} from participant
    where ($1::text is null or kind = $1) and ($2::text is null or $2 = any(roles))
      and ($3::text is null or (name, guid) > ($3, $4::uuid))
    order by name, guid limit $5`,
};

/** `$2` is who registers. Fails as a lost race when the guid, the bank code or the uid is known; answers what is stored. */
export const insertParticipant = {
  name: "insert_participant",
  text: `
    with inserted as (
      insert into participant (${statedColumns}, created_at, updated_at)
      select ${statedColumns}, now(), now() from json_populate_record(null::participant, $1::json)
      returning ${Object.values(columnOf).join(", ")}, ${digestOf("participant")} as digest
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
    select ${selection} from inserted`,
};

/** What an update may change. */
const changing = (
  [
    "name",
    "iban",
    "callbackUrls",
    "callbackBodyFormat",
    "signingJwks",
    "encryptionJwk",
    "pastJwks",
    "deepLinkPrefix",
    "logoUrl",
    "feeBasisPoints",
    "requiresBodySha256",
    "callbackAlg",
    "version",
  ] as const satisfies ReadonlyArray<keyof Participant>
).map((member) => columnOf[member]);

/**
 * Replaces the version before this one, in the name of `$2`, and answers what is stored now; nothing when somebody else has
 * replaced it already. What was is read under the lock, so that it is what the update replaces. A bank's new fee counts from
 * now on: what was accepted before keeps the rate of its instant. (A bank that a node of the version before registered has no
 * rate yet.)
 */
export const replaceParticipant = {
  name: "replace_participant",
  text: `
    with before as (
      select guid, created_at, fee_basis_points, ${digestOf("participant")} as digest from participant
      where guid = ($1::json->>'guid')::uuid for no key update
    ), replaced as (
      update participant set ${changing.map((column) => `${column} = new.${column}`).join(", ")}, updated_at = now()
      from (select ${["guid", ...changing].join(", ")} from json_populate_record(null::participant, $1::json)) new
      join before on before.guid = new.guid
      where participant.guid = new.guid and participant.version = new.version - 1
      returning ${Object.values(columnOf)
        .map((column) => `participant.${column}`)
        .join(", ")}, ${digestOf("participant")} as digest
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
      act: "participant_updated",
      actor: "$2",
      object: "replaced.guid",
      digests: { before: "before.digest", after: "replaced.digest" },
      from: "replaced join before on before.guid = replaced.guid",
    })}
    )
    select ${selection} from replaced`,
};

/** A participant as the statements above take it. */
export function rowOf(participant: StatedParticipant): string {
  const stated: Partial<Participant> = participant;
  return JSON.stringify(Object.fromEntries(members.map(([member, column]) => [column, stated[member]])));
}
