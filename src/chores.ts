import type { Core } from "./core/core.ts";
import { platformActor } from "./domain/actor.ts";
import { publishDue } from "./queue/due.ts";
import type { CallbackQueue } from "./queue/queue.ts";
import { repeat } from "./repeat.ts";

export type ChoreParts = {
  core: Core;
  queue: CallbackQueue;
  log: Record<"info" | "warn" | "error", (fields: object, message: string) => void>;
  /** Called after each reconciliation with the number of discrepancies; it must not throw. */
  reconciled?: (discrepancies: number) => void;
};

/** `run` answers true when there is probably more to do; then the next round comes without a pause. */
type Chore = { name: string; everyMs: number; run: () => Promise<unknown> };

/** The most callbacks per round of the relay. */
const callbacksAtOnce = 500;

/**
 * Back-pressure: while so much waits in the queue the relay adds nothing. A backlog waits in PostgreSQL, where it costs nothing,
 * and is not published again and again while the workers are behind. It is a second of work in the embedded queue, which counts
 * tickets, and up to ten in RabbitMQ, which counts messages of many tickets.
 */
const queueHighWater = 1_000;

const keySetsAtOnce = 8;
/** Drawing a picture keeps a processor busy for some milliseconds, and an evil one for seconds. */
const logosAtOnce = 2;
const expiredAtOnce = 500;
const forgottenAtOnce = 5_000;
const reconciledDays = 8;

/**
 * The scheduled chores. Every process with the role worker runs all of them, and none waits for another: rows that one process has
 * locked are skipped by the others (`for update skip locked`). Only the closing takes an advisory lock.
 */
function choresOf({ core, queue, log, reconciled }: ChoreParts): Chore[] {
  return [
    // A chore of its own, so that neither a broker that is down nor a backlog delays the retry of a lost attempt.
    { name: "lost attempts", everyMs: 1_000, run: () => countLost(core, log) },
    { name: "relay", everyMs: 1_000, run: () => relayOnce(core, queue, log) },
    {
      name: "expire orders",
      everyMs: 1_000,
      run: async () => (await core.expireOrders(expiredAtOnce)) === expiredAtOnce,
    },
    // Under `advisoryLocks.closing`: one process at a time.
    { name: "close registers", everyMs: 30_000, run: closing(core, log, reconciled) },
    { name: "key sets", everyMs: 1_000, run: () => readKeySets(core, log) },
    { name: "logos", everyMs: 1_000, run: () => copyLogos(core, log) },
    { name: "forget access tokens", everyMs: 1_000, run: () => core.forgetAccessTokens(forgottenAtOnce) },
  ];
}

/** Starts all chores at once; `stop` waits for running rounds. */
export function startChores(parts: ChoreParts): { stop(): Promise<void> } {
  const running = choresOf(parts).map(({ name, everyMs, run }) =>
    repeat({
      everyMs,
      round: run,
      failed: (problem) => parts.log.warn({ chore: name, problem }, "a chore failed; it is tried again"),
    }),
  );
  return {
    async stop() {
      await Promise.all(running.map((chore) => chore.stop()));
    },
  };
}

/**
 * One round of the relay (outbox): publishes waiting callbacks whose ticket was never published, or lost with the broker. Answers
 * true when there is probably more.
 */
async function relayOnce(core: Core, queue: CallbackQueue, log: ChoreParts["log"]): Promise<boolean> {
  if (!queue.isReady()) return false;
  const depths = await queue.depths();
  if (depths.first + depths.retry > queueHighWater) return false;
  const waiting = await core.takeOverdueCallbacks(callbacksAtOnce);
  if (waiting.length === 0) return false;
  log.info({ callbacks: waiting.length }, "overdue callbacks are published again");
  await publishDue(queue, waiting);
  return waiting.length === callbacksAtOnce;
}

/** One round of counting attempts as lost whose process ended before it recorded them. Answers true when there is probably more. */
async function countLost(core: Core, log: ChoreParts["log"]): Promise<boolean> {
  const lost = await core.recordLostAttempts(callbacksAtOnce);
  if (lost > 0) log.warn({ lost }, "attempts whose process ended are counted as lost");
  return lost === callbacksAtOnce;
}

/**
 * One round of reading key sets; answers true when there may be more. Changes and failures are logged, because orders depend on the
 * keys.
 */
async function readKeySets(core: Core, log: ChoreParts["log"]): Promise<boolean> {
  const read = await core.readKeySets(keySetsAtOnce, Math.random);
  for (const { guid, changed, problem } of read) {
    if (problem !== undefined)
      log.warn({ party: guid, problem }, "a published key set is not as it should be; what was read last counts");
    if (changed) log.info({ party: guid }, "a participant's keys are now those that it publishes");
  }
  return read.length === keySetsAtOnce;
}

/** One round of copying logos; answers true when there may be more. A failure is told, because a payer sees a letter instead. */
async function copyLogos(core: Core, log: ChoreParts["log"]): Promise<boolean> {
  const copied = await core.copyLogos(logosAtOnce);
  for (const { guid, problem } of copied) {
    if (problem === undefined) log.info({ party: guid }, "a participant's logo is copied");
    else log.warn({ party: guid, problem }, "a participant's logo could not be copied; it is tried again");
  }
  return copied.length === logosAtOnce;
}

/** Closes the days that are over and reconciles them; a reconciliation that failed is repeated in the next round. */
function closing(core: Core, log: ChoreParts["log"], reconciled: ChoreParts["reconciled"]): () => Promise<void> {
  let isReconciled = true;
  return async () => {
    const { days, failures } = await core.closeOverdueDays(platformActor);
    if (days.length > 0) {
      log.info({ days }, "registers closed");
      isReconciled = false;
    }
    for (const failure of failures) log.error(failure, "a day could not be closed; it is tried again");
    if (isReconciled) return;
    const discrepancies = await core.reconcileRegisters(reconciledDays);
    isReconciled = true;
    reconciled?.(discrepancies.length);
    if (discrepancies.length > 0) log.error({ discrepancies }, "registers and payments do not agree");
  };
}
