import { exampleKeys } from "../../gen/rest/exampleKeys.ts";
import type { Sql } from "../db/pool.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  type CallbackUrls,
  callbackUrlNames,
  type Participant,
  type PublicJwk,
  type StatedKeys,
} from "../domain/participant.ts";
import { lengthOf } from "../domain/text.ts";
import type { CoreContext, UrlProblem } from "./context.ts";
import { isNotRetired } from "./participantRows.ts";

/**
 * The keys in the form in which they are stored, or the first problem. Two keys with one kid are refused: the kid would be
 * ambiguous.
 */
export async function publicKeys(context: CoreContext, given: readonly unknown[]): Promise<PublicJwk[] | Refusal> {
  const field = "signing_jwks";
  const keys: PublicJwk[] = [];
  for (const jwk of given) {
    const key = await storableKey(context, jwk, field);
    if (isRefusal(key)) return key;
    if (keys.some(({ kid }) => kid === key.kid)) return refuse("INVALID_KEY", `${field} has a kid twice`, { field });
    keys.push(key);
  }
  return keys;
}

export function encryptionKey(context: CoreContext, given: unknown): Promise<PublicJwk | Refusal> {
  return storableKey(context, given, "encryption_jwk");
}

export async function storableKey(context: CoreContext, jwk: unknown, field: string): Promise<PublicJwk | Refusal> {
  const key = await context.publicKey(jwk);
  const problem = "problem" in key ? key.problem : exampleKeyProblem(key);
  return problem === undefined ? (key as PublicJwk) : refuse("INVALID_KEY", `${field} ${problem}`, { field });
}

const publishedKeys = new Set(Object.values(exampleKeys).map(numbersJson));

/** The private halves of the contract's example keys are published, so anyone could sign with them; they are for tests only. */
function exampleKeyProblem(key: PublicJwk): string | undefined {
  return publishedKeys.has(numbersJson(key))
    ? "is a key of the contract's examples, whose private half is published"
    : undefined;
}

const selectOtherHolders = {
  name: "select_other_holders",
  text: `
    select exists (
      select from participant_key k where k.jwk - '{kid,alg,use}'::text[] = any($2::jsonb[])
        and k.participant_guid <> $1 and ${isNotRetired("k")}
    ) as "haveKey", $4 = 'bank' and exists (
      select from participant_key k where k.kid = any($3) and k.participant_kind = 'bank' and k.use = 'sig'
        and k.participant_guid <> $1 and ${isNotRetired("k")}
    ) as "haveKid"`,
};

/**
 * Refuses keys that another participant has, and answers the problem, or undefined. A key of two parties proves neither of them. A
 * request without a guid in its path names its bank by the kid alone, so a second holder of a kid would lock the first one out.
 */
export async function sharedKeyProblem(
  sql: Sql,
  holder: Pick<Participant, "guid" | "kind">,
  { signingJwks, encryptionJwk }: StatedKeys,
): Promise<Refusal | undefined> {
  const encryption = encryptionJwk === null ? [] : [encryptionJwk];
  return (
    (await sharedKeysProblem(sql, holder, signingJwks, "signing_jwks")) ??
    (await sharedKeysProblem(sql, holder, encryption, "encryption_jwk"))
  );
}

/** `sharedKeyProblem` for keys of either use; `field` is the name in the request. */
export async function sharedKeysProblem(
  sql: Sql,
  { guid, kind }: Pick<Participant, "guid" | "kind">,
  jwks: readonly PublicJwk[],
  field: string,
): Promise<Refusal | undefined> {
  const kids = jwks.filter(({ use }) => use !== "enc").map(({ kid }) => kid);
  const values = [guid, jwks.map(numbersJson), kids, kind];
  const [others] = await sql<{ haveKey: boolean; haveKid: boolean }>(selectOtherHolders, values);
  const problem = (what: string) => refuse("INVALID_KEY", `${field} has ${what}`, { field });
  if (others?.haveKey) return problem("a key that another party has");
  return others?.haveKid ? problem("the kid of another bank's key") : undefined;
}

/** The key material alone, without kid, alg and use. */
function numbersJson({ kid: _kid, alg: _alg, use: _use, ...numbers }: PublicJwk): string {
  return JSON.stringify(numbers, Object.keys(numbers).sort());
}

/** What is wrong with the URLs. A text that can never be right comes before a host that may resolve differently tomorrow. */
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
  const isLong = lengthOf(url) > 2000;
  const problem = isLong
    ? { text: "is longer than 2000 characters", ofHost: false }
    : await context.callbackUrlProblem(url);
  return problem && ofUrl("INVALID_CALLBACK_URL", `callback_urls.${name}`, problem);
}

/** What is wrong with the address of a key set, or undefined; the address guard (SSRF) applies to it as to callbacks. */
export async function keySetUrlProblem(context: CoreContext, url: string | null): Promise<Refusal | undefined> {
  const problem = url === null ? undefined : await context.callbackUrlProblem(url);
  return problem && ofUrl("INVALID_REQUEST", "jwks_url", problem);
}

function ofUrl(
  reason: "INVALID_CALLBACK_URL" | "INVALID_REQUEST",
  field: string,
  { text, ofHost }: UrlProblem,
): Refusal {
  return refuse(reason, `${field} ${text}`, { field, ...(ofHost && { elsewhere: true }) });
}
