import { type Actor, actorName } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type CallbackAlg,
  type CallbackBodyFormat,
  type CallbackUrls,
  type Participant,
  type PublicJwk,
  participantProblem,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { callbackUrlsProblem, encryptionKey, publicKeys, sharedKeyProblem } from "./participantChecks.ts";
import { replaceParticipant, rowOf } from "./participantRows.ts";
import { getParticipant } from "./participants.ts";

/** What can change; members that are absent stay as they are. */
export type ParticipantChange = {
  callbackUrls?: CallbackUrls;
  signingJwks?: unknown[];
  encryptionJwk?: unknown;
  name?: string;
  deepLinkPrefix?: string;
  logoUrl?: string;
  feeBasisPoints?: number;
  callbackBodyFormat?: CallbackBodyFormat;
  iban?: string;
  requiresBodySha256?: boolean;
  callbackAlg?: CallbackAlg;
};

/** Keys kept after their replacement; older ones are of no use to any message that can still be on its way. */
const maxPastKeys = 20;

/** Of changes at the same moment one takes effect in each round; so many at once are no operators at work any more. */
const maxTries = 20;

/**
 * Changes a participant; replaced keys are remembered, so that messages that were encrypted for them still show theirs.
 * It reads, decides, and replaces the version that it read; when another change came first, it decides again.
 */
export async function updateParticipant(
  context: CoreContext,
  actor: Actor,
  guid: string,
  change: ParticipantChange,
): Promise<Participant | Refusal> {
  const checked = await checkedChange(context, change);
  if (isRefusal(checked)) return checked;
  for (let tries = 0; tries < maxTries; tries += 1) {
    const found = await getParticipant(context, { guid });
    if (isRefusal(found)) return refuse("PARTICIPANT_NOT_FOUND", "no such participant", { field: "guid" });
    const changed = changedParticipant(found, checked);
    const problem = participantProblem(changed) ?? (checked.signingJwks && (await sharedKeyProblem(context, changed)));
    if (problem !== undefined) return problem;
    const [replaced] = await context.db.sql<Participant>(replaceParticipant, [rowOf(changed), actorName(actor)]);
    if (replaced !== undefined) return replaced;
  }
  return refuse("OVERLOADED", "the participant is being changed by others; try again");
}

/** A change whose parts that need cryptography and name resolution have been looked at. */
type CheckedChange = Partial<Participant>;

async function checkedChange(context: CoreContext, change: ParticipantChange): Promise<CheckedChange | Refusal> {
  const { signingJwks, encryptionJwk, ...plain } = change;
  const signing = signingJwks && (await publicKeys(context, signingJwks));
  if (isRefusal(signing)) return signing;
  const encryption = encryptionJwk === undefined ? undefined : await encryptionKey(context, encryptionJwk);
  if (isRefusal(encryption)) return encryption;
  const urls = plain.callbackUrls && (await callbackUrlsProblem(context, plain.callbackUrls));
  if (urls !== undefined) return urls;
  return { ...plain, ...(signing && { signingJwks: signing }), ...(encryption && { encryptionJwk: encryption }) };
}

function changedParticipant(found: Participant, change: CheckedChange): Participant {
  const changed = { ...found, ...change, version: found.version + 1 };
  const current = new Set(keysOf(changed).map(({ kid }) => kid));
  const replaced = keysOf(found).filter(({ kid }) => !current.has(kid));
  return { ...changed, pastJwks: [...replaced, ...found.pastJwks].slice(0, maxPastKeys) };
}

const keysOf = ({ signingJwks, encryptionJwk }: Participant): PublicJwk[] => [
  ...signingJwks,
  ...(encryptionJwk === null ? [] : [encryptionJwk]),
];
