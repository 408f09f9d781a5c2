import { columnOf } from "../db/entities/entities.ts";
import { databaseFailure } from "../db/failure.ts";
import type { Sql } from "../db/pool.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type DeepLinkContent,
  deepLinkContentProblem,
  deepLinkContents,
  keysProblem,
  type Participant,
  type PublicJwk,
  type StatedKeys,
  type StatedParticipant,
  statedKeysOf,
  statedProblem,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { followKeySet } from "./keySets.ts";
import { followLogo } from "./logos.ts";
import {
  callbackUrlsProblem,
  encryptionKey,
  keySetUrlProblem,
  publicKeys,
  sharedKeyProblem,
} from "./participantChecks.ts";
import { addKeys, type NewKey } from "./participantKeys.ts";
import { changingParticipants, storedParticipant } from "./participantLock.ts";
import {
  insertParticipant,
  readParticipants,
  rowOf,
  selectBanksWithKid,
  selectParticipants,
} from "./participantRows.ts";
import { proofProblem } from "./ping.ts";

/** Members of a participant that the platform sets, not the registration. */
type PlatformsOwn = "keys" | "version" | "createdAt" | "updatedAt" | "status" | "logo";

/** A registration by an operator; keys are JSON Web Keys as parsed JSON. */
export type Registration = Omit<Participant, PlatformsOwn | "guid" | "deepLinkContent"> & {
  guid: string | null;
  /** Null: the default for a new bank; a known one keeps what it has. */
  deepLinkContent: DeepLinkContent | null;
  signingJwks: unknown[];
  encryptionJwk: unknown | null;
};

/** A registration whose members have been checked. */
type Stated = { participant: StatedParticipant; keys: StatedKeys };

/**
 * Registers a bank or a merchant (wire-contract section 8). Idempotent: the same content again answers what is stored; other
 * content under a known guid, bank code or uid is refused.
 */
export async function registerParticipant(
  context: CoreContext,
  actor: Actor,
  registration: Registration,
  options?: RegistrationOptions,
): Promise<Participant | Refusal> {
  const answer = await ensureParticipant(context, actor, registration, options);
  return isRefusal(answer) ? answer : answer.participant;
}

/** `prove`: the callback addresses of a new participant must first sign a challenge with its signing keys. */
export type RegistrationOptions = { prove?: boolean };

/**
 * `registerParticipant` that also tells whether the participant existed. What the party itself publishes (key set, DNS records) is
 * fetched only when it is new, so that the success of a retry does not depend on a stranger's host.
 */
export async function ensureParticipant(
  context: CoreContext,
  actor: Actor,
  registration: Registration,
  { prove = false }: RegistrationOptions = {},
): Promise<{ participant: Participant; alreadyExisted: boolean } | Refusal> {
  const stated = await statedParticipant(context, registration);
  if (isRefusal(stated)) return stated;
  const { participant } = stated;
  const sought = [participant.guid, participant.bic, participant.uid];
  const [found] = await readParticipants(context.db.sql, selectParticipants, sought);
  if (found !== undefined) {
    return differenceFrom(found, stated, registration) ?? { participant: found, alreadyExisted: true };
  }
  const keysToCome = publishesKeys(registration);
  const keys = await keysOfNew(context, stated, keysToCome);
  if (isRefusal(keys)) return keys;
  const unproven = prove ? await proofProblem(context, participant, keys.signingJwks) : undefined;
  if (unproven !== undefined) return unproven;
  try {
    const problem = await insert(context, actor, { participant, keys });
    if (problem !== undefined) return keysToCome && problem.refused === "INVALID_KEY" ? ofPublisher(problem) : problem;
  } catch (error) {
    // Another process registered the same participant at the same moment; the second try compares with what it stored.
    if (databaseFailure(error) === "lost_race") return ensureParticipant(context, actor, registration, { prove });
    throw error;
  }
  const stored = await storedParticipant(context.db.sql, participant.guid);
  if (stored === undefined) throw new Error("the database answered no participant");
  return { participant: stored, alreadyExisted: false };
}

/** Stores a new participant, unless it conflicts with other participants; answers that problem. */
function insert(context: CoreContext, actor: Actor, { participant, keys }: Stated): Promise<Refusal | undefined> {
  const by = { name: actorName(actor) };
  const newKeys: NewKey[] = keys.signingJwks.map((jwk) => ({ use: "sig", jwk }));
  if (keys.encryptionJwk !== null) newKeys.push({ use: "enc", jwk: keys.encryptionJwk });
  return changingParticipants(context, async (sql) => {
    const sought = [participant.guid, participant.bic, participant.uid];
    // Registered a moment ago: the insert fails as a lost race, and the caller compares.
    const isKnown = (await readParticipants(sql, selectParticipants, sought)).length > 0;
    const problem = isKnown
      ? undefined
      : ((await servicingBankProblem(sql, participant)) ?? (await sharedKeyProblem(sql, participant, keys)));
    if (problem !== undefined) return problem;
    await sql(insertParticipant, [rowOf(participant), by.name]);
    await addKeys(sql, participant, newKeys, by);
    await followKeySet(sql, participant);
    await followLogo(sql, participant);
    return undefined;
  });
}

const publishesKeys = ({ signingJwks, jwksUrl }: Registration) => signingJwks.length === 0 && jwksUrl !== null;

/** The checked content of a registration, as far as it can be judged without looking at others. */
async function statedParticipant(context: CoreContext, registration: Registration): Promise<Stated | Refusal> {
  const { signingJwks: givenKeys, encryptionJwk: givenKey, ...given } = registration;
  const signingJwks = await publicKeys(context, givenKeys);
  if (isRefusal(signingJwks)) return signingJwks;
  const encryptionJwk: PublicJwk | null | Refusal = givenKey === null ? null : await encryptionKey(context, givenKey);
  if (isRefusal(encryptionJwk)) return encryptionJwk;
  const guid = given.guid ?? context.newGuid();
  if (!isGuid(guid)) return refuse("INVALID_REQUEST", "guid is not a UUID", { field: "guid" });
  const participant: StatedParticipant = {
    ...given,
    guid: guid.toLowerCase(),
    uid: given.kind === "merchant" ? (given.uid ?? guid) : given.uid,
    version: 1,
    status: "active",
    deepLinkContent: given.deepLinkContent ?? deepLinkContents[0],
  };
  const keys = { signingJwks, encryptionJwk };
  const keysToCome = publishesKeys(registration);
  const problem =
    statedProblem(participant) ??
    (given.deepLinkContent === null ? undefined : deepLinkContentProblem(participant)) ??
    (keysToCome ? undefined : keysProblem(participant, keys));
  return problem ?? { participant, keys };
}

/** The members that a registration states and that are compared with a known participant; the platform sets the others. */
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
  "jwksUrl",
  "email",
  "deepLinkPrefix",
  "logoUrl",
  "redirectUrl",
  "feeBasisPoints",
  "requiresBodySha256",
  "callbackAlg",
  "deepLinkContent",
] as const satisfies ReadonlyArray<keyof StatedParticipant>;

/**
 * Which fields of a known participant differ from the registration. Published keys are not fetched again, so they are not compared.
 */
function differenceFrom(found: Participant, wanted: Stated, registration: Registration): Refusal | undefined {
  const isOtherGuid = registration.guid !== null && registration.guid.toLowerCase() !== found.guid;
  // The second registration states neither a uid that the platform made at the first one, nor, for a bank of before that choice
  // existed, the content of its deep links.
  const expected = {
    ...wanted.participant,
    ...(registration.uid === null && { uid: found.uid }),
    ...(registration.deepLinkContent === null && { deepLinkContent: found.deepLinkContent }),
  };
  const differing = statedMembers.filter((member) => canonical(found[member]) !== canonical(expected[member]));
  const fields = [
    ...differing.map(columnOf),
    ...(registration.jwksUrl === null ? differingKeys(statedKeysOf(found), wanted.keys) : []),
    ...(isOtherGuid ? ["guid"] : []),
  ];
  const [field] = fields;
  if (field === undefined) return undefined;
  const message = "a participant with this guid, bic or uid is registered with other content";
  return refuse("PARTICIPANT_EXISTS", message, { field, fields });
}

function differingKeys(found: StatedKeys, wanted: StatedKeys): string[] {
  const inOrder = (jwks: readonly PublicJwk[]) => jwks.map(canonical).sort().join();
  return [
    ...(inOrder(found.signingJwks) === inOrder(wanted.signingJwks) ? [] : ["signing_jwks"]),
    ...(canonical(found.encryptionJwk) === canonical(wanted.encryptionJwk) ? [] : ["encryption_jwk"]),
  ];
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

/** The keys of a new participant, fetched where it publishes them; problems at the publisher's end are reported last. */
async function keysOfNew(
  context: CoreContext,
  { participant, keys }: Stated,
  keysToCome: boolean,
): Promise<StatedKeys | Refusal> {
  const urls =
    (await callbackUrlsProblem(context, participant.callbackUrls)) ??
    (await keySetUrlProblem(context, participant.jwksUrl));
  const problem =
    (urls?.elsewhere ? undefined : urls) ?? (await servicingBankProblem(context.db.sql, participant)) ?? urls;
  if (problem !== undefined) return problem;
  if (!keysToCome) return keys;
  const published = await publishedKeys(context, participant.jwksUrl ?? "");
  if (isRefusal(published)) return published;
  const all = { ...keys, signingJwks: published };
  const wrong = keysProblem(participant, all);
  return wrong === undefined ? all : ofPublisher(wrong);
}

/** A published set may hold encryption keys as well, which are left out here. */
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

export async function servicingBankProblem(sql: Sql, merchant: StatedParticipant): Promise<Refusal | undefined> {
  if (merchant.kind !== "merchant") return undefined;
  const guid = merchant.servicingBankGuid ?? "";
  const bank = isGuid(guid) ? await storedParticipant(sql, guid) : undefined;
  if (bank?.kind === "bank" && bank.roles.includes("recipient") && bank.status !== "closed") return undefined;
  return refuse("PARTICIPANT_NOT_FOUND", "servicing_bank_guid names no recipient bank", {
    field: "servicing_bank_guid",
  });
}

export type ParticipantName = { guid: string } | { bic: string } | { uid: string } | { kid: string };

/** Finds one participant. A kid that two banks have finds none, because it identifies neither. */
export async function getParticipant(context: CoreContext, key: ParticipantName): Promise<Participant | Refusal> {
  const found = await findByKey(context, key);
  const [only] = found;
  return only !== undefined && found.length === 1 ? only : refuse("PARTICIPANT_NOT_FOUND", "no such participant");
}

type AnyKey = { guid?: string; bic?: string; uid?: string; kid?: string };

async function findByKey({ db }: CoreContext, { guid, bic, uid, kid }: AnyKey): Promise<Participant[]> {
  if (guid !== undefined && !isGuid(guid)) return [];
  return kid === undefined
    ? readParticipants(db.hot, selectParticipants, [guid ?? null, bic ?? null, uid ?? null])
    : readParticipants(db.hot, selectBanksWithKid, [kid]);
}
