import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { beforeAll, describe, expect, test } from "vitest";
import { CallbackKind, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { DeepLinkContent, KeyUse } from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { reasons } from "../../gen/rest/webhooks.ts";
import type { Participant, ParticipantKey } from "../../src/domain/participant.ts";
import { missedCallbackAnswer, missedStates } from "../../src/wire/missedCallback.ts";
import {
  isSameMoney,
  orderDetailsClaims,
  orderForBank,
  orderLinks,
  orderParts,
  orderStatus,
} from "../../src/wire/order.ts";
import { jwkText, toParticipant, toParticipantKey } from "../../src/wire/participant.ts";
import { paymentMessageAnswer, paymentMessageDetails } from "../../src/wire/paymentMessage.ts";
import { documentedStatuses, registerAnswer, registerPaymentAnswer, registerUrl } from "../../src/wire/register.ts";
import { money } from "../../src/wire/values.ts";
import {
  examplePaymentMessage,
  exampleRegister,
  exampleRegisterPayment,
  messageExample,
  missedCallback,
} from "../rest/examples.ts";
import { type ExampleOrder, exampleKey, exampleOrder, makeKeys, NOW, ORDER_ID, participants } from "../rest/fixture.ts";

// What the core answers, as the documents write it.

let keys: Awaited<ReturnType<typeof makeKeys>>;
beforeAll(async () => {
  keys = await makeKeys();
});

const json = (value: unknown) => JSON.parse(JSON.stringify(value)) as Record<string, unknown>;

describe("orders", () => {
  const orderOf = (change: Partial<ExampleOrder["order"]> = {}) => exampleOrder(keys, change);

  test.each(["order", "merchant", "creditorAgent"] as const)("an order without its %s is a fault of ours", (part) => {
    const found = { ...orderOf(), [part]: undefined };
    expect(() => orderParts(found)).toThrow("the core answered an order without its parties");
    expect(() => orderForBank(found)).toThrow("the core answered an order without its parties");
  });

  test("a status without its order is a fault of ours", () => {
    expect(() => orderStatus({ ...orderOf(), order: undefined })).toThrow("the core answered no order");
  });

  test("what an order has not is left out, and a currency that the core left out is empty", () => {
    const found = orderOf({ ultimateCreditor: undefined, amount: undefined });
    found.merchant.logoUrl = "";
    const answer = json(orderForBank({ ...found, encryptionJwk: "" }));
    expect(answer).toMatchObject({ amt: 0, cur: "" });
    for (const name of ["logo_url", "fri", "public_key"]) expect(answer).not.toHaveProperty(name);
    expect(orderStatus(found)).toMatchObject({ amount: 0, currency: "" });
  });

  test("the recipient bank's key is shown with its algorithm", () => {
    const encryptionJwk = jwkText({ ...exampleKey, alg: "RSA-OAEP-256" });
    expect(orderForBank({ ...orderOf(), encryptionJwk })).toMatchObject({ public_key: { alg: "RSA-OAEP-256" } });
  });

  test("the details for deep links say when they were signed, in whole seconds", () => {
    expect(orderDetailsClaims(orderOf(), new Date(1_700_000_000_999))).toMatchObject({
      id: ORDER_ID,
      iat: 1_700_000_000,
    });
  });

  test("the two links of an order differ in the device they are for", () => {
    expect(orderLinks("x", "https://dcm.example")).toEqual({
      link_deeplinks: "https://dcm.example/api/v1/merchants/order?id=x&mobile=1",
      link_qr: "https://dcm.example/api/v1/merchants/order?id=x&mobile=0",
    });
  });

  test.each<[status: OrderStatus, canceledByMerchant: boolean, messageReason: string | undefined, reason: string]>([
    [OrderStatus.CREATED, false, "said of a message", ""],
    [OrderStatus.IN_PROGRESS, true, "said of a message", ""],
    [OrderStatus.SUCCESS, true, "said of a message", reasons.OrderPaidReason],
    [OrderStatus.CANCELED, true, "said of a message", reasons.OrderCanceledReason],
    [OrderStatus.CANCELED, false, "said of a message", "said of a message"],
    [OrderStatus.CANCELED, false, undefined, reasons.OrderExpiredReason],
  ])("the reason of status %i, canceled by its merchant %s, message reason %s", (status, byMerchant, said, reason) => {
    const found = orderOf({ status, canceledByMerchant: byMerchant });
    const paymentMessage = said === undefined ? undefined : { ...examplePaymentMessage, reason: said };
    expect(orderStatus({ ...found, paymentMessage }).reason).toBe(reason);
  });

  test("an order that nobody paid has the nil guid, and matches no amount", () => {
    const unpaid = { payment_message_guid: "00000000-0000-0000-0000-000000000000", amount_matched: false };
    expect(orderStatus(orderOf())).toMatchObject(unpaid);
    expect(orderStatus(orderOf({ amount: undefined }))).toMatchObject(unpaid);
  });

  const other = { amountMinor: 1n, currency: "EUR" };
  test.each([
    [money(1, "UAH"), money(1, "UAH"), true],
    [money(1, "UAH"), money(2, "UAH"), false],
    [money(1, "UAH"), other, false],
    [money(1, "UAH"), undefined, false],
    [undefined, money(1, "UAH"), false],
    [undefined, undefined, true],
  ])("the same money is the same amount in the same currency: case %#", (asked, paid, isSame) => {
    expect(isSameMoney(asked, paid)).toBe(isSame);
  });
});

describe("payment messages", () => {
  test("every field of the documented answer", () => {
    expect(json(paymentMessageAnswer(examplePaymentMessage))).toEqual(messageExample);
  });

  test("the ultimate creditor is shown field by field, or not at all", () => {
    expect(paymentMessageAnswer(examplePaymentMessage).ultimate_creditor).toEqual({
      ultimate_creditor_name: "Global Payments Ltd.",
      ultimate_creditor_id: "0012345678",
      ultimate_creditor_iban: "UA723445993115212345678",
      ultimate_creditor_bic: "300650",
      ultimate_creditor_mcc: "1234",
    });
    const without = { ...examplePaymentMessage, ultimateCreditor: undefined };
    expect(paymentMessageAnswer(without).ultimate_creditor).toBeUndefined();
  });

  test.each(["debtor", "creditor", "encryption"] as const)("one without its %s is a fault of ours", (part) => {
    const message = { ...examplePaymentMessage, [part]: undefined };
    expect(() => paymentMessageAnswer(message)).toThrow("the core answered an incomplete payment message");
  });

  test("a text that the core left out is empty, because the contract requires it", () => {
    const message = { ...examplePaymentMessage, amount: undefined, debtorAgent: undefined, creditorAgent: undefined };
    expect(paymentMessageAnswer(message)).toMatchObject({
      amount: 0,
      currency: "",
      debtor_agent: { debtor_agent_name: "", debtor_agent_bic: "" },
      creditor_agent: { creditor_agent_name: "", creditor_agent_bic: "" },
    });
  });

  test("the recipient's key has its algorithm in callbacks only, and stays readable when it is forgotten", () => {
    const message = { ...examplePaymentMessage, creditorAgentJwk: jwkText({ ...exampleKey, alg: "RSA-OAEP-256" }) };
    expect(paymentMessageDetails(message, { alg: true }).public_key).toHaveProperty("alg");
    expect(paymentMessageAnswer(message).public_key).not.toHaveProperty("alg");
    expect(paymentMessageAnswer({ ...message, creditorAgentJwk: "" }).public_key).toEqual({ kty: "RSA", kid: "" });
  });

  test("a status that this program does not know is a fault of the deployment", () => {
    const newer = { ...examplePaymentMessage, status: 99 as PaymentMessageStatus };
    expect(() => paymentMessageAnswer(newer)).toThrow("the core answered an enum value that is not known here: 99");
  });
});

describe("registers", () => {
  test("what is paid is the total without the fee", () => {
    const register = { ...exampleRegister, totalFeeMinor: 150n };
    expect(registerAnswer(register)).toMatchObject({
      total_amount: "5.00",
      total_amount_to_pay: "3.50",
      total_fee_amount: "1.50",
    });
    const payment = registerPaymentAnswer({ ...exampleRegisterPayment, feeMinor: 150n }, register);
    expect(payment).toMatchObject({ amount: "5.00", amount_to_pay: "3.50", fee_amount: "1.50", issuer_fee: "0.00" });
  });

  test("a text that the core left out is empty, because the contract requires it", () => {
    const register = { ...exampleRegister, totalAmount: undefined, debtorAgent: undefined, creditorAgent: undefined };
    expect(registerAnswer(register)).toMatchObject({
      ...{ debtor_name: "", debtor_bic: "", creditor_name: "", creditor_bic: "" },
      ...{ total_amount: "0.00", total_amount_to_pay: "0.00", currency: "", deleted_at: null, adjusts_day: undefined },
    });
    expect(registerPaymentAnswer({ ...exampleRegisterPayment, amount: undefined }, register)).toMatchObject({
      ...{ amount: "0.00", currency: "", recipient_agent_id: "", debtor_agent_id: "" },
    });
  });

  test("each status has its documented text, and is found by it", () => {
    expect(documentedStatuses).toEqual({
      Sent: RegisterStatus.SENT,
      "Sent (no PM)": RegisterStatus.SENT_NO_PM,
      "Sent (Interbank)": RegisterStatus.SENT_INTERNAL,
      Processing: RegisterStatus.PROCESSING,
      Paid: RegisterStatus.PAID,
    });
    for (const [text, status] of Object.entries(documentedStatuses)) {
      expect(registerAnswer({ ...exampleRegister, status }).status).toBe(text);
    }
  });

  test("the address of a register names the bank that reads it", () => {
    expect(registerUrl("https://dcm.example", "bank", "7")).toBe(
      "https://dcm.example/api/v1/counterparty/bank/gross-settlement/7",
    );
  });
});

describe("missed callbacks", () => {
  test("what a callback is not about is null, and so is an attempt that was not made", () => {
    const bare = { paymentMessageGuid: "", orderId: "", registerId: "", lastOutcome: "", lastAttemptAt: undefined };
    expect(missedCallbackAnswer({ ...missedCallback, ...bare })).toMatchObject({
      ...{ payment_message_guid: null, order_id: null, register_id: null, last_outcome: null, last_attempt_at: null },
    });
    const about = { paymentMessageGuid: "m", orderId: "o", registerId: "r", lastOutcome: "refused" };
    expect(missedCallbackAnswer({ ...missedCallback, ...about })).toMatchObject({
      ...{ payment_message_guid: "m", order_id: "o", register_id: "r", last_outcome: "refused" },
      last_attempt_at: "2023-12-10T10:12:14.000Z",
    });
  });

  test("those that may still come and those that will not are missed; those that came or are settled are not", () => {
    const { WAITING, IN_FLIGHT, REVIEW, DEAD } = CallbackState;
    expect(missedStates).toEqual([WAITING, IN_FLIGHT, REVIEW, DEAD]);
    const state = (value: CallbackState) => missedCallbackAnswer({ ...missedCallback, state: value }).state;
    expect(missedStates.map(state)).toEqual(["waiting", "in_flight", "review", "dead"]);
    expect(() => state(CallbackState.DELIVERED)).toThrow("not known here");
    expect(missedCallbackAnswer({ ...missedCallback, kind: CallbackKind.EXPIRATION }).kind).toBe("expiration");
  });
});

describe("participants", () => {
  const bank = (change: Partial<Participant> = {}) => ({ ...participants(keys)[0], ...change });

  test("what is not stated is empty on the wire", () => {
    const nothing = {
      ...{ bic: null, uid: null, mcc: null, servicingBankGuid: null, jwksUrl: null, deepLinkPrefix: null },
      ...{ logoUrl: null, redirectUrl: null, callbackUrls: {}, keys: [], logo: null },
    };
    expect(toParticipant(bank(nothing))).toMatchObject({
      ...{ bic: "", uid: "", mcc: "", servicingBankGuid: "", jwksUrl: "", deepLinkPrefix: "" },
      ...{ logoUrl: "", redirectUrl: "", signingJwks: [], encryptionJwk: "", logoSha256: "", logoProblem: "" },
      callbackUrls: { base: "", payIn: "", payOut: "", credit: "", expiration: "", grossSettlement: "" },
      deepLinkContent: DeepLinkContent.UNSPECIFIED,
    });
  });

  test("what is stated arrives under its own name", () => {
    const urls = { base: "b", pay_in: "pi", pay_out: "po", credit: "c", expiration: "e", gross_settlement: "g" };
    const texts = {
      ...{ bic: "306500", uid: "u", mcc: "5999", servicingBankGuid: "s", jwksUrl: "j", deepLinkPrefix: "bank:" },
      ...{ logoUrl: "l", redirectUrl: "r" },
    };
    expect(toParticipant(bank({ ...texts, callbackUrls: urls }))).toMatchObject({
      ...texts,
      callbackUrls: {
        ...{ base: "b", payIn: "pi", payOut: "po", credit: "c", expiration: "e", grossSettlement: "g" },
      },
      deepLinkContent: DeepLinkContent.SIGNED_ORDER,
      version: 1n,
    });
  });

  test.each([
    [
      { sha256: "ab12", problem: null },
      { logoSha256: "ab12", logoProblem: "" },
    ],
    [
      { sha256: null, problem: "not a picture" },
      { logoSha256: "", logoProblem: "not a picture" },
    ],
  ])("of a logo the digest of its copy is shown, or why there is none", (logo, shown) => {
    expect(toParticipant(bank({ logo }))).toMatchObject(shown);
  });

  test("equal keys are equal texts, whatever the order of their members", () => {
    expect(jwkText({ n: "n", kty: "RSA", kid: "k", alg: "RS256" })).toBe(
      '{"alg":"RS256","kid":"k","kty":"RSA","n":"n"}',
    );
    expect(jwkText(null)).toBe("");
  });

  test("a key says when it was seen and by what it was added, or neither", () => {
    const [key] = bank().keys as [ParticipantKey];
    const at = { retireAt: NOW, seenAt: NOW, addedWith: "a token" };
    const instant = timestampFromDate(NOW);
    expect(toParticipantKey({ ...key, ...at })).toMatchObject({
      ...{ retireAt: instant, seenAt: instant, addedWith: "a token", use: KeyUse.SIG, kid: "bank-key" },
    });
    const bare = toParticipantKey({ ...key, retireAt: null, seenAt: null, addedWith: null });
    expect([bare.retireAt, bare.seenAt, bare.addedWith]).toEqual([undefined, undefined, ""]);
  });
});

test("a message's status is answered by its documented name", () => {
  const status = (value: PaymentMessageStatus) =>
    paymentMessageAnswer({ ...examplePaymentMessage, status: value }).status;
  const { PENDING, SUCCESS, REJECT } = PaymentMessageStatus;
  expect([PENDING, SUCCESS, REJECT].map(status)).toEqual(["pending", "success", "reject"]);
});
