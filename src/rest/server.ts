import type { RequestListener } from "node:http";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from "express";
import {
  constantHeaders,
  type EventFeed,
  type Handlers,
  type OperationId,
  operations,
} from "../../gen/rest/operations.ts";
import { noTracing } from "../observe/tracing.ts";
import { admitAtMost, releasePlace } from "./admission.ts";
import type { RequestContext, RestDeps } from "./context.ts";
import { deprecationHeaders } from "./deprecation.ts";
import { asRefusal, errorAnswer, isDeclaredRefusal, RestRefusal } from "./errors.ts";
import { callbackHandlers } from "./handlers/callbacks.ts";
import { keyHandlers } from "./handlers/keys.ts";
import { orderHandlers } from "./handlers/orders.ts";
import { paymentMessageHandlers } from "./handlers/paymentMessages.ts";
import { platformHandlers } from "./handlers/platform.ts";
import { settlementHandlers } from "./handlers/settlements.ts";
import { createInitiators, type Initiators } from "./initiators.ts";
import { createOrderFollower } from "./orderFollower.ts";
import { docsPageHeaders } from "./pages/docsPage.ts";
import { failureAnswer } from "./pages/payment/failures.ts";
import { takesGzip } from "./pages/payment/suits.ts";
import { partyCall } from "./partyCall.ts";
import { bodyReaders } from "./requestBody.ts";
import { bodyOf } from "./requestBytes.ts";
import { requestIdOf, requestLog, requestSpan, routeOf } from "./requestLog.ts";
import { takingPathsAlone } from "./requestUrl.ts";
import { createSender, type LongAnswer, PIECE_BYTES, type Sender } from "./streams.ts";
import { validatePart } from "./validate.ts";

/** Any operation's answer as the dispatcher sees it; the exact types are checked where the handlers are written. */
type Answer = { status: number; type?: string; headers?: Readonly<Record<string, unknown>> };
type WholeAnswer = Answer & { type: string; body: unknown };
type StreamedAnswer = Answer & { type: string; stream: LongAnswer };
type FollowedAnswer = Answer & { type: string; events: EventFeed };

type AnyHandler = (
  input: { path: unknown; query: unknown; body: unknown },
  context: RequestContext,
) => Promise<WholeAnswer | StreamedAnswer | FollowedAnswer | Answer>;

/** The translator from REST to RPC and back. It checks sizes, paths, queries and shapes; the core authenticates callers. */
export function createRestApp(deps: RestDeps): RequestListener {
  const initiators = createInitiators(deps.clients);
  const handlers: Handlers<RequestContext> = {
    ...orderHandlers,
    ...paymentMessageHandlers,
    ...settlementHandlers,
    ...callbackHandlers,
    ...keyHandlers,
    ...platformHandlers(deps.openapi),
  };
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.use(requestLog(deps.log, deps.requestDone), requestSpan(deps.tracing ?? noTracing), setAlwaysHeaders);
  app.use(operations.getMetrics.expressPath, onlyMetricsReaders(deps));
  const sender = createSender(deps.maxStreams, deps.readerPatienceMs);
  const live = { follower: createOrderFollower(deps.clients, deps.maxEventStreams), streams: deps.eventStreams };
  const mounted = { app, deps, initiators, sender, live };
  for (const id of Object.keys(operations) as OperationId[]) mount(mounted, id, handlers[id] as AnyHandler);
  for (const path of new Set(Object.values(operations).map((operation) => operation.expressPath))) {
    app.all(path, wrongMethod(path));
  }
  app.use(() => {
    throw new RestRefusal("ROUTE_NOT_FOUND");
  });
  app.use(answerError(deps));
  return takingPathsAlone(admitAtMost(deps, app));
}

type Mounted = {
  app: express.Application;
  deps: RestDeps;
  initiators: Initiators;
  sender: Sender;
  live: RequestContext["live"];
};

function mount({ app, deps, initiators, sender, live }: Mounted, id: OperationId, handler: AnyHandler): void {
  const operation = operations[id];
  const extraHeaders = "deprecation" in operation ? deprecationHeaders(id, operation.deprecation, deps.publicUrl) : {};
  const nameRoute: RequestHandler = (_request, response, next) => {
    response.locals.route = { id, ...operation };
    response.set(extraHeaders);
    next();
  };
  const run: RequestHandler = async (request, response) => {
    const path = { ...request.params };
    validatePart(id, "path", path);
    const query = { ...request.query };
    validatePart(id, "query", query);
    const body: unknown = request.body;
    if (body !== undefined) validatePart(id, "body", body);
    const isChange = operation.method !== "get";
    const requestId = requestIdOf(response);
    const context: RequestContext = {
      deps,
      initiators,
      live,
      requestId,
      headers: request.headers,
      body: bodyOf(request),
      partyCall: operation.needsAccess ? partyCall(request, requestId, isChange, path.counterparty_guid) : undefined,
    };
    const answer = await handler({ path, query, body }, context);
    begin(response, answer);
    if ("body" in answer) await sendWhole(response, sender, await contentOf(response, answer));
    else if (request.method === "HEAD") {
      // Nobody follows what was only asked about.
      if ("events" in answer) answer.events({ send: () => {}, end: () => {} })();
      response.end();
    } else if ("stream" in answer) await sender.stream(response, answer.stream);
    else if ("events" in answer) {
      // It mostly waits, and who follows has a limit of its own.
      releasePlace(response);
      live.streams.open(response, answer.events);
    } else response.end();
  };
  app[operation.method](operation.expressPath, nameRoute, ...bodyReaders(id), run);
}

const setAlwaysHeaders: RequestHandler = (_request, response, next) => {
  response.set(constantHeaders);
  next();
};

/** Metrics show the volume of business, so callers who may not read them get 404. */
function onlyMetricsReaders({ mayReadMetrics = () => false }: RestDeps): RequestHandler {
  return (request, _response, next) => {
    if (!mayReadMetrics(request)) throw new RestRefusal("ROUTE_NOT_FOUND");
    next();
  };
}

function wrongMethod(path: string): RequestHandler {
  const known = Object.values(operations).filter((operation) => operation.expressPath === path);
  const allowed = known.map((operation) => operation.method.toUpperCase());
  return (_request, response) => {
    response.setHeader("Allow", allowed.includes("GET") ? [...allowed, "HEAD"].join(", ") : allowed.join(", "));
    throw new RestRefusal("METHOD_NOT_ALLOWED");
  };
}

function begin(response: Response, { status, type, headers = {} }: Answer): Response {
  response.status(status);
  if (type !== undefined) response.set("Content-Type", type.startsWith("image/") ? type : `${type}; charset=utf-8`);
  for (const [name, value] of Object.entries(headers)) response.set(name, String(value));
  return response;
}

function textOf({ type, body }: WholeAnswer): string {
  return type === "application/json" ? JSON.stringify(body) : String(body);
}

const compressed = promisify(gzip);

/**
 * The bytes of an answer. A payment page is compressed for who takes that: it repeats the order's token at every bank. JSON is not,
 * and nothing in a page is both secret and of the asker's choosing (BREACH).
 */
async function contentOf(response: Response, answer: WholeAnswer): Promise<Uint8Array> {
  if (answer.body instanceof Uint8Array) return answer.body;
  const bytes = Buffer.from(textOf(answer));
  const isFitting = answer.type === "text/html" && response.get("ETag") === undefined;
  if (!isFitting || !takesGzip(response.req.headers)) return bytes;
  response.set("Content-Encoding", "gzip");
  return compressed(bytes);
}

async function sendWhole(response: Response, sender: Sender, content: Uint8Array): Promise<void> {
  if (isKnown(response)) return void notModified(response);
  // What is small fits into the socket's buffer, so a slow reader costs nothing; what is larger is streamed.
  if (content.length <= PIECE_BYTES || response.req.method === "HEAD") send(response, content);
  else await sender.whole(response, content);
}

/** Whether the caller's cached copy is still valid (ETag). For answers without an ETag conditional headers are ignored. */
function isKnown(response: Response): boolean {
  const etag = response.get("ETag");
  const known = response.req.get("If-None-Match");
  if (etag === undefined || known === undefined) return false;
  const tags = known.split(",").map((tag) => tag.trim().replace(/^W\//, ""));
  return tags.includes("*") || tags.includes(etag);
}

/** Replaces Express's `send`, which takes `If-None-Match: *` as a reason to answer 304 to anything. */
function send(response: Response, content: Uint8Array): void {
  response.setHeader("Content-Length", content.length);
  response.end(content);
}

function notModified(response: Response): void {
  for (const name of ["Content-Type", ...Object.keys(docsPageHeaders)]) response.removeHeader(name);
  response.status(304).end();
}

function answerError(deps: RestDeps): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, _next) => {
    const route = routeOf(response);
    const refusal = asRefusal(error) ?? bodyRefusal(error) ?? new RestRefusal("INTERNAL_ERROR");
    const place = { route: route?.path ?? "none", requestId: requestIdOf(response) };
    const context = { ...place, err: error };
    if (refusal.code === "INTERNAL_ERROR") deps.log.error(context, "a request failed unexpectedly");
    if (response.headersSent) {
      // The status has been sent already, so the connection is cut: an incomplete answer must not look complete.
      deps.log.warn(context, "an answer was cut off");
      return void request.socket.destroy();
    }
    response.locals.refusedCode = refusal.code;
    if (!isDeclaredRefusal(refusal, route?.id)) {
      deps.log.error(
        { ...context, code: refusal.code },
        "a refusal that the contract does not declare at its operation",
      );
    }
    const answer = errorAnswer(refusal, request.originalUrl, route?.id);
    response.set(answer.headers);
    const page =
      route?.id === "showPaymentPage" ? failureAnswer(answer.status, request.headers, request.query.lang) : undefined;
    const inForm = page ?? { type: "application/json", text: JSON.stringify(answer.body) };
    send(begin(response, { status: answer.status, ...inForm }), Buffer.from(inForm.text));
  };
}

/** Refusals of Express and its body parser, by the status that they would have answered. */
function bodyRefusal(error: unknown): RestRefusal | undefined {
  const status = (error as { status?: unknown } | null)?.status;
  if (status === 413) return new RestRefusal("BODY_TOO_LARGE");
  if (status === 415) {
    return new RestRefusal("UNSUPPORTED_MEDIA_TYPE", {
      text: "Content-Encoding is not accepted: send the body as it is",
    });
  }
  if (error instanceof URIError) return new RestRefusal("INVALID_REQUEST", { text: "the path is malformed" });
  if (status === 400) return new RestRefusal("INVALID_REQUEST", { text: "the body is not complete" });
  return undefined;
}
