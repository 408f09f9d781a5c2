import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type OpsServerOptions = {
  port: number;
  metricsText: () => Promise<string>;
  mayReadMetrics: (request: IncomingMessage) => boolean;
  readiness: () => Promise<{ dependency: string; ok: boolean; problem?: string }[]>;
};

type Answer = { status: number; type: string; body: string };

const json = (status: number, body: object): Answer => ({
  status,
  type: "application/json",
  body: JSON.stringify(body),
});
const notFound = json(404, { code: "ROUTE_NOT_FOUND", message: "there is only /metrics, /healthz and /readyz" });

/** Serves the metrics and health of a process without REST to operators, in the same form as REST does. */
export async function startOpsServer(options: OpsServerOptions): Promise<{ port: number; close(): Promise<void> }> {
  const routes: Record<string, (request: IncomingMessage) => Promise<Answer>> = {
    "/metrics": async (request) =>
      options.mayReadMetrics(request)
        ? { status: 200, type: "text/plain; charset=utf-8", body: await options.metricsText() }
        : notFound,
    "/healthz": async () => json(200, { status: "ok" }),
    "/readyz": async () => {
      const dependencies = await options.readiness();
      return dependencies.every(({ ok }) => ok)
        ? json(200, { status: "ready", dependencies })
        : json(503, { status: "not_ready", dependencies });
    },
  };
  const server = createServer({ requestTimeout: 10_000 }, async (request, response) => {
    const path = request.url?.split("?")[0]?.replace(/^\/+/, "/") ?? "";
    const route = request.method === "GET" && Object.hasOwn(routes, path) ? routes[path] : undefined;
    const answer = await (route?.(request) ?? Promise.resolve(notFound)).catch(() =>
      json(500, { code: "INTERNAL_ERROR", message: "internal error" }),
    );
    send(response, answer);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(response: ServerResponse, { status, type, body }: Answer): void {
  response.writeHead(status, {
    "Content-Type": type,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
  });
  response.end(body);
}
