import type { Core } from "../core/core.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";
import type { CallbackQueue } from "../queue/queue.ts";
import { DEFAULT_PARK_MS } from "../queue/topology.ts";
import type { CallbackClient } from "./client.ts";
import { type DeliveryContext, type DeliveryLog, type DeliveryObserver, deliver } from "./deliver.ts";
import type { Signer } from "./envelope.ts";
import { createReceivers } from "./receivers.ts";
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

export type Worker = {
  /** Attempts under way. */
  inFlight(): number;
  stop(): Promise<void>;
};

/** Delivers callbacks. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { core, queue } = options;
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
  return {
    inFlight: context.slots.held,
    async stop() {
      await Promise.all(consumers.map((consumer) => consumer.stop()));
    },
  };
}
