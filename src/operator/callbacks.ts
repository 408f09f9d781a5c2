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
import { callbackKinds, callbackStates, nameOf } from "../wire/enums.ts";
import { type Action, type Answer, type Call, type OptionSpec, WrongCall } from "./action.ts";
import { limitOption, rowsOf } from "./pages.ts";
import { counted, fields, printable, table, when } from "./table.ts";
import { countOf, guidIn, instantOf, namedOf, TIME_HELP } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const filterOptions = {
  state: { type: "string", multiple: true, value: "STATE", help: `One of ${Object.keys(callbackStates).join(", ")}.` },
  kind: { type: "string", multiple: true, value: "KIND", help: `One of ${Object.keys(callbackKinds).join(", ")}.` },
  receiver: { type: "string", value: "GUID", help: "Only callbacks to this participant." },
  payment: { type: "string", value: "GUID", help: "Only callbacks about this payment message." },
  since: { type: "string", value: "TIME", help: `Only callbacks made since: ${TIME_HELP}.` },
  until: { type: "string", value: "TIME", help: "Only callbacks made before." },
  missed: { type: "boolean", value: "", help: "Only what failed at least once and is not delivered." },
} as const satisfies Record<string, OptionSpec>;

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

const defaultLimit = 50;

async function list(call: Call): Promise<Answer> {
  const filter = filterOf(call);
  const { rows: callbacks, more } = await rowsOf(call, defaultLimit, async (page) => {
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

async function show(call: Call): Promise<Answer> {
  const answer = await call.clients.callbacks.getCallback({ guid: guidOf(call) });
  return {
    json: toJson(GetCallbackResponseSchema, answer, json),
    lines: [...(answer.callback ? callbackLines(answer.callback) : []), "", ...attemptLines(answer.attempts)],
  };
}

async function replay(call: Call): Promise<Answer> {
  const answer = await call.clients.callbacks.replayCallback({ guid: guidOf(call) });
  return {
    json: toJson(ReplayCallbackResponseSchema, answer, json),
    lines: [`The callback is on its way again; \`callbacks show ${guidOf(call)}\` tells what comes of it.`],
  };
}

/** Replays page by page until a page is not full; `atMost` ends it earlier. */
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

async function replayAll(call: Call): Promise<Answer> {
  const isFiltered = Object.keys(filterOptions).some((option) => call.texts(option).length > 0 || call.isOn(option));
  if (!isFiltered && !call.isOn("all")) {
    throw new WrongCall(
      "say which callbacks (--kind, --receiver, --since …), or --all for everything in review and dead",
    );
  }
  const replayed = await replayMatching(call, filterOf(call), Number.POSITIVE_INFINITY);
  return { json: { replayed }, lines: [`${counted(replayed, "callback")} on the way again.`] };
}

async function resolve(call: Call): Promise<Answer> {
  const note = call.text("note");
  if (!note) throw new WrongCall("--note TEXT is needed: what was found and agreed");
  const answer = await call.clients.callbacks.resolveCallback({ guid: guidOf(call), note });
  return {
    json: toJson(ResolveCallbackResponseSchema, answer, json),
    lines: [`The callback is resolved by ${printable(answer.callback?.resolvedBy ?? "")}.`],
  };
}

async function redriveAll(call: Call): Promise<Answer> {
  const limit = countOf(call, "limit", 1_000, 10_000);
  const dead = create(CallbackFilterSchema, { states: [CallbackState.DEAD] });
  // Rows first: a ticket that is moved back then meets a callback that waits for it.
  const callbacks = await replayMatching(call, dead, limit);
  const { redriven: tickets } = await call.clients.callbacks.redriveDeadLetters({ limit });
  return {
    json: { callbacks, tickets },
    lines: [`${counted(callbacks, "dead callback")} on the way again, ${counted(tickets, "ticket")} moved back.`],
  };
}

export const callbackActions = {
  list: {
    positionals: [],
    options: { ...filterOptions, limit: limitOption(defaultLimit) },
    help: "List callbacks, newest first.",
    run: list,
  },
  show: { positionals: ["GUID"], options: {}, help: "Show a callback with every attempt and answer.", run: show },
  replay: {
    positionals: ["GUID"],
    options: {},
    help: "Deliver a callback again under the same guid. The result of a finished payment stays as it is.",
    run: replay,
  },
  "replay-all": {
    positionals: [],
    options: {
      ...filterOptions,
      state: { ...filterOptions.state, help: "review or dead. Default: both." },
      all: { type: "boolean", value: "", help: "Everything in review and dead; instead of a filter." },
    },
    help: "Deliver every callback again that is in review or dead and matches.",
    run: replayAll,
  },
  resolve: {
    positionals: ["GUID"],
    options: {
      note: { type: "string", value: "TEXT", help: "What was found and agreed." },
    },
    help: "Close the review of a callback.",
    run: resolve,
  },
} as const satisfies Record<string, Action>;

export const redriveAction = {
  positionals: [],
  options: { limit: { type: "string", value: "N", help: "At most about so many of each. Default: 1000." } },
  help:
    "After a fault of the platform was repaired: let dead callbacks go on and move the tickets of the dead-letter queue " +
    "back. Safe at any time.",
  run: redriveAll,
} as const satisfies Action;
