import { once } from "node:events";
import { type IncomingMessage, request } from "node:http";
import { pino } from "pino";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { refuse } from "../../src/domain/errors.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { startRpcServer } from "../../src/rpc/server.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  postJson,
  type Rest,
  startCore,
  startRest,
} from "./fixture.ts";
import { signText, withMember } from "./forge.ts";

// What banks and merchants sign is the whole of what they ask for, so nothing of it may be read in two ways.

const ORDERS = "/api/v1/merchants/order";
const MESSAGES = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
const PAY = `/api/v1/counterparty/${BANK_GUID}/gross-settlement/pay/1012231`;

let keys: Keys;
let rest: Rest;
/** What reached a use-case. */
let reached: unknown[] = [];
const taken =
  <Answer>(answer: () => Answer) =>
  async (asked: unknown) => {
    reached.push(asked);
    return answer();
  };

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    core: {
      createOrder: taken(() => ({ ...exampleOrder(keys), alreadyExisted: false })),
      submitPaymentMessage: taken(() => ({ guid: MESSAGE_GUID })),
      payRegister: taken(() => ({ repeated: false })),
      confirmRegister: taken(() => ({ repeated: false })),
      getPaymentMessage: async () => refuse("PAYMENT_MESSAGE_NOT_FOUND", "not found"),
    },
  });
});
beforeEach(() => {
  reached = [];
});
afterAll(() => rest.stop());

describe("one request has one token", () => {
  const order = (ref: string) => signJws({ ...exampleClaims("OrderClaims"), ref }, keys.merchant);

  test("an order with another token in its query than in its body is refused", async () => {
    const [one, other] = [await order("one"), await order("other")];
    const { status, json } = await ask(rest, `${ORDERS}?jwt=${one}`, postJson({ jwt: other }));
    expect([status, json]).toEqual([
      400,
      { error: "jwt is given twice, in the query and in the body", code: "INVALID_REQUEST", field: "jwt" },
    ]);
    expect(reached).toEqual([]);
  });

  test("an order with two tokens in its query is refused", async () => {
    const [one, other] = [await order("one"), await order("other")];
    const { status, json } = await ask(rest, `${ORDERS}?jwt=${one}&jwt=${other}`, { method: "POST" });
    expect([status, json.code, json.field]).toEqual([400, "INVALID_REQUEST", "jwt"]);
    expect(reached).toEqual([]);
  });

  test("an order with the same token in its query and its body is taken once", async () => {
    const jwt = await order("one");
    expect((await ask(rest, `${ORDERS}?jwt=${jwt}`, postJson({ jwt }))).status).toBe(201);
    expect(reached).toMatchObject([{ ref: "one", jws: jwt }]);
  });

  /** Sends the payment message with these headers each on a line of its own, as fetch never would. */
  async function submitWith(tokens: readonly string[]): Promise<number | undefined> {
    const body = JSON.stringify({ jwt: await signJws(exampleClaims("PaymentMessageClaims"), keys.bank) });
    const headers = [
      "Host",
      "x",
      "Content-Type",
      "application/json",
      "Content-Length",
      String(Buffer.byteLength(body)),
    ];
    for (const token of tokens) headers.push("Cx-Authorization", token);
    const sent = request(rest.url + MESSAGES, { method: "POST", headers, agent: false });
    sent.end(body);
    const [answer] = (await once(sent, "response")) as [IncomingMessage];
    answer.resume();
    return answer.statusCode;
  }

  const good = async () => (await access(keys.bank))["Cx-Authorization"] ?? "";

  test.each<[what: string, tokens: () => Promise<string[]>]>([
    ["two good ones", async () => [await good(), await good()]],
    ["the same one twice", async () => Array(2).fill(await good())],
    [
      "a good one before another bank's",
      async () => [await good(), String(Object.values(await access(keys.secondBank)))],
    ],
    ["a good one before nothing", async () => [await good(), ""]],
    ["nothing before a good one", async () => ["", await good()]],
  ])("a request with two Cx-Authorization headers is refused: %s", async (_what, tokens) => {
    expect(await submitWith(await tokens())).toBe(401);
    expect(reached).toEqual([]);
  });

  test("a request with one Cx-Authorization header, sent in the same way, is taken", async () => {
    expect(await submitWith([await good()])).toBe(201);
  });
});

describe("a NUL character, which the database cannot keep", () => {
  const bankPost = async (path: string, body: unknown) => ask(rest, path, postJson(body, await access(keys.bank)));
  const signed = {
    OrderClaims: async (claims: object) =>
      ask(rest, ORDERS, postJson({ jwt: await signJws({ ...claims }, keys.merchant) })),
    PaymentMessageClaims: async (claims: object) =>
      bankPost(MESSAGES, { jwt: await signJws({ ...claims }, keys.bank) }),
  };

  test.each([
    ["PaymentMessageClaims", "purpose", "INVALID_PURPOSE"],
    ["PaymentMessageClaims", "debtor.debtor_name", "INVALID_DEBTOR_NAME"],
    ["PaymentMessageClaims", "jti", "INVALID_REQUEST"],
    ["OrderClaims", "prp", "INVALID_PURPOSE"],
    ["OrderClaims", "ref", "INVALID_REQUEST"],
    ["OrderClaims", "fri.frn", "INVALID_REQUEST"],
  ] as const)("in the %s is refused by the name of its claim: %s as %s", async (name, field, code) => {
    const { status, json } = await signed[name](withMember(exampleClaims(name), field, "a\u0000b"));
    expect([status, json.code, json.field]).toEqual([400, code, field]);
    expect(json.error).toContain(field);
    expect(reached).toEqual([]);
  });

  test.each([
    ["GrossSettlementPaymentClaims", "", "purpose"],
    ["GrossSettlementPaymentClaims", "", "creditor_iban"],
    ["GrossSettlementConfirmationClaims", "/confirm", "creation_date"],
    ["GrossSettlementConfirmationClaims", "/confirm", "status"],
  ])("in the %s, signed or not, is refused by the name of its claim", async (name, end, field) => {
    const claims = withMember(exampleClaims(name), field, "a\u0000b");
    for (const body of [claims, { jwt: await signJws(claims, keys.bank) }]) {
      const { status, json } = await bankPost(PAY + end, body);
      expect([status, json]).toEqual([400, { error: "INVALID_REQUEST", description: `${field} has a NUL character` }]);
    }
    expect(reached).toEqual([]);
  });

  test("in the place of a token is refused by the name that the contract gives the token", async () => {
    for (const answer of [
      await ask(rest, ORDERS, postJson({ jwt: "a\u0000b" })),
      await bankPost(MESSAGES, { jwt: "\u0000" }),
    ]) {
      expect([answer.status, answer.json]).toEqual([
        400,
        { error: "jwt has a NUL character", code: "INVALID_REQUEST", field: "jwt" },
      ]);
    }
  });
});

test("a refusal is heard from a core elsewhere, however long the name is that it quotes", async () => {
  const serviceOf = async () => ({ name: "rest", scopes: ["gateway" as const] });
  const core = startCore(keys, { core: { serviceOf } });
  const rpc = await startRpcServer({
    core,
    host: "127.0.0.1",
    port: 0,
    log: pino({ level: "silent" }),
    isReady: async () => true,
  });
  onTestFinished(() => rpc.close());
  const transport = remoteTransport(rpc.url, "a-secret");
  onTestFinished(() => transport.close());
  const apart = await startRest(keys, {}, { clients: createClients(transport) });
  onTestFinished(() => apart.stop());
  const name = "Я".repeat(10_000);
  const claims = JSON.stringify({ ...exampleClaims("OrderClaims"), [name]: 1 });
  const jwt = await signText(claims.replace(/}$/, `,"${name}":2}`), keys.merchant);
  const { status, json } = await ask(apart, ORDERS, postJson({ jwt }));
  expect([status, json.code]).toEqual([400, "INVALID_REQUEST"]);
  expect(name).toContain(json.field);
});

test("each signature is verified once: two of a payment message, one of an order and of a read", async () => {
  const verify = vi.spyOn(crypto.subtle, "verify");
  onTestFinished(() => void verify.mockRestore());
  const verifications = async (work: () => Promise<{ status: number }>, status: number) => {
    verify.mockClear();
    expect((await work()).status).toBe(status);
    return verify.mock.calls.length;
  };
  const message = { jwt: await signJws(exampleClaims("PaymentMessageClaims"), keys.bank) };
  const order = { jwt: await signJws(exampleClaims("OrderClaims"), keys.merchant) };
  const asBank = await access(keys.bank);
  expect(await verifications(() => ask(rest, MESSAGES, postJson(message, asBank)), 201)).toBe(2);
  expect(await verifications(() => ask(rest, ORDERS, postJson(order)), 201)).toBe(1);
  expect(await verifications(() => ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers: asBank }), 400)).toBe(1);
});
