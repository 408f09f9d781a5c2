import { randomUUID } from "node:crypto";
import type { PaymentState } from "../domain/order.ts";

/** A change of an order for its payer. */
export type OrderChange = { orderGuid: string; state: PaymentState };

/** What a reader gets. `mayHaveMissed`: there may have been changes before these that it never gets. */
export type ChangesAnswer = { changes: readonly OrderChange[]; cursor: string; mayHaveMissed: boolean };

export type OrderChanges = ReturnType<typeof createOrderChanges>;

/** Some seconds of the fastest intake; whoever comes later than that reads its orders anew. */
const keptChanges = 10_000;

/**
 * The changes that this process has heard of, its own and those of its neighbours, kept for a moment for readers that come back with
 * a cursor. A cursor names the series and a place in it; a gap begins a new series, so that no older cursor fits any more.
 */
export function createOrderChanges(kept = keptChanges) {
  let series = randomUUID();
  /** How many changes of this series are forgotten: the place of the first one that is kept. */
  let forgotten = 0;
  let known: OrderChange[] = [];
  const waiting = new Set<() => void>();

  const wake = () => {
    for (const resume of [...waiting]) resume();
  };
  const cursorAt = (place: number) => `${series}/${place}`;
  const placeOf = (cursor: string): number | undefined => {
    const [of, place] = cursor.split("/");
    return of === series && Number(place) >= forgotten ? Number(place) : undefined;
  };

  function since(cursor: string): ChangesAnswer {
    const place = placeOf(cursor);
    const next = cursorAt(forgotten + known.length);
    if (place === undefined) return { changes: [], cursor: next, mayHaveMissed: true };
    return { changes: known.slice(place - forgotten), cursor: next, mayHaveMissed: false };
  }

  return {
    /** Tells the readers; they get it at once. */
    heard(changes: readonly OrderChange[]): void {
      known.push(...changes);
      // Cut only now and then, because cutting copies what stays.
      if (known.length > 2 * kept) {
        forgotten += known.length - kept;
        known = known.slice(-kept);
      }
      wake();
    },

    /** There was a time in which changes could not be heard. */
    gap(): void {
      series = randomUUID();
      forgotten = 0;
      known = [];
      wake();
    },

    /** What changed since the cursor; waits for it at most `patienceMs`, or until the signal. */
    async wait(cursor: string, patienceMs: number, signal: AbortSignal): Promise<ChangesAnswer> {
      const first = since(cursor);
      if (first.mayHaveMissed || first.changes.length > 0 || signal.aborted) return first;
      await new Promise<void>((resolve) => {
        const resume = () => {
          clearTimeout(patience);
          waiting.delete(resume);
          signal.removeEventListener("abort", resume);
          resolve();
        };
        const patience = setTimeout(resume, patienceMs);
        waiting.add(resume);
        signal.addEventListener("abort", resume);
      });
      return since(cursor);
    },

    /** Ends all waits: the process is about to stop. */
    release: wake,
  };
}
