import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";
import { type CallbackClient, createCallbackClient } from "../../src/callbacks/client.ts";
import { createAddressGuard } from "../../src/outbound/address.ts";
import { selfSignedCert, selfSignedKey } from "../callbacks/selfSigned.ts";

const request = { headers: { "content-type": "application/json" }, body: '{"jwt":"x"}' };
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function clientWith(attemptTimeoutMs = 5_000): CallbackClient {
  const guard = createAddressGuard({
    allowCidrs: ["127.0.0.0/8"],
    resolve: async () => [{ address: "127.0.0.1", family: 4 }],
  });
  const client = createCallbackClient({ guard, attemptTimeoutMs, extraCa: selfSignedCert });
  cleanups.push(() => client.close());
  return client;
}

type Answering = (socket: Socket, call: number) => unknown;

/** A server that does something to its connection for every request that begins to arrive. */
async function rawServer(answer: Answering, isTls = false): Promise<{ url: string; connections: () => number }> {
  const sockets = new Set<Socket>();
  let connections = 0;
  let calls = 0;
  const accept = (socket: Socket) => {
    connections += 1;
    sockets.add(socket);
    socket.setNoDelay(true);
    socket.on("error", () => {});
    socket.on("data", () => answer(socket, ++calls));
  };
  const server = isTls ? createTlsServer({ cert: selfSignedCert, key: selfSignedKey }, accept) : createServer(accept);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, "close");
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: isTls ? `https://endpoint.example:${port}/callbacks` : `http://127.0.0.1:${port}/callbacks`,
    connections: () => connections,
  };
}

const CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n";
const PROCESSING = "HTTP/1.1 102 Processing\r\n\r\n";
const HINTS = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nX-Empty:\r\n\r\n";
const OK = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsaid";
const GONE = "HTTP/1.1 410 Gone\r\nContent-Length: 4\r\n\r\nsaid";

const interims: [what: string, bytes: string][] = [
  ["100", CONTINUE],
  ["102", PROCESSING],
  ["103 with headers", HINTS],
  ["a code that nobody knows", "HTTP/1.1 199 Whatever\r\n\r\n"],
  ["100 without a reason", "HTTP/1.1 100\r\n\r\n"],
  ["100 of HTTP/1.0", "HTTP/1.0 100 Continue\r\n\r\n"],
  ["100 with bare line ends", "HTTP/1.1 100 Continue\n\n"],
  ["five of them", CONTINUE + PROCESSING + HINTS + CONTINUE + HINTS],
  ["103 with 20 KiB of headers", `HTTP/1.1 103 Early Hints\r\nLink: ${"x".repeat(20_000)}\r\n\r\n`],
];

describe("interim answers are passed over", () => {
  test.each(interims)("%s before the answer", async (_, bytes) => {
    const { url, connections } = await rawServer((socket, call) => socket.write(bytes + (call % 2 === 1 ? OK : GONE)));
    const client = clientWith();
    for (let round = 0; round < 2; round += 1) {
      expect(await client.post(url, request)).toMatchObject({ outcome: "accepted", httpStatus: 200, answer: "said" });
      expect(await client.post(url, request)).toMatchObject({ outcome: "refused", httpStatus: 410, answer: "said" });
    }
    expect(connections()).toBeLessThanOrEqual(2);
  });

  test("long before the answer", async () => {
    const { url } = await rawServer((socket) => {
      socket.write(CONTINUE);
      setTimeout(() => socket.write(HINTS), 50);
      setTimeout(() => socket.write(OK), 100);
    });
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "accepted", answer: "said" });
  });

  test("cut into two pieces at every byte", async () => {
    const bytes = CONTINUE + HINTS + OK;
    const { url } = await rawServer((socket, call) => {
      socket.write(bytes.slice(0, call));
      setTimeout(() => socket.write(bytes.slice(call)), 4);
    });
    const client = clientWith();
    for (let cut = 1; cut < bytes.length; cut += 1) {
      const result = await client.post(url, request);
      expect(result, `cut after ${cut} bytes`).toMatchObject({ outcome: "accepted", httpStatus: 200, answer: "said" });
    }
  });

  test("byte by byte", async () => {
    const { url } = await rawServer(async (socket) => {
      for (const byte of CONTINUE + HINTS + OK) {
        socket.write(byte);
        await new Promise(setImmediate);
      }
    });
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "accepted", answer: "said" });
  });

  test("over TLS", async () => {
    const { url } = await rawServer((socket) => socket.write(CONTINUE + HINTS + OK), true);
    const client = clientWith();
    for (let call = 0; call < 3; call += 1) {
      expect(await client.post(url, request)).toMatchObject({ outcome: "accepted", answer: "said" });
    }
  });

  test("a body that looks like one is a body", async () => {
    const body = `${CONTINUE}HTTP/1.1 500 No\r\n\r\n`;
    const { url } = await rawServer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n`);
      setTimeout(() => socket.write(body), 20);
    });
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "accepted", answer: body });
  });
});

describe("interim answers without an answer", () => {
  test.each(interims)("%s, then the end: connection_reset", async (_, bytes) => {
    const { url } = await rawServer((socket) => socket.end(bytes));
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "connection_reset" });
  });

  test("100, then nothing: timeout", async () => {
    const { url } = await rawServer((socket) => socket.write(CONTINUE));
    expect(await clientWith(200).post(url, request)).toMatchObject({ outcome: "timeout" });
  });

  test("100, then what is not HTTP: malformed_http", async () => {
    const { url } = await rawServer((socket) => socket.write(`${CONTINUE}SSH-2.0-OpenSSH_9.6\r\n\r\n`));
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "malformed_http" });
  });

  test.each([
    ["without headers", "HTTP/1.1 101 Switching Protocols\r\n\r\n"],
    ["with its headers", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"],
    ["after a 100", `${CONTINUE}HTTP/1.1 101 Switching Protocols\r\n\r\n`],
  ])("101 %s is no interim answer to a request that asked for no other protocol: malformed_http", async (_, bytes) => {
    const { url } = await rawServer((socket) => socket.write(bytes + OK));
    expect(await clientWith().post(url, request)).toMatchObject({ outcome: "malformed_http" });
  });

  test("one after the other, slowly and without end: timeout, at the deadline", async () => {
    const { url } = await rawServer((socket) => {
      const drip = setInterval(() => socket.write(CONTINUE), 5);
      socket.once("close", () => clearInterval(drip));
    });
    const result = await clientWith(300).post(url, request);
    expect(result).toMatchObject({ outcome: "timeout" });
    expect(result.durationMs).toBeLessThan(3_000);
  });

  test.each([
    ["heads", CONTINUE.repeat(1_000)],
    ["one head", `HTTP/1.1 103 Early Hints\r\n${"X: y\r\n".repeat(1_000)}`],
    ["one line", `HTTP/1.1 103 ${"x".repeat(16_384)}`],
  ])("a flood of %s is cut off: malformed_http, before the deadline and in little memory", async (_, bytes) => {
    let writtenBytes = 0;
    const { url } = await rawServer((socket) => {
      const pour = () => {
        do writtenBytes += bytes.length;
        while (!socket.destroyed && socket.write(bytes));
      };
      socket.on("drain", pour);
      pour();
    });
    const result = await clientWith(30_000).post(url, request);
    expect(result).toMatchObject({ outcome: "malformed_http", problem: expect.stringContaining("interim answers") });
    expect(writtenBytes).toBeLessThan(64 * 1_024 * 1_024);
  });
});
