import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { bodyDigest } from "../../src/sdk/access.ts";
import { peekJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { bankClient, fetchPlatformKeys, merchantClient } from "../../src/sdk/platform.ts";

type Call = { method: string; url: string; claims: Record<string, unknown> | undefined; body: string; type: unknown };

const claimsOf = (token: unknown) => {
  const peeked = peekJws(token);
  return peeked.ok ? peeked.claims : undefined;
};

/** Stands in for the platform: keeps what it was asked and answers what the test says. */
const calls: Call[] = [];
const usual: RequestListener = (_request, response) => void response.end("{}");
let answer = usual;
const server = createServer(async (request, response) => {
  const { "cx-authorization": token, "content-type": type, accept } = request.headers;
  expect(accept).toBe("application/json");
  const body = await text(request);
  calls.push({ method: String(request.method), url: String(request.url), claims: claimsOf(token), body, type });
  answer(request, response);
});

let url: string;
let key: KeyPair;
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  key = await generateKeyPair("ES256", "own");
});
beforeEach(() => {
  calls.splice(0);
  answer = usual;
});
afterAll(() => void server.close());

const bank = () => bankClient({ url: `${url}//`, guid: "bank", key });
const merchant = () => merchantClient({ url, uid: "shop", key });
type Clients = { bank: ReturnType<typeof bank>; merchant: ReturnType<typeof merchant> };

const own = "/api/v1/counterparty/bank";
const orders = "/api/v1/merchants/order";
const now = expect.closeTo(Date.now() / 1000, -2);

/** Every call: what is asked, and the claims of the token in its body. */
const table: [name: string, call: (clients: Clients) => Promise<unknown>, asked: string, jwt?: object][] = [
  ["createOrder", ({ merchant }) => merchant.createOrder({ amt: 1 }), `POST ${orders}`, { sub: "shop", amt: 1 }],
  [
    "cancelOrder",
    ({ merchant }) => merchant.cancelOrder("id"),
    `POST ${orders}/cancel`,
    { sub: "shop", order_id: "id", iat: now },
  ],
  ["getOrderStatus", ({ merchant }) => merchant.getOrderStatus("a&b"), `GET ${orders}/status?id=a%26b`],
  [
    "listMissedCallbacks of a merchant",
    ({ merchant }) => merchant.listMissedCallbacks({ since: "2026-01-02T00:00:00Z" }),
    "GET /api/v1/merchants/callbacks/missed?since=2026-01-02T00%3A00%3A00Z",
  ],
  ["getOrderForBank", ({ bank }) => bank.getOrderForBank("a&b"), `GET ${orders}/nbu/json?id=a%26b`],
  ["submitPaymentMessage", ({ bank }) => bank.submitPaymentMessage({ a: 1 }), `POST ${own}/payment-message`, { a: 1 }],
  ["getPaymentMessage", ({ bank }) => bank.getPaymentMessage("a/b"), `GET ${own}/payment-message/a%2Fb`],
  [
    "getPaymentMessageByOrder",
    ({ bank }) => bank.getPaymentMessageByOrder("a/b"),
    `GET ${orders}/a%2Fb/payment-message`,
  ],
  ["listGrossSettlements", ({ bank }) => bank.listGrossSettlements(), `GET ${own}/gross-settlement?`],
  [
    "getGrossSettlement",
    ({ bank }) => bank.getGrossSettlement("1", { payments_limit: 2 }),
    `GET ${own}/gross-settlement/1?payments_limit=2`,
  ],
  ["addKey", ({ bank }) => bank.addKey({ kty: "RSA" }), `POST ${own}/keys`, { jwk: { kty: "RSA" } }],
  [
    "addKey in the place of the others",
    ({ bank }) => bank.addKey({ kty: "RSA" }, new Date(1_800_000_000_900)),
    `POST ${own}/keys`,
    { jwk: { kty: "RSA" }, retire_others_at: 1_800_000_000 },
  ],
  [
    "listMissedCallbacks of a bank",
    ({ bank }) => bank.listMissedCallbacks({ since: "2026-01-02T00:00:00Z" }),
    `GET ${own}/callbacks/missed?since=2026-01-02T00%3A00%3A00Z`,
  ],
];

describe("every call goes where the contract says, with what is signed in its body", () => {
  test.each(table)("%s", async (_name, call, asked, jwt) => {
    expect(await call({ bank: bank(), merchant: merchant() })).toMatchObject({ ok: true, status: 200, body: {} });
    const [made] = calls;
    expect(`${made?.method} ${made?.url}`).toBe(asked);
    expect(made?.type).toBe(jwt && "application/json");
    expect(made?.body ? claimsOf(JSON.parse(made.body).jwt) : undefined).toEqual(jwt);
    expect(made?.body).toHaveLength(jwt === undefined ? 0 : String(made?.body).length);
  });

  test("what a bank posts is bound by its token, byte by byte; a read binds nothing; no token comes twice", async () => {
    await bank().submitPaymentMessage({ purpose: "Оплата" });
    await bank().confirmInternal("1");
    await bank().getPaymentMessage("guid");
    const [posted, empty, read] = calls;
    expect(posted?.claims?.body_sha256).toBe(bodyDigest(Buffer.from(String(posted?.body))));
    expect(empty?.claims?.body_sha256).toBe(bodyDigest(new Uint8Array()));
    expect(read?.claims).toEqual({ iat: now, jti: expect.any(String) });
    expect(new Set(calls.map(({ claims }) => claims?.jti)).size).toBe(3);
  });

  test("a merchant shows a token only where it asks for what is its own, and names itself in it", async () => {
    await merchant().getOrderStatus("id");
    await merchant().listMissedCallbacks({ since: "2026-01-02T00:00:00Z" });
    const [anybody, itself] = calls;
    expect([anybody?.claims, itself?.claims]).toEqual([undefined, { iss: "shop", iat: now, jti: expect.any(String) }]);
  });
});

test("what a query leaves undefined is not asked", async () => {
  await bank().getGrossSettlement("1", { payments_limit: 2, payments_after: undefined as never });
  expect(calls[0]?.url).toBe(`${own}/gross-settlement/1?payments_limit=2`);
});

describe("what the platform answers", () => {
  const order = () => merchant().getOrderStatus("id");

  test("a refusal is an answer with its status and body", async () => {
    answer = (_request, response) => void response.writeHead(404).end('{"code":"ORDER_NOT_FOUND"}');
    expect(await order()).toMatchObject({ ok: false, status: 404, body: { code: "ORDER_NOT_FOUND" } });
    const list = await bank().listGrossSettlements();
    expect(list).toMatchObject({ ok: false, status: 404 });
    expect(list, "a refusal counts nothing").not.toHaveProperty("total");
  });

  test("a refusal without JSON, as a proxy writes it, is one with an empty body", async () => {
    answer = (_request, response) => void response.writeHead(502).end("<html>");
    expect(await order()).toMatchObject({ ok: false, status: 502, body: {} });
  });

  test("a signed request is not carried to where a redirect points", async () => {
    answer = (_request, response) => void response.writeHead(307, { location: "/elsewhere" }).end();
    expect(await order()).toMatchObject({ ok: false, status: 307 });
    expect(calls).toHaveLength(1);
  });

  test("a list without its count has none that could be taken for one", async () => {
    expect(await bank().listGrossSettlements()).toMatchObject({ total: Number.NaN });
  });

  test("a platform that does not answer in time throws", async () => {
    answer = () => {};
    const asking = merchantClient({ url, uid: "shop", key, timeoutMs: 50 }).getOrderStatus("id");
    await expect(asking).rejects.toThrow("timeout");
    server.closeAllConnections();
  });

  test("fetchPlatformKeys: the keys that it publishes, imported; a platform that has none to show throws", async () => {
    answer = (_request, response) => void response.end(JSON.stringify({ keys: [key.publicJwk] }));
    expect(await fetchPlatformKeys({ url })).toMatchObject([{ kid: "own", alg: "ES256" }]);
    expect(calls[0]?.url).toBe("/api/v1/.well-known/jwks.json");
    answer = (_request, response) => void response.writeHead(503).end();
    await expect(fetchPlatformKeys({ url })).rejects.toThrow("The platform's keys cannot be read: HTTP 503");
  });
});
