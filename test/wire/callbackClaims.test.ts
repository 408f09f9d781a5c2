import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { describe, expect, test, vi } from "vitest";
import { type PaymentMessage, PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type Register, type RegisterPayment, RegisterSchema, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { claims as documented } from "../../gen/rest/operations.ts";
import { reasons, webhooks } from "../../gen/rest/webhooks.ts";
import { type DeliveryContext, deliver } from "../../src/callbacks/deliver.ts";
import { markedAs, sealEnvelope } from "../../src/callbacks/envelope.ts";
import { createSlots } from "../../src/callbacks/slots.ts";
import { runInLines } from "../../src/callbacks/waitingLines.ts";
import type { ClaimedCallback } from "../../src/core/delivery.ts";
import type { PaymentsPage } from "../../src/core/settlements.ts";
import { type CallbackKind, CREDIT_REASON, PAY_OUT_SUCCESS_REASON } from "../../src/domain/callback.ts";
import type { Participant } from "../../src/domain/participant.ts";
import { noTracing } from "../../src/observe/tracing.ts";
import { MAX_CALLBACK_TOKEN_CHARS } from "../../src/sdk/callbacks.ts";
import { type Claims, peekJws, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { callbackContent, maxCallbackPayments } from "../../src/wire/callbackClaims.ts";
import { money } from "../../src/wire/values.ts";
import { whole } from "../../src/wire/whole.ts";
import { examplePaymentMessage, exampleRegisterPayment } from "../rest/examples.ts";
import { exampleKey } from "../rest/fixture.ts";

async function newSigner() {
  const key = await generateKeyPair();
  return { issuer: "https://gateway.example", sign: (claims: Claims) => signJws(claims, key) };
}

const guidOf = (n: number) => `01890000-0000-7000-8000-${String(n).padStart(12, "0")}`;
const receiverGuid = guidOf(2);
const registerUrl = `https://gateway.example/api/v1/counterparty/${receiverGuid}/gross-settlement/1012231`;
const instant = new Date("2023-12-10T22:01:00Z");

const registerOf = (paymentCount: number, changes: Partial<Register> = {}): Register => ({
  ...whole(RegisterSchema, {
    id: "1012231",
    day: "2023-12-10",
    adjustsDay: "",
    debtorAgent: { guid: guidOf(3), name: "TPN Bank", bic: "306500" },
    creditorAgent: { guid: guidOf(4), name: "Second Bank", bic: "380816" },
    creditorCode: "12345678",
    chargingAccount: "UA06",
    purpose: "As it was agreed when the day was closed",
    totalAmount: money(500 * paymentCount, "UAH"),
    totalFeeMinor: 0n,
    paymentCount,
    status: RegisterStatus.SENT,
    periodStart: timestampFromDate(instant),
    periodEnd: timestampFromDate(instant),
    createdAt: timestampFromDate(instant),
    updatedAt: timestampFromDate(instant),
  }),
  ...changes,
});

const paymentsOf = (count: number, purpose = "Books"): RegisterPayment[] =>
  Array.from({ length: count }, (_, index) => ({
    ...exampleRegisterPayment,
    paymentMessageGuid: guidOf(100 + index),
    externalId: `E-${index}`,
    purpose,
    receivedAt: timestampFromDate(instant),
  }));

const claimed = {
  guid: guidOf(1),
  kind: "gross_settlement",
  receiverGuid,
  registerId: "1012231",
  series: 1,
  attempt: 1,
  refusals: 0,
  reason: "",
  paymentMessage: undefined,
  order: undefined,
  parties: undefined,
  claimedAt: instant,
} satisfies ClaimedCallback;

/** What is sent of claims: those without a value are left out of JSON. */
const sent = (claims: object) => JSON.parse(JSON.stringify(claims)) as Record<string, unknown>;

describe("Gross_Settlement", () => {
  function claimsOf(register: Register, payments: RegisterPayment[]) {
    const content = callbackContent({ claimed, settlement: { register, payments, registerUrl } });
    if (content.form !== "signed") throw new Error("the body is open");
    return sent(content.claims);
  }

  test.each([0, 1, maxCallbackPayments])("a register of %i payments comes whole", (count) => {
    const claims = claimsOf(registerOf(count), paymentsOf(count));
    expect(claims.payments).toHaveLength(count);
    expect(claims).not.toHaveProperty("payment_count");
    expect(claims).not.toHaveProperty("register_url");
  });

  test("a register of 501 payments comes without them, and says how many they are and where they are read", () => {
    const claims = claimsOf(registerOf(501), []);
    expect(claims).toMatchObject({ payments: [], payment_count: 501, register_url: registerUrl });
    expect(documented.GrossSettlementClaims.validate(claims)).toBe(true);
  });

  test("few payments beyond 512 KiB of JSON are left out as well, counted in bytes", () => {
    const most = paymentsOf(350, "ї".repeat(500));
    expect(claimsOf(registerOf(350), most)).toMatchObject({ payments: [], payment_count: 350 });
    const latin = paymentsOf(350, "i".repeat(500));
    expect(claimsOf(registerOf(350), latin).payments).toHaveLength(350);
  });

  test.each([
    [524_288, 350],
    [524_289, 0],
  ])("of payments whose JSON has %i bytes %i are sent", (bytes, sent) => {
    const withLast = (purpose: string) => [...paymentsOf(349, "i".repeat(500)), ...paymentsOf(1, purpose)];
    const spare = bytes - Buffer.byteLength(JSON.stringify(claimsOf(registerOf(350), withLast("")).payments));
    expect(claimsOf(registerOf(350), withLast("i".repeat(spare))).payments).toHaveLength(sent);
  });

  test("the purpose is the register's own, and the adjusted day is named only in an adjustment", () => {
    expect(claimsOf(registerOf(1), paymentsOf(1)).purpose).toBe("As it was agreed when the day was closed");
    expect(claimsOf(registerOf(1), paymentsOf(1))).not.toHaveProperty("adjusts_day");
    const adjustment = claimsOf(registerOf(1, { adjustsDay: "2023-12-08" }), paymentsOf(1));
    expect(adjustment).toMatchObject({ adjusts_day: "2023-12-08" });
    expect(documented.GrossSettlementClaims.validate(adjustment)).toBe(true);
  });

  test.each([
    [maxCallbackPayments, [0, maxCallbackPayments]],
    [maxCallbackPayments + 1, [0]],
  ])("an attempt for %i payments reads pages of %j", async (count, limits) => {
    const asked: PaymentsPage[] = [];
    const posted = vi.fn(async (_url: string, _request: { body: string }) => ({ outcome: "accepted", durationMs: 1 }));
    const context = {
      core: {
        claimCallback: async () => ({ claimed }),
        getRegister: async (_caller: undefined, _id: string, page: PaymentsPage) => {
          asked.push(page);
          return { register: registerOf(count), payments: paymentsOf(Math.min(count, page.limit)), hasMore: false };
        },
        recordAttempt: async () => ({ applied: true, late: false, decision: { state: "delivered" } }),
      },
      client: { post: posted },
      receivers: {
        find: async () => ({
          guid: receiverGuid,
          status: "active",
          callbackUrls: { gross_settlement: "https://b.example" },
          callbackBodyFormat: "json",
        }),
      },
      slots: createSlots(),
      inLines: runInLines(16, 8),
      withoutTicket: new Set(),
      signer: await newSigner(),
      publicUrl: () => "https://gateway.example",
      newGuid: () => guidOf(9),
      log: { debug() {}, info() {}, warn() {}, error() {} },
      observer: { attempted() {}, parked() {} },
      tracing: noTracing,
    } as unknown as DeliveryContext;
    const ticket = { callbackGuid: claimed.guid, series: 1, attempt: 0, receiverGuid };
    expect(await deliver(context, "first", ticket)).toBe("ack");
    expect(asked.map(({ limit }) => limit)).toEqual(limits);
    const { jwt } = JSON.parse(posted.mock.calls[0]?.[1].body ?? "{}");
    const signed = peekJws(jwt);
    if (count > maxCallbackPayments) expect(signed).toMatchObject({ claims: { register_url: registerUrl } });
  });
});

test.each([
  ["credit", CREDIT_REASON, "CreditClaims"],
  ["pay_out", PAY_OUT_SUCCESS_REASON, "PayOutClaims"],
] as const)("a %s says the contract's reason, and another one is not sent", (kind, documentedReason, name) => {
  const contentWith = (reason: string) =>
    callbackContent({ claimed: { ...claimed, kind, reason, paymentMessage: examplePaymentMessage } });
  const content = contentWith(documentedReason);
  expect(content.form === "signed" && documented[name].validate(sent(content.claims))).toBe(true);
  expect(() => contentWith("Because")).toThrow('the contract has no reason "Because" here');
});

describe("a merchant's Pay-in says how the payment fits its order", () => {
  const { orderId: id, purpose } = examplePaymentMessage;
  const order = { id, ref: "number of nothing", purpose, amount: money(500, "UAH") };
  const claimsFor = (change: Partial<typeof order>) => {
    const about = { paymentMessage: examplePaymentMessage, order: { ...order, ...change } };
    const content = callbackContent({ claimed: { ...claimed, kind: "pay_in_merchant", ...about } });
    if (content.form !== "signed") throw new Error("the body is open");
    return sent(content.claims);
  };

  test.each<[string, Partial<typeof order>, isMatched: boolean, isFound: boolean]>([
    ["all of it", {}, true, true],
    ["another amount", { amount: money(501, "UAH") }, false, true],
    ["another currency", { amount: money(500, "EUR") }, false, true],
    ["the number within another purpose", { purpose: "another", ref: "ft777" }, true, true],
    ["another purpose without the number", { purpose: "another" }, true, false],
  ])("%s", (_what, change, isMatched, isFound) => {
    const claims = claimsFor(change);
    expect(claims).toMatchObject({ amount: 5, currency: "UAH", amount_matched: isMatched, ref_found: isFound });
    expect(documented.PayInMerchantClaims.validate(claims)).toBe(true);
  });

  test("an accepted one carries no reason, a rejected one the contract's", () => {
    expect(claimsFor({})).not.toHaveProperty("reason");
    const paymentMessage = { ...examplePaymentMessage, reason: reasons.RejectReason.merchant };
    const rejected = { ...claimed, kind: "pay_in_merchant_reject" as const, order, paymentMessage };
    const content = callbackContent({ claimed: rejected });
    expect(content).toMatchObject({ claims: { status: "reject", reason: paymentMessage.reason } });
  });
});

describe("what a callback needs and has not is a fault of ours", () => {
  const order = { id: "o", ref: "r", purpose: "p", amount: money(1, "UAH") };
  test.each<[kind: CallbackKind, about: Partial<ClaimedCallback>, message: string]>([
    ["pay_in_bank", {}, "a pay_in_bank callback has no payment message"],
    ["pay_in_merchant", { order }, "a pay_in_merchant callback has no payment message"],
    ["pay_in_merchant", { paymentMessage: examplePaymentMessage }, "a pay_in_merchant callback has no order"],
    ["expiration", {}, "a expiration callback has no order"],
    ["gross_settlement", {}, `callback ${claimed.guid} has no register`],
  ])("%s: case %#", (kind, about, message) => {
    expect(() => callbackContent({ claimed: { ...claimed, ...about, kind } })).toThrow(message);
  });

  test("the result of a payment that is not decided", () => {
    const paymentMessage = { ...examplePaymentMessage, status: PaymentMessageStatus.PENDING };
    const payOut = { ...claimed, kind: "pay_out" as const, reason: PAY_OUT_SUCCESS_REASON, paymentMessage };
    expect(() => callbackContent({ claimed: payOut })).toThrow("a payment message that is not decided");
  });
});

describe("a bank's callback says what became of the payment", () => {
  const rejected = {
    ...examplePaymentMessage,
    status: PaymentMessageStatus.REJECT,
    reason: reasons.RejectReason.merchant,
  };
  test.each<[kind: CallbackKind, message: PaymentMessage, reason: string, name: keyof typeof documented, said: object]>(
    [
      ["pay_in_bank", examplePaymentMessage, "", "PayInBankClaims", { status: "success" }],
      ["pay_in_bank_reject", rejected, "", "PayInBankClaims", { status: "reject", reason: rejected.reason }],
      ["credit", examplePaymentMessage, CREDIT_REASON, "CreditClaims", { status: "success", reason: CREDIT_REASON }],
      [
        "pay_out",
        examplePaymentMessage,
        PAY_OUT_SUCCESS_REASON,
        "PayOutClaims",
        { status: "success", reason: PAY_OUT_SUCCESS_REASON },
      ],
      ["pay_out", rejected, rejected.reason, "PayOutClaims", { status: "reject", reason: rejected.reason }],
    ],
  )("%s: case %#", (kind, paymentMessage, reason, name, said) => {
    const creditorAgentJwk = JSON.stringify({ ...exampleKey, alg: "RSA-OAEP-256" });
    const message = { ...paymentMessage, creditorAgentJwk };
    const content = callbackContent({ claimed: { ...claimed, kind, reason, paymentMessage: message } });
    if (content.form !== "signed") throw new Error("the body is open");
    const claims = sent(content.claims);
    expect(claims).toMatchObject({
      payment_message: { jti: message.jti, public_key: { alg: "RSA-OAEP-256" } },
      payment_message_guid: message.guid,
      ...said,
    });
    expect("reason" in claims).toBe("reason" in said);
    expect(documented[name].validate(claims)).toBe(true);
  });
});

test("a merchant's Pay-in leaves out nothing that the contract requires", () => {
  const bare = { ...examplePaymentMessage, amount: undefined, debtor: undefined, creditor: undefined };
  const order = { id: bare.orderId, ref: "number", purpose: "another", amount: money(500, "UAH") };
  const content = callbackContent({ claimed: { ...claimed, kind: "pay_in_merchant", order, paymentMessage: bare } });
  const empty = { amount: 0, currency: "", receiver_account_iban: "", sender_account_iban: "" };
  const named = { order_id: bare.orderId, ref_number: "number", callback_guid: claimed.guid, status: "success" };
  expect(content).toMatchObject({ form: "signed", claims: { ...empty, ...named, amount_matched: false } });
});

test("an Expiration is open, and has the contract's constants in place of a payment", () => {
  const order = { id: "o", ref: "r", purpose: "p", amount: money(150_075, "UAH") };
  expect(callbackContent({ claimed: { ...claimed, kind: "expiration", order } })).toEqual({
    form: "open",
    body: { ...webhooks.expiration.constants, amount: 1500.75, currency: "UAH", order_id: "o", ref_number: "r" },
  });
});

test("the platform signs nothing beyond 1 MiB: that would be a fault of ours", async () => {
  const signer = await newSigner();
  const receiver = { guid: receiverGuid, callbackBodyFormat: "text" } as Participant;
  const seal = (chars: number) => {
    const claims = { filling: "x".repeat(Math.floor(chars * 0.75)) };
    return sealEnvelope({ form: "signed", claims }, markedAs(claimed), receiver, signer, () => guidOf(9));
  };
  expect((await seal(MAX_CALLBACK_TOKEN_CHARS - 2_000)).body.length).toBeLessThanOrEqual(MAX_CALLBACK_TOKEN_CHARS);
  await expect(seal(MAX_CALLBACK_TOKEN_CHARS)).rejects.toThrow(/the token would have \d+ characters/);
});
