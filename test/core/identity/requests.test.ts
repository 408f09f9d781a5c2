import { expect, test } from "vitest";
import {
  keyWish,
  orderCancellation,
  orderContent,
  paymentMessageContent,
  settlementPayment,
} from "../../../src/core/identity/requests.ts";

// What claims become that were verified and have the shape that the contract gives them.

const ORDER_ID = "3AA202BC-6B20-445D-8969-8274B11C66D0";
const order = {
  sub: "merchant",
  iat: 1_700_000_000.5,
  exp: "1700000900",
  amt: 21,
  cur: "UAH",
  ref: "ref",
  prp: "Payment",
  url: "https://shop.example/thanks",
  fri: { frn: "Kyivpark", frc: "1", fra: "UA1", frb: "300335", frm: "7791" },
} as unknown as Parameters<typeof orderContent>[0];

const message = {
  jti: "jti",
  payment_message_external_id: "external",
  amount: 21,
  currency: "UAH",
  debtor_agent_bic: "306500",
  debtor: { debtor_name: "dn", debtor_id: "di", debtor_account: "da", debtor_phone: "+380" },
  creditor_agent_bic: "380816",
  creditor: { creditor_name: "cn", creditor_id: "ci", creditor_account: "ca" },
  order_id: ORDER_ID,
  purpose: "Payment",
  msg_creation_date: "2026-05-10",
  msg_creation_time: "12:30:00",
  pm_type: "trade",
  sender_account_type: "limit-related",
  encryption: { nonce: "n", encrypted_key: "k", kid: "kid" },
} as unknown as Parameters<typeof paymentMessageContent>[0];

const payment = {
  payment_message_external_id: "P-1",
  creditor_iban: "UA1",
  amount: 70_368_744_177_663.99,
  currency: "UAH",
  purpose: "p",
  creation_date: "2026-05-10",
} as unknown as Parameters<typeof settlementPayment>[0];

test("orderContent: an order's claims, its instants to the millisecond and its amount in minor units", () => {
  const whole = {
    ref: "ref",
    amountMinor: 2_100,
    currency: "UAH",
    purpose: "Payment",
    redirectUrl: "https://shop.example/thanks",
    ultimateCreditor: { name: "Kyivpark", taxNumber: "1", iban: "UA1", bic: "300335", mcc: "7791" },
    issuedAt: new Date(1_700_000_000_500),
    expiresAt: new Date(1_700_000_900_000),
  };
  expect(orderContent(order)).toEqual(whole);
  const { fri: _none, ...rest } = order as typeof order & { fri?: unknown };
  expect(orderContent(rest as typeof order)).toEqual({ ...whole, ultimateCreditor: null });
});

test.each([
  [{ amt: Number.NaN }, "INVALID_AMOUNT", "amt", "amt must be a number"],
  [{ amt: 0 }, "INVALID_AMOUNT", "amt", "amt must be above 0"],
  [{ amt: 0.001 }, "INVALID_AMOUNT", "amt", "amt must have at most two decimals"],
  [{ amt: 1e9 }, "INVALID_AMOUNT", "amt", "amt is too large"],
  [{ iat: -1 }, "INVALID_ISSUE_TIME", "iat", "iat is not in Unix seconds (milliseconds?)"],
  [{ exp: 1_700_000_000_000 }, "INVALID_EXPIRY", "exp", "exp is not in Unix seconds (milliseconds?)"],
])("orderContent: %j is refused", (change, refused, field, text) => {
  expect(orderContent({ ...order, ...change } as typeof order)).toEqual({ refused, field, message: text });
});

test("orderCancellation: an order's id is in small letters, as it was given out", () => {
  const claims = { sub: "merchant", order_id: ORDER_ID, iat: 0 } as Parameters<typeof orderCancellation>[0];
  expect(orderCancellation(claims)).toEqual({ orderGuid: ORDER_ID.toLowerCase(), issuedAt: new Date(0) });
  expect(orderCancellation({ ...claims, iat: "soon" as never })).toMatchObject({ refused: "INVALID_ISSUE_TIME" });
});

test("paymentMessageContent: every claim has its place", () => {
  const whole = {
    jti: "jti",
    externalId: "external",
    amountMinor: 2_100,
    currency: "UAH",
    debtorAgentBic: "306500",
    debtorName: "dn",
    debtorTaxNumber: "di",
    debtorAccount: "da",
    debtorPhone: "+380",
    creditorAgentBic: "380816",
    creditorName: "cn",
    creditorTaxNumber: "ci",
    creditorAccount: "ca",
    orderGuid: ORDER_ID.toLowerCase(),
    purpose: "Payment",
    msgCreationDate: "2026-05-10",
    msgCreationTime: "12:30:00",
    pmType: "trade",
    senderAccountType: "limit-related",
    nonce: "n",
    encryptedKey: "k",
    encryptionKid: "kid",
  };
  expect(paymentMessageContent(message)).toEqual(whole);
  const { debtor_phone: _left, ...debtor } = message.debtor;
  expect(paymentMessageContent({ ...message, debtor })).toEqual({ ...whole, debtorPhone: "" });
  expect(paymentMessageContent({ ...message, amount: 0 })).toMatchObject({
    refused: "INVALID_AMOUNT",
    field: "amount",
  });
});

test("settlementPayment: the sum of many payments may be larger than one, and is refused as a statement is", () => {
  expect(settlementPayment(payment)).toEqual({
    externalId: "P-1",
    creditorIban: "UA1",
    amountMinor: 7_036_874_417_766_399,
    currency: "UAH",
    purpose: "p",
    creationDate: "2026-05-10",
  });
  const message = "amount is too large";
  expect(settlementPayment({ ...payment, amount: 1e15 })).toEqual({
    refused: "INVALID_REQUEST",
    field: "amount",
    message,
  });
});

test("keyWish: the others stay unless it is said when they are retired", () => {
  const jwk = { kty: "RSA" } as never;
  expect(keyWish({ jwk })).toEqual({ jwk, retireOthersAt: null });
  expect(keyWish({ jwk, retire_others_at: 1 })).toEqual({ jwk, retireOthersAt: new Date(1_000) });
  expect(keyWish({ jwk, retire_others_at: -1 })).toEqual({
    refused: "INVALID_REQUEST",
    field: "retire_others_at",
    message: "retire_others_at is not in Unix seconds (milliseconds?)",
  });
});
