import { setTimeout as delay } from "node:timers/promises";
import type { AttemptRecord, RecordAnswer } from "../core/attempts.ts";
import { beginWithinMs } from "../core/context.ts";
import type { Core } from "../core/core.ts";
import type { ClaimedCallback } from "../core/delivery.ts";
import { type CallbackKind, type Outcome, outcomeClasses } from "../domain/callback.ts";
import { isRefusal } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import type { Span, Tracing } from "../observe/tracing.ts";
import type { CallbackQueue, Lane, Ticket, Verdict } from "../queue/queue.ts";
import { type CallbackFacts, callbackContent, maxCallbackPayments } from "../wire/callbackClaims.ts";
import { registerUrl } from "../wire/register.ts";
import type { AttemptResult, CallbackClient, CallbackRequest } from "./client.ts";
import { callbackUrl, markedAs, type Signer, sealEnvelope } from "./envelope.ts";
import type { Receivers } from "./receivers.ts";
import type { Slot, Slots } from "./slots.ts";

export type DeliveryLog = Record<"debug" | "info" | "warn" | "error", (fields: object, message: string) => void>;

/** Events for the metrics; each is called once per event. */
export type DeliveryObserver = {
  attempted(kind: CallbackKind, outcome: Outcome, durationMs: number): void;
  parked(): void;
};

export type DeliveryContext = {
  core: Core;
  queue: CallbackQueue;
  client: CallbackClient;
  receivers: Receivers;
  slots: Slots;
  /** A ticket that has been parked more often is dropped; the relay publishes its row again later. */
  maxParks: number;
  signer: Signer;
  /** The public address of REST, asked per callback, because with port 0 it is known only once REST listens. */
  publicUrl: () => string;
  newGuid: () => string;
  log: DeliveryLog;
  observer: DeliveryObserver;
  tracing: Tracing;
};

/** The request to make, or that the receiver is suspended or closed and nothing is sent. */
type Prepared = { url: string; request: CallbackRequest } | "suspended";

/**
 * Handles one ticket: at most one attempt, from the claim to the record (design, flow 2). The result is the verdict for the queue.
 * If anything fails on the way, the relay finds the row in the database and publishes it again, so a ticket can always be dropped.
 */
export async function deliver(context: DeliveryContext, lane: Lane, ticket: Ticket): Promise<Verdict> {
  const slot = await context.slots.acquire(ticket.receiverGuid);
  if (slot === undefined) {
    context.observer.parked();
    const parks = (ticket.parks ?? 0) + 1;
    // A ticket that was parked too often is dropped. By that time the relay has published a second one for the same callback; if
    // both were parked without end, their number would grow with every further one. A stalled endpoint's tickets are parked once,
    // to bridge a hiccup.
    const maxParks = context.slots.isStalled(ticket.receiverGuid) ? 1 : context.maxParks;
    if (parks > maxParks) return "ack";
    await handBack(context, ticket, () => context.queue.park(lane, [{ ...ticket, parks }]));
    return "ack";
  }
  const attributes = {
    "dcm.callback_guid": ticket.callbackGuid,
    "dcm.lane": lane,
    "dcm.receiver_guid": ticket.receiverGuid,
  };
  return context.tracing.inSpan({ name: "callback", kind: "consumer", attributes, parent: ticket.trace }, (span) =>
    attemptIn(context, slot, ticket, span),
  );
}

async function attemptIn(context: DeliveryContext, slot: Slot, ticket: Ticket, span: Span): Promise<Verdict> {
  let answered: boolean | undefined;
  try {
    const { claim, askedMs } = await claimWhenDue(context, ticket);
    if (isRefusal(claim)) return "requeue";
    if (claim === "obsolete") return "ack";
    if ("notDueForMs" in claim) {
      await handBack(context, ticket, () => context.queue.publishDelayed([ticket], claim.notDueForMs));
      return "ack";
    }
    const { claimed } = claim;
    span.set({ "dcm.kind": claimed.kind, "dcm.attempt": claimed.attempt, ...paymentOf(claimed) });
    const prepared = await prepare(context, claimed);
    if (prepared === undefined) {
      span.fail();
      return "dead";
    }
    if (performance.now() - askedMs > beginWithinMs) {
      // The lease could lapse during the attempt, and the payment be decided without its answer.
      context.log.warn(logFields(claimed), "an attempt began too late and is not made; it counts as lost");
      return "ack";
    }
    const result = prepared === "suspended" ? notSent : await post(context, claimed, prepared);
    // Nothing was asked, so nothing is learnt about the endpoint: its share of slots stays as it is.
    if (prepared !== "suspended")
      answered = outcomeClasses[result.outcome] !== "unanswered" || result.httpStatus !== undefined;
    slot.release(answered);
    await record(context, claimed, result, ticket.trace);
    return "ack";
  } finally {
    slot.release(answered);
  }
}

/**
 * The delay queues deliver a ticket at most a few milliseconds early. Waiting here is cheaper than another second on the first
 * rung.
 */
const waitedForMs = 50;

/** `askedMs` is when the claim was requested; the lease is counted from there. */
async function claimWhenDue({ core }: DeliveryContext, ticket: Ticket) {
  for (let turns = 3; ; turns -= 1) {
    const askedMs = performance.now();
    const claim = await core.claimCallback(ticket);
    const isSoon = typeof claim === "object" && "notDueForMs" in claim && claim.notDueForMs <= waitedForMs;
    if (!isSoon || turns === 0) return { claim, askedMs };
    await delay(Math.ceil(claim.notDueForMs));
  }
}

const paymentOf = (claimed: ClaimedCallback) => ({ "dcm.payment_message_guid": claimed.paymentMessage?.guid });

/** The result for a suspended receiver, as if it had not answered; the outcome table says what follows. */
const notSent: AttemptResult = {
  outcome: "suspended",
  durationMs: 0,
  problem: "the receiver is suspended; nothing was sent",
};

function post(
  context: DeliveryContext,
  claimed: ClaimedCallback,
  { url, request }: Exclude<Prepared, "suspended">,
): Promise<AttemptResult> {
  const attributes = { "dcm.kind": claimed.kind, "server.address": URL.parse(url)?.hostname };
  return context.tracing.inSpan({ name: "POST callback", kind: "client", attributes }, async (span) => {
    const result = await context.client.post(url, request);
    span.set({ "dcm.outcome": result.outcome, "http.response.status_code": result.httpStatus });
    if (result.outcome !== "accepted") span.fail();
    return result;
  });
}

/**
 * Builds and signs the request. A failure here is our own fault: the callback becomes dead, with the reason, and no attempt is used
 * up.
 */
async function prepare(context: DeliveryContext, claimed: ClaimedCallback): Promise<Prepared | undefined> {
  // A failing read is temporary trouble of the database: the lease lapses, and the relay publishes the callback again.
  const receiver = await context.receivers.find(claimed.receiverGuid);
  const settlement =
    claimed.registerId === null ? undefined : await readSettlement(context, claimed, claimed.registerId);
  try {
    if (isRefusal(receiver)) throw new Error("the receiver is not registered");
    if (receiver.status !== "active") return "suspended";
    if (isRefusal(settlement)) throw new Error(`register ${claimed.registerId} does not exist`);
    return await prepareFor(context, claimed, settlement, receiver);
  } catch (error) {
    const problem = error instanceof Error ? error.message : "unknown problem";
    context.log.error(
      { ...logFields(claimed), problem },
      "a callback cannot be prepared; it is dead until it is redriven",
    );
    // Evicts the receiver from the cache, so that an operator who corrects it and redrives at once is not met by the old data.
    context.receivers.forget(claimed.receiverGuid);
    await context.core.buryCallback(claimed, problem);
    return undefined;
  }
}

/** Reads no more payments than the callback can carry: a register may have a million, and every retry would read them again. */
async function readSettlement({ core, publicUrl }: DeliveryContext, { receiverGuid }: ClaimedCallback, id: string) {
  const alone = await core.getRegister(undefined, id, { limit: 0 });
  const isLarge = !isRefusal(alone) && alone.register.paymentCount > maxCallbackPayments;
  const settlement = isLarge ? alone : await core.getRegister(undefined, id, { limit: maxCallbackPayments });
  if (isRefusal(settlement)) return settlement;
  return { ...settlement, registerUrl: registerUrl(publicUrl(), receiverGuid, id) };
}

const logFields = (claimed: ClaimedCallback) => ({
  callbackGuid: claimed.guid,
  kind: claimed.kind,
  paymentMessageGuid: claimed.paymentMessage?.guid ?? null,
  attempt: claimed.attempt,
});

async function prepareFor(
  context: DeliveryContext,
  claimed: ClaimedCallback,
  settlement: CallbackFacts["settlement"],
  receiver: Participant,
): Promise<Prepared> {
  const url = callbackUrl(claimed.kind, receiver);
  if (url === undefined) throw new Error(`the receiver has no URL for ${claimed.kind} callbacks`);
  const content = callbackContent({ claimed, settlement });
  return { url, request: await sealEnvelope(content, markedAs(claimed), receiver, context.signer, context.newGuid) };
}

async function record(
  context: DeliveryContext,
  claimed: ClaimedCallback,
  result: AttemptResult,
  trace: string | undefined,
): Promise<void> {
  context.observer.attempted(claimed.kind, result.outcome, result.durationMs);
  const fields = {
    ...logFields(claimed),
    outcome: result.outcome,
    httpStatus: result.httpStatus,
    durationMs: Math.round(result.durationMs),
  };
  const answer = await recordStubbornly(context, {
    ...fields,
    ...result,
    series: claimed.series,
    refusals: claimed.refusals,
  });
  if (answer === undefined) {
    context.log.error(fields, "an attempt could not be recorded; its lease will lapse and it counts as lost");
    return;
  }
  const { applied, late, decision } = answer;
  if (late) {
    context.log.warn(fields, "an answer came after its attempt was counted as lost; it stands in the history, no more");
  }
  const level = decision.state === "review" ? "warn" : decision.state === "delivered" ? "debug" : "info";
  context.log[level]({ ...fields, state: applied ? decision.state : "overtaken" }, "callback attempted");
  if (!applied || decision.state !== "waiting") return;
  const next: Ticket = {
    callbackGuid: claimed.guid,
    series: claimed.series,
    attempt: claimed.attempt,
    receiverGuid: claimed.receiverGuid,
    ...(trace !== undefined && { trace }),
  };
  await handBack(context, next, () => context.queue.publishDelayed([next], decision.delayMs));
}

/** 0.1 + 0.4 + 1.6 + 6.4 = 8.5 s of trying, inside the 10 s that a lease leaves for recording (`recordWithinMs`). */
export const recordWaitsMs = [100, 400, 1_600, 6_400];

/** The receiver has answered, and a short failure of the database must not lose the answer, so recording is retried for a while. */
async function recordStubbornly(context: DeliveryContext, attempt: AttemptRecord): Promise<RecordAnswer | undefined> {
  for (const waitMs of [...recordWaitsMs, undefined]) {
    try {
      const answer = await context.core.recordAttempt(attempt);
      if (!isRefusal(answer)) return answer;
    } catch (error) {
      const problem = error instanceof Error ? error.message : "unknown problem";
      const { callbackGuid, paymentMessageGuid, attempt: number } = attempt;
      context.log.warn({ callbackGuid, paymentMessageGuid, attempt: number, problem }, "recording an attempt failed");
    }
    if (waitMs === undefined) return undefined;
    await delay(waitMs);
  }
  return undefined;
}

/** If the queue does not take the ticket nothing is lost: the relay publishes its row when it is overdue. */
async function handBack(context: DeliveryContext, ticket: Ticket, publish: () => Promise<void>): Promise<void> {
  try {
    await publish();
  } catch (error) {
    const problem = error instanceof Error ? error.message : "unknown problem";
    const { callbackGuid, attempt } = ticket;
    context.log.warn({ callbackGuid, attempt, problem }, "the queue took no ticket; the relay will find the callback");
  }
}
