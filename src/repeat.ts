import { setTimeout as delay } from "node:timers/promises";

/**
 * How long a stop waits for the running round. Work that it has not committed by then is rolled back, and a later round does it.
 */
const drainMs = 5_000;

export type Repetition = {
  everyMs: number;
  /** Answers true when there is more to do; then the next round comes without a pause. */
  round: () => Promise<unknown>;
  /** Called after every failed round, with the number of failures in a row; the next round comes as usual. */
  failed?: (problem: string, inARow: number) => void;
  /** Whether there is a pause before the first round as well. */
  pausesFirst?: boolean;
};

export type Repeating = { stop(): Promise<void> };

/** Runs rounds one after the other, with pauses, until it is stopped. */
export function repeat({ everyMs, round, failed, pausesFirst = false }: Repetition): Repeating {
  const stopped = new AbortController();
  const { signal } = stopped;
  // A stop aborts the pause, which is no error.
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
