import { LockMode, raw } from "@mikro-orm/postgresql";
import { ParticipantEntity } from "../db/entities.ts";
import { databaseFailure } from "../db/failure.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type BankRole,
  type CallbackBodyFormat,
  type CallbackUrls,
  callbackUrlNames,
  type Participant,
  type ParticipantKind,
  type PublicJwk,
  participantProblem,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";

/** What an operator gives to register a participant; keys are JSON Web Keys as parsed JSON. */
export type Registration = Omit<
  Participant,
  "guid" | "signingJwks" | "encryptionJwk" | "pastJwks" | "version" | "createdAt" | "updatedAt"
> & { guid: string | null; signingJwks: unknown[]; encryptionJwk: unknown | null };

/**
 * Registers a bank or a merchant (wire-contract section 8). The same content again answers what is stored, so a retry is
 * safe; other content under a known guid, bank code or uid is refused.
 */
export async function registerParticipant(
  context: CoreContext,
  registration: Registration,
): Promise<Participant | Refusal> {
  const prepared = await prepare(context, registration);
  if (isRefusal(prepared)) return prepared;
  const em = context.db.orm.em.fork();
  const key = prepared.kind === "bank" ? { bic: prepared.bic } : { uid: prepared.uid };
  const found = await em.findOne(ParticipantEntity, { $or: [{ guid: prepared.guid }, key] });
  if (found !== null) return sameOrRefused(found, prepared, registration);
  const shared = await sharedKidProblem(context, prepared);
  if (shared !== undefined) return shared;
  try {
    const participant = em.create(ParticipantEntity, prepared);
    await em.persist(participant).flush();
    return prepared;
  } catch (error) {
    // Somebody registered the same participant at the same moment; now it can be compared.
    if (databaseFailure(error) === "lost_race") return registerParticipant(context, registration);
    throw error;
  }
}

async function prepare(context: CoreContext, registration: Registration): Promise<Participant | Refusal> {
  const keys = await publicKeys(context, registration.signingJwks, registration.jwksUrl);
  if (isRefusal(keys)) return keys;
  const encryption = registration.encryptionJwk === null ? null : await context.publicKey(registration.encryptionJwk);
  if (encryption !== null && "problem" in encryption) {
    return refuse("INVALID_KEY", `encryption_jwk ${encryption.problem}`, { field: "encryption_jwk" });
  }
  const guid = registration.guid ?? context.newGuid();
  if (!isGuid(guid)) return refuse("INVALID_REQUEST", "guid is not a UUID", { field: "guid" });
  const now = new Date();
  const participant: Participant = {
    ...registration,
    guid: guid.toLowerCase(),
    uid: registration.kind === "merchant" ? (registration.uid ?? guid) : registration.uid,
    signingJwks: keys,
    encryptionJwk: encryption as PublicJwk | null,
    pastJwks: [],
    version: 1,
    createdAt: now,
    updatedAt: now,
  };
  const problem =
    participantProblem(participant) ??
    (await callbackUrlsProblem(context, participant.callbackUrls)) ??
    (await servicingBankProblem(context, participant));
  return problem ?? participant;
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
] as const satisfies ReadonlyArray<keyof Participant>;

function sameOrRefused(found: Participant, wanted: Participant, registration: Registration): Participant | Refusal {
  const givenGuid = registration.guid === null || registration.guid.toLowerCase() === found.guid;
  // A uid that the platform made at the first registration is not stated by the second one.
  const uid = registration.uid === null ? found.uid : wanted.uid;
  const expected = { ...wanted, uid };
  const differing = statedMembers.find((member) => canonical(found[member]) !== canonical(expected[member]));
  if (givenGuid && differing === undefined) return found;
  return refuse("PARTICIPANT_EXISTS", "a participant with this guid, bic or uid is registered with other content", {
    field: differing ?? "guid",
  });
}

/** JSON with sorted members: jsonb does not keep their order. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    typeof member === "object" && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

async function publicKeys(
  context: CoreContext,
  given: readonly unknown[],
  jwksUrl: string | null,
): Promise<PublicJwk[] | Refusal> {
  const jwks = given.length > 0 || jwksUrl === null ? given : await publishedJwks(context, jwksUrl);
  if ("problem" in jwks) return refuse("INVALID_KEY", `jwks_url ${jwks.problem}`, { field: "jwks_url" });
  const keys: PublicJwk[] = [];
  for (const jwk of jwks as unknown[]) {
    const key = await context.publicKey(jwk);
    if ("problem" in key) return refuse("INVALID_KEY", `signing_jwks ${key.problem}`, { field: "signing_jwks" });
    keys.push(key as PublicJwk);
  }
  return keys;
}

/** What a party publishes may hold keys for encryption as well; they are no keys to sign with. */
async function publishedJwks(context: CoreContext, url: string): Promise<unknown[] | { problem: string }> {
  const jwks = await context.fetchJwks(url);
  return "problem" in jwks ? jwks : jwks.filter((jwk) => (jwk as { use?: unknown } | null)?.use !== "enc");
}

/**
 * What is wrong with a bank's kids, or undefined. Without a guid in its path a request names its bank by the kid alone, so
 * a second holder would shut the first one out.
 */
async function sharedKidProblem(context: CoreContext, participant: Participant): Promise<Refusal | undefined> {
  if (participant.kind !== "bank") return undefined;
  const kids = participant.signingJwks.map(({ kid }) => kid);
  const holders = await Promise.all(kids.map((kid) => banksWithKid(context, kid)));
  // By bank code: an equal registration that came first at this very moment is the same bank under another guid.
  const shared = kids.find((_, index) => holders[index]?.some((holder) => holder.bic !== participant.bic));
  if (shared === undefined) return undefined;
  return refuse("INVALID_KEY", "signing_jwks has the kid of another bank's key", { field: "signing_jwks" });
}

function banksWithKid(context: CoreContext, kid: string): Promise<Participant[]> {
  const holds = raw("signing_jwks @> ?::jsonb", [JSON.stringify([{ kid }])]);
  return context.db.orm.em.fork().find(ParticipantEntity, { kind: "bank", [holds]: [] }, { limit: 2 });
}

async function callbackUrlsProblem(context: CoreContext, urls: CallbackUrls): Promise<Refusal | undefined> {
  for (const name of callbackUrlNames) {
    const url = urls[name];
    if (url === undefined) continue;
    const field = `callback_urls.${name}`;
    const problem = url.length > 2000 ? "is longer than 2000 characters" : await context.callbackUrlProblem(url);
    if (problem !== undefined) return refuse("INVALID_CALLBACK_URL", `${field} ${problem}`, { field });
  }
  return undefined;
}

async function servicingBankProblem(context: CoreContext, merchant: Participant): Promise<Refusal | undefined> {
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
  const notFound = refuse("PARTICIPANT_NOT_FOUND", "no such participant");
  const em = context.db.orm.em.fork();
  if ("guid" in key) {
    return (isGuid(key.guid) && (await em.findOne(ParticipantEntity, { guid: key.guid }))) || notFound;
  }
  if ("kid" in key) {
    const holders = await banksWithKid(context, key.kid);
    return (holders.length === 1 && holders[0]) || notFound;
  }
  return (await em.findOne(ParticipantEntity, key)) ?? notFound;
}

export type ParticipantFilter = { kind?: ParticipantKind | undefined; role?: BankRole | undefined };

/** Lists participants by name and guid. `after` is the last participant of the previous page. */
export async function listParticipants(
  context: CoreContext,
  filter: ParticipantFilter,
  page: { limit: number; after?: { name: string; guid: string } | undefined },
): Promise<Participant[]> {
  const { kind, role } = filter;
  const { after } = page;
  const em = context.db.orm.em.fork();
  return em.find(
    ParticipantEntity,
    {
      ...(kind && { kind }),
      ...(role && { roles: { $contains: [role] } }),
      ...(after && { $or: [{ name: { $gt: after.name } }, { name: after.name, guid: { $gt: after.guid } }] }),
    },
    { orderBy: { name: "asc", guid: "asc" }, limit: page.limit },
  );
}

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
};

/** Keys kept after their replacement; older ones are of no use to any message that can still be on its way. */
const maxPastKeys = 20;

/** Changes a participant; replaced keys are remembered, so that messages that were encrypted for them still show theirs. */
export async function updateParticipant(
  context: CoreContext,
  guid: string,
  change: ParticipantChange,
): Promise<Participant | Refusal> {
  const { signingJwks, encryptionJwk, ...plain } = change;
  const signing = signingJwks && (await publicKeys(context, signingJwks, null));
  if (isRefusal(signing)) return signing;
  const encryption = encryptionJwk === undefined ? undefined : await context.publicKey(encryptionJwk);
  if (encryption !== undefined && "problem" in encryption) {
    return refuse("INVALID_KEY", `encryption_jwk ${encryption.problem}`, { field: "encryption_jwk" });
  }
  const urls = plain.callbackUrls && (await callbackUrlsProblem(context, plain.callbackUrls));
  if (urls !== undefined) return urls;
  return context.db.orm.em.fork().transactional(async (em) => {
    const found = isGuid(guid)
      ? await em.findOne(ParticipantEntity, { guid }, { lockMode: LockMode.PESSIMISTIC_WRITE })
      : null;
    if (found === null) return refuse("PARTICIPANT_NOT_FOUND", "no such participant", { field: "guid" });
    const before: PublicJwk[] = [...found.signingJwks, ...(found.encryptionJwk ? [found.encryptionJwk] : [])];
    Object.assign(found, plain);
    if (signing !== undefined) found.signingJwks = signing;
    if (encryption !== undefined) found.encryptionJwk = encryption as PublicJwk;
    const current = new Set([...found.signingJwks, found.encryptionJwk].map((key) => key?.kid));
    found.pastJwks = [...before.filter((key) => !current.has(key.kid)), ...found.pastJwks].slice(0, maxPastKeys);
    const problem = participantProblem(found) ?? (signing && (await sharedKidProblem(context, found)));
    if (problem !== undefined) {
      em.clear();
      return problem;
    }
    found.version += 1;
    found.updatedAt = new Date();
    return found;
  });
}
