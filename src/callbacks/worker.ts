import type { Core } from "../core/core.ts";
import { noTracing, type Tracing } from "../observe/tracing.ts";
import { withDeadline } from "../queue/deadline.ts";
import type { CallbackQueue } from "../queue/queue.ts";
import { DEFAULT_PARK_MS } from "../queue/topology.ts";
import type { CallbackClient } from "./client.ts";
import { type DeliveryContext, type DeliveryObserver, deliver } from "./deliver.ts";
import type { Signer } from "./envelope.ts";
import type { DeliveryLog } from "./preparation.ts";
import { createReceivers } from "./receivers.ts";
import { createSlots, defaultSlotLimits } from "./slots.ts";
import { runInLines } from "./waitingLines.ts";

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

/** The most attempts at a time, and so the most connections to one address: several receivers may share one. */
export const attemptsAtOnce = defaultSlotLimits.most;

/**
 * The most tickets of each lane in the hands of this process. Most wait for a slot or for an answer, and cost only memory. There is
 * always one more than can wait: a lane whose tickets all wait must hand on the next one, which may be for an endpoint that works.
 */
const ticketsInHand = defaultSlotLimits.mostWaiting + attemptsAtOnce + 1;

/**
 * The attempts that are claimed and signed at a time: what a busy process spends its time on, so decisions go before news there. Far
 * more than threads that sign, because claims that come together share a statement. `ofNews`: as many while decisions are made.
 */
const prepared = { atOnce: 128, ofNews: 8 };

/** As long as the queue waits for handlers: one attempt may take 10 s. */
const drainTimeoutMs = 15_000;

export type Worker = {
  /** Attempts under way. */
  inFlight(): number;
  stop(): Promise<void>;
};

/** Delivers callbacks. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { core, queue, republishAfterMs = 30_000 } = options;
  const context: DeliveryContext = {
    ...options,
    receivers: createReceivers(core),
    // Shortly before the relay publishes them again: what is sent away sooner would stand still, what stays longer be there twice.
    slots: createSlots({ ...defaultSlotLimits, mostWaitMs: (republishAfterMs * 5) / 6 }),
    inLines: runInLines(prepared.atOnce, prepared.ofNews),
    withoutTicket: new Set(),
    maxParks: Math.ceil(republishAfterMs / DEFAULT_PARK_MS),
    observer: options.observer ?? { attempted() {}, parked() {} },
    tracing: options.tracing ?? noTracing,
  };
  const consumers = await Promise.all([
    queue.consume("first", (ticket) => deliver(context, "first", ticket), { concurrency: ticketsInHand }),
    queue.consume("retry", (ticket) => deliver(context, "retry", ticket), { concurrency: ticketsInHand }),
  ]);
  return {
    inFlight: context.slots.held,
    async stop() {
      context.slots.close();
      await Promise.all(consumers.map((consumer) => consumer.stop()));
      const last = Promise.all(context.withoutTicket);
      // What outlasts the bound is lost with this process, as after a crash.
      await withDeadline(last, drainTimeoutMs, "attempts are still under way").catch(() => undefined);
    },
  };
}
