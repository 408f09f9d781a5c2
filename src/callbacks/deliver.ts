import { setTimeout as delay } from "node:timers/promises";
import type { AttemptRecord, RecordAnswer } from "../core/attempts.ts";
import { beginWithinMs } from "../core/context.ts";
import { type ClaimedCallback, claimOfBorn } from "../core/delivery.ts";
import {
  type CallbackKind,
  consequencesOf,
  decidesPayment,
  type Outcome,
  outcomeClasses,
  outcomeRow,
} from "../domain/callback.ts";
import { isRefusal } from "../domain/errors.ts";
import type { Span, Tracing } from "../observe/tracing.ts";
import type { CallbackQueue, Lane, Ticket, Verdict } from "../queue/queue.ts";
import type { AttemptResult, CallbackClient } from "./client.ts";
import { logFields, type PreparationContext, type Prepared, prepare } from "./preparation.ts";
import type { NoSlot, Slot, Slots } from "./slots.ts";
import { type InLines, lineOf } from "./waitingLines.ts";

/** Events for the metrics; each is called once per event. */
export type DeliveryObserver = {
  attempted(kind: CallbackKind, outcome: Outcome, durationMs: number): void;
  parked(): void;
};

export type DeliveryContext = PreparationContext & {
  queue: CallbackQueue;
  client: CallbackClient;
  slots: Slots;
  /** Where a busy process spends its time, so that decisions go before news there. */
  inLines: InLines;
  /** A ticket that has been parked more often is dropped; the relay publishes its row again later. */
  maxParks: number;
  /** Attempts that no ticket stands for: a stop waits for them. */
  withoutTicket: Set<Promise<void>>;
  observer: DeliveryObserver;
  tracing: Tracing;
};

/**
 * Handles one ticket: at most one attempt, from the claim to the record (design, flow 2). The result is the verdict for the queue.
 * If anything fails on the way, the relay finds the row in the database and publishes it again, so a ticket can always be dropped.
 */
export async function deliver(context: DeliveryContext, lane: Lane, ticket: Ticket): Promise<Verdict> {
  const slot = await context.slots.acquire(ticket.receiverGuid, lineOf(ticket.decides));
  if (typeof slot === "string") return withoutSlot(context, lane, ticket, slot);
  const attributes = {
    "dcm.callback_guid": ticket.callbackGuid,
    "dcm.lane": lane,
    "dcm.receiver_guid": ticket.receiverGuid,
  };
  return context.tracing.inSpan({ name: "callback", kind: "consumer", attributes, parent: ticket.trace }, (span) =>
    attemptIn(context, slot, ticket, span),
  );
}

async function withoutSlot(context: DeliveryContext, lane: Lane, ticket: Ticket, why: NoSlot): Promise<Verdict> {
  if (why === "closed") return "unhandled";
  if (why === "overdue") return "ack";
  context.observer.parked();
  const parks = (ticket.parks ?? 0) + 1;
  // A ticket that was parked too often is dropped. By that time the relay has published a second one for the same callback; if
  // both were parked without end, their number would grow with every further one. A silent endpoint's tickets are parked once, to
  // bridge a hiccup.
  const maxParks = context.slots.isSilent(ticket.receiverGuid) ? 1 : context.maxParks;
  if (parks > maxParks) return "ack";
  await handBack(context, ticket, () => context.queue.park(lane, [{ ...ticket, parks }]));
  return "ack";
}

async function attemptIn(context: DeliveryContext, slot: Slot, ticket: Ticket, span: Span): Promise<Verdict> {
  try {
    const begun = await context.inLines.run(lineOf(ticket.decides), () => begin(context, ticket));
    return typeof begun === "string" ? begun : await makeAttempt(context, slot, begun, span);
  } finally {
    slot.release();
  }
}

/** A leased callback, and the request to make. The lease is counted from `askedMs`. */
type Begun = { claimed: ClaimedCallback; prepared: Prepared | undefined; askedMs: number; trace: string | undefined };

/** Claims the callback of a ticket and prepares its request; the verdict where there is nothing to attempt. */
async function begin(context: DeliveryContext, ticket: Ticket): Promise<Begun | Verdict> {
  const { claim, askedMs } = await claimWhenDue(context, ticket);
  if (isRefusal(claim)) return "requeue";
  if (claim === "obsolete") return "ack";
  if ("notDueForMs" in claim) {
    await handBack(context, ticket, () => context.queue.publishDelayed([ticket], claim.notDueForMs));
    return "ack";
  }
  const { claimed } = claim;
  return { claimed, prepared: await prepare(context, claimed), askedMs, trace: ticket.trace };
}

/** The attempt itself, whoever leased the callback, and its record. */
async function makeAttempt(context: DeliveryContext, slot: Slot, begun: Begun, span: Span): Promise<Verdict> {
  const { claimed, prepared, askedMs, trace } = begun;
  span.set({ "dcm.kind": claimed.kind, "dcm.attempt": claimed.attempt, ...paymentOf(claimed) });
  if (prepared === undefined) {
    span.fail();
    return "dead";
  }
  if (performance.now() - askedMs > beginWithinMs) {
    // The lease could lapse during the attempt, and the payment be decided without its answer.
    context.log.warn(logFields(claimed), "an attempt began too late and is not made; it counts as lost");
    return "ack";
  }
  const result = prepared === "suspended" ? notSent : await postIn(context, slot, claimed, prepared);
  await record(context, claimed, result, trace);
  return "ack";
}

/** The slot is free as soon as the answer is here; what is learnt from it stays with the endpoint. */
async function postIn(
  context: DeliveryContext,
  slot: Slot,
  claimed: ClaimedCallback,
  prepared: Exclude<Prepared, "suspended">,
): Promise<AttemptResult> {
  slot.posting();
  const result = await post(context, claimed, prepared);
  slot.release(outcomeClasses[result.outcome] !== "unanswered" || result.httpStatus !== undefined);
  return result;
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
  const slotsAhead = takeSlotsAhead(context, claimed, result.outcome);
  const askedMs = performance.now();
  const answer = await recordStubbornly(context, {
    ...fields,
    ...result,
    series: claimed.series,
    refusals: claimed.refusals,
    inHand: [...slotsAhead.keys()],
  });
  for (const born of answer?.born ?? []) {
    const slot = slotsAhead.get(born.kind);
    slotsAhead.delete(born.kind);
    if (slot !== undefined) goOn(context, slot, { claimed: claimOfBorn(claimed, born), askedMs, trace });
  }
  for (const slot of slotsAhead.values()) slot.release();
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
  const next = ticketOf(claimed, trace);
  await handBack(context, next, () => context.queue.publishDelayed([next], decision.delayMs));
}

/** The ticket that follows an attempt. */
function ticketOf({ guid, kind, series, attempt, receiverGuid }: ClaimedCallback, trace: string | undefined): Ticket {
  const ticket = { callbackGuid: guid, series, attempt, receiverGuid, decides: decidesPayment(kind) };
  return trace === undefined ? ticket : { ...ticket, trace };
}

/** As many wait in line with a lease, which is a second or two of work: it must last for the attempt. */
const mostLeasedInLine = 128;

/**
 * Slots for what will follow if the attempt ends its callback well. What follows then is leased with the record and goes on at once,
 * without a ticket and a claim. Where an endpoint has no slot to spare its callback waits in line like all others.
 */
function takeSlotsAhead(context: DeliveryContext, { kind, series, parties }: ClaimedCallback, outcome: Outcome) {
  const slots = new Map<CallbackKind, Slot>();
  const { effect } = outcomeRow(kind, outcome).end;
  if (outcome !== "accepted" || effect === "none" || series > 1 || parties === undefined) return slots;
  for (const next of consequencesOf(effect).callbacks) {
    // A lease does not wait: where much is in line already, a ticket does.
    if (context.inLines.waiting(lineOf(decidesPayment(next.kind))) >= mostLeasedInLine) continue;
    const slot = context.slots.take(parties[next.role]);
    if (slot !== undefined) slots.set(next.kind, slot);
  }
  return slots;
}

/** Attempts a callback that was leased as it was inserted. The ticket of its cause does not wait for it. */
function goOn(context: DeliveryContext, slot: Slot, leased: Omit<Begun, "prepared">): void {
  const { claimed, trace } = leased;
  const attributes = { "dcm.callback_guid": claimed.guid, "dcm.receiver_guid": claimed.receiverGuid };
  const attempt = context.tracing
    .inSpan({ name: "callback", kind: "consumer", attributes, parent: trace }, async (span) => {
      const line = lineOf(decidesPayment(claimed.kind));
      const prepared = await context.inLines.run(line, () => prepare(context, claimed));
      const verdict = await makeAttempt(context, slot, { ...leased, prepared }, span);
      const ticket = ticketOf(claimed, trace);
      if (verdict === "dead") await handBack(context, ticket, () => context.queue.publishDead([ticket]));
    })
    .catch((error: Error) => {
      context.log.error({ ...logFields(claimed), problem: error.message }, "an attempt failed; its lease will lapse");
    })
    .finally(() => {
      slot.release();
      context.withoutTicket.delete(attempt);
    });
  context.withoutTicket.add(attempt);
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
