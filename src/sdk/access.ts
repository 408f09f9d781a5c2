import { createHash } from "node:crypto";
import { type Claims, signJws } from "./jws.ts";
import type { SigningKey } from "./keys.ts";

/** The header that carries the sender's access token, on requests of banks and on callbacks of the platform. */
export const ACCESS_HEADER = "Cx-Authorization";

/** A token is good for five minutes after it was made, and half a minute before by a clock that runs ahead. */
export const ACCESS_MAX_AGE_SECONDS = 300;
export const ACCESS_MAX_AHEAD_SECONDS = 30;
export const ACCESS_MAX_JTI_CHARS = 64;

export type AccessProblem = "iat" | "stale" | "ahead" | "jti";
export type AccessCheck = { ok: true; iat: number; jti: string } | { ok: false; problem: AccessProblem };

/** base64url SHA-256 of a body, as the claim `body_sha256` binds it. */
export function bodyDigest(rawBody: Uint8Array): string {
  return createHash("sha256").update(rawBody).digest("base64url");
}

/**
 * Makes the value of Cx-Authorization. Every request needs a jti of its own, except one that is sent again byte for byte: the
 * platform refuses a token that another request used up.
 */
export function createAccessToken(key: SigningKey, now: Date, jti: string, further: Claims = {}): Promise<string> {
  return signJws({ ...further, iat: Math.floor(now.getTime() / 1000), jti }, key);
}

/** Checks the claims of an access token whose signature is verified already. Whether the jti is new is for the caller to know. */
export function checkAccessClaims(claims: Claims, now: Date): AccessCheck {
  const { iat, jti } = claims;
  if (typeof iat !== "number" || !Number.isFinite(iat)) return { ok: false, problem: "iat" };
  const ageSeconds = now.getTime() / 1000 - iat;
  // Written as "not within", so that an age that is no number can never pass.
  if (!(ageSeconds <= ACCESS_MAX_AGE_SECONDS)) return { ok: false, problem: "stale" };
  if (!(ageSeconds >= -ACCESS_MAX_AHEAD_SECONDS)) return { ok: false, problem: "ahead" };
  if (typeof jti !== "string" || jti.length < 1 || jti.length > ACCESS_MAX_JTI_CHARS) {
    return { ok: false, problem: "jti" };
  }
  return { ok: true, iat, jti };
}
