import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type OperationId, operations } from "../../gen/rest/operations.ts";
import type { OrderRequest } from "../../src/domain/order.ts";
import type { PaymentMessageRequest } from "../../src/domain/paymentMessage.ts";
import { startOpsServer } from "../../src/observe/opsServer.ts";
import { bodyDigest, createAccessToken } from "../../src/sdk/access.ts";
import { signJws } from "../../src/sdk/jws.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  NOW,
  ORDER_ID,
  postJson,
  type Rest,
  startRest,
} from "./fixture.ts";

// In how many forms the same request may come, and what is said of those in which it may not.

const ORDERS = "/api/v1/merchants/order";
const MESSAGES = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
const SETTLEMENTS = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;

let keys: Keys;
let rest: Rest;
/** A payment message and an order, signed. */
let message: string;
let order: string;
/** What reached a use-case. */
let reached: (PaymentMessageRequest | OrderRequest)[] = [];

beforeAll(async () => {
  keys = await makeKeys();
  message = await signJws(exampleClaims("PaymentMessageClaims"), keys.bank);
  order = await signJws(exampleClaims("OrderClaims"), keys.merchant);
  rest = await startRest(keys, {
    core: {
      createOrder: async (asked) => {
        reached.push(asked);
        return { ...exampleOrder(keys), alreadyExisted: false };
      },
      submitPaymentMessage: async (asked) => {
        reached.push(asked);
        return { guid: MESSAGE_GUID };
      },
      getOrder: async () => exampleOrder(keys),
    },
    settlements: { listRegisters: () => ({}) },
  });
});
beforeEach(() => {
  reached = [];
});
afterAll(() => rest.stop());

/** A request with the bytes and with no headers but these: fetch would add a type to a text. */
function post(body: string | Uint8Array, headers: Record<string, string> = {}): RequestInit {
  return {
    method: "POST",
    headers,
    body: typeof body === "string" ? Buffer.from(body) : (body as Uint8Array<ArrayBuffer>),
  };
}

const typed = (type: string) => ({ "Content-Type": type });
const bareTypes = ["application/jwt", "application/jose", "text/plain"];

describe("a payment message by itself, without JSON", () => {
  test.each([
    ...bareTypes,
    "application/jwt; charset=utf-8",
    'text/plain;charset="UTF-8"',
    "text/plain; charset=us-ascii",
    "Application/JOSE",
  ])("as %s is what it is in JSON", async (type) => {
    for (const path of [MESSAGES, "/api/v1/payment_message", "/api/v1/payment-message"]) {
      const { status, json } = await ask(rest, path, post(message, { ...typed(type), ...(await access(keys.bank)) }));
      expect([status, json]).toEqual([201, { guid: MESSAGE_GUID }]);
    }
    expect(reached).toMatchObject(Array(3).fill({ jws: message }));
  });

  test.each<[what: string, body: () => string]>([
    ["a line break after it, as files have", () => `${message}\n`],
    ["white space on both sides", () => `\r\n \t${message} \r\n`],
    ["a byte order mark", () => `\ufeff${message}`],
  ])("%s means nothing, but counts for body_sha256 and for the digest of the request", async (_what, body) => {
    const bound = async (text: string) => {
      const claims = { body_sha256: bodyDigest(Buffer.from(text)) };
      return { ...typed("application/jwt"), "Cx-Authorization": await createAccessToken(keys.bank, NOW, "b", claims) };
    };
    const answer = await ask(rest, MESSAGES, post(body(), await bound(body())));
    expect([answer.status, reached]).toMatchObject([201, [{ jws: message }]]);
    expect((await ask(rest, MESSAGES, post(message, await bound(message)))).status).toBe(201);
    const [one, other] = reached as PaymentMessageRequest[];
    expect(
      Buffer.compare(one?.accessToken.requestDigest as Buffer, other?.accessToken.requestDigest as Buffer),
    ).not.toBe(0);
    const another = await ask(rest, MESSAGES, post(body(), await bound(message)));
    expect([another.status, another.json.code]).toEqual([401, "TOKEN_BODY_MISMATCH"]);
  });

  const notAJws = "the body is not a compact JWS";
  test.each<[what: string, type: string, body: () => string | Uint8Array, status: number, error: string]>([
    [
      "JSON as text",
      "text/plain",
      () => JSON.stringify({ jwt: message }),
      400,
      `${notAJws}; JSON is sent as application/json`,
    ],
    ["two tokens", "application/jwt", () => `${message}\n${message}`, 400, notAJws],
    ["a token on two lines", "application/jwt", () => message.replace(".", ".\n"), 400, notAJws],
    ["a token in quotes", "text/plain", () => `"${message}"`, 400, notAJws],
    ["a form", "text/plain", () => `jwt=${message}`, 400, notAJws],
    ["another token", "application/jwt", () => "a.b.c", 401, "Access credentials are invalid"],
    ["nothing", "application/jwt", () => "", 400, "the body is missing"],
    ["white space", "text/plain", () => " \n", 400, "the body is missing"],
    [
      "more than 64 KiB",
      "application/jwt",
      () => `a.b.${"c".repeat(64 * 1024)}`,
      413,
      "the body is larger than 64 KiB",
    ],
    ["no UTF-8", "text/plain", () => Buffer.from([0xff, 0xfe, 0x65, 0x00]), 400, "the body is not UTF-8"],
    [
      "as JSON without quotes",
      "application/json",
      () => message,
      400,
      "the body is not JSON; a bare JWS is sent as application/jwt",
    ],
    [
      "as a JSON text",
      "application/json",
      () => JSON.stringify(message),
      400,
      "the body must be a JSON object; a bare JWS is sent as application/jwt",
    ],
    ["JSON that is empty", "application/json", () => "", 400, "the body is missing"],
    ["JSON that is null", "application/json", () => "null", 400, "the body is missing"],
    ["an object without jwt", "application/json", () => "{}", 400, "jwt is missing"],
    ["a token that is no text", "application/json", () => '{"jwt":7}', 400, "jwt must be string"],
    [
      "JSON that is nested without end",
      "application/json",
      () => `{"a":${"[".repeat(60_000)}`,
      400,
      "the body is not JSON",
    ],
    [
      "JSON that is very deep",
      "application/json",
      () => `{"a":${"[".repeat(30_000)}${"]".repeat(30_000)}}`,
      400,
      "jwt is missing",
    ],
    [
      "as a form",
      "application/x-www-form-urlencoded",
      () => `jwt=${message}`,
      415,
      "Content-Type must be application/json, application/jwt, application/jose or text/plain",
    ],
    [
      "in another charset",
      "text/plain; charset=utf-16",
      () => message,
      415,
      "the charset in Content-Type must be utf-8",
    ],
    ["in latin1", "application/json; charset=latin1", () => "{}", 415, "the charset in Content-Type must be utf-8"],
  ])("%s, %s: one clear error", async (_what, type, body, status, error) => {
    const answer = await ask(rest, MESSAGES, post(body(), { ...typed(type), ...(await access(keys.bank)) }));
    expect([answer.status, answer.json]).toEqual([status, expect.objectContaining({ error })]);
    expect(reached).toEqual([]);
  });
});

describe("media types", () => {
  test("a body without one is JSON", async () => {
    const token = await access(keys.bank);
    expect((await ask(rest, MESSAGES, post(JSON.stringify({ jwt: message }), token))).status).toBe(201);
    const refused = await ask(rest, MESSAGES, post(message, token));
    const error = "the body is not JSON; a bare JWS is sent as application/jwt";
    expect([refused.status, refused.json]).toEqual([400, { error, code: "INVALID_REQUEST" }]);
  });

  const takesBody = Object.entries(operations).filter(([, { requestContentTypes }]) => requestContentTypes.length > 0);
  const targets: Record<string, string> = { register_id: "1012231", counterparty_guid: BANK_GUID };
  const target = (id: string) =>
    operations[id as OperationId].path.replaceAll(/\{(\w+)\}/g, (_, name: string) => targets[name] ?? ORDER_ID);

  test.each(takesBody)("%s says which it takes, in the words of its family", async (id, { requestContentTypes }) => {
    const types: readonly string[] = requestContentTypes;
    const refused = ["application/xml", "nonsense", ...bareTypes.filter((type) => !types.includes(type))];
    for (const type of refused) {
      const headers = { ...typed(type), ...(await access(keys.bank)) };
      const { status, json } = await ask(rest, target(id), post("a.b.c", headers));
      expect(status).toBe(415);
      const text = json.description ?? json.error;
      expect(text).toMatch(/^Content-Type must be /);
      for (const taken of types) expect(text).toContain(taken);
    }
  });

  test.each(takesBody)("%s: a compressed body is refused as that", async (id) => {
    for (const encoding of ["gzip", "deflate", "br", "zstd", "nonsense", "identity, gzip"]) {
      const headers = { ...typed("application/json"), "Content-Encoding": encoding, ...(await access(keys.bank)) };
      const { status, json } = await ask(rest, target(id), post(gzipSync("{}"), headers));
      const text = "Content-Encoding is not accepted: send the body as it is";
      expect([status, json.description ?? json.error]).toEqual([415, text]);
    }
  });

  test("the encoding that changes nothing is none, and a body may come in pieces", async () => {
    const headers = { ...typed("application/json"), "Content-Encoding": "identity", ...(await access(keys.bank)) };
    expect((await ask(rest, MESSAGES, post(JSON.stringify({ jwt: message }), headers))).status).toBe(201);
    const sent = request(rest.url + MESSAGES, {
      method: "POST",
      headers: { ...typed("application/jwt"), "Transfer-Encoding": "chunked", ...(await access(keys.bank)) },
    });
    for (let at = 0; at < message.length; at += 100) sent.write(message.slice(at, at + 100));
    sent.end();
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(201);
    expect(reached).toHaveLength(2);
  });

  test("a body that a read brings along is not looked at", async () => {
    const headers = { ...typed("application/xml"), "Content-Encoding": "gzip", "Content-Length": 4 };
    Object.assign(headers, await access(keys.bank));
    const sent = request(`${rest.url}${SETTLEMENTS}`, { method: "GET", headers });
    sent.end("<a/>");
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    answer.resume();
    expect(answer.statusCode).toBe(200);
  });
});

describe("an order's token", () => {
  const json = typed("application/json");
  test.each<[what: string, body: string | undefined, headers: Record<string, string>]>([
    ["no body and no type", undefined, {}],
    ["no body, said to be JSON", "", json],
    ["no body, said to be a form", "", typed("application/x-www-form-urlencoded")],
    ["white space", " \n", json],
    ["an empty object", "{}", json],
    ["an object with something else", '{"note":"x"}', json],
    ["null", "null", json],
    ["an empty text", '""', json],
    ["an empty object that is said to be nothing", "{}", {}],
    ["an empty object that is said to be a form", "{}", typed("application/x-www-form-urlencoded")],
    ["an empty text that is said to be a text", '""', typed("text/plain;charset=UTF-8")],
    ["an empty jwt", '{"jwt":""}', json],
  ])("stays that of the query beside %s, and is missing without it", async (_what, body, headers) => {
    const init = body === undefined ? { method: "POST" } : post(body, headers);
    expect((await ask(rest, `${ORDERS}?jwt=${order}`, init)).status).toBe(201);
    expect(reached).toMatchObject([{ jws: order }]);
    for (const path of [ORDERS, `${ORDERS}?jwt=`]) {
      const refused = await ask(rest, path, init);
      const refusal = { error: "jwt is missing", code: "INVALID_REQUEST", field: "jwt" };
      expect([refused.status, refused.json]).toEqual([400, refusal]);
    }
  });

  test("is taken from the body where that of the query is empty, and once where both are equal", async () => {
    for (const inQuery of ["", order]) {
      expect((await ask(rest, `${ORDERS}?jwt=${inQuery}`, postJson({ jwt: order }))).status).toBe(201);
    }
    expect(reached).toHaveLength(2);
  });

  test.each<[what: string, body: string, type: string, status: number, error: string]>([
    ["null", '{"jwt":null}', "application/json", 400, "jwt must be string"],
    ["a list", "[]", "application/json", 400, "the body must be a JSON object"],
    ["another one", '{"jwt":"a.b.c"}', "application/json", 400, "jwt is given twice, in the query and in the body"],
    ["one by itself", "a.b.c", "application/jwt", 415, "Content-Type must be application/json"],
    ["a text that is no object", '"a.b.c"', "application/json", 400, "the body must be a JSON object"],
  ])("beside %s in the body is refused with one clear error", async (_what, body, type, status, error) => {
    const refused = await ask(rest, `${ORDERS}?jwt=${order}`, post(body, typed(type)));
    expect([refused.status, refused.json]).toEqual([status, expect.objectContaining({ error })]);
    expect(reached).toEqual([]);
  });
});

test("a statement that names a member twice has two meanings, and is refused by its name", async () => {
  const body = JSON.stringify(exampleClaims("GrossSettlementPaymentClaims")).replace("{", '{"purpose":"another",');
  const { status, json } = await ask(rest, `${SETTLEMENTS}/pay/1012231`, postJson(body, await access(keys.bank)));
  expect([status, json]).toEqual([400, { error: "INVALID_REQUEST", description: "purpose is named twice" }]);
});

test("a token whose header is nested deeper than the stack is refused like any that is malformed", async () => {
  const header = `{"alg":"RS256","x":${"[".repeat(20_000)}${"]".repeat(20_000)}}`;
  const { status } = await ask(rest, ORDERS, postJson({ jwt: `${Buffer.from(header).toString("base64url")}.e30.eA` }));
  expect(status).toBe(401);
});

describe("parameters that name the same thing", () => {
  const OTHER_ID = "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5";
  const forBank = async (query: string) =>
    ask(rest, `${ORDERS}/nbu/json?${query}`, { headers: await access(keys.bank) });

  test("are one where they are equal, in capital letters too", async () => {
    for (const query of [`id=${ORDER_ID}&order_id=${ORDER_ID}`, `order_id=${ORDER_ID.toUpperCase()}&id=${ORDER_ID}`]) {
      expect((await forBank(query)).status).toBe(200);
    }
  });

  test("are refused where they differ, and where neither is there", async () => {
    const differing = await forBank(`id=${ORDER_ID}&order_id=${OTHER_ID}`);
    expect([differing.status, differing.json]).toEqual([
      400,
      { error: "order_id is given beside id and names another order", code: "INVALID_REQUEST", field: "order_id" },
    ]);
    expect((await forBank("")).json).toEqual({ error: "id is missing", code: "INVALID_REQUEST", field: "id" });
  });

  test.each([
    ["id", `${ORDERS}/status?id=${ORDER_ID}&id=${OTHER_ID}`],
    ["id", `${ORDERS}?id=${ORDER_ID}&id=${ORDER_ID}`],
    ["mobile", `${ORDERS}?id=${ORDER_ID}&mobile=0&mobile=1`],
    ["limit", `${SETTLEMENTS}?limit=1&limit=2`],
    ["role", `${SETTLEMENTS}?role=All&role=All`],
    ["from", `${SETTLEMENTS}?from=2023-12-10&from=2023-12-11`],
  ])("%s given twice is refused by its name: %s", async (field, path) => {
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    expect([status, json.description ?? json.error]).toEqual([400, `${field} is given twice`]);
  });

  test("what the contract does not know may come as often as it likes", async () => {
    expect((await forBank(`id=${ORDER_ID}&utm=1&utm=2`)).status).toBe(200);
  });
});

describe("a path that begins with more than one slash", () => {
  test("means the same, whatever it leads to", async () => {
    for (const slashes of ["//", "///"]) {
      for (const path of ["healthz", "readyz", "metrics", "docs", "openapi.yaml", "api/v1/.well-known/jwks.json"]) {
        expect([path, (await ask(rest, slashes + path)).status]).toEqual([path, 200]);
      }
    }
    expect((await ask(rest, `/${ORDERS}?jwt=${order}`, { method: "POST" })).status).toBe(201);
  });

  test("is the same request to whoever compares retries", async () => {
    const headers = await access(keys.bank);
    for (const path of [MESSAGES, `/${MESSAGES}`, `///${MESSAGES}`]) {
      expect((await ask(rest, path, postJson({ jwt: message }, headers))).status).toBe(201);
    }
    const digests = (reached as PaymentMessageRequest[]).map(({ accessToken }) =>
      Buffer.from(accessToken.requestDigest).toString("hex"),
    );
    expect([digests.length, new Set(digests).size]).toEqual([3, 1]);
  });

  /** As whoever speaks to a proxy writes it: the whole URL. */
  async function answerToWhole(url: string): Promise<string> {
    const { hostname, port } = new URL(rest.url);
    const socket = connect(Number(port), hostname);
    socket.write(`GET ${url} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    return Buffer.concat(chunks).toString();
  }

  test("means the same in a whole URL", async () => {
    expect(await answerToWhole("http://shop.example//healthz")).toContain(" 200 ");
    expect(await answerToWhole(`http://shop.example//${ORDERS}/status?id=${ORDER_ID}`)).toContain(" 200 ");
    expect(await answerToWhole(`http://shop.example${SETTLEMENTS}`)).toContain('"error":"AUTHORIZATION_FAILED"');
  });

  test("waits at the door like any other, and is the same to a process without REST", async () => {
    const busy = await startRest(keys, {}, { maxInFlight: 0 });
    const answers = Promise.all([ask(busy, "//healthz"), ask(busy, `/${ORDERS}/status?id=${ORDER_ID}`)]);
    expect((await answers).map(({ status }) => status)).toEqual([200, 503]);
    await busy.stop();
    const options = { port: 0, metricsText: async () => "", mayReadMetrics: () => true, readiness: async () => [] };
    const ops = await startOpsServer(options);
    expect((await fetch(`http://127.0.0.1:${ops.port}//healthz`)).status).toBe(200);
    await ops.close();
  });

  test.each([
    "/api//v1/.well-known/jwks.json",
    "/api/v1//.well-known/jwks.json",
    "/healthz//",
    "/%2Fhealthz",
    "/\\healthz",
  ])("elsewhere it is no path: %s", async (path) => {
    expect(await answerToWhole(path)).toMatch(/^HTTP\/1.1 404 /);
  });
});

describe("conditional requests", () => {
  const conditions: Record<string, string>[] = [
    { "If-None-Match": "*" },
    { "If-Modified-Since": new Date("2100-01-01").toUTCString() },
    { "If-Match": '"x"' },
    { "If-Unmodified-Since": new Date(0).toUTCString() },
    { Range: "bytes=0-0" },
  ];
  /** fetch would say no-cache beside a condition, which some take for a reason to look no further. */
  const asked = { "Cache-Control": "max-age=0" };
  const documents = ["/openapi.yaml", "/openapi.json", "/docs"];

  /** A page says what time it is. */
  const timeless = (text: string) => text.replace(/data-now="\d+"/, "");

  test.each([
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/v1/.well-known/jwks.json",
    "/api/v1/merchants/emitters",
    `${ORDERS}?id=${ORDER_ID}`,
    `${ORDERS}/status?id=${ORDER_ID}`,
    `${ORDERS}/nbu/json?id=${ORDER_ID}`,
    SETTLEMENTS,
  ])("change nothing of %s", async (path) => {
    for (const method of ["GET", "HEAD"]) {
      const plain = await ask(rest, path, { method, headers: await access(keys.bank) });
      expect([plain.status, plain.headers.get("etag")]).toEqual([200, null]);
      for (const condition of conditions) {
        const { status, text } = await ask(rest, path, {
          method,
          headers: { ...asked, ...condition, ...(await access(keys.bank)) },
        });
        expect([condition, status, timeless(text)]).toEqual([condition, 200, timeless(plain.text)]);
      }
    }
  });

  test("change nothing of what changes something", async () => {
    const headers = { ...asked, "If-None-Match": "*", ...(await access(keys.bank)) };
    expect((await ask(rest, MESSAGES, postJson({ jwt: message }, headers))).status).toBe(201);
  });

  test.each(documents)("tell whoever has %s that it is the same", async (path) => {
    for (const method of ["GET", "HEAD"]) {
      const first = await ask(rest, path, { method });
      const etag = first.headers.get("etag") ?? "";
      expect([first.status, first.headers.get("cache-control")]).toEqual([200, "no-cache"]);
      expect(etag).toMatch(/^"[\w-]{43}"$/);
      for (const known of [etag, `W/${etag}`, `"old", ${etag}`, "*"]) {
        const again = await ask(rest, path, { method, headers: { ...asked, "If-None-Match": known } });
        expect([known, again.status, again.text.length]).toEqual([known, 304, 0]);
        expect([again.headers.get("etag"), again.headers.get("cache-control")]).toEqual([etag, "no-cache"]);
      }
      for (const other of [{ "If-None-Match": '"old"' }, ...conditions.slice(1)]) {
        expect((await ask(rest, path, { method, headers: { ...asked, ...other } })).status).toBe(200);
      }
    }
  });
});
