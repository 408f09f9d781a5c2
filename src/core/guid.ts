import { randomFillSync } from "node:crypto";
import { v7 as uuidV7 } from "uuid";
import { guidPattern } from "../../gen/rest/limits.ts";

/** Whether the text is a uuid in canonical form; PostgreSQL would read other forms as well, but we give out none. */
export const isGuid = (text: string): boolean => guidPattern.test(text);

/**
 * If the clock is set back by more than this, new guids follow it; a smaller step is a correction, and their time stands still
 * meanwhile.
 */
const setBackMs = 10_000;
const mostSeq = 2 ** 32;

/**
 * Makes UUIDs of version 7 from `now`, the database's clock, on whichever node they are made; each is above the one before. So a
 * guid tells when its row was made, apart from the time that the statement waits, and lists use it as their order.
 */
export function createGuids(now: () => Date): () => string {
  const random = createRandomBytes();
  let msecs = 0;
  let seq = 0;
  return () => {
    const nowMs = Math.floor(now().getTime());
    if (nowMs > msecs || nowMs < msecs - setBackMs) {
      msecs = nowMs;
      // The sequence starts in its lower half, so that the upper half is left for further guids of the same millisecond.
      seq = Math.floor(Math.random() * (mostSeq / 2));
    } else {
      seq += 1;
    }
    return uuidV7({ msecs, seq, random: random() });
  };
}

const bytesOfUuid = 16;

/** Random bytes for one UUID at a time, drawn for many at once: drawing them costs more than all else that a UUID is made of. */
function createRandomBytes(): () => Uint8Array {
  const pool = new Uint8Array(256 * bytesOfUuid);
  let used = pool.length;
  return () => {
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    used += bytesOfUuid;
    return pool.subarray(used - bytesOfUuid, used);
  };
}

const latestMs = 2 ** 48 - 1;

/** The lowest UUID of version 7 of an instant. */
export function firstGuidOf(instant: Date): string {
  const ms = Math.min(Math.max(Math.floor(instant.getTime()), 0), latestMs);
  const hex = ms.toString(16).padStart(12, "0");
  return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
}
