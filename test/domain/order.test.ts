import { describe, expect, test } from "vitest";
import {
  clockToleranceMs,
  currencySentence,
  defaultOrderLifeDays,
  isSameOrder,
  issueTimeProblem,
  type OrderRequest,
  orderLifeMs,
  orderProblem,
  orderTimeProblem,
  orderTransitions,
  suspendedSideProblem,
  type UltimateCreditor,
} from "../../src/domain/order.ts";

const now = new Date("2026-05-10T09:00:00Z");
const fromNow = (ms: number) => new Date(now.getTime() + ms);

const creditor: UltimateCreditor = {
  name: "Kyivpark LLC",
  taxNumber: "0987654321",
  iban: "UA213223130000026007233566001",
  bic: "300335",
  mcc: "7791",
};

const order: OrderRequest = {
  merchantGuid: "merchant",
  merchantVersion: 1,
  ref: "ref",
  amountMinor: 2_100,
  currency: "UAH",
  purpose: "Payment",
  redirectUrl: "https://shop.example/thanks",
  ultimateCreditor: creditor,
  issuedAt: fromNow(-1_000),
  expiresAt: fromNow(900_000),
  jws: "order.jws.text",
};

type Refused = [reason: string, field: string, message: string];

describe("orderProblem", () => {
  test.each<[what: string, change: Partial<OrderRequest>, refused: Refused | undefined]>([
    ["nothing is wrong", {}, undefined],
    ["no ultimate creditor", { ultimateCreditor: null }, undefined],
    ["the smallest amount", { amountMinor: 1 }, undefined],
    ["the largest amount", { amountMinor: 99_999_999_999 }, undefined],
    ["no amount", { amountMinor: 0 }, ["INVALID_AMOUNT", "amt", "amt is not above 0"]],
    ["less than nothing", { amountMinor: -1 }, ["INVALID_AMOUNT", "amt", "amt is not above 0"]],
    ["too much", { amountMinor: 100_000_000_000 }, ["INVALID_AMOUNT", "amt", "amt is above 999999999.99"]],
    ["no currency", { currency: "ABC" }, ["INVALID_CURRENCY", "cur", "cur is not an ISO 4217 code"]],
    ["one not settled here", { currency: "EUR" }, ["UNSUPPORTED_CURRENCY", "cur", "cur is not processed here"]],
    ["a ref of 140 characters", { ref: "r".repeat(140) }, undefined],
    ["a longer ref", { ref: "r".repeat(141) }, ["INVALID_REQUEST", "ref", "ref must have at most 140 characters"]],
    ["a purpose of 420 characters", { purpose: "p".repeat(420) }, undefined],
    [
      "a longer purpose",
      { purpose: "p".repeat(421) },
      ["INVALID_PURPOSE", "prp", "prp must have at most 420 characters"],
    ],
    [
      "an ultimate creditor without a visible name",
      { ultimateCreditor: { ...creditor, name: " " } },
      ["INVALID_REQUEST", "fri.frn", "fri.frn has no visible character"],
    ],
    [
      "a tax number with a line break",
      { ultimateCreditor: { ...creditor, taxNumber: "1\n2" } },
      ["INVALID_REQUEST", "fri.frc", "fri.frc has a control character"],
    ],
    [
      "a URL that no browser should follow",
      { redirectUrl: "javascript:alert(1)" },
      ["INVALID_REQUEST", "url", "url is not an http or https URL without a user name"],
    ],
    [
      "exp in milliseconds",
      { expiresAt: new Date("+058000-01-01") },
      ["INVALID_EXPIRY", "exp", "exp is not in Unix seconds (milliseconds?)"],
    ],
    [
      "iat in milliseconds",
      { issuedAt: new Date("+058000-01-01") },
      ["INVALID_ISSUE_TIME", "iat", "iat is not in Unix seconds (milliseconds?)"],
    ],
    ["exp in the last year of four digits", { expiresAt: new Date("9999-12-31T23:59:59Z") }, undefined],
    ["iat in the first year of four digits", { issuedAt: new Date("1000-01-01T00:00:00Z") }, undefined],
    [
      "iat before it",
      { issuedAt: new Date("0999-12-31T23:59:59Z") },
      ["INVALID_ISSUE_TIME", "iat", "iat is not in Unix seconds (milliseconds?)"],
    ],
  ])("%s", (_what, change, refused) => {
    const problem = orderProblem({ ...order, ...change }, ["UAH"]);
    expect(problem).toEqual(refused && { refused: refused[0], field: refused[1], message: refused[2] });
  });
});

test("the sentences about a currency are about the two problems that a currency can have", () => {
  expect(Object.keys(currencySentence)).toEqual(["INVALID_CURRENCY", "UNSUPPORTED_CURRENCY"]);
});

describe("an order's times, by the database's clock", () => {
  const dayMs = 86_400_000;

  test("orders may be open for a year, in leap years too; clocks may differ by half a minute", () => {
    expect([orderLifeMs(defaultOrderLifeDays), clockToleranceMs]).toEqual([366 * dayMs, 30_000]);
  });

  test.each<[what: string, change: Partial<OrderRequest>, refused: Refused | undefined]>([
    ["it is over in a moment", { expiresAt: fromNow(1) }, undefined],
    ["it is over now", { expiresAt: now }, ["ORDER_IS_EXPIRED", "exp", "exp has passed"]],
    ["it is open for as long as orders may", { expiresAt: fromNow(10 * dayMs) }, undefined],
    [
      "it is open for longer",
      { expiresAt: fromNow(10 * dayMs + 1) },
      ["INVALID_EXPIRY", "exp", "exp is more than 10 days ahead"],
    ],
    ["it was issued as far ahead as clocks may differ", { issuedAt: fromNow(30_000) }, undefined],
    [
      "it was issued further ahead",
      { issuedAt: fromNow(30_001) },
      ["INVALID_ISSUE_TIME", "iat", "iat lies in the future"],
    ],
  ])("%s", (_what, change, refused) => {
    const problem = orderTimeProblem({ ...order, ...change }, now, 10);
    expect(problem).toEqual(refused && { refused: refused[0], field: refused[1], message: refused[2] });
  });

  test("a cancellation that was signed long ago is as good as a new one", () => {
    expect(issueTimeProblem({ issuedAt: new Date("2001-01-01") }, now)).toBeUndefined();
  });
});

test("an order changes its status in five ways, and neither expiry nor its merchant cancels one in progress", () => {
  expect(orderTransitions).toEqual({
    payment_message_accepted: { from: "created", to: "in_progress" },
    payment_message_succeeded: { from: "in_progress", to: "success" },
    payment_message_rejected: { from: "in_progress", to: "canceled" },
    expired: { from: "created", to: "canceled" },
    canceled_by_merchant: { from: "created", to: "canceled" },
  });
});

test.each([
  ["active", "active", undefined],
  ["suspended", "active", "the order cannot be paid now: the merchant is suspended"],
  ["active", "suspended", "the order cannot be paid now: the bank that services the merchant is suspended"],
  ["closed", "suspended", "the order cannot be paid now: the merchant is suspended"],
] as const)("an order of a merchant that is %s at a bank that is %s", (merchant, creditorAgent, message) => {
  const refused = { refused: "RECEIVER_COUNTERPARTY_SUSPENDED", field: "order_id", message };
  expect(suspendedSideProblem({ merchant, creditorAgent })).toEqual(message && refused);
});

describe("isSameOrder: a second request with the same ref is the same order if all else is the same", () => {
  const later = (instant: Date) => new Date(instant.getTime() + 1_000);

  test("the same content, though its instants are other objects", () => {
    const again = { ...order, issuedAt: new Date(order.issuedAt), expiresAt: new Date(order.expiresAt) };
    expect(isSameOrder(order, { ...again, ultimateCreditor: { ...creditor } })).toBe(true);
    expect(isSameOrder({ ...order, ultimateCreditor: null }, { ...again, ultimateCreditor: null })).toBe(true);
  });

  test.each<Partial<OrderRequest>>([
    { amountMinor: 2_101 },
    { currency: "EUR" },
    { purpose: "Other" },
    { redirectUrl: "https://shop.example/other" },
    { issuedAt: later(order.issuedAt) },
    { expiresAt: later(order.expiresAt) },
    { ultimateCreditor: null },
    ...Object.keys(creditor).map((field) => ({ ultimateCreditor: { ...creditor, [field]: "other" } })),
  ])("is another one with %j", (change) => {
    expect(isSameOrder(order, { ...order, ...change })).toBe(false);
    expect(isSameOrder({ ...order, ...change }, order)).toBe(false);
  });
});
