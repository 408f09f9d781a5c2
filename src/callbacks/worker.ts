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
  /** After how many milliseconds the relay publishes an unclaimed callback again. Default 30 s. */
  republishAfterMs?: number;
  log: DeliveryLog;
  observer?: DeliveryObserver;
  tracing?: Tracing;
};

/**
 * The most tickets of each lane that this process handles at a time. Most wait for an answer over the network and cost only memory
 * (a few KB each). The numbers are far above the share of one endpoint (`slots.ts`), so that some hanging ones leave room for all
 * others.
 */
const concurrency = { first: 256, retry: 128 };

/**
 * The most attempts at a time, and so the most connections to one address. Slots are per receiver; several receivers may share an
 * address and need more connections than one may use, and an attempt that waits for a connection would look like a silent receiver.
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
