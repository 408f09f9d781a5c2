import { databaseFailure } from "../db/failure.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type BankRole,
  keysProblem,
  type Participant,
  type ParticipantKind,
  type PublicJwk,
  type StatedParticipant,
  statedProblem,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { banksWithKid, callbackUrlsProblem, encryptionKey, publicKeys, sharedKeyProblem } from "./participantChecks.ts";
import { columnOf, insertParticipant, rowOf, selectParticipantPage, selectParticipants } from "./participantRows.ts";

/** What an operator gives to register a participant; keys are JSON Web Keys as parsed JSON. */
export type Registration = Omit<
  Participant,
  "guid" | "signingJwks" | "encryptionJwk" | "pastJwks" | "version" | "createdAt" | "updatedAt" | "status"
> & { guid: string | null; signingJwks: unknown[]; encryptionJwk: unknown | null };

/**
 * Registers a bank or a merchant (wire-contract section 8). The same content again answers what is stored, so a retry is
 * safe; other content under a known guid, bank code or uid is refused.
 */
export async function registerParticipant(
  context: CoreContext,
  actor: Actor,
  registration: Registration,
): Promise<Participant | Refusal> {
  const answer = await ensureParticipant(context, actor, registration);
  return isRefusal(answer) ? answer : answer.participant;
}

/**
 * The same, and tells whether the participant was known before. What the party itself publishes, its key set and the
 * addresses of its hosts, is asked for only when it is new: no stranger decides whether a retry succeeds.
 */
export async function ensureParticipant(
  context: CoreContext,
  actor: Actor,
  registration: Registration,
): Promise<{ participant: Participant; alreadyExisted: boolean } | Refusal> {
  const stated = await statedParticipant(context, registration);
  if (isRefusal(stated)) return stated;
  const [found] = await context.db.sql<Participant>(selectParticipants, [stated.guid, stated.bic, stated.uid]);
  if (found !== undefined) {
    return differenceFrom(found, stated, registration) ?? { participant: found, alreadyExisted: true };
  }
  const participant = await completed(context, stated, publishesKeys(registration));
  if (isRefusal(participant)) return participant;
  try {
    const [stored] = await context.db.sql<Participant>(insertParticipant, [rowOf(participant), actorName(actor)]);
    if (stored === undefined) throw new Error("the database answered no participant");
    return { participant: stored, alreadyExisted: false };
  } catch (error) {
    // Somebody registered the same participant at the same moment; now it can be compared.
    if (databaseFailure(error) === "lost_race") return ensureParticipant(context, actor, registration);
    throw error;
  }
}

const publishesKeys = ({ signingJwks, jwksUrl }: Registration) => signingJwks.length === 0 && jwksUrl !== null;

/** What the registration says, once everything in it is right that can be judged from it alone. */
async function statedParticipant(
  context: CoreContext,
  registration: Registration,
): Promise<StatedParticipant | Refusal> {
  const keys = await publicKeys(context, registration.signingJwks);
  if (isRefusal(keys)) return keys;
  const given = registration.encryptionJwk;
  const encryption: PublicJwk | null | Refusal = given === null ? null : await encryptionKey(context, given);
  if (isRefusal(encryption)) return encryption;
  const guid = registration.guid ?? context.newGuid();
  if (!isGuid(guid)) return refuse("INVALID_REQUEST", "guid is not a UUID", { field: "guid" });
  const participant: StatedParticipant = {
    ...registration,
    guid: guid.toLowerCase(),
    uid: registration.kind === "merchant" ? (registration.uid ?? guid) : registration.uid,
    signingJwks: keys,
    encryptionJwk: encryption,
    pastJwks: [],
    version: 1,
    status: "active",
  };
  const keysToCome = publishesKeys(registration);
  return statedProblem(participant) ?? (keysToCome ? undefined : keysProblem(participant)) ?? participant;
}

/** The members that a registration states; the rest (guid, version, times) is the platform's. */
const statedMembers = [
  "kind",
  "name",
  "taxCode",
  "bic",
  "uid",
  "roles",
  "iban",
  "mcc",
  "servicingBankGuid",
  "callbackUrls",
  "callbackBodyFormat",
  "signingJwks",
  "encryptionJwk",
  "jwksUrl",
  "email",
  "deepLinkPrefix",
  "logoUrl",
  "redirectUrl",
  "feeBasisPoints",
  "requiresBodySha256",
  "callbackAlg",
] as const satisfies ReadonlyArray<keyof StatedParticipant>;

/** Keys that a known party publishes are not asked for again, so they are not compared either. */
function differenceFrom(
  found: Participant,
  wanted: StatedParticipant,
  registration: Registration,
): Refusal | undefined {
  const isOtherGuid = registration.guid !== null && registration.guid.toLowerCase() !== found.guid;
  const unstated = {
    // A uid that the platform made at the first registration is not stated by the second one.
    ...(registration.uid === null && { uid: found.uid }),
    ...(publishesKeys(registration) && { signingJwks: found.signingJwks }),
  };
  const expected = { ...wanted, ...unstated };
  const differing = statedMembers.filter((member) => canonical(found[member]) !== canonical(expected[member]));
  const fields = [...differing.map((member) => columnOf[member]), ...(isOtherGuid ? ["guid"] : [])];
  const [field] = fields;
  if (field === undefined) return undefined;
  const message = "a participant with this guid, bic or uid is registered with other content";
  return refuse("PARTICIPANT_EXISTS", message, { field, fields });
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** A new participant with the keys that it publishes; whatever others can have got wrong is told last. */
async function completed(
  context: CoreContext,
  stated: StatedParticipant,
  keysToCome: boolean,
): Promise<StatedParticipant | Refusal> {
  const urls = await callbackUrlsProblem(context, stated.callbackUrls);
  const problem = (urls?.elsewhere ? undefined : urls) ?? (await servicingBankProblem(context, stated)) ?? urls;
  if (problem !== undefined) return problem;
  if (!keysToCome) return (await sharedKeyProblem(context, stated)) ?? stated;
  const keys = await publishedKeys(context, stated.jwksUrl ?? "");
  if (isRefusal(keys)) return keys;
  const participant = { ...stated, signingJwks: keys };
  const wrong = keysProblem(participant) ?? (await sharedKeyProblem(context, participant));
  return wrong === undefined ? participant : ofPublisher(wrong);
}

/** What a party publishes may hold keys for encryption as well; they are no keys to sign with. */
async function publishedKeys(context: CoreContext, url: string): Promise<PublicJwk[] | Refusal> {
  const jwks = await context.fetchJwks(url);
  if ("problem" in jwks) return ofPublisher(refuse("INVALID_KEY", jwks.problem));
  const keys = await publicKeys(
    context,
    jwks.filter((jwk) => (jwk as { use?: unknown } | null)?.use !== "enc"),
  );
  return isRefusal(keys) ? ofPublisher(keys) : keys;
}

const ofPublisher = (refusal: Refusal): Refusal =>
  refuse(refusal.refused, `jwks_url ${refusal.message}`, { field: "jwks_url", elsewhere: true });

async function servicingBankProblem(context: CoreContext, merchant: StatedParticipant): Promise<Refusal | undefined> {
  if (merchant.kind !== "merchant") return undefined;
  const bank = await getParticipant(context, { guid: merchant.servicingBankGuid ?? "" });
  if (!isRefusal(bank) && bank.kind === "bank" && bank.roles.includes("recipient")) return undefined;
  return refuse("PARTICIPANT_NOT_FOUND", "servicing_bank_guid names no recipient bank", {
    field: "servicing_bank_guid",
  });
}

export type ParticipantKey = { guid: string } | { bic: string } | { uid: string } | { kid: string };

/** Finds one participant. A kid that two banks share finds nobody: it proves nothing. */
export async function getParticipant(context: CoreContext, key: ParticipantKey): Promise<Participant | Refusal> {
  const found = "kid" in key ? await banksWithKid(context, key.kid) : await findByKey(context, key);
  const [only] = found;
  return only !== undefined && found.length === 1 ? only : refuse("PARTICIPANT_NOT_FOUND", "no such participant");
}

type StoredKey = { guid?: string; bic?: string; uid?: string };

async function findByKey(context: CoreContext, { guid, bic, uid }: StoredKey): Promise<Participant[]> {
  if (guid !== undefined && !isGuid(guid)) return [];
  return context.db.hot<Participant>(selectParticipants, [guid ?? null, bic ?? null, uid ?? null]);
}

export type ParticipantFilter = { kind?: ParticipantKind | undefined; role?: BankRole | undefined };

/** Lists participants by name and guid. `after` is the last participant of the previous page. */
export async function listParticipants(
  context: CoreContext,
  { kind, role }: ParticipantFilter,
  { limit, after }: { limit: number; after?: { name: string; guid: string } | undefined },
): Promise<Participant[]> {
  const values = [kind ?? null, role ?? null, after?.name ?? null, after?.guid ?? null, limit];
  return context.db.sql<Participant>(selectParticipantPage, values);
}
