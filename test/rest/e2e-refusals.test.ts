import { randomUUID } from "node:crypto";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { SandboxBank, SandboxMerchant } from "../../src/sandbox/participants.ts";
import { makeIban } from "../../src/sandbox/samples.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import {
  acceptedClaims,
  access,
  createOrder,
  forged,
  messagesUrl,
  orderClaims,
  ordersUrl,
  post,
  signText,
  withMember,
} from "./forge.ts";

let platform: Platform;
let otherBank: SandboxBank;
let otherMerchant: SandboxMerchant;
let template: Claims;
let before: unknown;

beforeAll(async () => {
  platform = await startPlatform();
  otherBank = await platform.newBank({ name: "Other Bank" });
  otherMerchant = await platform.newMerchant({ name: "Other Shop", bank: platform.recipient });
  template = await acceptedClaims(platform);
  await platform.endsAllCallbacks();
});
beforeEach(async () => {
  before = await everything();
});
afterEach(async () => {
  expect(await everything(), "a refusal leaves no trace").toEqual(before);
});
afterAll(() => platform?.[Symbol.asyncDispose]());

/** Whatever a refused request could have changed. Orders are made by the tests themselves. */
async function everything() {
  return {
    orders: await platform.rows("select guid, status from payment_order where ref not like 'mine-%' order by guid"),
    messages: await platform.rows("select guid, status from payment_message order by guid"),
    callbacks: await platform.rows("select guid, state, attempts from callback order by guid"),
    tokens: await platform.rows("select participant_guid, jti from used_access_token order by 1, 2"),
  };
}

type Refusal = { status: number; code: string; field?: string | undefined };

async function expectRefused(response: Response, { status, code, field }: Refusal): Promise<void> {
  const text = await response.text();
  expect(response.headers.get("content-type"), text).toMatch(/^application\/json/);
  const body = JSON.parse(text);
  expect({ status: response.status, code: body.code, field: body.field }, text).toEqual({ status, code, field });
  expect(body.error).toEqual(expect.stringMatching(/./));
  if (field && status !== 401) expect(body.error, "the text names the field").toContain(field);
}

const unauthorized: Refusal = { status: 401, code: "AUTHORIZATION_FAILED" };
const invalid = (field: string, code = "INVALID_REQUEST"): Refusal => ({ status: 400, code, field });

const now = () => Math.floor(Date.now() / 1000);
const dayS = 24 * 60 * 60;

/** Values that are no amount, whatever carries them. */
const noAmounts: [string, unknown][] = [
  ["a number as a string", "21"],
  ["NaN as a string", "NaN"],
  ["null", null],
  ["a list", [21]],
  ["three decimals", 21.001],
  ["a fraction of a kopiyka", 0.001],
  ["negative", -21],
  ["zero", 0],
  ["negative zero", -0],
  ["above the limit", 1_000_000_000],
  ["far above the limit", 1e30],
  ["true", true],
];

describe("createOrder refuses", () => {
  const cases: [string, () => Claims, Refusal][] = [
    ...noAmounts.map(([what, amt]): [string, () => Claims, Refusal] => [
      `amt: ${what}`,
      () => ({ amt }),
      invalid("amt", "INVALID_AMOUNT"),
    ]),
    ["a missing amount", () => ({ amt: undefined }), invalid("amt", "INVALID_AMOUNT")],
    ["an order that has expired", () => ({ iat: now() - 100, exp: now() - 1 }), invalid("exp", "ORDER_IS_EXPIRED")],
    ["exp in milliseconds", () => ({ exp: (now() + 3600) * 1000 }), invalid("exp", "INVALID_EXPIRY")],
    ["exp 367 days ahead", () => ({ exp: now() + 367 * dayS }), invalid("exp", "INVALID_EXPIRY")],
    ["exp as a word", () => ({ exp: "soon" }), invalid("exp")],
    ["iat in the future", () => ({ iat: now() + 120, exp: now() + 3600 }), invalid("iat", "INVALID_ISSUE_TIME")],
    ["iat in milliseconds", () => ({ iat: now() * 1000 }), invalid("iat", "INVALID_ISSUE_TIME")],
    ["a currency that does not exist", () => ({ cur: "UAX" }), invalid("cur", "INVALID_CURRENCY")],
    ["a currency that is not processed", () => ({ cur: "USD" }), invalid("cur", "UNSUPPORTED_CURRENCY")],
    ["an empty ref", () => ({ ref: "" }), invalid("ref")],
    ["a ref that is too long", () => ({ ref: "r".repeat(141) }), invalid("ref")],
    ["a ref with a zero byte", () => ({ ref: "a\u0000b" }), invalid("ref")],
    ["a ref that is half a character", () => ({ ref: "\ud800" }), invalid("ref")],
    ["an empty purpose", () => ({ prp: "" }), invalid("prp", "INVALID_PURPOSE")],
    ["a redirect that runs a script", () => ({ url: "javascript:alert(1)" }), invalid("url")],
    ["a beneficiary without an account", () => ({ fri: { frn: "Name", frc: "1" } }), invalid("fri.fra")],
  ];
  test.each(cases)("%s", async (_what, changes, refusal) => {
    await expectRefused(await createOrder(platform, changes()), refusal);
  });

  test.each([
    ["an amount that overflows", '"amt": 1e999', invalid("amt", "INVALID_AMOUNT")],
    ["an amount with more digits than a number holds", '"amt": 0.1000000000000000055511', undefined],
  ] as const)("%s", async (_what, member, refusal) => {
    const text = JSON.stringify(orderClaims(platform, { ref: `mine-${randomUUID()}` })).replace('"amt":21', member);
    const response = await post(ordersUrl(platform), { jwt: await signText(text, platform.merchant.key) });
    // A number that reads as a whole kopiyka is one, however it was written.
    if (refusal === undefined) expect(response.status).toBe(201);
    else await expectRefused(response, refusal);
  });

  test.each([
    ["alg none", () => forged.algNone(orderClaims(platform), platform.merchant.key.kid)],
    ["HS256 with the public key as its secret", () => forged.hs256(orderClaims(platform), platform.merchant.key)],
    ["another merchant's signature", () => signJws(orderClaims(platform), otherMerchant.key)],
    ["a bank's signature", () => signJws(orderClaims(platform), platform.initiator.key)],
    ["the kid of another party", () => signedAs(otherMerchant.key.kid)],
    ["a merchant that nobody knows", () => signJws(orderClaims(platform, { sub: "nobody" }), platform.merchant.key)],
    ["sub that is a number", () => signJws(orderClaims(platform, { sub: 7 }), platform.merchant.key)],
    ["a truncated token", async () => forged.truncated(await signed())],
    ["no signature", async () => forged.withoutSignature(await signed())],
    ["a replaced payload", async () => forged.payloadReplaced(await signed(), orderClaims(platform, { amt: 1 }))],
    ["no token at all", () => "not.a.token"],
    ["two parts", () => "eyJhbGciOiJSUzI1NiJ9.e30"],
  ])("%s", async (_what, token) => {
    await expectRefused(await post(ordersUrl(platform), { jwt: await token() }), unauthorized);
  });

  const signed = () => signJws(orderClaims(platform), platform.merchant.key);
  const signedAs = (kid: string) => signJws(orderClaims(platform), { ...platform.merchant.key, kid });

  test.each<[string, () => Promise<Response>, Refusal]>([
    ["a body that is not JSON", () => post(ordersUrl(platform), "{jwt"), { status: 400, code: "INVALID_REQUEST" }],
    ["a list", () => post(ordersUrl(platform), []), { status: 400, code: "INVALID_REQUEST" }],
    ["an empty object", () => post(ordersUrl(platform), {}), invalid("jwt")],
    ["a jwt that is a number", () => post(ordersUrl(platform), { jwt: 1 }), invalid("jwt")],
    [
      "a form",
      () => post(ordersUrl(platform), "jwt=x", { "Content-Type": "application/x-www-form-urlencoded" }),
      { status: 415, code: "UNSUPPORTED_MEDIA_TYPE" },
    ],
    [
      "a body over 64 KiB",
      () => post(ordersUrl(platform), { jwt: "x".repeat(66_000) }),
      { status: 413, code: "BODY_TOO_LARGE" },
    ],
    [
      "a packed body",
      () => post(ordersUrl(platform), "{}", { "Content-Encoding": "gzip" }),
      { status: 415, code: "UNSUPPORTED_MEDIA_TYPE" },
    ],
    ["an unknown path", () => post(`${platform.url()}/api/v1/nothing`, {}), { status: 404, code: "ROUTE_NOT_FOUND" }],
    [
      "an unknown method",
      () => fetch(ordersUrl(platform), { method: "DELETE" }),
      { status: 405, code: "METHOD_NOT_ALLOWED" },
    ],
  ])("%s", async (_what, ask, refusal) => {
    await expectRefused(await ask(), refusal);
  });
});

describe("submitPaymentMessage refuses", () => {
  /** A message that would be accepted, for an order of its own. */
  async function goodClaims(): Promise<Claims> {
    const order = await createOrder(platform, { ref: `mine-${randomUUID()}` });
    const { id } = (await order.json()) as { id: string };
    return { ...template, jti: randomUUID(), payment_message_external_id: randomUUID(), order_id: id };
  }

  async function submit(claims: Claims): Promise<Response> {
    const { key } = platform.initiator;
    return post(messagesUrl(platform), { jwt: await signJws(claims, key) }, await access(key));
  }

  const tomorrow = new Date(Date.now() + 3 * dayS * 1000).toISOString().slice(0, 10);
  const wrongDigits = () => platform.merchant.iban.replace(/^UA../, (start) => (start === "UA10" ? "UA11" : "UA10"));
  const cases: [path: string, what: string, value: unknown, code: string][] = [
    ...noAmounts.map(([what, value]): [string, string, unknown, string] => ["amount", what, value, "INVALID_AMOUNT"]),
    ["currency", "one that does not exist", "UAX", "INVALID_CURRENCY"],
    ["currency", "one that is not processed", "EUR", "UNSUPPORTED_CURRENCY"],
    ["debtor_agent_bic", "unknown", "999999", "SENDER_COUNTERPARTY_NOT_FOUND"],
    ["debtor_agent_bic", "seven digits", "1234567", "SENDER_COUNTERPARTY_NOT_FOUND"],
    ["creditor_agent_bic", "unknown", "999999", "RECEIVER_COUNTERPARTY_NOT_FOUND"],
    ["debtor.debtor_account", "wrong check digits", wrongDigits, "INVALID_DEBTOR_ACCOUNT"],
    ["debtor.debtor_account", "a foreign IBAN", "DE89370400440532013000", "INVALID_DEBTOR_ACCOUNT"],
    ["creditor.creditor_account", "wrong check digits", wrongDigits, "INVALID_CREDITOR_ACCOUNT"],
    ["creditor.creditor_account", "a right account, but another's", makeIban("380816", 7), "INVALID_CREDITOR_ACCOUNT"],
    ["debtor.debtor_name", "empty", "", "INVALID_DEBTOR_NAME"],
    ["debtor.debtor_name", "missing", undefined, "INVALID_DEBTOR_NAME"],
    ["debtor.debtor_id", "a number", 1234567890, "INVALID_DEBTOR_ID"],
    ["debtor.debtor_phone", "letters", "call me", "INVALID_DEBTOR_PHONE"],
    ["creditor.creditor_name", "empty", "", "INVALID_CREDITOR_NAME"],
    ["creditor.creditor_id", "empty", "", "INVALID_CREDITOR_ID"],
    ["debtor", "a text", "Lesia", "INVALID_REQUEST"],
    ["jti", "missing", undefined, "INVALID_REQUEST"],
    ["payment_message_external_id", "empty", "", "INVALID_EXTERNAL_ID"],
    ["order_id", "no uuid", "1", "ORDER_NOT_FOUND"],
    ["order_id", "unknown", randomUUID(), "ORDER_NOT_FOUND"],
    ["purpose", "empty", "", "INVALID_PURPOSE"],
    ["msg_creation_date", "not of the calendar", "2023-02-30", "INVALID_CREATION_DATE"],
    ["msg_creation_date", "in the future", tomorrow, "CREATION_DATE_IS_NOT_PAST"],
    ["msg_creation_time", "25 o'clock", "25:00:00", "INVALID_CREATION_TIME"],
    ["pm_type", "unknown", "gift", "INVALID_REQUEST"],
    ["sender_account_type", "aid-related for a trade", "aid-related", "INVALID_REQUEST"],
    ["encryption.nonce", "not base64", "%%%", "INVALID_NONCE"],
    ["encryption.encrypted_key", "missing", undefined, "INVALID_ENCRYPTED_KEY"],
  ];
  test.each(cases)("%s: %s", async (path, _what, value, code) => {
    const wrong = typeof value === "function" ? (value as () => unknown)() : value;
    await expectRefused(await submit(withMember(await goodClaims(), path, wrong)), invalid(path, code));
  });

  test.each<[string, (claims: Claims) => string | Promise<string>]>([
    ["alg none", (claims) => forged.algNone(claims, platform.initiator.key.kid)],
    ["HS256 with the public key as its secret", (claims) => forged.hs256(claims, platform.initiator.key)],
    ["another bank's signature", (claims) => signJws(claims, otherBank.key)],
    ["the kid of another party", (claims) => signJws(claims, { ...platform.initiator.key, kid: otherBank.key.kid })],
    [
      "the recipient bank's kid over another signature",
      (claims) => signJws(claims, { ...otherBank.key, kid: platform.recipient.key.kid }),
    ],
    ["a truncated token", async (claims) => forged.truncated(await signJws(claims, platform.initiator.key))],
    [
      "a replaced payload",
      async (claims) => forged.payloadReplaced(await signJws(claims, platform.initiator.key), { ...claims, amount: 1 }),
    ],
  ])("a message under %s", async (_what, token) => {
    const jwt = await token(await goodClaims());
    await expectRefused(await post(messagesUrl(platform), { jwt }, await access(platform.initiator.key)), unauthorized);
  });

  test.each<[string, () => Record<string, string> | Promise<Record<string, string>>, Refusal]>([
    ["without Cx-Authorization", () => ({}), unauthorized],
    [
      "with a stale one",
      () => access(platform.initiator.key, new Date(Date.now() - 310_000)),
      { status: 401, code: "TOKEN_STALE", field: "iat" },
    ],
    [
      "with one of the future",
      () => access(platform.initiator.key, new Date(Date.now() + 60_000)),
      { status: 401, code: "TOKEN_NOT_YET_VALID", field: "iat" },
    ],
    [
      "with one without a jti",
      () => access(platform.initiator.key, new Date(), ""),
      { status: 401, code: "TOKEN_INCOMPLETE", field: "jti" },
    ],
    ["with one of a merchant", () => access(platform.merchant.key), unauthorized],
    ["with alg none", () => ({ "Cx-Authorization": unsigned() }), unauthorized],
    ["with one of another bank", () => access(otherBank.key), { status: 403, code: "FORBIDDEN" }],
  ])("a request %s", async (_what, headers, refusal) => {
    const jwt = await signJws(await goodClaims(), platform.initiator.key);
    await expectRefused(await post(messagesUrl(platform), { jwt }, await headers()), refusal);
  });

  const unsigned = () => forged.algNone({ iat: now(), jti: randomUUID() }, platform.initiator.key.kid);

  test("a path with another party's guid, or one of nobody", async () => {
    const jwt = await signJws(await goodClaims(), platform.initiator.key);
    for (const guid of [otherBank.guid, randomUUID()]) {
      const response = await post(messagesUrl(platform, guid), { jwt }, await access(platform.initiator.key));
      await expectRefused(response, { status: 403, code: "FORBIDDEN" });
    }
  });

  test("a bank that is no initiator", async () => {
    const { recipient } = platform;
    const claims = { ...(await goodClaims()), debtor_agent_bic: recipient.bic };
    const jwt = await signJws(claims, recipient.key);
    const response = await post(messagesUrl(platform, recipient.guid), { jwt }, await access(recipient.key));
    await expectRefused(response, invalid("debtor_agent_bic", "SENDER_COUNTERPARTY_NOT_FOUND"));
  });
});
