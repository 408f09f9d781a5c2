import { randomUUID } from "node:crypto";
import type { RequestHandler, Response } from "express";
import type { Logger } from "pino";
import type { OperationId, operations } from "../../gen/rest/operations.ts";

/** What the request turned out to be; set by the route, read by the log and by the error answer. */
export type Route = { id: OperationId } & (typeof operations)[OperationId];

export function routeOf(response: Response): Route | undefined {
  return response.locals.route as Route | undefined;
}

export function requestIdOf(response: Response): string {
  return response.locals.requestId as string;
}

/** One line per request. It names the route's pattern and never the URL: an order's token travels in the query. */
export function requestLog(log: Logger): RequestHandler {
  return (request, response, next) => {
    const startedAt = performance.now();
    response.locals.requestId = randomUUID();
    response.setHeader("X-Request-Id", response.locals.requestId);
    response.once("close", () => {
      const durationMs = Math.round((performance.now() - startedAt) * 10) / 10;
      const line = {
        method: request.method,
        route: routeOf(response)?.path ?? "none",
        status: response.writableFinished ? response.statusCode : 499,
        durationMs,
        requestId: requestIdOf(response),
      };
      log.info(line, "request");
    });
    next();
  };
}
