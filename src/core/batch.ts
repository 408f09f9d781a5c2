import { databaseFailure } from "../db/failure.ts";
import { type Refusal, refuse } from "../domain/errors.ts";

export type GroupLimits = {
  /** The most calls that share one transaction. */
  maxGroup: number;
  /** The most calls that wait; one more is refused as OVERLOADED (back-pressure), so that memory and waiting time stay bounded. */
  maxWaiting: number;
  /** Groups that run at the same time. */
  concurrency: number;
};

export type GroupedCall<In, Out> = {
  call(input: In): Promise<Out | Refusal>;
  /** Resolves when nothing waits or runs any more. */
  drain(): Promise<void>;
};

type Waiting<In, Out> = { input: In; resolve: (output: Out) => void; reject: (error: unknown) => void };

/** A group that lost a race (serialisation, uniqueness) is decided again; after this many tries the cause must be another. */
const maxTries = 4;

/** How many members of a failed group run at the same time: a bulkhead, so that a blocked one does not hold up those behind it. */
const aloneAtOnce = 4;

/**
 * Members of a failed group that have not begun after this time are given up: their callers have stopped waiting, and the next
 * groups need the place. A hundred members take a few hundred milliseconds; only a database that hardly answers takes this long.
 */
const alonePatienceMs = 10_000;

type Run<In, Out> = (inputs: readonly In[]) => Promise<readonly Out[]>;

/**
 * Groups concurrent single calls into one run over an array. Nothing is delayed on purpose: a call starts at the end of
 * the current turn of the event loop, and what arrives while groups run forms the next one. A group that lost a race runs
 * again; when it fails for another reason, above all because it waited for a lock that somebody holds on one of its rows,
 * each member runs alone, so that one member never fails its neighbours.
 */
export function groupCalls<In, Out>(run: Run<In, Out>, limits: GroupLimits): GroupedCall<In, Out> {
  const waiting: Waiting<In, Out>[] = [];
  let running = 0;
  let scheduled = false;
  let idle: (() => void)[] = [];

  function schedule(): void {
    if (scheduled) return;
    scheduled = true;
    setImmediate(() => {
      scheduled = false;
      while (running < limits.concurrency && waiting.length > 0) void runGroup(waiting.splice(0, limits.maxGroup));
    });
  }

  async function runGroup(group: Waiting<In, Out>[]): Promise<void> {
    running += 1;
    try {
      const outputs = await runUntilWon(
        run,
        group.map((member) => member.input),
      );
      group.forEach((member, index) => {
        member.resolve(outputs[index] as Out);
      });
    } catch (error) {
      await runEachAlone(run, group, error);
    } finally {
      running -= 1;
      if (waiting.length > 0) schedule();
      else if (running === 0) {
        for (const wake of idle) wake();
        idle = [];
      }
    }
  }

  return {
    call(input) {
      if (waiting.length >= limits.maxWaiting) {
        return Promise.resolve(refuse("OVERLOADED", "the platform has more work than it can take; try again"));
      }
      return new Promise<Out>((resolve, reject) => {
        waiting.push({ input, resolve, reject });
        schedule();
      });
    },
    drain() {
      if (waiting.length === 0 && running === 0) return Promise.resolve();
      return new Promise((resolve) => idle.push(resolve));
    },
  };
}

/** Runs the group until it loses no race, at most `maxTries` times. */
async function runUntilWon<In, Out>(run: Run<In, Out>, inputs: readonly In[]): Promise<readonly Out[]> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await run(inputs);
    } catch (error) {
      if (databaseFailure(error) !== "lost_race" || tries === maxTries) throw error;
    }
  }
}

/** Runs each member of a failed group alone, so that a failing member does not fail the others. */
async function runEachAlone<In, Out>(run: Run<In, Out>, group: Waiting<In, Out>[], groupError: unknown): Promise<void> {
  // A database that cannot be reached fails every member, so asking once per member only takes longer. A group of one was alone
  // already.
  if (group.length === 1 || databaseFailure(groupError) === "unavailable") {
    for (const member of group) member.reject(groupError);
    return;
  }
  const deadlineMs = performance.now() + alonePatienceMs;
  const left = group.values();
  const runThoseLeft = async () => {
    for (const { input, resolve, reject } of left) {
      if (performance.now() > deadlineMs) reject(groupError);
      else await runUntilWon(run, [input]).then(([output]) => resolve(output as Out), reject);
    }
  };
  await Promise.all(Array.from({ length: aloneAtOnce }, runThoseLeft));
}
