import { beforeAll, beforeEach, expect, test } from "vitest";
import { bankStatement, createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import type { BankActor } from "../../../src/domain/actor.ts";
import type { Participant } from "../../../src/domain/participant.ts";
import { type Claims, signJws } from "../../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { exampleClaims } from "../../rest/fixture.ts";
import { fakeContext, registered } from "./fakeContext.ts";

// What banks and merchants state, from signed bodies to the requests of the use-cases.

const bankGuid = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
const shopGuid = "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21";
const orderGuid = "3aa202bc-6b20-445d-8969-8274b11c66d0";

let keys: { bank: KeyPair; shop: KeyPair };
let parties: { bank: Participant; shop: Participant };
let identity: Identity;
let actor: BankActor;

beforeAll(async () => {
  keys = { bank: await generateKeyPair("ES256", "bank"), shop: await generateKeyPair("ES256", "shop") };
});

beforeEach(() => {
  parties = {
    bank: registered({ kind: "bank", guid: bankGuid, name: "Bank", bic: "306500", signingJwks: [keys.bank.publicJwk] }),
    shop: registered({
      kind: "merchant",
      guid: shopGuid,
      name: "Shop",
      uid: "shop-1",
      version: 3,
      signingJwks: [keys.shop.publicJwk],
    }),
  };
  identity = createIdentity(fakeContext(Object.values(parties)));
  const access = { jti: "jti", issuedAt: new Date(0), requestDigest: new Uint8Array(32) };
  const about = { access, token: "access.jws.text", judgedAt: new Date(0), bindsBody: false };
  actor = { kind: "bank", bank: parties.bank, ...about };
});

const bytes = (value: unknown) => Buffer.from(typeof value === "string" ? value : JSON.stringify(value));

const payment = {
  payment_message_external_id: "P-1",
  creditor_iban: "UA213223130000026007233566001",
  amount: 21.5,
  currency: "UAH",
  purpose: "Register",
  creation_date: "2026-05-11",
};
const paid = {
  externalId: "P-1",
  creditorIban: "UA213223130000026007233566001",
  amountMinor: 2_150,
  currency: "UAH",
  purpose: "Register",
  creationDate: "2026-05-11",
};
const caller = () => ({ callerGuid: bankGuid, callerVersion: 1, accessToken: actor.access });

type Statement = "payStatementOf" | "confirmStatementOf";
const statements: [Statement, Claims, object][] = [
  ["payStatementOf", payment, { payment: paid }],
  ["confirmStatementOf", { ...payment, status: "ACSC" }, { payment: paid, paymentStatus: "ACSC" }],
];

test.each(statements)("%s: a plain body is proven by the access token", async (name, claims, said) => {
  const answer = await identity[name](actor, "R-1", bytes(claims));
  expect(answer).toEqual({ ...caller(), registerId: "R-1", jws: "access.jws.text", ...said });
});

test.each(statements)("%s: a signed body is its own proof", async (name, claims, said) => {
  const jwt = await signJws(claims, keys.bank);
  // Only what is signed counts, whatever stands beside it.
  const answer = await identity[name](actor, "R-1", bytes({ ...claims, purpose: "Another", jwt }));
  expect(answer).toEqual({ ...caller(), registerId: "R-1", jws: jwt, ...said });
});

test.each(statements)("%s: a body that somebody else signed is refused", async (name, claims) => {
  const jwt = await signJws(claims, keys.shop);
  expect(await identity[name](actor, "R-1", bytes({ jwt }))).toMatchObject({ refused: "AUTHORIZATION_FAILED" });
  expect(await identity[name](actor, "R-1", bytes({ jwt: "no token" }))).toMatchObject({
    refused: "AUTHORIZATION_FAILED",
    seen: { party: bankGuid },
  });
});

test.each(
  statements.flatMap(([name, claims]) => [
    [name, { ...claims, amount: 0 }, "amount"] as const,
    [name, { ...claims, currency: undefined }, "currency"] as const,
    [name, { ...claims, purpose: "half \ud800" }, "purpose"] as const,
    [name, { ...claims, purpose: "a NUL \0" }, "purpose"] as const,
  ]),
)("%s: %j is refused with the field", async (name, claims, field) => {
  expect(await identity[name](actor, "R-1", bytes(claims))).toMatchObject({ refused: "INVALID_REQUEST", field });
});

test.each(["", "no JSON", "[]", "null", '"text"', "7"])("payStatementOf: the body %j is no object", async (body) => {
  expect(await identity.payStatementOf(actor, "R-1", bytes(body))).toEqual({
    refused: "INVALID_REQUEST",
    message: "the body is not a JSON object",
  });
});

test("payStatementOf: bytes that are no UTF-8 are refused, not replaced", async () => {
  const body = Buffer.concat([bytes('{"purpose":"'), Buffer.from([0xff]), bytes('"}')]);
  expect(await identity.payStatementOf(actor, "R-1", body)).toMatchObject({ message: "the body is not a JSON object" });
});

test("payStatementOf: a member that is named twice is refused, in the body and in what is signed", async () => {
  const twice = JSON.stringify(payment).replace("{", '{"amount":1,');
  const refused = { refused: "INVALID_REQUEST", message: "amount is named twice", field: "amount" };
  expect(await identity.payStatementOf(actor, "R-1", bytes(twice))).toEqual(refused);
});

test("payStatementOf: a confirmation is not accepted as a payment", async () => {
  const answer = await identity.payStatementOf(actor, "R-1", bytes({ ...payment, status: "RJCT" }));
  const message = "status belongs to a confirmation; a payment has none";
  expect(answer).toMatchObject({ refused: "INVALID_REQUEST", field: "status", message });
});

test("bankStatement: without a body the access token is the proof", () => {
  expect(bankStatement(actor, "R-1")).toEqual({ ...caller(), registerId: "R-1", jws: "access.jws.text" });
});

test("ownKeyOf: a new key counts with the kid of the key that signed it", async () => {
  const jwk = exampleClaims("NewKeyClaims").jwk;
  const jwt = await signJws({ jwk }, keys.bank);
  expect(await identity.ownKeyOf(actor, bytes({ jwt }))).toEqual({ jwk, retireOthersAt: null, signedWith: "bank" });
});

test.each([
  ["no object", () => "[]", "INVALID_REQUEST", undefined],
  ["not signed", () => ({ jwk: exampleClaims("NewKeyClaims").jwk }), "INVALID_REQUEST", "jwt"],
  ["signed by another", async () => ({ jwt: await signJws({}, keys.shop) }), "AUTHORIZATION_FAILED", undefined],
  ["without a key", async () => ({ jwt: await signJws({}, keys.bank) }), undefined, "jwk"],
  [
    "with an instant in milliseconds",
    async () => {
      const claims = { jwk: exampleClaims("NewKeyClaims").jwk, retire_others_at: 1.7e12 };
      return { jwt: await signJws(claims, keys.bank) };
    },
    "INVALID_REQUEST",
    "retire_others_at",
  ],
])("ownKeyOf: a body that is %s is refused", async (_, body, refused, field) => {
  const answer = await identity.ownKeyOf(actor, bytes(await body()));
  expect(answer).toMatchObject({ refused: refused ?? expect.any(String), ...(field !== undefined && { field }) });
});

const cancellation = { sub: "shop-1", order_id: orderGuid, iat: 1_700_000_000 };
const order = () => ({ ...exampleClaims("OrderClaims"), sub: "shop-1" });

test("orderOf: an order is that of the merchant whose key signed it, as of its version", async () => {
  const jws = await signJws(order(), keys.shop);
  const { amt, ref } = order() as Claims;
  expect(await identity.orderOf(jws)).toMatchObject({
    merchantGuid: shopGuid,
    merchantVersion: 3,
    jws,
    ref,
    amountMinor: Number(amt) * 100,
  });
});

test("cancellationOf: it is that of the merchant whose key signed it, as of its version", async () => {
  const jws = await signJws(cancellation, keys.shop);
  expect(await identity.cancellationOf(jws)).toEqual({
    merchantGuid: shopGuid,
    merchantVersion: 3,
    jws,
    orderGuid,
    issuedAt: new Date(1_700_000_000_000),
  });
});

test("cancellationOf: an order is no cancellation, although it names an order_id", async () => {
  const jws = await signJws({ ...order(), ...cancellation }, keys.shop);
  expect(await identity.cancellationOf(jws)).toEqual({
    refused: "AUTHORIZATION_FAILED",
    message: "Access credentials are invalid",
    seen: { tokenProblem: "kind", kid: "shop", party: "shop-1" },
  });
});

const merchants = [
  ["orderOf", order],
  ["cancellationOf", () => cancellation],
] as const;

test.each(merchants)(
  "%s: a token that is not the merchant's is refused, and the log says why",
  async (name, claims) => {
    const seen = async (jws: string) => {
      const answer = await identity[name](jws);
      expect(answer).toMatchObject({ refused: "AUTHORIZATION_FAILED" });
      return "seen" in answer ? answer.seen : undefined;
    };
    expect(await seen("no token")).toEqual({ tokenProblem: expect.any(String) });
    expect(await seen(await signJws({ ...claims(), sub: "nobody" }, keys.shop))).toEqual({
      tokenProblem: "unknown_party",
      kid: "shop",
      party: "nobody",
    });
    expect(await seen(await signJws({ ...claims(), sub: 7 }, keys.shop))).toMatchObject({ party: undefined });
    expect(await seen(await signJws(claims(), keys.bank))).toMatchObject({ kid: "bank", party: "shop-1" });
  },
);

test.each(merchants)("%s: a suspended merchant is told so", async (name, claims) => {
  parties.shop.status = "suspended";
  expect(await identity[name](await signJws(claims(), keys.shop))).toEqual({
    refused: "PARTICIPANT_SUSPENDED",
    message: "the participant is suspended",
    seen: { tokenProblem: "suspended", party: "shop-1" },
  });
});

test.each([
  ["orderOf", { amt: "much" }],
  ["orderOf", { exp: 1.7e12 }],
  ["cancellationOf", { order_id: 7 }],
  ["cancellationOf", { iat: 1.7e12 }],
] as const)("%s: %j is refused", async (name, change) => {
  const claims = name === "orderOf" ? order() : cancellation;
  const answer = await identity[name](await signJws({ ...claims, ...change }, keys.shop));
  expect(answer).toMatchObject({ refused: expect.stringMatching(/^INVALID_/), field: Object.keys(change)[0] });
});

test("paymentMessageOf: a body that the token binds may be the token alone, with white space around it", async () => {
  const jws = await signJws(exampleClaims("PaymentMessageClaims"), keys.bank);
  const binding = { ...actor, bindsBody: true };
  expect(await identity.paymentMessageOf(binding, jws, bytes(` ${jws}\n`))).toMatchObject({ ...caller(), jws });
});
