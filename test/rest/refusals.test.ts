import { connect } from "node:net";
import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import type { OrderRow } from "../../src/core/orders.ts";
import type { BankRole, Participant } from "../../src/domain/participant.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import type { KeyPair } from "../../src/sdk/keys.ts";
import { answeredName, orderStatuses } from "../../src/wire/enums.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  ORDER_ID,
  participants,
  postJson,
  type Rest,
  refusedByCore,
  SECOND_BANK_GUID,
  startRest,
} from "./fixture.ts";

let keys: Keys;
let rest: Rest;
/** What the core does with every call that reaches it. */
let core: () => unknown = () => ({});
const answer = () => core() as never;

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    // What was signed is judged on the way to these.
    core: { createOrder: answer, submitPaymentMessage: answer, payRegister: answer, confirmRegister: answer },
    orders: { getOrder: answer },
    paymentMessages: { getPaymentMessage: answer },
    settlements: { listRegisters: answer, getRegister: answer, confirmInternalRegister: answer },
    callbacks: { listCallbacks: answer },
  });
});
afterEach(() => {
  core = () => ({});
});
afterAll(() => rest.stop());

const ORDERS = "/api/v1/merchants/order";
const MESSAGES = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
const SETTLEMENTS = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;

/** Changes one claim, given by its dotted name; undefined removes it. */
function changed(name: string, field: string, value: unknown): Claims {
  const claims = exampleClaims(name);
  const steps = field.split(".");
  const last = steps.pop() ?? "";
  const parent = steps.reduce((at, step) => at[step] as Claims, claims as Claims);
  if (value === undefined) delete parent[last];
  else parent[last] = value;
  return claims;
}

/** The example as the database keeps it. */
function orderRow(keys: Keys): OrderRow {
  const { id, amount, ultimateCreditor, status, issuedAt, expiresAt, createdAt, ...same } = exampleOrder(keys).order;
  const date = (instant: Timestamp | undefined) => timestampDate(instant as Timestamp);
  return {
    ...same,
    guid: id,
    amountMinor: Number(amount?.amountMinor),
    currency: amount?.currency ?? "",
    ultimateCreditor: ultimateCreditor ?? null,
    status: answeredName(orderStatuses, status),
    issuedAt: date(issuedAt),
    expiresAt: date(expiresAt),
    createdAt: date(createdAt),
  };
}

/** A value as PostgreSQL's JSON has it. */
const asJson = (value: object) => JSON.parse(JSON.stringify(value)) as object;

async function submit(claims: Claims, key: KeyPair = keys.bank) {
  return ask(rest, MESSAGES, postJson({ jwt: await signJws(claims, key) }, await access(keys.bank)));
}

async function order(claims: Claims, key: KeyPair = keys.merchant) {
  return ask(rest, ORDERS, postJson({ jwt: await signJws(claims, key) }));
}

describe("payment message claims", () => {
  test.each([
    ["amount", "5", "INVALID_AMOUNT"],
    ["amount", 1.005, "INVALID_AMOUNT"],
    ["amount", 1e-7, "INVALID_AMOUNT"],
    ["amount", 0, "INVALID_AMOUNT"],
    ["amount", -1, "INVALID_AMOUNT"],
    ["amount", 1_000_000_000, "INVALID_AMOUNT"],
    ["amount", null, "INVALID_AMOUNT"],
    ["amount", "NaN", "INVALID_AMOUNT"],
    ["currency", "uah", "INVALID_CURRENCY"],
    ["debtor.debtor_account", "UA76", "INVALID_DEBTOR_ACCOUNT"],
    ["creditor.creditor_account", undefined, "INVALID_CREDITOR_ACCOUNT"],
    ["debtor.debtor_name", "Taras", "INVALID_DEBTOR_NAME"],
    ["debtor.debtor_id", "", "INVALID_DEBTOR_ID"],
    ["debtor.debtor_phone", "0661234567", "INVALID_DEBTOR_PHONE"],
    ["creditor.creditor_name", 7, "INVALID_CREDITOR_NAME"],
    ["creditor.creditor_id", {}, "INVALID_CREDITOR_ID"],
    ["encryption.nonce", "A1B2C3D4E5F6G7H", "INVALID_NONCE"],
    ["encryption.encrypted_key", "a1b2c3d4e5f6g7h8i9j0", "INVALID_ENCRYPTED_KEY"],
    ["payment_message_external_id", "", "INVALID_EXTERNAL_ID"],
    ["purpose", "a\u0000b", "INVALID_PURPOSE"],
    ["purpose", "half a pair: \ud83d", "INVALID_PURPOSE"],
    ["msg_creation_date", "2023-02-30", "INVALID_CREATION_DATE"],
    ["msg_creation_time", "24:00:00", "INVALID_CREATION_TIME"],
    ["order_id", "1", "ORDER_NOT_FOUND"],
    ["debtor_agent_bic", "30650", "SENDER_COUNTERPARTY_NOT_FOUND"],
    ["creditor_agent_bic", 380816, "RECEIVER_COUNTERPARTY_NOT_FOUND"],
    ["pm_type", "gift", "INVALID_REQUEST"],
    ["sender_account_type", "other", "INVALID_REQUEST"],
    ["debtor", "Taras", "INVALID_REQUEST"],
    ["jti", undefined, "INVALID_REQUEST"],
  ])("%s = %j is refused by its name as %s", async (field, value, code) => {
    core = () => expect.fail("a malformed message reached the core");
    const { status, json } = await submit(changed("PaymentMessageClaims", field, value));
    expect([status, json.code, json.field]).toEqual([400, code, field]);
    expect(json.error).toContain(field);
  });
});

describe("order claims", () => {
  test.each([
    ["amt", 10.001, "INVALID_AMOUNT"],
    ["amt", "1000", "INVALID_AMOUNT"],
    ["cur", "", "INVALID_CURRENCY"],
    ["prp", "", "INVALID_PURPOSE"],
    ["ref", undefined, "INVALID_REQUEST"],
    ["url", "javascript:alert(1)", "INVALID_REQUEST"],
    ["exp", "soon", "INVALID_REQUEST"],
    ["exp", 1719493881000, "INVALID_EXPIRY"],
    ["iat", 1719493881000, "INVALID_ISSUE_TIME"],
    ["fri.fra", "short", "INVALID_REQUEST"],
    ["fri.frm", undefined, "INVALID_REQUEST"],
  ])("%s = %j is refused by its name as %s", async (field, value, code) => {
    core = () => expect.fail("a malformed order reached the core");
    const { status, json } = await order(changed("OrderClaims", field, value));
    expect([status, json.code, json.field]).toEqual([400, code, field]);
  });
});

describe("what the core refuses", () => {
  const getMessage = async () => ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers: await access(keys.bank) });
  const getByOrder = async () =>
    ask(rest, `${ORDERS}/${ORDER_ID}/payment-message`, { headers: await access(keys.bank) });
  const getForBank = async () => ask(rest, `${ORDERS}/nbu/json?id=${ORDER_ID}`, { headers: await access(keys.bank) });
  const getStatus = () => ask(rest, `${ORDERS}/status?id=${ORDER_ID}`);
  const post = () => submit(exampleClaims("PaymentMessageClaims"));
  const { PAYMENT_MESSAGE_NOT_FOUND, ORDER_NOT_FOUND, PAYMENT_MESSAGE_EXISTS, JTI_IS_ALREADY_TAKEN } = ErrorReason;
  const nbuText =
    "func GetMerchantsOrderNbuJSONHandler() failed. Error: failed to get order by ID: get order by guid err: order not found";

  test.each([
    ["GET payment message", getMessage, PAYMENT_MESSAGE_NOT_FOUND, 400, { error: "not found" }],
    ["GET payment message by order", getByOrder, PAYMENT_MESSAGE_NOT_FOUND, 400, { error: "not found" }],
    ["nbu/json", getForBank, ORDER_NOT_FOUND, 400, { error: nbuText, code: "ORDER_NOT_FOUND" }],
    [
      "POST again",
      post,
      PAYMENT_MESSAGE_EXISTS,
      409,
      {
        error: "payment message with provided order id already exists",
        payment_message_guid: MESSAGE_GUID,
      },
    ],
    [
      "POST with a used jti",
      post,
      JTI_IS_ALREADY_TAKEN,
      409,
      {
        error: "payment message with provided jti already exists",
        payment_message_guid: MESSAGE_GUID,
      },
    ],
    [
      "POST with a used access token",
      post,
      ErrorReason.TOKEN_REPLAYED,
      401,
      {
        error: "Access credentials are invalid",
        code: "TOKEN_REPLAYED",
        field: "jti",
      },
    ],
    [
      "POST for an expired order",
      post,
      ErrorReason.ORDER_IS_EXPIRED,
      400,
      {
        error: "said by the core",
        code: "ORDER_IS_EXPIRED",
      },
    ],
    ["order status", getStatus, ORDER_NOT_FOUND, 400, {}],
  ])("%s: exact words", async (_what, call, reason, status, body) => {
    core = () => {
      const field = reason === ErrorReason.TOKEN_REPLAYED ? "jti" : "";
      throw refusedByCore(reason, { field, paymentMessageGuid: MESSAGE_GUID });
    };
    const refusal = await call();
    expect(refusal.status).toBe(status);
    expect(refusal.json).toMatchObject(body);
    if (Object.keys(body).length === 0) expect(refusal.json).toEqual({});
  });

  test("an order that the core does not know is refused by the parameter that named it", async () => {
    core = () => {
      throw refusedByCore(ErrorReason.ORDER_NOT_FOUND, { field: "order_id" });
    };
    const { status, json } = await ask(rest, `${ORDERS}?id=${ORDER_ID}`, { headers: { Accept: "application/json" } });
    expect([status, json.code, json.field]).toEqual([404, "ORDER_NOT_FOUND", "id"]);
  });

  test("a cursor that the core refuses is refused by the name that the contract gives it", async () => {
    core = () => {
      const message = "page_token is not a token of this list";
      throw refusedByCore(ErrorReason.INVALID_REQUEST, { field: "page_token", message });
    };
    const path = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed?since=2023-12-10T00:00:00Z&cursor=x`;
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    expect([status, json.field, json.error]).toEqual([400, "cursor", "cursor is not a token of this list"]);
  });

  test.each([
    ["that cannot pay", "recipient", SECOND_BANK_GUID, 400],
    ["that can pay", "initiator", SECOND_BANK_GUID, 200],
    ["that services the merchant", "recipient", BANK_GUID, 200],
  ] as [string, BankRole, string, number][])(
    "nbu/json: to a bank %s",
    async (_what, role, servicingBankGuid, expected) => {
      const [bank, secondBank, merchant] = participants(keys);
      const reader: Participant = { ...bank, roles: [role] };
      const creditorAgent = servicingBankGuid === BANK_GUID ? reader : secondBank;
      const parties = { merchant: asJson(merchant), creditorAgent: asJson(creditorAgent) };
      const order = { ...orderRow(keys), ...parties, creditorAccount: merchant.iban, encryptionJwk: null };
      const own = await startRest(keys, {
        registered: [reader, secondBank, merchant],
        statements: { select_order: () => [order], select_payment_message_by_order: () => [] },
      });
      const { status, json } = await ask(own, `${ORDERS}/nbu/json?id=${ORDER_ID}`, {
        headers: await access(keys.bank),
      });
      await own.stop();
      expect(status).toBe(expected);
      // Letter by letter what an unknown order is answered.
      if (expected === 400) expect(json).toEqual({ error: nbuText, code: "ORDER_NOT_FOUND", field: "id" });
    },
  );

  // `ask` and `stop` see to it that the contract declares both the status and the code.
  test.each([
    ["an order", `${ORDERS}/nbu/json?id=${ORDER_ID}`],
    ["the payment message of an order", `${ORDERS}/${ORDER_ID}/payment-message`],
    ["a payment message", `${MESSAGES}/${MESSAGE_GUID}`],
  ])("a suspended bank that reads %s hears so", async (_what, path) => {
    const [bank, ...others] = participants(keys);
    const own = await startRest(keys, { registered: [{ ...bank, status: "suspended" }, ...others] });
    const { status, json } = await ask(own, path, { headers: await access(keys.bank) });
    await own.stop();
    expect([status, json.code]).toEqual([403, "PARTICIPANT_SUSPENDED"]);
  });

  test("the payment page of an unknown order is a page", async () => {
    core = () => {
      throw refusedByCore(ORDER_NOT_FOUND);
    };
    const page = await ask(rest, `${ORDERS}?id=${ORDER_ID}`, { headers: { Accept: "text/html" } });
    expect([page.status, page.headers.get("content-type")]).toEqual([404, "text/html; charset=utf-8"]);
    const { status, json } = await ask(rest, `${ORDERS}?id=${ORDER_ID}`);
    expect([status, json]).toMatchObject([404, { code: "ORDER_NOT_FOUND" }]);
  });

  test("settlement refusals are in the words of their family", async () => {
    core = () => {
      throw refusedByCore(ErrorReason.REGISTER_NOT_FOUND);
    };
    const headers = await access(keys.bank);
    const { status, json } = await ask(rest, `${SETTLEMENTS}/1012231`, { headers });
    expect([status, json]).toEqual([400, { error: "REGISTER_NOT_FOUND", description: "not found" }]);
    const unknown = await ask(rest, SETTLEMENTS);
    expect(unknown.json).toEqual({ error: "AUTHORIZATION_FAILED", description: "Access credentials are invalid" });
    const wrong = await ask(rest, `${SETTLEMENTS}?limit=501`, { headers });
    expect(wrong.json).toEqual({ error: "INVALID_REQUEST", description: "limit must be at most 500" });
  });

  const settlement = {
    payment_message_external_id: "P-1",
    creditor_iban: "UA063808160041469948322523389",
    amount: 5,
    currency: "UAH",
    purpose: "Gross settlement register 1012231",
    creation_date: "2023-12-11",
  };
  test.each([
    ["pay", "/pay/1012231", settlement, 408],
    ["confirm", "/pay/1012231/confirm", { ...settlement, status: "ACSC" }, 408],
    ["confirm_internal", "/confirm_internal/1012231", undefined, 408],
    ["read", "/1012231", undefined, 503],
  ])("a core that does not answer in time: %s", async (what, path, body, expected) => {
    core = () => {
      throw new ConnectError("slow", Code.DeadlineExceeded);
    };
    const headers = await access(keys.bank);
    const init = body === undefined ? { method: what === "read" ? "GET" : "POST", headers } : postJson(body, headers);
    const refusal = await ask(rest, SETTLEMENTS + path, init);
    const description = "the service did not answer in time, try again";
    expect([refusal.status, refusal.json]).toEqual([expected, { error: "TIMEOUT", description }]);
    expect(refusal.headers.get("retry-after")).toBe(expected === 503 ? "1" : null);
  });

  test.each([
    [new ConnectError("no route to the core", Code.Unavailable), 503, "UNAVAILABLE", "1"],
    [new ConnectError("full", Code.ResourceExhausted), 503, "OVERLOADED", "1"],
    [refusedByCore(ErrorReason.OVERLOADED), 503, "OVERLOADED", "1"],
    [new ConnectError("slow", Code.DeadlineExceeded), 503, "TIMEOUT", "1"],
    [new ConnectError("secret of the database", Code.Internal), 500, "INTERNAL_ERROR", null],
    [refusedByCore(ErrorReason.INTERNAL_ERROR), 500, "INTERNAL_ERROR", null],
    [new Error("secret of the program"), 500, "INTERNAL_ERROR", null],
  ])("%s is answered %i %s and discloses nothing", async (error, status, code, retryAfter) => {
    core = () => {
      throw error;
    };
    const refusal = await getStatus();
    expect([refusal.status, refusal.json.code]).toEqual([status, code]);
    expect(refusal.headers.get("retry-after")).toBe(retryAfter);
    expect(refusal.text).not.toContain("secret");
  });
});

describe("requests that are not even wrong", () => {
  test.each([
    ["not JSON", postJson("{"), 400, "INVALID_REQUEST"],
    ["a JSON text", postJson('"jwt"'), 400, "INVALID_REQUEST"],
    ["a list", postJson([]), 400, "INVALID_REQUEST"],
    ["no jwt", postJson({}), 400, "INVALID_REQUEST"],
    ["a jwt that is a number", postJson({ jwt: 1 }), 400, "INVALID_REQUEST"],
    ["no body and no query", { method: "POST" }, 400, "INVALID_REQUEST"],
    [
      "another type",
      { method: "POST", headers: { "Content-Type": "text/plain" }, body: "x" },
      415,
      "UNSUPPORTED_MEDIA_TYPE",
    ],
    ["a compressed body", postJson({ jwt: "x" }, { "Content-Encoding": "gzip" }), 415, "UNSUPPORTED_MEDIA_TYPE"],
    ["64 KiB and more", postJson({ jwt: "x".repeat(64 * 1024) }), 413, "BODY_TOO_LARGE"],
    ["another method", { method: "PATCH" }, 405, "METHOD_NOT_ALLOWED"],
  ] as [string, RequestInit, number, string][])("%s", async (_what, init, status, code) => {
    const refusal = await ask(rest, ORDERS, init);
    expect([refusal.status, refusal.json.code]).toEqual([status, code]);
    if (status === 405) expect(refusal.headers.get("allow")).toBe("GET, POST, HEAD");
  });

  test.each([
    ["/api/v2/orders", 404, "ROUTE_NOT_FOUND"],
    ["/api/v1/merchants/order/%E0%A4%A/payment-message", 400, "INVALID_REQUEST"],
    ["/api/v1/merchants/order/1/payment-message", 400, "INVALID_REQUEST"],
    [`${ORDERS}?id=1`, 400, "INVALID_REQUEST"],
    [`${ORDERS}?id=${ORDER_ID}&id=${ORDER_ID}`, 400, "INVALID_REQUEST"],
    [`${ORDERS}?id=${ORDER_ID}&mobile=2`, 400, "INVALID_REQUEST"],
    [`${ORDERS}/status`, 400, "INVALID_REQUEST"],
  ])("GET %s", async (path, status, code) => {
    const refusal = await ask(rest, path);
    expect([refusal.status, refusal.json.code]).toEqual([status, code]);
  });

  test.each([["2023-13-01"], ["2023-02-30"], ["2023-12-10T25:00:00Z"], ["1969-12-31"], ["yesterday"]])(
    "since=%s is refused by its name",
    async (since) => {
      const path = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed?since=${since}`;
      const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
      expect([status, json.field]).toEqual([400, "since"]);
    },
  );

  test.each(["from", "to", "updated_from"])("%s of a list is refused by its name", async (name) => {
    const { status, json } = await ask(rest, `${SETTLEMENTS}?${name}=2023-02-30`, { headers: await access(keys.bank) });
    expect([status, json.description]).toEqual([400, `${name} is not a date or an instant`]);
  });

  test("a request line that is too long is refused before it is read", async () => {
    const { hostname, port } = new URL(rest.url);
    const socket = connect(Number(port), hostname);
    socket.write(`POST ${ORDERS}?jwt=${"x".repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    expect(Buffer.concat(chunks).toString()).toMatch(/^HTTP\/1.1 431 /);
  });
});
