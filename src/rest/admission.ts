import { randomUUID } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { type OperationId, operations, requestIdHeader } from "../../gen/rest/operations.ts";
import type { RestDeps } from "./context.ts";
import { errorFamilyOf, RestRefusal, wholeAnswer } from "./errors.ts";
import { failureAnswer } from "./pages/payment/failures.ts";
import { noteArrival, timer } from "./requestLog.ts";

/** The most requests that one process works on at a time; at two thousand a second these take a quarter of a second. */
const defaultMaxInFlight = 512;

/** The most requests that wait to be admitted, not yet read, at about 10 KiB each. */
const maxWaiting = 4_096;

/** How long a request waits; after that, a retry would be answered about as soon. */
const patienceMs = 1_000;

/** Operations by which operators look into an overload: they never wait and are never refused. */
const alwaysAdmitted = [
  "getOpenapiYaml",
  "getOpenapiJson",
  "getDocs",
  "getHealth",
  "getReadiness",
  "getMetrics",
] as const satisfies readonly OperationId[];

/**
 * Matches the paths of all other operations; case-insensitively and also as whole URLs, because that is how Express matches them.
 */
const admittedInTurn = (() => {
  const others = Object.entries(operations).filter(([id]) => !(alwaysAdmitted as readonly string[]).includes(id));
  const beginnings = new Set(others.map(([, { path }]) => path.split("/")[1]));
  return new RegExp(`^(/(${[...beginnings].join("|")})([/?]|$)|[^/])`, "i");
})();

export const waitsForItsTurn = (url: string): boolean => admittedInTurn.test(url);

/** For each admitted request, the function that frees its place. */
const places = new WeakMap<ServerResponse, () => void>();

/** Frees the place of an answer that is now being streamed to its reader: others can be worked on meanwhile. */
export function releasePlace(response: ServerResponse): void {
  places.get(response)?.();
}

/**
 * A bulkhead with back-pressure: at most `deps.maxInFlight` requests of the API are in the application. A burst waits; what has
 * waited for a second is refused with 503 and Retry-After. It stands before Express and its refusal is prepared, because refusing
 * must cost far less than working: otherwise a flood would leave no time for admitted requests.
 */
export function admitAtMost(deps: RestDeps, application: RequestListener): RequestListener {
  const { maxInFlight = defaultMaxInFlight } = deps;
  const refuse = busyAnswer(deps);
  /** First in, first out. */
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
    const { status, headers, text } = busyPage(request) ?? answers[errorFamilyOf(request.url ?? "")];
    response.writeHead(status, { ...headers, [requestIdHeader]: requestId }).end(text);
    log.info({ method: request.method, route: "none", status, durationMs, requestId }, "request");
    requestDone?.("none", status, durationMs);
  };
}

/** What a payer's browser gets instead. */
function busyPage({ method, url = "", headers }: IncomingMessage) {
  if (method !== "GET" || url.replace(/\?.*$/s, "") !== operations.showPaymentPage.path) return undefined;
  const refusal = wholeAnswer(new RestRefusal("OVERLOADED"), url);
  const lang = new URLSearchParams(url.replace(/^[^?]*/, "")).get("lang");
  const page = failureAnswer(refusal.status, headers, lang);
  if (page === undefined) return undefined;
  const content = { "Content-Type": `${page.type}; charset=utf-8`, "Content-Length": Buffer.byteLength(page.text) };
  return { status: refusal.status, headers: { ...refusal.headers, ...page.headers, ...content }, text: page.text };
}
