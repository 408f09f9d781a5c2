import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type CallbackUrls,
  callbackUrlNames,
  type Participant,
  type PublicJwk,
  type StatedParticipant,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { selectBanksWithKid } from "./participantRows.ts";

/** Keys as they are stored, or what is wrong with the first one that cannot be. */
export async function publicKeys(context: CoreContext, given: readonly unknown[]): Promise<PublicJwk[] | Refusal> {
  const keys: PublicJwk[] = [];
  for (const jwk of given) {
    const key = await storableKey(context, jwk, "signing_jwks");
    if (isRefusal(key)) return key;
    keys.push(key);
  }
  return keys;
}

export function encryptionKey(context: CoreContext, given: unknown): Promise<PublicJwk | Refusal> {
  return storableKey(context, given, "encryption_jwk");
}

async function storableKey(context: CoreContext, jwk: unknown, field: string): Promise<PublicJwk | Refusal> {
  const key = await context.publicKey(jwk);
  const problem = "problem" in key ? key.problem : unstorable.test(key.kid) ? "has a kid that is not text" : undefined;
  return problem === undefined ? (key as PublicJwk) : refuse("INVALID_KEY", `${field} ${problem}`, { field });
}

/** PostgreSQL knows neither U+0000 nor half a character, and strangers choose the kids of the keys that they publish. */
const unstorable = /\0|\p{Surrogate}/u;

/**
 * What is wrong with a bank's kids, or undefined. Without a guid in its path a request names its bank by the kid alone, so
 * a second holder would shut the first one out.
 */
export async function sharedKidProblem(
  context: CoreContext,
  participant: StatedParticipant,
): Promise<Refusal | undefined> {
  if (participant.kind !== "bank") return undefined;
  const kids = participant.signingJwks.map(({ kid }) => kid);
  const holders = await Promise.all(kids.map((kid) => banksWithKid(context, kid)));
  // By bank code: an equal registration that came first at this very moment is the same bank under another guid.
  const shared = kids.find((_, index) => holders[index]?.some((holder) => holder.bic !== participant.bic));
  if (shared === undefined) return undefined;
  return refuse("INVALID_KEY", "signing_jwks has the kid of another bank's key", { field: "signing_jwks" });
}

export function banksWithKid(context: CoreContext, kid: string): Promise<Participant[]> {
  return context.db.sql<Participant>(selectBanksWithKid, [JSON.stringify([{ kid }])]);
}

/** What is wrong with the URLs; a text that can never be right is told before a host that may be right tomorrow. */
export async function callbackUrlsProblem(context: CoreContext, urls: CallbackUrls): Promise<Refusal | undefined> {
  const checked = await Promise.all(callbackUrlNames.map((name) => callbackUrlProblem(context, name, urls[name])));
  const problems = checked.filter((problem) => problem !== undefined);
  return problems.find((problem) => !problem.elsewhere) ?? problems[0];
}

async function callbackUrlProblem(
  context: CoreContext,
  name: string,
  url: string | undefined,
): Promise<Refusal | undefined> {
  if (url === undefined) return undefined;
  const isLong = url.length > 2000;
  const problem = isLong
    ? { text: "is longer than 2000 characters", ofHost: false }
    : await context.callbackUrlProblem(url);
  if (problem === undefined) return undefined;
  const field = `callback_urls.${name}`;
  const message = `${field} ${problem.text}`;
  return refuse("INVALID_CALLBACK_URL", message, { field, ...(problem.ofHost && { elsewhere: true }) });
}
