import { randomUUID } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { RequestHandler, Response } from "express";
import type { Logger } from "pino";
import { type OperationId, type operations, requestIdHeader } from "../../gen/rest/operations.ts";
import type { Tracing } from "../observe/tracing.ts";

/** What the request turned out to be; set by the route, read by the log and by the error answer. */
export type Route = { id: OperationId } & (typeof operations)[OperationId];

export function routeOf(response: Response): Route | undefined {
  return response.locals.route as Route | undefined;
}

export function requestIdOf(response: Response): string {
  return response.locals.requestId as string;
}

/** A span per request. It begins a trace of its own: callers are strangers and do not choose what we trace. */
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

/** Told once per request; the operation is "none" where no route was met. */
export type RequestObserver = (operation: string, status: number, durationMs: number) => void;

const arrivals = new WeakMap<IncomingMessage, number>();

/** Notes when a request came that has to wait, so that its waiting counts as part of its time. */
export function noteArrival(request: IncomingMessage): void {
  arrivals.set(request, performance.now());
}

/** A clock that started when the request came, in milliseconds. */
export function timer(request: IncomingMessage): () => number {
  const startedAt = arrivals.get(request) ?? performance.now();
  return () => Math.round((performance.now() - startedAt) * 10) / 10;
}

/** What was refused, and of who shows no good token the address: an attack must be seen. */
function refusalFields({ socket }: IncomingMessage, { locals, statusCode }: Response) {
  const { refusedCode } = locals as { refusedCode?: string };
  const isStranger = statusCode === 401 || statusCode === 403;
  return {
    ...(refusedCode !== undefined && { code: refusedCode }),
    ...(isStranger && { address: socket.remoteAddress }),
  };
}

/** One line per request. It names the route's pattern and never the URL: an order's token travels in the query. */
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
      done(routeOf(response)?.id ?? "none", line.status, durationMs);
    });
    next();
  };
}
