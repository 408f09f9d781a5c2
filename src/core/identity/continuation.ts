import { createHmac, timingSafeEqual } from "node:crypto";

/** The longest that one answer read in pages may take, for a slow reader. */
const continuationMs = 6 * 60 * 60 * 1000;

/**
 * A signed note of when a read began, so that its later pages are judged as of then: an answer of many pages must be able to end
 * although its access token becomes too old meanwhile. An HMAC with the platform's secret: nobody else can make one, and it is
 * bound to that token.
 */
export function continuationOf(secret: Uint8Array, token: string, began: Date): string {
  const beganMs = String(began.getTime());
  return `${beganMs}.${macOf(secret, token, beganMs).toString("base64url")}`;
}

/** When the read began; undefined for a note that is forged, for another token, or too old. */
export function beganAt(secret: Uint8Array, token: string, continuation: string, now: Date): Date | undefined {
  const [, beganMs, mac] = /^(\d{1,15})\.([A-Za-z0-9_-]{43})$/.exec(continuation) ?? [];
  if (beganMs === undefined || mac === undefined) return undefined;
  const isOurs = timingSafeEqual(Buffer.from(mac, "base64url"), macOf(secret, token, beganMs));
  const ageMs = now.getTime() - Number(beganMs);
  return isOurs && ageMs <= continuationMs ? new Date(Number(beganMs)) : undefined;
}

function macOf(secret: Uint8Array, token: string, beganMs: string): Buffer {
  return createHmac("sha256", secret).update(`${beganMs}.${token}`).digest();
}
