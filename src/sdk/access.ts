import { createHash } from "node:crypto";
import { limits } from "../../gen/rest/limits.ts";
import { accessHeader } from "../../gen/rest/webhooks.ts";
import { type Claims, signJws } from "./jws.ts";
import type { SigningKey } from "./keys.ts";

/** The header that carries the access token of a bank or merchant. */
export const ACCESS_HEADER = accessHeader;

/** How long a token is valid after its `iat`: five minutes; clocks may differ by half a minute. */
export const ACCESS_MAX_AGE_SECONDS = limits.accessTokenAgeSeconds;
export const ACCESS_TOLERANCE_SECONDS = limits.clockToleranceSeconds;
const JTI = new RegExp(`^[^\\p{Cc}\\p{Cs}]{1,${limits.accessJtiChars}}$`, "u");

export type AccessProblem = "kind" | "iat" | "stale" | "ahead" | "jti" | "expired" | "not_yet_valid" | "audience";
export type AccessCheck = { ok: true; iat: number; jti: string } | { ok: false; problem: AccessProblem };

/**
 * The claims by which tokens of other kinds are recognised: such a token was signed for another purpose than to authenticate a
 * request.
 */
const OTHER_KINDS = {
  order: ["sub", "amt", "cur", "ref"],
  cancellation: ["sub", "order_id"],
  paymentMessage: ["payment_message_external_id", "debtor_agent_bic", "amount"],
  settlement: ["payment_message_external_id", "creditor_iban", "amount"],
} as const;

/** Whether claims have all the members of a kind of token, whatever else they have. */
export function isOfKind(claims: Claims, kind: keyof typeof OTHER_KINDS): boolean {
  return OTHER_KINDS[kind].every((name) => Object.hasOwn(claims, name));
}

const otherKinds = Object.keys(OTHER_KINDS) as (keyof typeof OTHER_KINDS)[];

/** base64url SHA-256 of a body, as the claim `body_sha256` binds it. */
export function bodyDigest(rawBody: Uint8Array): string {
  return createHash("sha256").update(rawBody).digest("base64url");
}

/**
 * Makes the value of Cx-Authorization. Every request needs a `jti` of its own, except a retry that is sent byte for byte: the
 * platform refuses a token that another request has used (replay). A merchant's token names it by the claim `iss`, its uid.
 */
export function createAccessToken(key: SigningKey, now: Date, jti: string, further: Claims = {}): Promise<string> {
  return signJws({ ...further, iat: Math.floor(now.getTime() / 1000), jti }, key);
}

/**
 * Checks the claims of an access token whose signature is verified already (wire contract, section 3). `audiences`: the names that
 * the checking party accepts as `aud`. Whether the `jti` has been used is for the caller to check.
 */
export function checkAccessClaims(claims: Claims, now: Date, audiences: readonly string[]): AccessCheck {
  const problem = (name: AccessProblem) => ({ ok: false as const, problem: name });
  if (otherKinds.some((kind) => isOfKind(claims, kind))) return problem("kind");
  const { jti } = claims;
  const iat = secondsOf(claims.iat);
  const nowSeconds = now.getTime() / 1000;
  if (!Number.isFinite(iat)) return problem("iat");
  // Each comparison is negated, so that NaN is refused.
  if (!(nowSeconds - iat <= ACCESS_MAX_AGE_SECONDS)) return problem("stale");
  if (!(iat - nowSeconds <= ACCESS_TOLERANCE_SECONDS)) return problem("ahead");
  if (typeof jti !== "string" || !JTI.test(jti)) return problem("jti");
  if (claims.exp !== undefined && !(secondsOf(claims.exp) > nowSeconds - ACCESS_TOLERANCE_SECONDS)) {
    return problem("expired");
  }
  if (claims.nbf !== undefined && !(secondsOf(claims.nbf) <= nowSeconds + ACCESS_TOLERANCE_SECONDS)) {
    return problem("not_yet_valid");
  }
  if (claims.aud !== undefined && ![claims.aud].flat().some((name) => audiences.includes(name as string))) {
    return problem("audience");
  }
  return { ok: true, iat, jti };
}

/** A NumericDate, as a number or as digits; NaN for anything else. */
function secondsOf(claim: unknown): number {
  return typeof claim === "number" || (typeof claim === "string" && /^\d+(\.\d+)?$/.test(claim))
    ? Number(claim)
    : Number.NaN;
}
