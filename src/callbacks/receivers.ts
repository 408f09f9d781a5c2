import type { Core } from "../core/core.ts";
import type { Refusal } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";

export type Receivers = {
  find(guid: string): Promise<Participant | Refusal>;
  /** Read it anew the next time. */
  forget(guid: string): void;
};

/** So soon a changed URL or format takes effect; a busy receiver is read once in this time, not once a callback. */
const defaultMaxAgeMs = 2_000;

/** Beyond this the oldest entries go: a few KB each, so some tens of MB at the most. */
const maxKept = 10_000;

/** Remembers participants for a moment. Concurrent callers of one participant share one read. */
export function createReceivers(
  core: Pick<Core, "getParticipant">,
  maxAgeMs = defaultMaxAgeMs,
  nowMs: () => number = () => performance.now(),
): Receivers {
  const kept = new Map<string, { readAtMs: number; participant: Promise<Participant | Refusal> }>();
  return {
    forget: (guid) => void kept.delete(guid),
    find(guid) {
      const known = kept.get(guid);
      if (known !== undefined && nowMs() - known.readAtMs < maxAgeMs) return known.participant;
      const participant = core.getParticipant({ guid });
      // Entered anew, so that the map stays in the order of reading and its first entry is the oldest.
      kept.delete(guid);
      kept.set(guid, { readAtMs: nowMs(), participant });
      participant.catch(() => kept.delete(guid));
      for (const oldest of kept.keys()) {
        if (kept.size <= maxKept) break;
        kept.delete(oldest);
      }
      return participant;
    },
  };
}
