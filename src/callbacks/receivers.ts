import { answerCache, cachedAnswer } from "../answerCache.ts";
import type { Core } from "../core/core.ts";
import type { Refusal } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";

export type Receivers = {
  find(guid: string): Promise<Participant | Refusal>;
  /** Evicts it from the cache. */
  forget(guid: string): void;
};

/** TTL of the cache: a changed URL or format takes effect after it, and a busy receiver is read once per TTL, not per callback. */
const lookUpMs = 2_000;

/** The most cached participants, at a few KB each: some tens of MB. */
const maxKept = 10_000;

/** A cache of participants. */
export function createReceivers(core: Pick<Core, "getParticipant">): Receivers {
  const kept = answerCache<Participant | Refusal>(lookUpMs, maxKept);
  return {
    find: (guid) => cachedAnswer(kept, guid, () => core.getParticipant({ guid })),
    forget: (guid) => void kept.delete(guid),
  };
}
