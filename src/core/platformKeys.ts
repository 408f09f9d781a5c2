import type { Actor } from "../domain/actor.ts";
import { isRefusal, type Refusal } from "../domain/errors.ts";
import type { PublicJwk } from "../domain/participant.ts";
import {
  type PlatformKey,
  type PlatformKeyState,
  platformKeyState,
  type RotationWish,
  rotationOf,
  rotationProblem,
} from "../domain/platformKey.ts";
import { generateKeyPair } from "../sdk/keys.ts";
import type { CoreContext } from "./context.ts";
import { allPlatformKeys, insertPlatformKey, lockPlatformKeys, retirePlatformKeys } from "./platformKeyRows.ts";

/** A key as people see it: nothing of its private part. */
export type ListedPlatformKey = PlatformKey & { state: PlatformKeyState };

/** What is published, and how long it may be remembered. */
export function listSigningKeys({ platformKeys, jwksMaxAgeSeconds }: CoreContext): {
  jwks: readonly PublicJwk[];
  maxAgeSeconds: number;
} {
  return { jwks: platformKeys.jwks(), maxAgeSeconds: jwksMaxAgeSeconds };
}

/**
 * Lists the keys that ever were, newest first; `after` is the last kid of the previous page. There are some hundreds in a lifetime,
 * and where one stands depends on the others.
 */
export async function listPlatformKeys(
  context: CoreContext,
  { limit = 100, after }: { limit?: number; after?: string | undefined } = {},
): Promise<ListedPlatformKey[]> {
  const keys = await allPlatformKeys(context.db.sql);
  const from = after === undefined ? 0 : keys.findIndex(({ kid }) => kid === after) + 1;
  if (after !== undefined && from === 0) return [];
  return keys.slice(from, from + limit).map((key) => listed(key, keys, context.now()));
}

function listed(key: PlatformKey, keys: readonly PlatformKey[], now: Date): ListedPlatformKey {
  const { kid, alg, createdAt, activeFrom, retireAt, unpublishAt } = key;
  return { kid, alg, createdAt, activeFrom, retireAt, unpublishAt, state: platformKeyState(key, keys, now) };
}

/** Makes a new key of an algorithm in the place of the one that signs: announced first, or at once. */
export async function rotatePlatformKey(
  context: CoreContext,
  actor: Actor,
  wish: RotationWish,
): Promise<{ key: ListedPlatformKey; retired: ListedPlatformKey[] } | Refusal> {
  const { db, platformKeys, jwksMaxAgeSeconds: maxAgeSeconds } = context;
  const problem = rotationProblem(wish, maxAgeSeconds);
  if (problem !== undefined) return problem;
  // Before the lock: finding the primes of an RSA key takes a while.
  const pair = await generateKeyPair(wish.alg);
  const sealed = platformKeys.seal(pair.kid, JSON.stringify(pair.privateJwk));
  const answer = await db.transaction(async (sql) => {
    const now = await lockPlatformKeys(sql);
    const keys = await allPlatformKeys(sql);
    if (keys.some(({ retireAt, masterKeyId }) => retireAt === null && masterKeyId !== sealed.masterKeyId)) {
      // What this process encrypts, the others could not open.
      throw new Error("the signing keys are under another master key than this process has: start it with that one");
    }
    const ofAlg = keys.filter(({ alg }) => alg === wish.alg);
    const rotation = rotationOf(ofAlg, wish, { now, maxAgeSeconds });
    if (isRefusal(rotation)) return rotation;
    const { activeFrom, retirements } = rotation;
    const made = await insertPlatformKey(sql, actor, { pair, sealed, createdAt: now, activeFrom });
    const retired = await retirePlatformKeys(sql, actor, retirements);
    const since = [...ofAlg.filter(({ kid }) => !retirements.some((end) => end.kid === kid)), ...retired, made];
    return { key: listed(made, since, now), retired: retired.map((key) => listed(key, since, now)) };
  });
  // The others follow within seconds; who asks this process next finds it done. A read that fails undoes nothing.
  if (!isRefusal(answer)) await platformKeys.refresh().catch(() => undefined);
  return answer;
}
