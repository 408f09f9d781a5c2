import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serveCommands } from "../child.ts";

// Banks and merchants that answer 200, at once or after a time, and verify nothing: their time is not the platform's. A port each,
// so that the platform keeps connections and slots for each as it does for real institutions.

type Endpoint = { hangs: boolean; isIgnored: boolean };

const endpoints: Endpoint[] = [];
/** When callbacks came to endpoints that count, for throughput over a part of a run. */
let arrivalsMs: number[] = [];
let total = 0;
let delayMs = 0;
/** The last answer to a Pay-in of a merchant, which is when its payment succeeds; epoch milliseconds. */
let lastSuccessAtMs = 0;
/** Whoever waits for a number of callbacks. */
let wanted: { isReached(): boolean; resolve(): void } | undefined;

async function listen(count: number): Promise<string[]> {
  return Promise.all(
    Array.from({ length: count }, () => {
      const endpoint: Endpoint = { hangs: false, isIgnored: false };
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
    if (delayMs === 0) answerNow(endpoint, request, response);
    else setTimeout(answerNow, delayMs, endpoint, request, response);
  });
}

function answerNow(endpoint: Endpoint, request: IncomingMessage, response: ServerResponse): void {
  if (endpoint.hangs) return;
  total += 1;
  if (request.url?.includes("pay-in-merchant")) lastSuccessAtMs = Date.now();
  if (!endpoint.isIgnored) arrivalsMs.push(performance.now());
  response.end();
  if (wanted?.isReached()) {
    wanted.resolve();
    wanted = undefined;
  }
}

/** Resolves when as many callbacks have been answered; rejects after `timeoutMs`. */
function untilReached(count: () => number, goal: number, timeoutMs: number): Promise<void> {
  if (count() >= goal) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new Error(`${count()} of ${goal} callbacks came within ${timeoutMs} ms`)),
      timeoutMs,
    );
    wanted = {
      isReached: () => count() >= goal,
      resolve() {
        clearTimeout(timer);
        resolve();
      },
    };
  });
}

serveCommands({
  listen,
  /** All endpoints answer after this many milliseconds. */
  answerAfter(ms: number) {
    delayMs = ms;
  },
  lastSuccessAtMs: () => lastSuccessAtMs,
  /** All callbacks since the start of this process. */
  total: () => total,
  untilTotal: (goal: { total: number; timeoutMs: number }) => untilReached(() => total, goal.total, goal.timeoutMs),
  /** The endpoints with these indexes accept requests and never answer; all others answer. */
  hang(indexes: number[]) {
    endpoints.forEach((endpoint, index) => {
      endpoint.hangs = indexes.includes(index);
    });
  },
  /** Arrivals are counted anew, those at the endpoints with these indexes not at all. */
  resetArrivals(ignored: number[]) {
    arrivalsMs = [];
    endpoints.forEach((endpoint, index) => {
      endpoint.isIgnored = ignored.includes(index);
    });
  },
  untilArrivals: (goal: { count: number; timeoutMs: number }) =>
    untilReached(() => arrivalsMs.length, goal.count, goal.timeoutMs),
  arrivals: () => arrivalsMs,
});
