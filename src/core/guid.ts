import { v7 as uuidV7 } from "uuid";
import { guidPattern } from "../../gen/rest/limits.ts";

/** Whether PostgreSQL would read the text as the canonical form of a uuid; anything else names nothing we know. */
export const isGuid = (text: string): boolean => guidPattern.test(text);

/** A clock that is set back by more is followed; by less, it only corrects itself. */
const setBackMs = 10_000;
const mostSeq = 2 ** 32;

/**
 * Makes UUIDs of version 7 whose time is that of `now`, the database's clock, on whichever node they are made; each is above the one
 * before. So a row's identifier tells when it was made, to the time that its statement waits, and lists find rows by it.
 */
export function createGuids(now: () => Date): () => string {
  let msecs = 0;
  let seq = 0;
  return () => {
    const nowMs = Math.floor(now().getTime());
    if (nowMs > msecs || nowMs < msecs - setBackMs) {
      msecs = nowMs;
      // Half of the sequence is left for those of the same millisecond.
      seq = Math.floor(Math.random() * (mostSeq / 2));
    } else {
      seq += 1;
    }
    return uuidV7({ msecs, seq });
  };
}

const latestMs = 2 ** 48 - 1;

/** The lowest UUID of version 7 of an instant. */
export function firstGuidOf(instant: Date): string {
  const ms = Math.min(Math.max(Math.floor(instant.getTime()), 0), latestMs);
  const hex = ms.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
