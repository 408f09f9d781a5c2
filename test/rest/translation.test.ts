import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { CallbackKind, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import type { ListCallbacksRequest } from "../../gen/dcm/v1/callback_service_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import type { CreateOrderRequest, GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import {
  PaymentMessageSchema,
  PaymentMessageStatus,
  PaymentType,
  SenderAccountType,
} from "../../gen/dcm/v1/payment_message_pb.ts";
import type {
  GetPaymentMessageRequest,
  SubmitPaymentMessageRequest,
} from "../../gen/dcm/v1/payment_message_service_pb.ts";
import {
  type RegisterPaymentSchema,
  RegisterRole,
  type RegisterSchema,
  RegisterStatus,
} from "../../gen/dcm/v1/settlement_pb.ts";
import type { ListRegistersRequest } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { signJws } from "../../src/sdk/jws.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleKeyText,
  exampleOrder,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  ORDER_ID,
  openapi,
  postJson,
  type Rest,
  SECOND_BANK_GUID,
  startRest,
  timestamp,
} from "./fixture.ts";

let keys: Keys;
let rest: Rest;
let messageChange: { creditorAgentJwk?: string } = {};
let order: GetOrderResponse;
const seen: {
  created?: CreateOrderRequest;
  submitted?: SubmitPaymentMessageRequest;
  read?: GetPaymentMessageRequest;
  listed?: ListRegistersRequest;
  missed?: ListCallbacksRequest;
} = {};

type Example = Record<string, never> & { encryption: { nonce: string; encrypted_key: string } };
const messageExample = openapi.components.responses.PaymentMessageFound?.content["application/json"]
  ?.example as Example & { debtor: Record<string, string>; creditor: Record<string, string> };

const paymentMessage = () =>
  create(PaymentMessageSchema, {
    guid: MESSAGE_GUID,
    jti: "T12fa2213",
    externalId: "112663",
    amount: { currency: "UAH", amountMinor: 500n },
    debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
    debtor: {
      name: messageExample.debtor.debtor_name ?? "",
      taxNumber: messageExample.debtor.debtor_id ?? "",
      account: "UA761372924114433543273694797",
      phone: "+380661234567",
    },
    creditorAgent: { guid: SECOND_BANK_GUID, name: "Second Bank", bic: "380816" },
    creditor: {
      name: messageExample.creditor.creditor_name ?? "",
      taxNumber: messageExample.creditor.creditor_id ?? "",
      account: "UA761372924114433543273694797",
      uid: "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
    },
    ultimateCreditor: {
      name: "Global Payments Ltd.",
      taxNumber: "0012345678",
      iban: "UA723445993115212345678",
      bic: "300650",
      mcc: "1234",
    },
    orderId: "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
    purpose: "Tesgtft777",
    msgCreationDate: "2023-12-10",
    msgCreationTime: "12:12:12",
    pmType: PaymentType.TRADE,
    senderAccountType: SenderAccountType.AID_RELATED,
    encryption: { nonce: messageExample.encryption.nonce, encryptedKey: messageExample.encryption.encrypted_key },
    creditorAgentJwk: exampleKeyText,
    status: PaymentMessageStatus.SUCCESS,
    reason: "Payment message is approved",
    receivedAt: timestamp("2023-12-10T10:12:12Z"),
  });

const register: MessageInitShape<typeof RegisterSchema> = {
  id: "1012231",
  debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
  creditorAgent: { guid: SECOND_BANK_GUID, name: "Second Bank", bic: "380816" },
  creditorCode: "12345678",
  chargingAccount: "UA063808160041469948322523389",
  purpose: "Gross settlement register 1012231",
  periodStart: timestamp("2023-12-09T22:00:00Z"),
  periodEnd: timestamp("2023-12-10T22:00:00Z"),
  totalAmount: { currency: "UAH", amountMinor: 500n },
  totalFeeMinor: 0n,
  status: RegisterStatus.SENT,
  createdAt: timestamp("2023-12-10T22:01:00Z"),
  updatedAt: timestamp("2023-12-10T22:01:00Z"),
};

const registerPayment = (): MessageInitShape<typeof RegisterPaymentSchema> => ({
  paymentMessageGuid: "28c2c099-79aa-4267-a913-9c0facd654ca",
  externalId: "112663",
  pmType: PaymentType.TRADE,
  amount: { currency: "UAH", amountMinor: 500n },
  feeMinor: 0n,
  purpose: "Tesgtft777",
  debtorAccount: "UA761372924114433543273694797",
  creditorAccount: "UA761372924114433543273694797",
  receivedAt: timestamp("2023-12-10T10:12:12Z"),
});

/** The contract writes whole seconds; the answers have milliseconds. */
const withMillis = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/(T\d\d:\d\d:\d\d)Z/g, "$1.000Z"));

function documented(path: string): unknown {
  type Paths = Record<string, { get: { responses: Record<"200", { content: Record<string, { example: unknown }> }> } }>;
  return (openapi.paths as Paths)[path]?.get.responses["200"].content["application/json"]?.example;
}

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    orders: {
      createOrder(request) {
        seen.created = request;
        return { order: { id: ORDER_ID } };
      },
      getOrder: () => order,
    },
    paymentMessages: {
      submitPaymentMessage(request) {
        seen.submitted = request;
        return { guid: MESSAGE_GUID };
      },
      getPaymentMessage(request) {
        seen.read = request;
        return { paymentMessage: { ...paymentMessage(), ...messageChange } };
      },
    },
    settlements: {
      listRegisters(request) {
        seen.listed = request;
        return { registers: [register] };
      },
      getRegister: () => ({ register, payments: [registerPayment()] }),
    },
    callbacks: {
      listCallbacks(request) {
        seen.missed = request;
        const callback = {
          guid: "f5401ac1-e6c8-436b-b311-991f57e0934b",
          kind: CallbackKind.CREDIT,
          state: CallbackState.REVIEW,
          paymentMessageGuid: "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
          orderId: "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
          attempts: 2,
          createdAt: timestamp("2023-12-10T10:12:12Z"),
          updatedAt: timestamp("2023-12-10T10:13:00Z"),
          lastAttemptAt: timestamp("2023-12-10T10:12:14Z"),
          lastOutcome: "refused",
        };
        return { callbacks: [callback], nextPageToken: "" };
      },
    },
  });
});
beforeEach(() => {
  order = exampleOrder(keys);
});
afterAll(() => rest.stop());

describe("orders", () => {
  const claims = () => exampleClaims("OrderClaims");

  test.each([["query"], ["body"]])(
    "createOrder: a token in the %s creates the order, field by field",
    async (place) => {
      const jwt = await signJws(claims(), keys.merchant, { typ: null });
      const path = "/api/v1/merchants/order";
      const answer =
        place === "body"
          ? await ask(rest, path, postJson({ jwt }))
          : await ask(rest, `${path}?jwt=${jwt}`, { method: "POST" });
      expect(answer.status).toBe(201);
      expect(answer.json).toEqual({
        id: ORDER_ID,
        link_deeplinks: `https://api.admin.smaug.armenotech.dev/api/v1/merchants/order?id=${ORDER_ID}&mobile=1`,
        link_qr: `https://api.admin.smaug.armenotech.dev/api/v1/merchants/order?id=${ORDER_ID}&mobile=0`,
      });
      expect(seen.created).toMatchObject({
        merchantGuid: order.merchant?.guid,
        ref: "d4ee06f",
        amount: { currency: "UAH", amountMinor: 100_000n },
        purpose: "Payment for goods/services",
        redirectUrl: "https://www.city24.com",
        ultimateCreditor: { name: "Kyivpark LLC", taxNumber: "0987654321", iban: "UA55386780956567", bic: "300335" },
        issuedAt: { seconds: 1707105971n, nanos: 0 },
        expiresAt: { seconds: 1719493881n, nanos: 0 },
        jws: jwt,
      });
      expect(seen.created?.ultimateCreditor?.mcc).toBe("7791");
    },
  );

  test("createOrder: times may be numeric strings, and unknown claims are kept in the evidence only", async () => {
    const given = { ...claims(), exp: "1719493881", iat: "1707105971", novelty: 1 };
    const jwt = await signJws(given, keys.merchant);
    expect((await ask(rest, "/api/v1/merchants/order", postJson({ jwt }))).status).toBe(201);
    expect(seen.created).toMatchObject({ issuedAt: { seconds: 1707105971n }, expiresAt: { seconds: 1719493881n } });
  });

  test("createOrder: custom=true adds the order's details signed by the platform", async () => {
    const jwt = await signJws(claims(), keys.merchant);
    const { json } = await ask(rest, `/api/v1/merchants/order?custom=true`, postJson({ jwt }));
    expect(JSON.parse(json.jwt)).toMatchObject({ id: ORDER_ID, amt: 1000, recn: "City24 LLC", bic: "380816" });
  });

  test.each([["id"], ["order_id"]])("getOrderForBank: the documented answer, asked by %s", async (name) => {
    const path = `/api/v1/merchants/order/nbu/json?${name}=${ORDER_ID.toUpperCase()}`;
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    expect(status).toBe(200);
    expect(json).toEqual(documented("/api/v1/merchants/order/nbu/json"));
  });

  test("getOrderStatus: the documented answer of a paid order", async () => {
    order = exampleOrder(keys, {
      status: OrderStatus.SUCCESS,
      id: "86f43098-d184-4cb1-8d9b-9720a8c4931e",
      ref: "1730204505657",
      purpose: "1730204505640",
      amount: { currency: "UAH", amountMinor: 2100n } as never,
    });
    const guid = "f5401ac1-e6c8-436b-b311-991f57e0934b";
    const amount = { currency: "UAH", amountMinor: 2100n };
    order.paymentMessage = create(PaymentMessageSchema, { guid, amount, reason: "Payment message is approved" });
    const { json } = await ask(rest, `/api/v1/merchants/order/status?id=${order.order?.id}`);
    expect(json).toEqual(documented("/api/v1/merchants/order/status"));
  });

  test.each([
    [OrderStatus.CREATED, undefined, "Created", ""],
    [OrderStatus.IN_PROGRESS, "", "In Progress", ""],
    [OrderStatus.CANCELED, undefined, "Canceled", "Order is expired"],
    [OrderStatus.CANCELED, "No response", "Canceled", "No response"],
  ])("getOrderStatus: %s with message reason %s", async (status, reason, text, answered) => {
    order = exampleOrder(keys, { status });
    if (reason !== undefined) order.paymentMessage = create(PaymentMessageSchema, { guid: MESSAGE_GUID, reason });
    const { json } = await ask(rest, `/api/v1/merchants/order/status?id=${ORDER_ID}`);
    expect(json).toMatchObject({ status: text, reason: answered, amount_matched: false, amount: 1000 });
    expect(json.payment_message_guid).toMatch(reason === undefined ? /^0{8}-/ : MESSAGE_GUID);
  });

  test("listEmitters: initiator banks with what a deep link needs, none with a link that a browser would run", async () => {
    const { json } = await ask(rest, "/api/v1/merchants/emitters");
    expect(json).toEqual(documented("/api/v1/merchants/emitters"));
  });
});

describe("payment page", () => {
  const pageOf = (mobile: string) => ask(rest, `/api/v1/merchants/order?id=${ORDER_ID}${mobile}`);

  test("mobile=0 shows a QR code and runs nothing", async () => {
    const { status, text, headers } = await pageOf("&mobile=0");
    expect(status).toBe(200);
    expect(text).toContain("<svg");
    expect(text).toContain("1000.00 UAH");
    expect(text).not.toContain("<script");
    expect(headers.get("content-security-policy")).toContain("default-src 'none'");
  });

  test("mobile=1 lists deep links; a prefix that a browser would run is left out", async () => {
    const { text } = await pageOf("&mobile=1");
    expect(text).toContain(`href="tpnbank://pay?order=${ORDER_ID}"`);
    expect(text).not.toContain("javascript:");
  });

  test("texts of others are escaped", async () => {
    order = exampleOrder(keys, { purpose: '<img src=x onerror="alert(1)">', redirectUrl: "javascript:alert(1)" });
    const { text } = await pageOf("");
    expect(text).toContain("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;");
    expect(text).not.toContain("javascript:");
  });

  test.each([
    ["paid", { status: OrderStatus.SUCCESS }],
    ["canceled", { status: OrderStatus.CANCELED }],
    ["past its expiry", { expiresAt: timestamp("2023-12-10T10:12:12Z") }],
  ])("an order that is %s cannot be paid any more", async (_what, change) => {
    order = exampleOrder(keys, change);
    const { status, text } = await pageOf("&mobile=1");
    expect(status).toBe(200);
    expect(text).not.toContain("tpnbank://");
  });
});

describe("payment messages", () => {
  test("submitPaymentMessage: every claim arrives at the core, with the token's jti and the evidence", async () => {
    const claims = exampleClaims("PaymentMessageClaims");
    const jwt = await signJws({ ...claims, amount: 1500.75 }, keys.bank);
    const path = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
    const { status, json } = await ask(rest, path, postJson({ jwt }, await access(keys.bank)));
    expect([status, json]).toEqual([201, { guid: MESSAGE_GUID }]);
    const debtor = claims.debtor as Record<string, string>;
    const creditor = claims.creditor as Record<string, string>;
    expect(seen.submitted).toMatchObject({
      callerGuid: BANK_GUID,
      accessToken: {
        jti: expect.stringMatching(/^token-/),
        issuedAt: timestamp("2023-12-10T10:12:12Z"),
        requestDigest: expect.toSatisfy((digest: Uint8Array) => digest.length === 32),
      },
      jti: "T12fa2213",
      externalId: "112663",
      amount: { currency: "UAH", amountMinor: 150_075n },
      debtorAgentBic: "306500",
      debtor: {
        name: debtor.debtor_name,
        taxNumber: debtor.debtor_id,
        account: debtor.debtor_account,
        phone: "+380661234567",
      },
      creditorAgentBic: "380816",
      creditor: { name: creditor.creditor_name, taxNumber: creditor.creditor_id, account: creditor.creditor_account },
      orderId: "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
      purpose: "Tesgtft777",
      msgCreationDate: "2023-12-10",
      msgCreationTime: "14:30:12",
      pmType: PaymentType.TRADE,
      senderAccountType: SenderAccountType.LIMIT_RELATED,
      encryption: { nonce: "A1B2C3D4E5F6G7H8" },
      jws: jwt,
    });
  });

  test("submitPaymentMessageAlias: the caller is found by the kid of its token", async () => {
    const jwt = await signJws(exampleClaims("PaymentMessageClaims"), keys.secondBank);
    const answer = await ask(rest, "/api/v1/payment_message", postJson({ jwt }, await access(keys.secondBank)));
    expect(answer.status).toBe(201);
    expect(seen.submitted?.callerGuid).toBe(SECOND_BANK_GUID);
  });

  test("GET payment message: readable when the key that it was encrypted for is forgotten", async () => {
    messageChange = { creditorAgentJwk: "" };
    const path = `/api/v1/counterparty/${BANK_GUID}/payment-message/${MESSAGE_GUID}`;
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    messageChange = {};
    expect([status, json]).toEqual([200, { ...messageExample, public_key: { kty: "RSA", kid: "" } }]);
  });

  test.each([
    [`/api/v1/counterparty/${BANK_GUID}/payment-message/${MESSAGE_GUID}`, { case: "guid", value: MESSAGE_GUID }],
    [`/api/v1/merchants/order/${ORDER_ID}/payment-message`, { case: "orderId", value: ORDER_ID }],
  ])("GET %s: the documented answer, without the payer's phone", async (path, by) => {
    const { status, json, text } = await ask(rest, path, { headers: await access(keys.bank) });
    expect(status).toBe(200);
    expect(json).toEqual(messageExample);
    expect(text).not.toContain("+380");
    expect(seen.read).toMatchObject({ callerGuid: BANK_GUID, by });
  });
});

describe("gross settlement", () => {
  const base = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;
  const list = "/api/v1/counterparty/{counterparty_guid}/gross-settlement";

  test("listGrossSettlements: the documented answer; defaults are the contract's", async () => {
    const { json } = await ask(rest, base, { headers: await access(keys.bank) });
    expect(json).toEqual(withMillis(documented(list)));
    expect(seen.listed).toMatchObject({ callerGuid: BANK_GUID, role: RegisterRole.DEBTOR, offset: 0, limit: 50 });
    expect([seen.listed?.from, seen.listed?.to]).toEqual([undefined, undefined]);
  });

  test.each([
    ["2024-09-03T23:59:59%2B03:00", "2024-09-03T20:59:59Z"],
    ["2024-09-03T23:59:59Z03:00", "2024-09-03T20:59:59Z"],
    ["2024-09-03T23:59:59Z", "2024-09-03T23:59:59Z"],
    ["2024-09-03", "2024-09-02T21:00:00Z"],
    ["2024-12-03", "2024-12-02T22:00:00Z"],
    ["2024-03-31", "2024-03-30T22:00:00Z"],
  ])("listGrossSettlements: from=%s is %s", async (from, instant) => {
    const path = `${base}?from=${from}&role=All&limit=500&offset=7`;
    expect((await ask(rest, path, { headers: await access(keys.bank) })).status).toBe(200);
    expect(seen.listed).toMatchObject({ from: timestamp(instant), role: RegisterRole.ALL, offset: 7, limit: 500 });
  });

  test("getGrossSettlement: the documented answer with its payments", async () => {
    const { json } = await ask(rest, `${base}/1012231`, { headers: await access(keys.bank) });
    expect(json).toEqual(withMillis(documented(`${list}/{register_id}`)));
  });
});

test("listMissedCallbacks: the documented answer, and only the caller's own callbacks are asked for", async () => {
  const path = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed?since=2023-12-10T00:00:00Z&limit=5&cursor=abc`;
  const { json } = await ask(rest, path, { headers: await access(keys.bank) });
  expect(json).toEqual(withMillis(documented("/api/v1/counterparty/{counterparty_guid}/callbacks/missed")));
  expect(seen.missed).toMatchObject({
    filter: { receiverGuid: BANK_GUID, missed: true, since: timestamp("2023-12-10T00:00:00Z") },
    pageSize: 5,
    pageToken: "abc",
  });
});

describe("platform", () => {
  test.each([
    ["/openapi.yaml", "application/yaml"],
    ["/openapi.json", "application/json"],
    ["/docs", "text/html"],
    ["/healthz", "application/json"],
    ["/readyz", "application/json"],
    ["/metrics", "text/plain"],
    ["/api/v1/.well-known/jwks.json", "application/json"],
  ])("%s answers %s", async (path, type) => {
    const { status, headers } = await ask(rest, path);
    expect(status).toBe(200);
    expect(headers.get("content-type")).toContain(type);
  });

  test("/openapi.json is the contract", async () => {
    expect((await ask(rest, "/openapi.json")).json).toEqual(openapi);
  });

  test("the log has the route's pattern and never a token", async () => {
    const jwt = await signJws(exampleClaims("OrderClaims"), keys.merchant);
    const headers = await access(keys.bank);
    await ask(rest, `/api/v1/merchants/order?jwt=${jwt}`, { method: "POST" });
    await ask(rest, `/api/v1/merchants/order/nbu/json?id=${ORDER_ID}`, { headers });
    const text = rest.lines.join("");
    expect(text).toContain('"route":"/api/v1/merchants/order"');
    expect(text).not.toContain("eyJ");
    expect(text).not.toContain(ORDER_ID);
  });
});
