import { databaseFailure } from "../db/failure.ts";
import type { Sql } from "../db/pool.ts";
import { type Actor, actorName, type BankActor } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  encryptionProblem,
  type KeyUse,
  numberOfKeysProblem,
  type Participant,
  type ParticipantKey,
  type PublicJwk,
} from "../domain/participant.ts";
import { markTokenUsed, type PartyToken, tokenProblem } from "./accessTokens.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { sharedKeysProblem, storableKey } from "./participantChecks.ts";
import { changeParticipant, storedParticipant, unknownParticipant } from "./participantLock.ts";
import { proofProblem } from "./ping.ts";

// The keys of participants: added, retired, never changed. Each of these increments the version of the participant, so whatever was
// verified against an older one is verified and decided again (optimistic locking).

/** A key to be added, and its use. */
export type NewKey = { use: KeyUse; jwk: PublicJwk };

/** The participant that has the keys. */
type Holder = Pick<Participant, "guid" | "kind">;

/** Who changes keys, for the audit trail; `with`: the kid of the key that signed the request. */
export type KeyChanger = { name: string; with?: string | undefined };

const insertKeys = {
  name: "insert_participant_keys",
  text: `
    with added as (
      insert into participant_key (participant_guid, participant_kind, use, kid, jwk, active_from, added_by, added_with)
      select $1, $2, given.use, given.jwk->>'kid', given.jwk, (select clock_timestamp()), $4, $5
      from rows from (json_to_recordset($3::json) as (use text, jwk jsonb)) with ordinality as given(use, jwk, place)
      order by place
      returning participant_guid, ${digestOf("participant_key")} as digest
    ), entry as (${insertEntry({
      act: "participant_key_added",
      actor: "$4",
      object: "participant_guid",
      digests: { after: "digest" },
      from: "added",
    })}
    )
    select from added`,
};

export async function addKeys(sql: Sql, holder: Holder, keys: readonly NewKey[], by: KeyChanger): Promise<void> {
  await sql(insertKeys, [holder.guid, holder.kind, JSON.stringify(keys), by.name, by.with ?? null]);
}

const retireKeysStatement = {
  name: "retire_participant_keys",
  text: `
    with before as (
      select id, ${digestOf("k")} as digest from participant_key k
      where k.participant_guid = $1 and k.id = any($2::bigint[]) order by k.id for no key update
    ), retired as (
      update participant_key k set retire_at = greatest($3::timestamptz, clock_timestamp())
      from before where k.id = before.id
      returning k.id, k.participant_guid, ${digestOf("k")} as digest
    ), entry as (${insertEntry({
      act: "participant_key_retired",
      actor: "$4",
      object: "retired.participant_guid",
      digests: { before: "before.digest", after: "retired.digest" },
      from: "retired join before on before.id = retired.id",
    })}
    )
    select from retired`,
};

/** Retires keys of a participant, now (null) or at a future instant. */
export async function retireKeys(
  sql: Sql,
  { guid }: Holder,
  keys: readonly ParticipantKey[],
  at: Date | null,
  by: KeyChanger,
): Promise<void> {
  if (keys.length === 0) return;
  await sql(retireKeysStatement, [guid, keys.map(({ id }) => id), at, by.name]);
}

const countVersion = {
  name: "count_participant_version",
  text: "update participant set version = version + 1, updated_at = now() where guid = $1",
};

/** Increments the version, so that whatever was verified against the old keys is decided again. */
export async function keysChanged(sql: Sql, { guid }: Holder): Promise<void> {
  await sql(countVersion, [guid]);
}

/** Same name, algorithm and key material. */
const isSameKey = (one: PublicJwk, other: PublicJwk) =>
  one.kid === other.kid && one.alg === other.alg && numbersOf(one) === numbersOf(other);

/** The key material with sorted members, because jsonb does not keep their order. */
function numbersOf({ kid: _kid, alg: _alg, use: _use, ...numbers }: PublicJwk): string {
  return JSON.stringify(Object.entries(numbers).sort(([one], [other]) => (one < other ? -1 : 1)));
}

export type KeyDifference = ReturnType<typeof keyDifference>;

/** The keys to add and to retire so that a participant has exactly the wanted ones of a use. */
export function keyDifference(participant: Participant, use: KeyUse, wanted: readonly PublicJwk[]) {
  const held = participant.keys.filter((key) => key.use === use);
  const once = wanted.filter((jwk, place) => wanted.findIndex((other) => isSameKey(other, jwk)) === place);
  return {
    missing: once.filter((jwk) => !held.some((key) => isSameKey(key.jwk, jwk))).map((jwk): NewKey => ({ use, jwk })),
    superfluous: held.filter((key) => !wanted.some((jwk) => isSameKey(key.jwk, jwk))),
  };
}

// ---------------------------------------------------------------------------------------------------- one key at a time

/**
 * A key to be added. `retireOthersAt`: when the present keys of the same use are retired; null: never. `prove`: each callback
 * address of the participant must first sign a challenge with it.
 */
export type KeyWish = { jwk: unknown; retireOthersAt: Date | null; prove?: boolean };

/** Who adds the key; `token`: the access token with which a bank does it itself. */
type AddedBy = KeyChanger & { token?: PartyToken & { participantVersion: number } };

/** Adds a key, for an operator. Idempotent: a key that is there already is answered as it is. */
export async function addParticipantKey(
  context: CoreContext,
  actor: Actor,
  guid: string,
  wish: KeyWish,
): Promise<{ kid: string } | Refusal> {
  return addKey(context, guid, wish, { name: actorName(actor) });
}

/**
 * Adds a key that a bank has signed with one of its keys (wire contract, section 2), and marks its access token as used. Throws
 * `PartyChanged` when the bank no longer has the version that its signatures were verified against.
 */
export function addOwnKey(
  context: CoreContext,
  { bank, access }: BankActor,
  { signedWith, ...wish }: KeyWish & { signedWith: string },
): Promise<{ kid: string } | Refusal> {
  const token = { ...access, participantGuid: bank.guid, participantVersion: bank.version };
  return addKey(context, bank.guid, wish, { name: bank.guid, with: signedWith, token });
}

async function addKey(
  context: CoreContext,
  guid: string,
  wish: KeyWish,
  { token, ...by }: AddedBy,
): Promise<{ kid: string } | Refusal> {
  const jwk = await storableKey(context, wish.jwk, "jwk");
  if (isRefusal(jwk)) return jwk;
  const use: KeyUse = jwk.use === "enc" ? "enc" : "sig";
  if (use === "enc" && jwk.kty !== "RSA") {
    return refuse("INVALID_KEY", "jwk is for encryption and not an RSA key", { field: "jwk" });
  }
  const unproven = wish.prove ? await unprovenProblem(context, guid, jwk) : undefined;
  if (unproven !== undefined) return unproven;
  const add = () =>
    changeParticipant(context, guid, undefined, async (sql, holder) => {
      const replayed = token && (await tokenProblem(sql, token));
      if (replayed !== undefined) return replayed;
      const others = holder.keys.filter((key) => key.use === use && !isSameKey(key.jwk, jwk));
      const isThere = holder.keys.some((key) => key.use === use && isSameKey(key.jwk, jwk));
      const sooner = others.filter((key) => isSooner(wish.retireOthersAt, key));
      // A repeat changes nothing.
      if (isThere && sooner.length === 0) return undefined;
      const added = isThere ? [] : [jwk];
      const problem =
        additionProblem(context, holder, { use, added }, wish.retireOthersAt) ??
        (await sharedKeysProblem(sql, holder, [jwk], "jwk"));
      if (problem !== undefined) return problem;
      if (token !== undefined) await markTokenUsed(sql, token);
      if (!isThere) await addKeys(sql, holder, [{ use, jwk }], by);
      await retireKeys(sql, holder, sooner, wish.retireOthersAt, by);
      await keysChanged(sql, holder);
      return undefined;
    });
  // The token was used by another request at the same moment; the second try reports the replay.
  const changed = await add().catch((error: unknown) => {
    if (databaseFailure(error) !== "lost_race") throw error;
    return add();
  });
  return isRefusal(changed) ? changed : { kid: jwk.kid };
}

/** Adding a key only ever moves a planned retirement forward. */
const isSooner = (at: Date | null, { retireAt }: ParticipantKey) =>
  at !== null && (retireAt === null || retireAt.getTime() > at.getTime());

/** Runs before the change, because a ping is slow and the change holds a lock. */
async function unprovenProblem(context: CoreContext, guid: string, jwk: PublicJwk): Promise<Refusal | undefined> {
  const holder = await storedParticipant(context.db.sql, guid);
  return holder === undefined ? unknownParticipant() : proofProblem(context, holder, [jwk]);
}

/** Why a participant may not have this key in addition to, or instead of, its others, or undefined. */
function additionProblem(
  context: CoreContext,
  holder: Participant,
  { use, added }: { use: KeyUse; added: readonly PublicJwk[] },
  retireOthersAt: Date | null,
): Refusal | undefined {
  const jwksWith = (keys: readonly ParticipantKey[]) => [...keys.map((key) => key.jwk), ...added];
  const staying = retireOthersAt === null || retireOthersAt > context.now() ? holder.keys : [];
  const tooMany = numberOfKeysProblem(jwksWith(staying.filter((key) => key.use === use)));
  if (tooMany !== undefined) return refuse("INVALID_KEY", `with jwk the participant ${tooMany}`, { field: "jwk" });
  // As no key goes, the participant cannot lose one that it needs.
  if (retireOthersAt === null) return undefined;
  const lacking = encryptionProblem(holder, jwksWith(lastingKeys(holder).filter((key) => key.use !== use)));
  return lacking === undefined ? undefined : refuse("INVALID_KEY", lacking, { field: "retire_others_at" });
}

/** The keys without a planned retirement: those that are left when all plans have been carried out. */
export const lastingKeys = ({ keys }: Participant) => keys.filter(({ retireAt }) => retireAt === null);

/** The key to retire; `id` tells keys of the same kid apart, `at` null is now. */
export type RetiredKey = { kid: string; id?: number | undefined; at: Date | null };

/** Retires a key of a participant, now or at a future instant. Idempotent: one that is retired already stays as it is. */
export function retireParticipantKey(
  context: CoreContext,
  actor: Actor,
  guid: string,
  { kid, id, at }: RetiredKey,
): Promise<Participant | Refusal> {
  return changeParticipant(context, guid, undefined, async (sql, holder) => {
    const named = holder.keys.filter((key) => key.kid === kid && (id === undefined || key.id === id));
    const [key] = named;
    if (key === undefined) {
      const isRetired = await hasHad(sql, guid, { kid, id });
      return isRetired ? undefined : refuse("KEY_NOT_FOUND", "the participant has no such key", { field: "kid" });
    }
    if (named.length > 1) {
      return refuse("KEY_NOT_FOUND", "the participant has several keys of this kid: give the number of one", {
        field: "id",
      });
    }
    const left = lastingKeys(holder).filter((other) => other !== key);
    const lacking = encryptionProblem(
      holder,
      left.map(({ jwk }) => jwk),
    );
    if (lacking !== undefined) return refuse("INVALID_KEY", lacking, { field: "kid" });
    await retireKeys(sql, holder, [key], at, { name: actorName(actor) });
    await keysChanged(sql, holder);
    return undefined;
  });
}

const selectKey = {
  name: "select_participant_key",
  text: "select from participant_key where participant_guid = $1 and kid = $2 and id = coalesce($3, id)",
};

/** Whether the participant has or has had such a key. */
async function hasHad(sql: Sql, guid: string, { kid, id }: Omit<RetiredKey, "at">): Promise<boolean> {
  return (await sql(selectKey, [guid, kid, id ?? null])).length > 0;
}
