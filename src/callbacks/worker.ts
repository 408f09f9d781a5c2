import { setTimeout as delay } from "node:timers/promises";
import type { Core } from "../core/core.ts";
import { platformActor } from "../domain/actor.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";
import type { CallbackQueue } from "../queue/queue.ts";
import { DEFAULT_PARK_MS } from "../queue/topology.ts";
import type { CallbackClient } from "./client.ts";
import { type DeliveryContext, type DeliveryLog, type DeliveryObserver, deliver } from "./deliver.ts";
import type { Signer } from "./envelope.ts";
import { createReceivers } from "./receivers.ts";
import { countLost, relayOnce } from "./relay.ts";
import { createSlots } from "./slots.ts";

export type WorkerOptions = {
  core: Core;
  queue: CallbackQueue;
  client: CallbackClient;
  signer: Signer;
  publicUrl: () => string;
  newGuid: () => string;
  /** When the relay publishes what nobody has claimed again. Default 30 s. */
  republishAfterMs?: number;
  log: DeliveryLog;
  observer?: DeliveryObserver;
  /** Told after each reconciliation how much does not add up; it must not throw. */
  reconciled?: (discrepancies: number) => void;
  tracing?: Tracing;
};

/**
 * Tickets in the hands of this process. Most wait for an answer over the network and cost only memory (a few KB each);
 * the numbers are far above what endpoints hold (`slots.ts`), so that some that hang leave room for all others.
 */
const concurrency = { first: 256, retry: 128 };

/**
 * Receivers that share an address have slots of their own, so together they may need more connections to it than one of
 * them may hold; what waited for a connection would wait on its own deadline and look like a silent receiver.
 */
export const attemptsAtOnce = concurrency.first + concurrency.retry;

/** How long a chore under way is waited for when the worker stops. */
const choreDrainMs = 5_000;

const relayEveryMs = 1_000;
const expireEveryMs = 1_000;
const settleEveryMs = 30_000;
const forgetEveryMs = 1_000;

const keySetsEveryMs = 1_000;

const keySetsAtOnce = 8;
const expireAtOnce = 500;
const forgetAtOnce = 5_000;
const reconciledDays = 8;

export type Worker = {
  /** Attempts under way. */
  inFlight(): number;
  stop(): Promise<void>;
};

/** Delivers callbacks, and does what the clock asks for: the relay, the expiry of orders, the closing of registers. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { core, queue, log } = options;
  const context: DeliveryContext = {
    ...options,
    receivers: createReceivers(core),
    slots: createSlots(),
    maxParks: Math.ceil((options.republishAfterMs ?? 30_000) / DEFAULT_PARK_MS),
    observer: options.observer ?? { attempted() {}, parked() {} },
    tracing: options.tracing ?? noTracing,
  };
  const consumers = await Promise.all([
    queue.consume("first", (ticket) => deliver(context, "first", ticket), { concurrency: concurrency.first }),
    queue.consume("retry", (ticket) => deliver(context, "retry", ticket), { concurrency: concurrency.retry }),
  ]);
  const chores = [
    // By itself, so that neither a broker that is down nor a backlog keeps a lost attempt from its retry.
    repeat("lost attempts", relayEveryMs, log, () => countLost(core, log)),
    repeat("relay", relayEveryMs, log, () => relayOnce(core, queue, log)),
    repeat("expire orders", expireEveryMs, log, async () => (await core.expireOrders(expireAtOnce)) === expireAtOnce),
    repeat("close registers", settleEveryMs, log, settling(options)),
    repeat("key sets", keySetsEveryMs, log, () => readKeySets(core, log)),
    repeat("forget access tokens", forgetEveryMs, log, () => core.forgetAccessTokens(forgetAtOnce)),
  ];
  return {
    inFlight: context.slots.held,
    async stop() {
      await Promise.all([...consumers.map((consumer) => consumer.stop()), ...chores.map((chore) => chore.stop())]);
    },
  };
}

/** Answers whether there may be more. Each set that fails or changes is said: a merchant's orders hang on it. */
async function readKeySets(core: Core, log: DeliveryLog): Promise<boolean> {
  const read = await core.readKeySets(keySetsAtOnce, Math.random);
  for (const { guid, changed, problem } of read) {
    if (problem !== undefined)
      log.warn({ party: guid, problem }, "a published key set is not as it should be; what was read last counts");
    if (changed) log.info({ party: guid }, "a participant's keys are now those that it publishes");
  }
  return read.length === keySetsAtOnce;
}

/** Closes what is over and reconciles it; a reconciliation that failed is made up for the next time. */
function settling({ core, log, reconciled }: WorkerOptions): () => Promise<void> {
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

/** Runs a chore at once and then again and again: without a pause while it says that there is more, else every `everyMs`. */
function repeat(name: string, everyMs: number, log: DeliveryLog, chore: () => Promise<unknown>) {
  const stopped = new AbortController();
  const running = (async () => {
    while (!stopped.signal.aborted) {
      let more: unknown = false;
      try {
        more = await chore();
      } catch (error) {
        log.warn({ chore: name, problem: (error as Error).message }, "a chore failed; it is tried again");
      }
      if (more !== true) await pause(everyMs, stopped.signal);
    }
  })();
  return {
    async stop() {
      stopped.abort();
      // A closing may take minutes. It is one transaction: ended with the process it leaves nothing behind.
      await Promise.race([running, delay(choreDrainMs, undefined, { ref: false })]);
    },
  };
}

/** Ends early, without an error, when the worker stops. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
