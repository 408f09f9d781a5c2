import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type PlatformKey, PlatformKeySchema } from "../../gen/dcm/v1/platform_service_pb.ts";
import type { Actor } from "../domain/actor.ts";
import { isRefusal, type Refusal } from "../domain/errors.ts";
import type { PublicJwk } from "../domain/participant.ts";
import { platformKeyState, type RotationWish, rotationOf, rotationProblem } from "../domain/platformKey.ts";
import { generateKeyPair } from "../sdk/keys.ts";
import { callbackAlgs, platformKeyStates } from "../wire/enums.ts";
import { instantOrUnset } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";
import {
  allPlatformKeys,
  insertPlatformKey,
  lockPlatformKeys,
  type PlatformKeyRow,
  retirePlatformKeys,
} from "./platformKeyRows.ts";

/** The published keys, and for how long readers may cache them. */
export function listSigningKeys({ platformKeys, jwksMaxAgeSeconds }: CoreContext): {
  jwks: readonly PublicJwk[];
  maxAgeSeconds: number;
} {
  return { jwks: platformKeys.jwks(), maxAgeSeconds: jwksMaxAgeSeconds };
}

/**
 * Lists all keys, newest first; `after` is the last kid of the previous page. All rows are read, some hundreds in a lifetime,
 * because the state of one depends on the others.
 */
export async function listPlatformKeys(
  context: CoreContext,
  { limit = 100, after }: { limit?: number; after?: string | undefined } = {},
): Promise<PlatformKey[]> {
  const keys = await allPlatformKeys(context.db.sql);
  const from = after === undefined ? 0 : keys.findIndex(({ kid }) => kid === after) + 1;
  if (after !== undefined && from === 0) return [];
  return keys.slice(from, from + limit).map((key) => toPlatformKey(key, keys, context.now()));
}

/** A key as the contract shows it, without its private part; its state depends on all `keys`. */
function toPlatformKey(key: PlatformKeyRow, keys: readonly PlatformKeyRow[], now: Date): PlatformKey {
  const { publicJwk, privateKey, masterKeyId, alg, createdAt, activeFrom, retireAt, unpublishAt, ...same } = key;
  return whole(PlatformKeySchema, {
    ...same,
    alg: callbackAlgs[alg],
    state: platformKeyStates[platformKeyState(key, keys, now)],
    createdAt: timestampFromDate(createdAt),
    activeFrom: timestampFromDate(activeFrom),
    retireAt: instantOrUnset(retireAt),
    unpublishAt: instantOrUnset(unpublishAt),
  });
}

/** Makes a new key of an algorithm that replaces the one that signs: announced first, or at once. */
export async function rotatePlatformKey(
  context: CoreContext,
  actor: Actor,
  wish: RotationWish,
): Promise<{ key: PlatformKey; retired: PlatformKey[] } | Refusal> {
  const { db, platformKeys, jwksMaxAgeSeconds: maxAgeSeconds } = context;
  const problem = rotationProblem(wish, maxAgeSeconds);
  if (problem !== undefined) return problem;
  // Before the lock, because finding the primes of an RSA key takes a while.
  const pair = await generateKeyPair(wish.alg);
  const sealed = platformKeys.seal(pair.kid, JSON.stringify(pair.privateJwk));
  const answer = await db.transaction(async (sql) => {
    const now = await lockPlatformKeys(sql);
    const keys = await allPlatformKeys(sql);
    if (keys.some(({ retireAt, masterKeyId }) => retireAt === null && masterKeyId !== sealed.masterKeyId)) {
      // A key encrypted under the master key of this process could not be decrypted by the others.
      throw new Error("the signing keys are under another master key than this process has: start it with that one");
    }
    const ofAlg = keys.filter(({ alg }) => alg === wish.alg);
    const rotation = rotationOf(ofAlg, wish, { now, maxAgeSeconds });
    if (isRefusal(rotation)) return rotation;
    const { activeFrom, retirements } = rotation;
    const made = await insertPlatformKey(sql, actor, { pair, sealed, createdAt: now, activeFrom });
    const retired = await retirePlatformKeys(sql, actor, retirements);
    // The other keys have signed their last before, so the states of these do not depend on them.
    const shown = (key: PlatformKeyRow) => toPlatformKey(key, [...retired, made], now);
    return { key: shown(made), retired: retired.map(shown) };
  });
  // Other processes follow within seconds (polling); this one reads at once. A failed read undoes nothing.
  if (!isRefusal(answer)) await platformKeys.refresh().catch(() => undefined);
  return answer;
}
