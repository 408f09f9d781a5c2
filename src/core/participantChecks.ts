import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type CallbackUrls,
  callbackUrlNames,
  type Participant,
  type PublicJwk,
  type StatedParticipant,
} from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { selectBanksWithKid, selectKeyHolders } from "./participantRows.ts";

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
  return "problem" in key ? refuse("INVALID_KEY", `${field} ${key.problem}`, { field }) : (key as PublicJwk);
}

/**
 * What is wrong with a participant's keys beside those of others, or undefined. A key that two parties have proves neither.
 * Without a guid in its path a request names its bank by the kid alone, so a second holder would shut the first one out.
 */
export async function sharedKeyProblem(
  context: CoreContext,
  participant: StatedParticipant,
): Promise<Refusal | undefined> {
  const { kind, signingJwks } = participant;
  const problem = (what: string) => refuse("INVALID_KEY", `signing_jwks has ${what}`, { field: "signing_jwks" });
  const holders = await context.db.sql<Participant>(selectKeyHolders, [signingJwks.map(keyItself)]);
  if (holders.some((holder) => !isSame(holder, participant))) return problem("a key that another party has");
  if (kind !== "bank") return undefined;
  const named = await Promise.all(signingJwks.map(({ kid }) => banksWithKid(context, kid)));
  if (named.flat().some((holder) => !isSame(holder, participant))) return problem("the kid of another bank's key");
  return undefined;
}

/** An equal registration that came first at this very moment is the same party under another guid. */
function isSame(one: StatedParticipant, other: StatedParticipant): boolean {
  // A merchant's uid may read like a bank's code.
  const isNamedAlike = one.kind === other.kind && (one.bic ?? one.uid) === (other.bic ?? other.uid);
  return one.guid === other.guid || isNamedAlike;
}

/** A list with the key's numbers alone, as a key set contains it. */
function keyItself({ kid: _kid, alg: _alg, use: _use, ...numbers }: PublicJwk): string {
  return JSON.stringify([numbers]);
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
