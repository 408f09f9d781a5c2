import { once } from "node:events";
import type { RequestListener, Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { pino } from "pino";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createRestServer } from "../../src/rest/httpServer.ts";
import { undeclared } from "../support/declared.ts";

const registers = "/api/v1/counterparty/0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10/gross-settlement";
const lines: string[] = [];
const log = pino({}, { write: (line: string) => void lines.push(line) });

/** Reads its request to the end and answers, except that a streamed answer begins at once. */
const application: RequestListener = async (request, response) => {
  if (request.url === "/streamed") return void response.writeHead(200).write("begun ");
  // Whoever does not send the rest is nobody's concern any more.
  await text(request).catch(() => {});
  response.end("whole");
};
let server: Server;

beforeEach(async () => {
  server = createRestServer(application, log, { requestTimeout: 300, headersTimeout: 300 });
  // Node looks after slow requests only so often.
  Object.assign(server, { connectionsCheckingInterval: 100 });
  await once(server.listen(0, "127.0.0.1"), "listening");
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

/** What comes back on a connection of its own, until its end. */
async function exchange(bytes: string): Promise<string> {
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.on("error", () => {});
  socket.write(bytes);
  return await text(socket);
}

function parsed(answer: string) {
  const [head = "", body = ""] = answer.split("\r\n\r\n");
  const [line = "", ...fields] = head.split("\r\n");
  const headers = new Headers(fields.map((field) => field.split(": ") as [string, string]));
  return { status: Number(line.split(" ")[1]), headers, text: body };
}

const bodyOf = (path: string) =>
  `POST ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{`;

describe("what Node refuses by itself is answered in the contract's words", () => {
  test.each([
    ["headers that are too large", `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`, "/healthz", 431],
    ["no HTTP", "what is this\r\n\r\n", "/api/v1/merchants/order", 400],
    ["a body that does not arrive", bodyOf("/api/v1/merchants/order"), "/api/v1/merchants/order", 408],
    ["the same where banks settle", bodyOf(`${registers}/pay/1012231`), `${registers}/pay/1012231`, 408],
    ["the same behind slashes", bodyOf(`//${registers}/pay/1012231`), `${registers}/pay/1012231`, 408],
    [
      "an expectation",
      "POST /api/v1/merchants/order HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n",
      "/api/v1/merchants/order",
      417,
    ],
    [
      "the same where banks settle, with the whole URL",
      `POST http://a/${registers}/pay/1012231 HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n`,
      `${registers}/pay/1012231`,
      417,
    ],
  ])("%s", async (_what, bytes, path, status) => {
    const answer = parsed(await exchange(bytes));
    expect(answer.status).toBe(status);
    expect(undeclared(path === "/healthz" ? "GET" : "POST", path, answer)).toEqual([]);
    const body = JSON.parse(answer.text);
    expect(path.startsWith(registers) ? body.description : body.error).toMatch(/\w/);
    expect(lines.at(-1)).toContain(answer.headers.get("x-request-id"));
  });

  const garbage = "what is this\r\n\r\n";
  const tooLarge = `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(20_000)}\r\n\r\n`;
  test.each([
    [garbage, "HTTP/1.1 400 Bad Request", "INVALID_REQUEST", "the request is not HTTP"],
    [tooLarge, "HTTP/1.1 431 Request Header Fields Too Large", "HEADERS_TOO_LARGE", /are too large$/],
    [bodyOf("/x"), "HTTP/1.1 408 Request Timeout", "REQUEST_TIMEOUT", "the request did not arrive in time"],
  ])(
    "case %#: the whole answer, the end of the connection, and a line with the caller's address",
    async (bytes, line, code, error) => {
      const text = await exchange(bytes);
      expect(text.split("\r\n")[0]).toBe(line);
      const answer = parsed(text);
      expect(answer.headers.get("connection")).toBe("close");
      expect(answer.headers.get("content-length")).toBe(String(Buffer.byteLength(answer.text)));
      expect(JSON.parse(answer.text)).toEqual({ error: expect.stringMatching(error), code });
      expect(JSON.parse(lines.at(-1) ?? "{}")).toMatchObject({
        ...{ route: "none", status: answer.status, code, address: "127.0.0.1", msg: "request" },
        requestId: answer.headers.get("x-request-id"),
      });
    },
  );

  test("an expectation that is refused leaves a line with its method", async () => {
    const answer = parsed(await exchange("PUT /x HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nConnection: close\r\n\r\n"));
    const line = { method: "PUT", route: "none", status: 417, msg: "request" };
    expect(JSON.parse(lines.at(-1) ?? "{}")).toMatchObject({ ...line, requestId: answer.headers.get("x-request-id") });
  });

  test("what follows an answer that is complete belongs to no path any more", async () => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write(`GET ${registers} HTTP/1.1\r\nHost: a\r\n\r\n`);
    const [whole] = (await once(socket, "data")) as [Buffer];
    expect(whole.toString()).toMatch(/whole$/);
    socket.write(garbage);
    const answer = parsed(await text(socket));
    expect(JSON.parse(answer.text)).toEqual({ error: "the request is not HTTP", code: "INVALID_REQUEST" });
  });

  test.each([
    ["who went away", "ECONNRESET", true],
    ["nothing that Node names", undefined, true],
    ["who cannot be written to", "HPE_INVALID_METHOD", false],
  ])("%s gets no answer and leaves no line", (_what, code, writable) => {
    const socket = { writable, destroy: vi.fn(), end: vi.fn() };
    const before = lines.length;
    server.emit("clientError", Object.assign(new Error("x"), { code }), socket);
    expect([socket.destroy.mock.calls.length, socket.end.mock.calls.length]).toEqual([1, 0]);
    expect(lines).toHaveLength(before);
  });

  test("the connection of a refused request is closed once the answer is written", () => {
    const socket = { writable: true, destroy: vi.fn(), end: vi.fn((_text: string, written: () => void) => written()) };
    server.emit("clientError", Object.assign(new Error("x"), { code: "HPE_INVALID_METHOD" }), socket);
    expect([socket.destroy.mock.calls.length, socket.end.mock.calls.length]).toEqual([1, 1]);
  });

  test("a request has 30 seconds to arrive, its headers 20, and a connection is kept for 65", () => {
    const usual = createRestServer(() => {}, log);
    expect(usual).toMatchObject({ requestTimeout: 30_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 });
    expect(createRestServer(() => {}, log, { requestTimeout: 40_000 })).toMatchObject({
      ...{ requestTimeout: 40_000, headersTimeout: 20_000 },
    });
  });

  test("an answer that has begun is cut off, and nothing is written into it", async () => {
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET /streamed HTTP/1.1\r\nHost: a\r\n\r\n");
    const [begun] = (await once(socket, "data")) as [Buffer];
    socket.write("what is this\r\n\r\n");
    expect(begun.toString()).toMatch(/^HTTP\/1.1 200 /);
    expect(await text(socket)).not.toContain("HTTP/1.1");
  });
});
