import { create, toJson } from "@bufbuild/protobuf";
import { type Callback, type CallbackAttempt, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import {
  type CallbackFilter,
  CallbackFilterSchema,
  GetCallbackResponseSchema,
  ListCallbacksResponseSchema,
  ReplayCallbackResponseSchema,
  ResolveCallbackResponseSchema,
} from "../../gen/dcm/v1/callback_service_pb.ts";
import { printable, WrongCall } from "../commandLine.ts";
import { callbackKinds, callbackStates, nameOf } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { rowsOf } from "./pages.ts";
import { counted, fields, table, when } from "./table.ts";
import { guidIn, instantOf, namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

function filterOf(call: Call): CallbackFilter {
  const receiver = call.text("receiver");
  const payment = call.text("payment");
  const since = instantOf(call, "since");
  const until = instantOf(call, "until");
  return create(CallbackFilterSchema, {
    states: namedOf(call, "state", callbackStates),
    kinds: namedOf(call, "kind", callbackKinds),
    receiverGuid: receiver === undefined ? "" : guidIn(receiver, "--receiver"),
    paymentMessageGuid: payment === undefined ? "" : guidIn(payment, "--payment"),
    ...(since && { since }),
    ...(until && { until }),
    missed: call.isOn("missed"),
  });
}

const stateName = (callback: Callback) => nameOf(callbackStates, callback.state) ?? "unknown";
const kindName = (callback: Callback) => nameOf(callbackKinds, callback.kind) ?? "unknown";

export async function list(call: Call): Promise<Answer> {
  const filter = filterOf(call);
  const { rows: callbacks, more } = await rowsOf(call, async (page) => {
    const { callbacks: rows, nextPageToken } = await call.clients.callbacks.listCallbacks({ filter, ...page });
    return { rows, nextPageToken };
  });
  const rows = callbacks.map((callback) => [
    callback.guid,
    kindName(callback),
    stateName(callback),
    `${callback.series}/${callback.attempts}`,
    callback.lastOutcome,
    callback.receiverGuid,
    when(callback.createdAt),
  ]);
  const heading = ["GUID", "KIND", "STATE", "SERIES/ATTEMPTS", "LAST OUTCOME", "RECEIVER", "CREATED"];
  return {
    json: toJson(ListCallbacksResponseSchema, create(ListCallbacksResponseSchema, { callbacks }), json),
    lines: callbacks.length === 0 ? ["No callback matches."] : [...table(heading, rows), ...more],
  };
}

function callbackLines(callback: Callback): string[] {
  return fields([
    ["guid", callback.guid],
    ["kind", kindName(callback)],
    ["state", stateName(callback)],
    ["receiver", callback.receiverGuid],
    ["payment message", callback.paymentMessageGuid],
    ["order", callback.orderId],
    ["register", callback.registerId],
    ["series", String(callback.series)],
    ["attempts", String(callback.attempts)],
    ["due", when(callback.dueAt)],
    ["created", when(callback.createdAt)],
    ["updated", when(callback.updatedAt)],
    ["resolved by", callback.resolvedBy],
    [callback.state === CallbackState.DEAD ? "problem" : "note", callback.resolutionNote],
  ]);
}

function attemptLines(attempts: readonly CallbackAttempt[]): string[] {
  if (attempts.length === 0) return ["No attempt was made yet."];
  const rows = attempts.map((attempt) => [
    `${attempt.series}/${attempt.attempt}`,
    when(attempt.startedAt),
    `${attempt.durationMs} ms`,
    attempt.outcome,
    attempt.httpStatus === 0 ? "" : String(attempt.httpStatus),
    attempt.problem,
  ]);
  const answers = attempts
    .filter(({ answer }) => answer !== "")
    .flatMap(({ series, attempt, answer }) => [`Answer to ${series}/${attempt}:`, `  ${printable(answer)}`]);
  return [
    ...table(["SERIES/ATTEMPT", "STARTED", "DURATION", "OUTCOME", "STATUS", "PROBLEM"], rows),
    ...(answers.length === 0 ? [] : ["", ...answers]),
  ];
}

const guidOf = (call: Call) => guidIn(call.positionals[0] ?? "", "GUID");

export async function show(call: Call): Promise<Answer> {
  const answer = await call.clients.callbacks.getCallback({ guid: guidOf(call) });
  return {
    json: toJson(GetCallbackResponseSchema, answer, json),
    lines: [...(answer.callback ? callbackLines(answer.callback) : []), "", ...attemptLines(answer.attempts)],
  };
}

export async function replay(call: Call): Promise<Answer> {
  const answer = await call.clients.callbacks.replayCallback({ guid: guidOf(call) });
  return {
    json: toJson(ReplayCallbackResponseSchema, answer, json),
    lines: [`The callback is on its way again; \`callbacks show ${guidOf(call)}\` tells what comes of it.`],
  };
}

/** Replays in batches until one is not full, or `atMost` are replayed. */
async function replayMatching(call: Call, filter: CallbackFilter, atMost: number): Promise<number> {
  const fullPage = 1_000;
  let inAll = 0;
  while (inAll < atMost) {
    const { replayed } = await call.clients.callbacks.replayCallbacks({ filter });
    inAll += replayed;
    if (replayed < fullPage) break;
  }
  return inAll;
}

export async function replayAll(call: Call): Promise<Answer> {
  if (call.options.every((option) => option === "json")) {
    throw new WrongCall(
      "say which callbacks (--kind, --receiver, --since …), or --all for everything in review and dead",
    );
  }
  const replayed = await replayMatching(call, filterOf(call), Number.POSITIVE_INFINITY);
  return { json: { replayed }, lines: [`${counted(replayed, "callback")} on the way again.`] };
}

export async function resolve(call: Call): Promise<Answer> {
  const note = call.text("note") ?? "";
  const answer = await call.clients.callbacks.resolveCallback({ guid: guidOf(call), note });
  return {
    json: toJson(ResolveCallbackResponseSchema, answer, json),
    lines: [`The callback is resolved by ${printable(answer.callback?.resolvedBy ?? "")}.`],
  };
}

export async function redriveAll(call: Call): Promise<Answer> {
  const limit = Number(call.text("limit"));
  const dead = create(CallbackFilterSchema, { states: [CallbackState.DEAD] });
  // Rows first, so that a ticket that is then moved back finds its callback waiting.
  const callbacks = await replayMatching(call, dead, limit);
  const { redriven: tickets } = await call.clients.callbacks.redriveDeadLetters({ limit });
  return {
    json: { callbacks, tickets },
    lines: [`${counted(callbacks, "dead callback")} on the way again, ${counted(tickets, "ticket")} moved back.`],
  };
}
