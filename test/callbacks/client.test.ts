import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";
import { afterEach, describe, expect, test, vi } from "vitest";
import {
  type AttemptResult,
  type CallbackClient,
  type CallbackClientOptions,
  createCallbackClient,
} from "../../src/callbacks/client.ts";
import { statusOutcome } from "../../src/callbacks/outcomes.ts";
import { createAddressGuard, type ResolveHost } from "../../src/outbound/address.ts";
import { selfSignedCert, selfSignedKey } from "./selfSigned.ts";

const request = { headers: { "content-type": "application/json" }, body: '{"jwt":"x"}' };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function clientWith(options: Partial<CallbackClientOptions> & { resolve?: ResolveHost } = {}): CallbackClient {
  const { resolve, ...others } = options;
  const guard = createAddressGuard({ allowCidrs: ["127.0.0.0/8"], ...(resolve && { resolve }) });
  const client = createCallbackClient({ guard, attemptTimeoutMs: 2_000, ...others });
  cleanups.push(() => client.close());
  return client;
}

async function listening(server: Server | ReturnType<typeof createTcpServer>): Promise<number> {
  const sockets = new Set<Socket>();
  server.on("connection", (socket: Socket) => {
    sockets.add(socket.once("close", () => sockets.delete(socket)));
    socket.on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  return (server.address() as AddressInfo).port;
}

async function httpServer(answer: RequestListener): Promise<{ url: string; port: number; server: Server }> {
  const server = createServer(answer);
  const port = await listening(server);
  return { url: `http://127.0.0.1:${port}/callbacks`, port, server };
}

/** A server that answers with these very bytes, then perhaps does something to the connection. */
async function rawServer(bytes: string, then: (socket: Socket) => void = () => {}): Promise<string> {
  const server = createTcpServer((socket) => {
    socket.once("data", () => socket.write(bytes, () => then(socket)));
  });
  return `http://127.0.0.1:${await listening(server)}/callbacks`;
}

const status = (code: number, headers: Record<string, string> = {}) =>
  ((_: IncomingMessage, response: ServerResponse) => response.writeHead(code, headers).end("said")) as RequestListener;

async function postTo(answer: RequestListener): Promise<AttemptResult> {
  return clientWith().post((await httpServer(answer)).url, request);
}

describe("an answer counts by its status", () => {
  test.each([
    [200, "accepted"],
    [201, "accepted"],
    [299, "accepted"],
    [400, "refused"],
    [401, "refused"],
    [404, "refused"],
    [422, "refused"],
    [499, "refused"],
    [408, "request_timeout"],
    [425, "too_early"],
    [429, "throttled"],
    [500, "server_error"],
    [503, "server_error"],
    [600, "server_error"],
    [999, "server_error"],
  ] as const)("%d is %s", async (code, outcome) => {
    const result = await postTo(status(code));
    expect(result).toMatchObject({ outcome, httpStatus: code, answer: "said" });
    expect(result.durationMs).toBeGreaterThanOrEqual(0);
    expect(result.problem).toBeUndefined();
  });

  test("204 has no answer text and is accepted", async () => {
    const result = await postTo((_, response) => response.writeHead(204).end());
    expect(result).toMatchObject({ outcome: "accepted", httpStatus: 204, answer: "" });
  });

  test("every code from 100 to 999 has an outcome", () => {
    for (let code = 100; code < 1_000; code += 1) expect(statusOutcome(code)).toMatch(/^[a-z_]+$/);
  });
});

test("the endpoint gets the method, path, query, headers and body as they were given", async () => {
  const seen: Record<string, unknown> = {};
  const { port } = await httpServer(async (incoming, response) => {
    let body = "";
    for await (const chunk of incoming) body += chunk;
    Object.assign(seen, { method: incoming.method, url: incoming.url, headers: incoming.headers, body });
    response.end();
  });
  await clientWith().post(`http://localhost:${port}/a/b?c=d`, {
    headers: { "content-type": "application/json", "x-callback-guid": "g" },
    body: "{}",
  });
  expect(seen).toMatchObject({ method: "POST", url: "/a/b?c=d", body: "{}" });
  expect(seen.headers).toMatchObject({ host: `localhost:${port}`, "x-callback-guid": "g", "content-length": "2" });
});

test.each([301, 302, 303, 307, 308])("a redirect with %d is an outcome and is never followed", async (code) => {
  let callsElsewhere = 0;
  const elsewhere = await httpServer((_, response) => {
    callsElsewhere += 1;
    response.end();
  });
  const client = clientWith();
  for (const location of [elsewhere.url, "http://169.254.169.254/latest/meta-data/"]) {
    const { url } = await httpServer(status(code, { location }));
    expect(await client.post(url, request)).toMatchObject({ outcome: "redirected", httpStatus: code });
  }
  expect(callsElsewhere).toBe(0);
});

describe("Retry-After", () => {
  test.each([408, 425, 429, 503])("%d hands on the seconds that the endpoint asks for", async (code) => {
    expect((await postTo(status(code, { "retry-after": "7" }))).retryAfterMs).toBe(7_000);
    expect((await postTo(status(code))).retryAfterMs).toBeUndefined();
  });

  test("a date of the endpoint's clock is counted by its own Date as well", async () => {
    const result = await postTo(
      status(503, { date: "Sun, 06 Nov 1994 08:49:37 GMT", "retry-after": "Sun, 06 Nov 1994 08:49:57 GMT" }),
    );
    expect(result.retryAfterMs).toBe(20_000);
  });
});

describe("no status line and headers", () => {
  test("nothing listens: connect_refused", async () => {
    const { url, server } = await httpServer(status(200));
    cleanups.splice(cleanups.length - 1, 1);
    server.close();
    await once(server, "close");
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "connect_refused" });
  });

  test("a name that does not resolve: dns_failure, whatever the resolver calls it", async () => {
    for (const code of ["ENOTFOUND", "ECONNREFUSED", "ETIMEOUT", "EREFUSED"]) {
      const client = clientWith({ resolve: () => Promise.reject(Object.assign(new Error(code), { code })) });
      expect(await client.post("https://bank.example/x", request)).toMatchObject({ outcome: "dns_failure" });
    }
  });

  test("a resolver that hangs ends with the attempt's deadline", async () => {
    const client = clientWith({ attemptTimeoutMs: 100, resolve: () => new Promise(() => {}) });
    expect(await client.post("https://bank.example/x", request)).toMatchObject({ outcome: "timeout" });
  });

  test("headers that never come: timeout, at the deadline", async () => {
    const { url } = await httpServer(() => {});
    const result = await clientWith({ attemptTimeoutMs: 150 }).post(url, request);
    expect(result).toMatchObject({ outcome: "timeout", problem: "no answer within 150 ms" });
    expect(result.durationMs).toBeGreaterThanOrEqual(140);
    expect(result.durationMs).toBeLessThan(1_500);
  });

  test("headers without end: malformed_http", async () => {
    const url = await rawServer(`HTTP/1.1 200 OK\r\nx-long: ${"x".repeat(200_000)}\r\n\r\n`);
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "malformed_http" });
  });

  test("a reset before the headers: connection_reset", async () => {
    const url = await rawServer("", (socket) => socket.resetAndDestroy());
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "connection_reset" });
  });

  test.each([
    "SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "HTTP/1.1 banana\r\n\r\n",
    "HTTP/1.1 200 OK\r\ncontent-length: -5\r\n\r\n",
    "\u0000\u0001\u0002\u0003\r\n\r\n",
  ])("%j is malformed_http", async (bytes) => {
    expect(await clientWith().post(await rawServer(bytes), request)).toMatchObject({ outcome: "malformed_http" });
  });
});

describe("the status line is the answer: the body changes nothing", () => {
  const codes = [
    [200, "accepted"],
    [422, "refused"],
    [503, "server_error"],
  ] as const;

  const pour: RequestListener = (_, response) => {
    const more = () => {
      while (!response.destroyed && response.write("x".repeat(16_384)));
    };
    response.on("drain", more);
    more();
  };

  test.each(codes)("%d with 10 MB is %s, with its beginning kept", async (code, outcome) => {
    const result = await postTo((_, response) => response.writeHead(code).end(Buffer.alloc(10_000_000, "x")));
    expect(result).toEqual({ outcome, httpStatus: code, answer: "x".repeat(4_096), durationMs: expect.any(Number) });
  });

  test.each(codes)("%d with a body that never ends is %s, and is left soon", async (code, outcome) => {
    const result = await postTo((incoming, response) => {
      response.writeHead(code);
      pour(incoming, response);
    });
    expect(result).toMatchObject({ outcome, httpStatus: code, answer: "x".repeat(4_096) });
    expect(result.durationMs).toBeLessThan(1_000);
  });

  test.each(codes)(
    "%d with one byte at a time is %s, and is waited for no longer than a moment",
    async (code, outcome) => {
      const { url } = await httpServer((_, response) => {
        response.writeHead(code);
        const drip = setInterval(() => response.write("."), 10);
        response.once("close", () => clearInterval(drip));
      });
      const result = await clientWith({ attemptTimeoutMs: 10_000, bodyTimeMs: 200 }).post(url, request);
      expect(result).toMatchObject({ outcome, httpStatus: code, answer: expect.stringMatching(/^\.+$/) });
      expect(result.durationMs).toBeGreaterThanOrEqual(190);
      expect(result.durationMs).toBeLessThan(3_000);
    },
  );

  test("without its own limit that moment is one second", async () => {
    const { url } = await httpServer((_, response) => response.writeHead(200).flushHeaders());
    const result = await clientWith({ attemptTimeoutMs: 10_000 }).post(url, request);
    expect(result).toMatchObject({ outcome: "accepted", answer: "" });
    expect(result.durationMs).toBeGreaterThanOrEqual(990);
    expect(result.durationMs).toBeLessThan(4_000);
  });

  test("the time of the attempt ends a body as well, without changing what was said", async () => {
    const { url } = await httpServer((_, response) => response.writeHead(200).flushHeaders());
    const result = await clientWith({ attemptTimeoutMs: 200, bodyTimeMs: 10_000 }).post(url, request);
    expect(result).toMatchObject({ outcome: "accepted", httpStatus: 200 });
    expect(result.durationMs).toBeLessThan(3_000);
  });

  test.each([
    ["reset", "content-length: 100", "half", (socket: Socket) => setTimeout(() => socket.resetAndDestroy(), 20)],
    ["ended early", "content-length: 100", "half", (socket: Socket) => socket.end()],
    ["ended inside a chunk", "transfer-encoding: chunked", "9\r\nhalf", (socket: Socket) => socket.end()],
    ["no chunks at all", "transfer-encoding: chunked", "half\r\n", () => {}],
    ["not what its encoding says", "content-encoding: gzip\r\ncontent-length: 4", "half", () => {}],
  ])("a body that is %s", async (_, headers, body, then) => {
    for (const [code, outcome] of codes) {
      const url = await rawServer(`HTTP/1.1 ${code} Whatever\r\n${headers}\r\n\r\n${body}`, then);
      const result = await clientWith({ bodyTimeMs: 300 }).post(url, request);
      expect(result).toMatchObject({ outcome, httpStatus: code });
    }
  });

  test("what is given up costs its connection and no later attempt", async () => {
    let calls = 0;
    const { url } = await httpServer((incoming, response) => {
      calls += 1;
      if (calls % 2 === 1) pour(incoming, response);
      else response.end("said");
    });
    const client = clientWith();
    for (let round = 0; round < 3; round += 1) {
      expect(await client.post(url, request)).toMatchObject({ outcome: "accepted", answer: "x".repeat(4_096) });
      expect(await client.post(url, request)).toMatchObject({ outcome: "accepted", answer: "said" });
    }
  });

  test("a body of up to 64 KiB leaves the connection to the next attempt", async () => {
    const { url, server } = await httpServer((_, response) => response.writeHead(200).end("x".repeat(65_536)));
    let opened = 0;
    server.on("connection", () => {
      opened += 1;
    });
    const client = clientWith();
    for (let call = 0; call < 6; call += 1) expect((await client.post(url, request)).outcome).toBe("accepted");
    expect(opened).toBeLessThanOrEqual(2);
  });
});

describe("TLS", () => {
  async function tlsServer(): Promise<{ port: number; seen: { host?: string | undefined; servername?: unknown } }> {
    const seen: { host?: string | undefined; servername?: unknown } = {};
    const server = createTlsServer({ cert: selfSignedCert, key: selfSignedKey }, (incoming, response) => {
      seen.host = incoming.headers.host;
      seen.servername = (incoming.socket as unknown as { servername: unknown }).servername;
      response.end("ok");
    });
    return { port: await listening(server), seen };
  }

  const toLoopback: ResolveHost = async () => [{ address: "127.0.0.1", family: 4 }];

  test("a certificate that signs itself: tls_failure", async () => {
    const { port } = await tlsServer();
    const result = await clientWith({ resolve: toLoopback }).post(`https://endpoint.example:${port}/`, request);
    expect(result).toMatchObject({ outcome: "tls_failure" });
  });

  test("a certificate for another name: tls_failure", async () => {
    const { port } = await tlsServer();
    const client = clientWith({ resolve: toLoopback, extraCa: selfSignedCert });
    expect(await client.post(`https://other.example:${port}/`, request)).toMatchObject({ outcome: "tls_failure" });
  });

  test("a server that does not speak TLS: tls_failure", async () => {
    const { port } = await httpServer(status(200));
    const result = await clientWith().post(`https://127.0.0.1:${port}/`, request);
    expect(result).toMatchObject({ outcome: "tls_failure" });
  });

  test("the connection goes to the vetted address, SNI and Host stay the name", async () => {
    const { port, seen } = await tlsServer();
    const client = clientWith({ resolve: toLoopback, extraCa: selfSignedCert });
    expect(await client.post(`https://endpoint.example:${port}/`, request)).toMatchObject({ outcome: "accepted" });
    expect(seen).toEqual({ host: `endpoint.example:${port}`, servername: "endpoint.example" });
  });
});

describe("the address guard", () => {
  test("a name that is public when checked and loopback when connected gets no connection", async () => {
    let connections = 0;
    const { port, server } = await httpServer(status(200));
    server.on("connection", () => {
      connections += 1;
    });
    const answers = ["93.184.215.14", "127.0.0.1"];
    const guard = createAddressGuard({
      allowCidrs: [],
      resolve: async () => [{ address: answers.shift() ?? "127.0.0.1", family: 4 }],
    });
    const url = `https://rebinding.example:${port}/`;
    expect(await guard.check(url)).toEqual({ ok: true });
    expect(await clientWith({ guard }).post(url, request)).toMatchObject({ outcome: "address_refused" });
    expect(connections).toBe(0);
  });

  test.each([
    "https://169.254.169.254/latest/meta-data/",
    "https://[::ffff:127.0.0.1]/",
    "https://10.0.0.1/",
    "http://8.8.8.8/",
    "http://[::1]:1/",
    "ftp://127.0.0.1/",
    "not a URL",
    "",
  ])("%s is address_refused without a connection", async (url) => {
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "address_refused" });
  });

  test("plain http to a public name is refused, also by name", async () => {
    const client = clientWith({ resolve: async () => [{ address: "93.184.215.14", family: 4 }] });
    expect(await client.post("http://bank.example/", request)).toMatchObject({ outcome: "address_refused" });
  });
});

describe("connections", () => {
  async function countingServer() {
    const counts = { opened: 0, open: 0, mostAtOnce: 0, underWay: 0 };
    const made = await httpServer((_, response) => {
      counts.underWay += 1;
      counts.mostAtOnce = Math.max(counts.mostAtOnce, counts.underWay);
      setImmediate(() => {
        counts.underWay -= 1;
        response.end("ok");
      });
    });
    made.server.on("connection", (socket) => {
      counts.opened += 1;
      counts.open += 1;
      socket.once("close", () => {
        counts.open -= 1;
      });
    });
    return { ...made, counts };
  }

  test("calls to one origin reuse its connections, and close() closes them", async () => {
    const { url, counts } = await countingServer();
    const client = clientWith();
    for (let call = 0; call < 30; call += 1) expect((await client.post(url, request)).outcome).toBe("accepted");
    // Two, because the next call may begin in the same turn in which the last one's connection comes free.
    expect(counts.opened).toBeLessThanOrEqual(2);
    expect(counts.open).toBe(counts.opened);
    await client.close();
    await vi.waitFor(() => expect(counts.open).toBe(0));
    expect(await client.post(url, request)).toMatchObject({ outcome: "lost" });
  });

  test("no origin gets more connections than its share", async () => {
    const { url, counts } = await countingServer();
    const client = clientWith({ connectionsPerOrigin: 4 });
    const results = await Promise.all(Array.from({ length: 40 }, () => client.post(url, request)));
    expect(results.every((result) => result.outcome === "accepted")).toBe(true);
    expect(counts.opened).toBeLessThanOrEqual(4);
    expect(counts.mostAtOnce).toBeLessThanOrEqual(4);
  });

  test("an origin that is idle for long loses its connections and comes back when called", async () => {
    const { url, counts } = await countingServer();
    const client = clientWith({ idleOriginMs: 50 });
    await client.post(url, request);
    await vi.waitFor(() => expect(client.openOrigins()).toBe(0));
    await vi.waitFor(() => expect(counts.open).toBe(0));
    expect((await client.post(url, request)).outcome).toBe("accepted");
  });

  test("above the most origins the one that was idle the longest goes first", async () => {
    const servers = [await countingServer(), await countingServer(), await countingServer()];
    const client = clientWith({ maxOrigins: 2 });
    for (const { url } of servers) await client.post(url, request);
    expect(client.openOrigins()).toBe(2);
    await vi.waitFor(() => expect(servers.map(({ counts }) => counts.open)).toEqual([0, 1, 1]));
  });

  test("an endpoint that hangs holds up neither another origin nor close()", async () => {
    const hanging = await httpServer(() => {});
    const healthy = await countingServer();
    const client = clientWith({ attemptTimeoutMs: 300, connectionsPerOrigin: 2 });
    const stuck = Array.from({ length: 6 }, () => client.post(hanging.url, request));
    expect((await client.post(healthy.url, request)).outcome).toBe("accepted");
    const startedMs = performance.now();
    await client.close();
    expect(performance.now() - startedMs).toBeLessThan(1_500);
    for (const result of await Promise.all(stuck)) expect(result.outcome).toBe("timeout");
  });
});

describe("the kept answer", () => {
  test("control characters and marks that reverse a line are made visible", async () => {
    const result = await postTo((_, response) => response.end("a\u0000b\u001b[31mc\u202ed\te\r\nf\u0085g"));
    expect(result.answer).toBe("a\uFFFDb\uFFFD[31mc\uFFFDd\te\r\nf\uFFFDg");
  });

  test("a character that the cut goes through is left out", async () => {
    const result = await postTo((_, response) => response.end(`${"x".repeat(4_095)}їжак`));
    expect(result.answer).toBe("x".repeat(4_095));
  });

  test("bytes that are no text do no harm", async () => {
    const result = await postTo((_, response) => response.end(Buffer.from([0xff, 0xfe, 0x41, 0xc3])));
    expect(result).toMatchObject({ outcome: "accepted", answer: "\uFFFD\uFFFDA" });
  });
});
