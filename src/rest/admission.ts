import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type OperationId, operations, requestIdHeader } from "../../gen/rest/operations.ts";
import type { RestDeps } from "./context.ts";
import { errorFamilyOf, RestRefusal, wholeAnswer } from "./errors.ts";
import { noteArrival, timer } from "./requestLog.ts";

/** Requests that one process works on at a time; at two thousand a second this many take a quarter of a second. */
const defaultMaxInFlight = 512;

/** Requests that wait at the door, unread and at about 10 KiB each. */
const maxWaiting = 4_096;

/** What has waited this long would not be answered much sooner than when it comes again. */
const patienceMs = 1_000;

/** For those who look after an overload: never made to wait, never refused. */
const alwaysAdmitted = [
  "getOpenapiYaml",
  "getOpenapiJson",
  "getDocs",
  "getHealth",
  "getReadiness",
  "getMetrics",
] as const satisfies readonly OperationId[];

/** What the paths of all other operations begin with, and whole URLs, in capital letters as well: as Express matches them. */
const admittedInTurn = (() => {
  const others = Object.entries(operations).filter(([id]) => !(alwaysAdmitted as readonly string[]).includes(id));
  const beginnings = new Set(others.map(([, { path }]) => path.split("/")[1]));
  return new RegExp(`^(/(${[...beginnings].join("|")})([/?]|$)|[^/])`, "i");
})();

export const waitsForItsTurn = (url: string): boolean => admittedInTurn.test(url);

/** How each request that is worked on leaves its place. */
const places = new WeakMap<ServerResponse, () => void>();

/** For an answer that waits for its reader: it is worked on no more, and others can be. */
export function givePlaceBack(response: ServerResponse): void {
  places.get(response)?.();
}

/**
 * Lets at most `deps.maxInFlight` requests of the API into the application. A burst waits at the door; what has waited for
 * a second is told to come again. This stands before Express and has its answer ready, because refusing must cost a small
 * part of what working costs: else a flood leaves no time for what was accepted.
 */
export function admitAtMost(deps: RestDeps, application: RequestListener): RequestListener {
  const { maxInFlight = defaultMaxInFlight } = deps;
  const refuse = busyAnswer(deps);
  /** In the order in which they came. */
  const waiting = new Set<() => void>();
  let inFlight = 0;

  function enter(request: IncomingMessage, response: ServerResponse): void {
    inFlight += 1;
    const leave = () => {
      if (!places.delete(response)) return;
      inFlight -= 1;
      const [next] = waiting;
      next?.();
    };
    places.set(response, leave);
    response.once("close", leave);
    application(request, response);
  }

  function wait(request: IncomingMessage, response: ServerResponse): void {
    noteArrival(request);
    const patience = setTimeout(() => {
      forget();
      refuse(request, response);
    }, patienceMs);
    const admit = () => {
      forget();
      enter(request, response);
    };
    const forget = () => {
      clearTimeout(patience);
      waiting.delete(admit);
      response.off("close", forget);
    };
    response.once("close", forget);
    waiting.add(admit);
  }

  return (request, response) => {
    if (!waitsForItsTurn(request.url ?? "")) application(request, response);
    else if (inFlight < maxInFlight) enter(request, response);
    else if (waiting.size < maxWaiting) wait(request, response);
    else refuse(request, response);
  };
}

function busyAnswer({ log, requestDone }: RestDeps): RequestListener {
  const answers = {
    ErrorAnswer: wholeAnswer(new RestRefusal("OVERLOADED"), "/"),
    SettlementErrorAnswer: wholeAnswer(new RestRefusal("OVERLOADED"), operations.listGrossSettlements.path),
  };
  return (request, response) => {
    const requestId = randomUUID();
    const durationMs = timer(request)();
    const { status, headers, text } = answers[errorFamilyOf(request.url ?? "")];
    response.writeHead(status, { ...headers, [requestIdHeader]: requestId }).end(text);
    log.info({ method: request.method, route: "none", status, durationMs, requestId }, "request");
    requestDone?.("none", status, durationMs);
  };
}
