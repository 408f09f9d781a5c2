import type { RequestListener } from "node:http";
import express, { type ErrorRequestHandler, type Request, type RequestHandler, type Response } from "express";
import { type Handlers, type OperationId, operations } from "../../gen/rest/operations.ts";
import { ACCESS_HEADER } from "../sdk/access.ts";
import { noTracing } from "../tracing.ts";
import { admitAtMost, alwaysHeaders } from "./admission.ts";
import { authenticateBank } from "./authenticate.ts";
import type { RequestContext, RestDeps } from "./context.ts";
import { asRefusal, errorAnswer, RestRefusal } from "./errors.ts";
import { callbackHandlers } from "./handlers/callbacks.ts";
import { orderHandlers } from "./handlers/orders.ts";
import { paymentMessageHandlers } from "./handlers/paymentMessages.ts";
import { platformHandlers } from "./handlers/platform.ts";
import { settlementHandlers } from "./handlers/settlements.ts";
import { pageHeaders } from "./pages/html.ts";
import { createParties, type Parties } from "./parties.ts";
import { requestIdOf, requestLog, requestSpan, routeOf } from "./requestLog.ts";
import { validatePart } from "./validate.ts";

const MAX_BODY_BYTES = 64 * 1024;

/** Any operation's handler, as the dispatcher sees it; the contract's types hold where the handlers are written. */
type AnyHandler = (
  input: { path: unknown; query: unknown; body: unknown },
  context: RequestContext,
) => Promise<{ status: number; type: string; body: unknown }>;

/** The translator: verifies who asks, translates REST to RPC and back, and decides nothing about payments. */
export function createRestApp(deps: RestDeps): RequestListener {
  const parties = createParties(deps.clients.participants, deps.fetchKeySet);
  const handlers: Handlers<RequestContext> = {
    ...orderHandlers,
    ...paymentMessageHandlers,
    ...settlementHandlers,
    ...callbackHandlers,
    ...platformHandlers(deps.openapiPath),
  };
  const app = express();
  app.disable("x-powered-by");
  app.disable("etag");
  app.set("query parser", "simple");
  app.use(requestLog(deps.log, deps.requestDone), requestSpan(deps.tracing ?? noTracing), setAlwaysHeaders);
  app.use(operations.getMetrics.expressPath, onlyMetricsReaders(deps));
  for (const id of Object.keys(operations) as OperationId[]) mount(app, id, handlers[id] as AnyHandler, deps, parties);
  for (const path of new Set(Object.values(operations).map((operation) => operation.expressPath))) {
    app.all(path, wrongMethod(path));
  }
  app.use(() => {
    throw new RestRefusal("ROUTE_NOT_FOUND");
  });
  app.use(answerError(deps));
  return admitAtMost(deps, app);
}

function mount(app: express.Application, id: OperationId, handler: AnyHandler, deps: RestDeps, parties: Parties): void {
  const operation = operations[id];
  const nameRoute: RequestHandler = (_request, response, next) => {
    response.locals.route = { id, ...operation };
    next();
  };
  const run: RequestHandler = async (request, response) => {
    const path = { ...request.params };
    validatePart(id, "path", path);
    const context: RequestContext = {
      deps,
      parties,
      caller: operation.needsAccess
        ? await authenticateBank(request.get(ACCESS_HEADER), guidIn(path), parties, deps.clock())
        : undefined,
    };
    const query = { ...request.query };
    validatePart(id, "query", query);
    const body: unknown = request.body;
    if (body !== undefined || operation.bodyRequired) validatePart(id, "body", body);
    send(response, await handler({ path, query, body }, context));
  };
  const parsers = operation.requestContentTypes.length > 0 ? [onlyJson, jsonBody] : [];
  app[operation.method](operation.expressPath, nameRoute, ...parsers, run);
}

function guidIn(path: Record<string, unknown>): string | undefined {
  return typeof path.counterparty_guid === "string" ? path.counterparty_guid : undefined;
}

/** Compressed bodies are refused: 64 KiB of them could be anything when unpacked. */
const jsonBody = express.json({ limit: MAX_BODY_BYTES, inflate: false, type: "application/json" });

const onlyJson: RequestHandler = (request, _response, next) => {
  const hasBody = request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"]) > 0;
  if (hasBody && !request.is("application/json")) throw new RestRefusal("UNSUPPORTED_MEDIA_TYPE");
  next();
};

const setAlwaysHeaders: RequestHandler = (_request, response, next) => {
  response.set(alwaysHeaders);
  next();
};

/** Metrics tell how much business is done; whom that does not concern is not even told that they are here. */
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

function send(response: Response, { status, type, body }: { status: number; type: string; body: unknown }): void {
  response.status(status).set("Content-Type", `${type}; charset=utf-8`);
  if (type === "text/html") response.set(pageHeaders);
  response.send(type === "application/json" ? JSON.stringify(body) : String(body));
}

function answerError(deps: RestDeps): ErrorRequestHandler {
  return (error: unknown, request: Request, response: Response, _next) => {
    const route = routeOf(response);
    const refusal = asRefusal(error) ?? bodyRefusal(error) ?? new RestRefusal("INTERNAL_ERROR");
    if (refusal.code === "INTERNAL_ERROR") {
      const context = { err: error, route: route?.path ?? "none", requestId: requestIdOf(response) };
      deps.log.error(context, "a request failed unexpectedly");
    }
    if (response.headersSent) return void request.socket.destroy();
    const answer = errorAnswer(refusal, route);
    response.set(answer.headers);
    send(response, { status: answer.status, type: "application/json", body: answer.body });
  };
}

/** What Express and its body parser refuse by themselves, by the status that they would have answered. */
function bodyRefusal(error: unknown): RestRefusal | undefined {
  const status = (error as { status?: unknown } | null)?.status;
  if (status === 413) return new RestRefusal("BODY_TOO_LARGE");
  if (status === 415) return new RestRefusal("UNSUPPORTED_MEDIA_TYPE");
  if (error instanceof URIError) return new RestRefusal("INVALID_REQUEST", { text: "the path is malformed" });
  if (status === 400) return new RestRefusal("INVALID_REQUEST", { text: "the body is not JSON" });
  return undefined;
}
