import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, refuse } from "./errors.ts";
import { clockToleranceMs } from "./order.ts";

/** The caller's access token, its signature already verified, with the SHA-256 digest of the request that it came with. */
export type AccessToken = { jti: string; issuedAt: Date; requestDigest: Uint8Array };

/** How long after its `iat` an access token is accepted (wire-contract section 3). */
export const accessTokenMaxAgeMs = limits.accessTokenAgeSeconds * 1000;

/**
 * How long after its `iat` a used token (its `jti`) is remembered against replay: as long as it could be accepted, and a little
 * longer.
 */
export const accessTokenMemoryMs = accessTokenMaxAgeMs + clockToleranceMs;

/**
 * The digest of the request that used a token. Undefined: the token has not been used. Null: it was used, but a node of the version
 * before stored it without a digest.
 */
export type UsedFor = Uint8Array | null | undefined;

/**
 * Why a request with this token is refused, by the database's clock, or undefined. The same request with the same token is a retry
 * and not a replay: it is let through, and the operation itself (idempotent, or refused as a duplicate) tells how the first one
 * ended.
 */
export function accessTokenProblem(token: AccessToken, usedFor: UsedFor, now: Date): Refusal | undefined {
  const ageMs = now.getTime() - token.issuedAt.getTime();
  if (ageMs > accessTokenMaxAgeMs) return refuse("TOKEN_STALE", "the access token is too old", { field: "iat" });
  // The caller's clock may run a little ahead of the database's.
  if (ageMs < -clockToleranceMs) {
    return refuse("TOKEN_NOT_YET_VALID", "the access token is from the future", { field: "iat" });
  }
  if (usedFor === undefined || isSameDigest(usedFor, token.requestDigest)) return undefined;
  return refuse("TOKEN_REPLAYED", "the access token was used for another request", { field: "jti" });
}

function isSameDigest(usedFor: Uint8Array | null, digest: Uint8Array): boolean {
  return usedFor?.length === digest.length && usedFor.every((byte, index) => byte === digest[index]);
}
