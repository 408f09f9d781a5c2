import { type Actor, actorName } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  deepLinkContentProblem,
  encryptionProblem,
  keysProblem,
  type Participant,
  type PublicJwk,
  type StatedParticipant,
  statedKeysOf,
  statedProblem,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { followKeySet } from "./keySets.ts";
import { followLogo } from "./logos.ts";
import {
  callbackUrlsProblem,
  encryptionKey,
  keySetUrlProblem,
  publicKeys,
  sharedKeyProblem,
} from "./participantChecks.ts";
import { addKeys, type KeyDifference, keyDifference, keysChanged, lastingKeys, retireKeys } from "./participantKeys.ts";
import { changeParticipant } from "./participantLock.ts";
import { replaceParticipant, rowOf } from "./participantRows.ts";
import { servicingBankProblem } from "./participants.ts";

/** Fields that are stored as given; absent members stay as they are. */
type PlainChange = Partial<Omit<StatedParticipant, "guid" | "kind" | "version" | "status">>;

/**
 * A change. Given keys replace all keys of their use; `encryptionJwk: null` removes that key, and a signing key is encrypted for.
 */
export type ParticipantChange = PlainChange & { signingJwks?: unknown[]; encryptionJwk?: unknown | null };

/** Changes fields and keys of a participant, for an operator. `expectedVersion`: optimistic locking; another version is refused. */
export async function updateParticipant(
  context: CoreContext,
  actor: Actor,
  guid: string,
  change: ParticipantChange,
  expectedVersion?: number,
): Promise<Participant | Refusal> {
  if (Object.keys(change).length === 0) return refuse("INVALID_REQUEST", "nothing is given that would change");
  const checked = await checkedChange(context, change);
  if (isRefusal(checked)) return checked;
  return changeParticipant(context, guid, expectedVersion, async (sql, found) => {
    const { signingJwks, encryptionJwk, ...plain } = checked;
    const changed = { ...found, ...plain, version: found.version + 1 };
    const keys = statedKeysOf(found);
    const wanted = {
      signingJwks: signingJwks ?? keys.signingJwks,
      encryptionJwk: encryptionJwk === undefined ? keys.encryptionJwk : encryptionJwk,
    };
    const differences = [
      ...(signingJwks === undefined ? [] : [keyDifference(found, "sig", signingJwks)]),
      ...(encryptionJwk === undefined
        ? []
        : [keyDifference(found, "enc", encryptionJwk === null ? [] : [encryptionJwk])]),
    ];
    const bearsOnKeys = differences.length > 0 || plain.roles !== undefined || plain.jwksUrl !== undefined;
    const problem =
      statedProblem(changed, found) ??
      (plain.deepLinkContent === undefined ? undefined : deepLinkContentProblem(changed)) ??
      // A merchant that publishes its keys may have withdrawn all of them, which is no error.
      (bearsOnKeys && changed.jwksUrl === null ? keysProblem(changed, wanted) : undefined) ??
      (bearsOnKeys ? lastingProblem(changed, differences) : undefined) ??
      (plain.servicingBankGuid === undefined ? undefined : await servicingBankProblem(sql, changed)) ??
      (differences.length > 0 ? await sharedKeyProblem(sql, found, wanted) : undefined);
    if (problem !== undefined) return problem;
    const by = { name: actorName(actor) };
    if (Object.keys(plain).length === 0) await keysChanged(sql, found);
    else {
      const replaced = await sql(replaceParticipant("participant_updated"), [rowOf(changed), by.name]);
      // Only a node of an older version changes participants without the lock.
      if (replaced.length === 0) return refuse("OVERLOADED", "the participant is being changed; try again");
      await followKeySet(sql, changed);
      await followLogo(sql, changed);
    }
    for (const { missing, superfluous } of differences) {
      await addKeys(sql, found, missing, by);
      await retireKeys(sql, found, superfluous, null, by);
    }
    return undefined;
  });
}

/** Refuses a change after which no key to encrypt for is left once all planned retirements have taken place. */
function lastingProblem(changed: Participant, differences: readonly KeyDifference[]): Refusal | undefined {
  const going = differences.flatMap(({ superfluous }) => superfluous);
  const staying = lastingKeys(changed).filter((key) => !going.includes(key));
  const lacking = encryptionProblem(
    changed,
    [...staying, ...differences.flatMap(({ missing }) => missing)].map(({ jwk }) => jwk),
  );
  return lacking === undefined ? undefined : refuse("INVALID_KEY", lacking, { field: "encryption_jwk" });
}

/** A change whose keys and URLs have been checked (that takes cryptography and name resolution). */
type CheckedChange = PlainChange & {
  signingJwks: PublicJwk[] | undefined;
  encryptionJwk: PublicJwk | null | undefined;
};

async function checkedChange(context: CoreContext, change: ParticipantChange): Promise<CheckedChange | Refusal> {
  const { signingJwks, encryptionJwk, ...plain } = change;
  const signing = signingJwks && (await publicKeys(context, signingJwks));
  if (isRefusal(signing)) return signing;
  const encryption = encryptionJwk ? await encryptionKey(context, encryptionJwk) : encryptionJwk;
  if (isRefusal(encryption)) return encryption;
  const urls = plain.callbackUrls && (await callbackUrlsProblem(context, plain.callbackUrls));
  const keySet = plain.jwksUrl ? await keySetUrlProblem(context, plain.jwksUrl) : undefined;
  const problem = urls ?? keySet;
  if (problem !== undefined) return problem;
  return { ...plain, signingJwks: signing, encryptionJwk: encryption as PublicJwk | null | undefined };
}
