import type { Core } from "../core/core.ts";
import type { Refusal } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import { recall, rememberedAnswers } from "../recall.ts";

export type Receivers = {
  find(guid: string): Promise<Participant | Refusal>;
  /** Read it anew the next time. */
  forget(guid: string): void;
};

/** So soon a changed URL or format takes effect; a busy receiver is read once in this time, not once a callback. */
const lookUpMs = 2_000;

/** A few KB each, so some tens of MB at the most. */
const maxKept = 10_000;

/** Remembers participants for a moment. */
export function createReceivers(core: Pick<Core, "getParticipant">): Receivers {
  const kept = rememberedAnswers<Participant | Refusal>(lookUpMs, maxKept);
  return {
    find: (guid) => recall(kept, guid, () => core.getParticipant({ guid })),
    forget: (guid) => void kept.delete(guid),
  };
}
