import { clockToleranceMs } from "./order.ts";

/** How long after its `iat` an access token is accepted (wire-contract section 3). */
export const accessTokenMaxAgeMs = 300_000;

/** So long a used token is remembered after its `iat`: as long as it could be accepted, and a little longer. */
export const accessTokenMemoryMs = accessTokenMaxAgeMs + clockToleranceMs;

/** Whether a token of this instant is accepted now; a clock of its maker may run a little ahead. */
export function isAccessTokenCurrent(issuedAt: Date, now: Date): boolean {
  const ageMs = now.getTime() - issuedAt.getTime();
  return ageMs <= accessTokenMaxAgeMs && ageMs >= -clockToleranceMs;
}
