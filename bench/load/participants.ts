import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serveCommands } from "../child.ts";

// Banks and merchants that answer 200 at once and verify nothing: their time is not the platform's. A port each, so that
// the platform keeps connections and slots for each as it does for real institutions.

type Endpoint = { hangs: boolean; delivered: number };

const endpoints: Endpoint[] = [];
const countsByPath: Record<string, number> = {};
/** Arrival times at endpoints that answer, for throughput over a part of a run. */
let arrivalsMs: number[] = [];
let total = 0;
let wanted: { total: number; resolve: () => void } | undefined;

async function listen(count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, () => {
      const endpoint: Endpoint = { hangs: false, delivered: 0 };
      endpoints.push(endpoint);
      const server = createServer({ keepAliveTimeout: 120_000 }, (request, response) =>
        answer(endpoint, request, response),
      );
      return new Promise<string>((resolve) => {
        server.listen(0, "127.0.0.1", () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
      });
    }),
  );
}

function answer(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse): void {
  request.resume();
  request.once("end", () => {
    if (endpoint.hangs) return;
    endpoint.delivered += 1;
    total += 1;
    const path = request.url ?? "";
    countsByPath[path] = (countsByPath[path] ?? 0) + 1;
    arrivalsMs.push(performance.now());
    response.end();
    if (wanted !== undefined && total >= wanted.total) {
      wanted.resolve();
      wanted = undefined;
    }
  });
}

/** Resolves when this many callbacks have been answered since the start; rejects after `timeoutMs`. */
function untilTotal(goal: { total: number; timeoutMs: number }): Promise<void> {
  if (total >= goal.total) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new Error(`${total} of ${goal.total} callbacks came within ${goal.timeoutMs} ms`));
    }, goal.timeoutMs);
    wanted = {
      total: goal.total,
      resolve() {
        clearTimeout(timer);
        resolve();
      },
    };
  });
}

serveCommands({
  listen,
  untilTotal,
  total: () => total,
  countsByPath: () => ({ ...countsByPath }),
  /** The endpoints with these indexes accept requests and never answer; all others answer. */
  hang(indexes: number[]) {
    endpoints.forEach((endpoint, index) => {
      endpoint.hangs = indexes.includes(index);
    });
  },
  resetArrivals() {
    arrivalsMs = [];
    for (const endpoint of endpoints) endpoint.delivered = 0;
  },
  arrivals: () => arrivalsMs,
  deliveredByEndpoint: () => endpoints.map((endpoint) => endpoint.delivered),
});
