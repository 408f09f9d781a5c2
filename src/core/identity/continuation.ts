import { createHmac, timingSafeEqual } from "node:crypto";

/** So long an answer may take that is read in pages, however slow its reader is. */
const continuationMs = 6 * 60 * 60 * 1000;

/**
 * Says when a read began, so that its later calls are judged as of then: an answer of many pages must end although the access
 * token that asked for it becomes too old meanwhile. Only the platform can write it, and it is good with that token alone.
 */
export function continuationOf(secret: Uint8Array, token: string, began: Date): string {
  const beganMs = String(began.getTime());
  return `${beganMs}.${macOf(secret, token, beganMs).toString("base64url")}`;
}

/** When the read began; undefined for what the platform has not written, and for what is too old. */
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
