import { setTimeout as delay } from "node:timers/promises";

/** How long a stop waits for a round under way. What that has not committed by then is rolled back and is done by a later one. */
const drainMs = 5_000;

export type Repetition = {
  everyMs: number;
  /** Answers true when there is more to do: then the next round comes without a pause. */
  round: () => Promise<unknown>;
  /** Told of every round that failed, and of how many rounds in a row have failed now; the next one comes as always. */
  failed?: (problem: string, inARow: number) => void;
  /** Whether the first round, too, comes only after a pause. Default: it comes at once. */
  pausesFirst?: boolean;
};

export type Repeating = { stop(): Promise<void> };

/** Does something again and again, one round after the other, until it is stopped. */
export function repeat({ everyMs, round, failed, pausesFirst = false }: Repetition): Repeating {
  const stopped = new AbortController();
  const { signal } = stopped;
  // A stop ends a pause early, which is no error.
  const pause = () => delay(everyMs, undefined, { signal }).catch(() => undefined);
  const running = (async () => {
    if (pausesFirst) await pause();
    for (let failures = 0; !signal.aborted; ) {
      let more: unknown = false;
      try {
        more = await round();
        failures = 0;
      } catch (error) {
        failures += 1;
        failed?.((error as Error).message, failures);
      }
      if (more !== true) await pause();
    }
  })();
  return {
    async stop() {
      stopped.abort();
      await Promise.race([running, delay(drainMs, undefined, { ref: false })]);
    },
  };
}
