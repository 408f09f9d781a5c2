import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { RequestHandler, Response } from "express";
import type { Logger } from "pino";
import { type OperationId, type operations, requestIdHeader } from "../../gen/rest/operations.ts";
import type { Tracing } from "../observe/tracing.ts";

/** The matched operation; set by the dispatcher, used by the log and by error answers. */
export type Route = { id: OperationId } & (typeof operations)[OperationId];

export function routeOf(response: Response): Route | undefined {
  return response.locals.route as Route | undefined;
}

export function requestIdOf(response: Response): string {
  return response.locals.requestId as string;
}

/** One span per request. It always begins a new trace: callers are strangers and must not choose what we trace. */
export function requestSpan(tracing: Tracing): RequestHandler {
  return (request, response, next) => {
    const attributes = { "http.request.method": request.method };
    void tracing.inSpan({ name: "REST", kind: "server", attributes }, (span) => {
      const closed = new Promise<void>((resolve) => response.once("close", resolve));
      next();
      return closed.then(() => {
        const route = routeOf(response);
        if (route !== undefined) span.rename(route.id);
        span.set({
          "http.route": route?.path,
          "http.response.status_code": response.statusCode,
          "dcm.request_id": requestIdOf(response),
        });
        if (response.statusCode >= 500) span.fail();
      });
    });
  };
}

/** Called once per request; the operation is "none" where no route matched. */
export type RequestObserver = (operation: string, status: number, durationMs: number) => void;

const arrivals = new WeakMap<IncomingMessage, number>();

/** Notes when a request arrived that has to wait, so that the wait counts in its duration. */
export function noteArrival(request: IncomingMessage): void {
  arrivals.set(request, performance.now());
}

/** Milliseconds since the request arrived. */
export function timer(request: IncomingMessage): () => number {
  const startedAt = arrivals.get(request) ?? performance.now();
  return () => Math.round((performance.now() - startedAt) * 10) / 10;
}

/** What was refused, and for a failed authentication the address of the caller: an attack must be visible in the log. */
function refusalFields({ socket }: IncomingMessage, { locals, statusCode }: Response) {
  const { refusedCode } = locals as { refusedCode?: string };
  const isStranger = statusCode === 401 || statusCode === 403;
  return {
    code: refusedCode,
    ...(isStranger && { address: socket.remoteAddress }),
  };
}

/** One line per request, with the pattern of the route and never the URL: the query may hold an order's token. */
export function requestLog(log: Logger, done: RequestObserver = () => {}): RequestHandler {
  return (request, response, next) => {
    const elapsedMs = timer(request);
    response.locals.requestId = randomUUID();
    response.setHeader(requestIdHeader, response.locals.requestId);
    response.once("close", () => {
      const durationMs = elapsedMs();
      const line = {
        method: request.method,
        route: routeOf(response)?.path ?? "none",
        status: response.writableFinished ? response.statusCode : 499,
        durationMs,
        requestId: requestIdOf(response),
        ...refusalFields(request, response),
      };
      log.info(line, "request");
      // How long somebody watched says nothing about how fast we answer.
      const isWatched = String(response.getHeader("Content-Type")).startsWith("text/event-stream");
      if (!isWatched) done(routeOf(response)?.id ?? "none", line.status, durationMs);
    });
    next();
  };
}
