import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Callback, CallbackKind } from "../../gen/dcm/v1/callback_pb.ts";
import { ListCallbacksRequestSchema } from "../../gen/dcm/v1/callback_service_pb.ts";
import { MoneySchema } from "../../gen/dcm/v1/money_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Core } from "../../src/core/core.ts";
import type { BankStatement } from "../../src/core/registerStatements.ts";
import type { OrderRequest } from "../../src/domain/order.ts";
import type { Participant } from "../../src/domain/participant.ts";
import type { PaymentMessageRequest } from "../../src/domain/paymentMessage.ts";
import { askedPage, keys as pageKeys } from "../../src/rpc/pages.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { missedStates } from "../../src/wire/missedCallback.ts";
import { orderDetailsClaims } from "../../src/wire/order.ts";
import { money } from "../../src/wire/values.ts";
import {
  examplePaymentMessage,
  exampleRegister,
  exampleRegisterPayment,
  messageExample,
  missedCallback,
} from "./examples.ts";
import {
  access,
  ask,
  BANK_GUID,
  type ExampleOrder,
  exampleClaims,
  exampleOrder,
  type Keys,
  MERCHANT_GUID,
  MERCHANT_UID,
  MESSAGE_GUID,
  makeKeys,
  NOW,
  ORDER_ID,
  openapi,
  postJson,
  type Rest,
  SECOND_BANK_GUID,
  startRest,
  timestamp,
} from "./fixture.ts";

const NO_MERCHANT = "No response on the callback from the merchant";

let keys: Keys;
let rest: Rest;
let messageChange: Partial<PaymentMessage> = {};
let order: ExampleOrder;
/** What the use-cases got. */
const seen: {
  created?: OrderRequest;
  submitted?: PaymentMessageRequest;
  read?: Parameters<Core["getPaymentMessage"]>;
  listed?: Parameters<Core["listRegisters"]>;
  missed?: Parameters<Core["listCallbacks"]>;
  /** Listed in place of the bank's. */
  answer?: Callback;
  register?: Parameters<Core["getRegister"]>;
  stated?: BankStatement;
} = {};

const stated = async (statement: BankStatement) => {
  seen.stated = statement;
  return { repeated: false };
};

/** The contract writes whole seconds; the answers have milliseconds. */
const withMillis = (value: unknown) => JSON.parse(JSON.stringify(value).replaceAll(/(T\d\d:\d\d:\d\d)Z/g, "$1.000Z"));

function documented(path: string): unknown {
  type Paths = Record<string, { get: { responses: Record<"200", { content: Record<string, { example: unknown }> }> } }>;
  return (openapi.paths as Paths)[path]?.get.responses["200"].content["application/json"]?.example;
}

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    core: {
      createOrder: async (request) => {
        seen.created = request;
        return { ...order, alreadyExisted: false };
      },
      getOrder: async () => order,
      signedDetails: async (found) => JSON.stringify(orderDetailsClaims(found, NOW)),
      submitPaymentMessage: async (request) => {
        seen.submitted = request;
        return { guid: MESSAGE_GUID };
      },
      getPaymentMessage: async (...asked) => {
        seen.read = asked;
        return { ...examplePaymentMessage, ...messageChange };
      },
      listRegisters: async (...asked) => {
        seen.listed = asked;
        return { registers: [exampleRegister], total: 1 };
      },
      getRegister: async (...asked) => {
        seen.register = asked;
        return { register: exampleRegister, payments: [exampleRegisterPayment], hasMore: false };
      },
      payRegister: stated,
      confirmRegister: stated,
      confirmInternalRegister: stated,
      listCallbacks: async (...asked) => {
        seen.missed = asked;
        return [seen.answer ?? missedCallback];
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
      expect(seen.created).toEqual({
        merchantGuid: order.merchant.guid,
        merchantVersion: Number(order.merchant.version),
        ref: "d4ee06f",
        amountMinor: 100_000,
        currency: "UAH",
        purpose: "Payment for goods/services",
        redirectUrl: "https://www.city24.com",
        ultimateCreditor: {
          name: "Kyivpark LLC",
          taxNumber: "0987654321",
          iban: "UA55386780956567",
          bic: "300335",
          mcc: "7791",
        },
        issuedAt: new Date(1707105971_000),
        expiresAt: new Date(1719493881_000),
        jws: jwt,
      });
    },
  );

  test("createOrder: times may be numeric strings, and unknown claims are kept in the evidence only", async () => {
    const given = { ...claims(), exp: "1719493881", iat: "1707105971", novelty: 1 };
    const jwt = await signJws(given, keys.merchant);
    expect((await ask(rest, "/api/v1/merchants/order", postJson({ jwt }))).status).toBe(201);
    expect(seen.created).toMatchObject({
      issuedAt: new Date(1707105971_000),
      expiresAt: new Date(1719493881_000),
      jws: jwt,
    });
    expect(seen.created).not.toHaveProperty("novelty");
  });

  test("createOrder: custom=true adds the order's details signed by the platform", async () => {
    const jwt = await signJws(claims(), keys.merchant);
    const { json } = await ask(rest, `/api/v1/merchants/order?custom=true`, postJson({ jwt }));
    const {
      public_key: _key,
      status: _stale,
      ...details
    } = documented("/api/v1/merchants/order/nbu/json") as Record<string, unknown>;
    expect(JSON.parse(json.jwt)).toEqual({ ...details, iat: Math.floor(NOW.getTime() / 1000) });
  });

  test.each([["id"], ["order_id"]])("getOrderForBank: the documented answer, asked by %s", async (name) => {
    const path = `/api/v1/merchants/order/nbu/json?${name}=${ORDER_ID.toUpperCase()}`;
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    expect(status).toBe(200);
    expect(json).toEqual(documented("/api/v1/merchants/order/nbu/json"));
  });

  test("getOrderStatus: the documented answer of a paid order", async () => {
    const amount = create(MoneySchema, money(2100, "UAH"));
    order = exampleOrder(keys, {
      status: OrderStatus.SUCCESS,
      id: "86f43098-d184-4cb1-8d9b-9720a8c4931e",
      ref: "1730204505657",
      purpose: "1730204505640",
      amount,
    });
    const guid = "f5401ac1-e6c8-436b-b311-991f57e0934b";
    order.paymentMessage = { ...examplePaymentMessage, guid, amount };
    const { json } = await ask(rest, `/api/v1/merchants/order/status?id=${order.order.id}`);
    expect(json).toEqual(documented("/api/v1/merchants/order/status"));
  });

  test.each<[OrderStatus, string | undefined, string, string]>([
    [OrderStatus.CREATED, undefined, "Created", ""],
    [OrderStatus.IN_PROGRESS, "", "In Progress", ""],
    [OrderStatus.CANCELED, undefined, "Canceled", "Order is expired"],
    [OrderStatus.CANCELED, NO_MERCHANT, "Canceled", NO_MERCHANT],
  ])("getOrderStatus: status %s with message reason %s", async (status, reason, text, answered) => {
    order = exampleOrder(keys, { status });
    if (reason !== undefined) order.paymentMessage = { ...examplePaymentMessage, reason };
    const { json } = await ask(rest, `/api/v1/merchants/order/status?id=${ORDER_ID}`);
    expect(json).toMatchObject({ status: text, reason: answered, amount_matched: false, amount: 1000 });
    expect(json.payment_message_guid).toMatch(reason === undefined ? /^0{8}-/ : MESSAGE_GUID);
  });

  test("listEmitters: initiator banks with what a deep link needs, none with a link that a browser would run", async () => {
    const { json } = await ask(rest, "/api/v1/merchants/emitters");
    expect(json).toEqual(documented("/api/v1/merchants/emitters"));
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
    expect(seen.submitted).toEqual({
      callerGuid: BANK_GUID,
      callerVersion: 1,
      accessToken: {
        jti: expect.stringMatching(/^token-/),
        issuedAt: NOW,
        requestDigest: expect.toSatisfy((digest: Uint8Array) => digest.length === 32),
      },
      jti: "T12fa2213",
      externalId: "112663",
      amountMinor: 150_075,
      currency: "UAH",
      debtorAgentBic: "306500",
      debtorName: debtor.debtor_name,
      debtorTaxNumber: debtor.debtor_id,
      debtorAccount: debtor.debtor_account,
      debtorPhone: "+380661234567",
      creditorAgentBic: "380816",
      creditorName: creditor.creditor_name,
      creditorTaxNumber: creditor.creditor_id,
      creditorAccount: creditor.creditor_account,
      orderGuid: "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
      purpose: "Tesgtft777",
      msgCreationDate: "2023-12-10",
      msgCreationTime: "14:30:12",
      pmType: "trade",
      senderAccountType: "limit-related",
      nonce: (exampleClaims("PaymentMessageClaims").encryption as { nonce: string }).nonce,
      encryptedKey: (claims.encryption as Record<string, string>).encrypted_key,
      jws: jwt,
    });
  });

  test.each(["/api/v1/payment_message", "/api/v1/payment-message"])(
    "%s: the caller is found by the kid of its token",
    async (path) => {
      const jwt = await signJws(exampleClaims("PaymentMessageClaims"), keys.secondBank);
      const answer = await ask(rest, path, postJson({ jwt }, await access(keys.secondBank)));
      expect(answer.status).toBe(201);
      expect(seen.submitted?.callerGuid).toBe(SECOND_BANK_GUID);
    },
  );

  test("the short paths of a payment message are deprecated, which their answers and refusals say; those of what follows them do not", async () => {
    const jwt = await signJws(exampleClaims("PaymentMessageClaims"), keys.secondBank);
    const posted = async (path: string) => {
      const { status, headers } = await ask(rest, path, postJson({ jwt }, await access(keys.secondBank)));
      return [
        status,
        headers.get("Deprecation"),
        headers.get("Link")?.includes('rel="successor-version"'),
        headers.get("Sunset"),
      ];
    };
    for (const path of ["/api/v1/payment_message", "/api/v1/payment-message"])
      expect(await posted(path)).toEqual([201, "@1795737600", true, null]);
    const { status, headers } = await ask(rest, "/api/v1/payment_message", { method: "POST" });
    expect([status, headers.get("Deprecation")]).toEqual([400, "@1795737600"]);
    const now = await posted(`/api/v1/counterparty/${SECOND_BANK_GUID}/payment-message`);
    expect(now).toEqual([201, null, undefined, null]);
  });

  test("GET payment message: readable when the key that it was encrypted for is forgotten", async () => {
    messageChange = { creditorAgentJwk: "" };
    const path = `/api/v1/counterparty/${BANK_GUID}/payment-message/${MESSAGE_GUID}`;
    const { status, json } = await ask(rest, path, { headers: await access(keys.bank) });
    messageChange = {};
    expect([status, json]).toEqual([200, { ...messageExample, public_key: { kty: "RSA", kid: "" } }]);
  });

  test.each([
    [`/api/v1/counterparty/${BANK_GUID}/payment-message/${MESSAGE_GUID}`, { guid: MESSAGE_GUID }],
    [`/api/v1/merchants/order/${ORDER_ID}/payment-message`, { orderGuid: ORDER_ID }],
  ])("GET %s: the documented answer, without the payer's phone", async (path, by) => {
    const { status, json, text } = await ask(rest, path, { headers: await access(keys.bank) });
    expect(status).toBe(200);
    expect(json).toEqual(messageExample);
    expect(text).not.toContain("+380");
    expect(seen.read).toEqual([BANK_GUID, by]);
  });
});

describe("gross settlement", () => {
  const base = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;
  const list = "/api/v1/counterparty/{counterparty_guid}/gross-settlement";

  test("listGrossSettlements: the documented answer; defaults are the contract's", async () => {
    const { json } = await ask(rest, base, { headers: await access(keys.bank) });
    expect(json).toEqual(withMillis(documented(list)));
    expect(seen.listed).toEqual([{ bankGuid: BANK_GUID, anySide: false, statuses: [], offset: 0, limit: 51 }]);
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
    expect(seen.listed).toMatchObject([{ from: new Date(instant), anySide: true, offset: 7, limit: 501 }]);
  });

  test("getGrossSettlement: the documented answer with its payments", async () => {
    const { json } = await ask(rest, `${base}/1012231`, { headers: await access(keys.bank) });
    expect(json).toEqual(withMillis(documented(`${list}/{register_id}`)));
    expect(seen.register).toEqual([BANK_GUID, "1012231", { limit: 25 }]);
  });

  const payment = {
    externalId: "P-77120",
    creditorIban: "UA063808160041469948322523389",
    amountMinor: 500,
    currency: "UAH",
    purpose: "Gross settlement register 1012231",
    creationDate: "2023-12-11T09:15:00+02:00",
  };
  test.each<[what: string, path: string, claims: string | undefined, statement: object]>([
    ["payGrossSettlement", "/pay/1012231", "GrossSettlementPaymentClaims", { payment }],
    [
      "confirmGrossSettlement",
      "/pay/1012231/confirm",
      "GrossSettlementConfirmationClaims",
      { payment, paymentStatus: "ACSC" },
    ],
    ["confirmInternalGrossSettlement", "/confirm_internal/1012231", undefined, {}],
  ])("%s: what the bank states arrives, with the bank and what it signed", async (_what, path, name, statement) => {
    const claims = name === undefined ? undefined : exampleClaims(name);
    const signed = claims === undefined ? undefined : await signJws(claims, keys.bank);
    for (const jwt of new Set([undefined, signed])) {
      const headers = await access(keys.bank);
      const body = jwt === undefined ? claims : { jwt };
      const init = body === undefined ? { method: "POST", headers } : postJson(body, headers);
      const { status, json } = await ask(rest, base + path, init);
      expect([status, json]).toEqual([201, { created: "true" }]);
      expect(seen.stated).toEqual({
        callerGuid: BANK_GUID,
        callerVersion: 1,
        accessToken: { jti: expect.stringMatching(/^token-/), issuedAt: NOW, requestDigest: expect.any(Uint8Array) },
        registerId: "1012231",
        jws: jwt ?? headers["Cx-Authorization"],
        ...statement,
      });
    }
  });
});

test("listMissedCallbacks: the documented answer, and only the caller's own callbacks are asked for", async () => {
  const list = { schema: ListCallbacksRequestSchema, isKey: pageKeys.guid, whenZero: 50 };
  const filter = { since: timestamp("2023-12-10T00:00:00Z"), states: [...missedStates], missed: true };
  const asked = askedPage(list, create(ListCallbacksRequestSchema, { filter }), { guid: BANK_GUID } as Participant);
  const cursor = asked.tokenOf(["f5401ac1-e6c8-436b-b311-991f57e0934a"]);
  const path = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed?since=2023-12-10T00:00:00Z&limit=5&cursor=${cursor}`;
  const { json } = await ask(rest, path, { headers: await access(keys.bank) });
  expect(json).toEqual(withMillis(documented("/api/v1/counterparty/{counterparty_guid}/callbacks/missed")));
  expect(seen.missed).toMatchObject([
    { receiverGuid: BANK_GUID, missed: true, since: new Date("2023-12-10T00:00:00Z") },
    { limit: 6, after: "f5401ac1-e6c8-436b-b311-991f57e0934a" },
  ]);
});

test("listMerchantMissedCallbacks: the documented answer, of the merchant that the token names", async () => {
  const expiration: Partial<Callback> = {
    kind: CallbackKind.EXPIRATION,
    receiverGuid: MERCHANT_GUID,
    paymentMessageGuid: "",
    attempts: 11,
    lastAttemptAt: timestampFromDate(new Date("2023-12-10T10:17:15Z")),
    lastOutcome: "timeout",
  };
  seen.answer = { ...missedCallback, ...expiration };
  onTestFinished(() => void delete seen.answer);
  const path = "/api/v1/merchants/callbacks/missed";
  const token = await createAccessToken(keys.merchant, NOW, "missed", { iss: MERCHANT_UID });
  const { json } = await ask(rest, `${path}?since=2023-12-10T00:00:00Z`, { headers: { "Cx-Authorization": token } });
  expect(json).toEqual(withMillis(documented(path)));
  expect(seen.missed).toMatchObject([
    { receiverGuid: MERCHANT_GUID, missed: true, since: new Date("2023-12-10T00:00:00Z") },
    { limit: 51, after: undefined },
  ]);
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

  test("the keys that verify the platform's signatures are the core's, and so is how long they may be remembered", async () => {
    const { json, headers } = await ask(rest, "/api/v1/.well-known/jwks.json");
    expect(json).toEqual({ keys: [{ kty: "RSA", kid: "platform", alg: "RS256" }] });
    expect(headers.get("cache-control")).toBe("public, max-age=3600");
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
