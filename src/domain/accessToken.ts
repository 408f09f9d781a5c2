import { limits } from "../../gen/rest/limits.ts";
import { type Refusal, refuse } from "./errors.ts";
import { clockToleranceMs } from "./order.ts";

/** The caller's access token, its signature already verified, with the SHA-256 digest of the request that it came with. */
export type AccessToken = { jti: string; issuedAt: Date; requestDigest: Uint8Array };

/** How long after its `iat` an access token is accepted (wire-contract section 3). */
export const accessTokenMaxAgeMs = limits.accessTokenAgeSeconds * 1000;

/** So long a used token is remembered after its `iat`: as long as it could be accepted, and a little longer. */
export const accessTokenMemoryMs = accessTokenMaxAgeMs + clockToleranceMs;

/**
 * The digest of the request that used a token up; null when that is not known, because a node of the version before kept it;
 * undefined when nothing did.
 */
export type UsedFor = Uint8Array | null | undefined;

/**
 * Why a request with this token is refused, by the database's clock, or undefined. The same request again is no replay: it is
 * a retry, and what became of the first one is told by what the request itself asks for.
 */
export function accessTokenProblem(token: AccessToken, usedFor: UsedFor, now: Date): Refusal | undefined {
  const ageMs = now.getTime() - token.issuedAt.getTime();
  if (ageMs > accessTokenMaxAgeMs) return refuse("TOKEN_STALE", "the access token is too old", { field: "iat" });
  // The clock of its maker may run a little ahead.
  if (ageMs < -clockToleranceMs) {
    return refuse("TOKEN_NOT_YET_VALID", "the access token is from the future", { field: "iat" });
  }
  if (usedFor === undefined || isSameDigest(usedFor, token.requestDigest)) return undefined;
  return refuse("TOKEN_REPLAYED", "the access token was used for another request", { field: "jti" });
}

function isSameDigest(usedFor: Uint8Array | null, digest: Uint8Array): boolean {
  return usedFor?.length === digest.length && usedFor.every((byte, index) => byte === digest[index]);
}
