import { createHmac } from "node:crypto";
import { SignJWT } from "jose";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { operations } from "../../gen/rest/operations.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import type { KeyPair } from "../../src/sdk/keys.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { examplePaymentMessage } from "./examples.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  type Keys,
  MERCHANT_UID,
  MESSAGE_GUID,
  makeKeys,
  NOW,
  ORDER_ID,
  participants,
  postJson,
  type Rest,
  SECOND_BANK_GUID,
  startRest,
} from "./fixture.ts";

let keys: Keys;
let rest: Rest;

beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, {
    core: { getPaymentMessage: async () => examplePaymentMessage, listCallbacks: async () => [] },
  });
});
afterAll(() => rest.stop());

const ORDERS = "/api/v1/merchants/order";
const MESSAGES = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
const SETTLEMENTS = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;
const unauthorized = { error: "Access credentials are invalid", code: "AUTHORIZATION_FAILED" };

async function submit(claims: Claims, key: KeyPair = keys.bank) {
  return ask(rest, MESSAGES, postJson({ jwt: await signJws(claims, key) }, await access(keys.bank)));
}

async function order(claims: Claims, key: KeyPair = keys.merchant) {
  return ask(rest, ORDERS, postJson({ jwt: await signJws(claims, key) }));
}

const parts = async (token: Promise<string>) => (await token).split(".") as [string, string, string];
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const forged: [string, () => Promise<string>][] = [
  ["no token", async () => ""],
  ["something else", async () => "Bearer abc"],
  [
    "alg none",
    async () => {
      const [, claims] = await parts(createAccessToken(keys.bank, NOW, "forged"));
      return `${encode({ alg: "none", kid: "bank-key" })}.${claims}.`;
    },
  ],
  [
    "HS256 with the public key as the secret",
    async () => {
      const [, claims] = await parts(createAccessToken(keys.bank, NOW, "forged"));
      const signed = `${encode({ alg: "HS256", kid: "bank-key" })}.${claims}`;
      return `${signed}.${createHmac("sha256", JSON.stringify(keys.bank.publicJwk)).update(signed).digest("base64url")}`;
    },
  ],
  [
    "a key inside the header",
    () => {
      const jwk = keys.stranger.publicJwk as Record<string, string>;
      return new SignJWT({ iat: Math.floor(NOW.getTime() / 1000), jti: "forged" })
        .setProtectedHeader({ alg: "RS256", kid: "bank-key", jwk, jku: "https://stranger.example/jwks.json" })
        .sign(keys.stranger.privateKey);
    },
  ],
  ["a truncated token", async () => (await createAccessToken(keys.bank, NOW, "forged")).slice(0, -10)],
  ["a token of a merchant", () => createAccessToken(keys.merchant, NOW, "forged")],
  ["an order", () => signJws({ ...exampleClaims("OrderClaims"), iat, jti: "forged" }, keys.bank)],
  ["a payment message", () => signJws({ ...exampleClaims("PaymentMessageClaims"), iat }, keys.bank)],
  [
    "a statement about a register",
    () => signJws({ ...exampleClaims("GrossSettlementPaymentClaims"), iat, jti: "forged" }, keys.bank),
  ],
  [
    "an old token of somebody else",
    () => createAccessToken(keys.stranger, new Date(NOW.getTime() - 301_000), "forged"),
  ],
  ["a header that names its kid twice", () => signedText(`{"alg":"RS256","kid":"x","kid":"bank-key"}`, claimsText())],
  ["a kid with a line break", () => signedText(`{"alg":"RS256","kid":"bank-key\\n"}`, claimsText())],
  [
    "another algorithm than the registered one",
    async () => {
      const [, claims, signature] = await parts(createAccessToken(keys.bank, NOW, "forged"));
      return `${encode({ alg: "PS256", kid: "bank-key" })}.${claims}.${signature}`;
    },
  ],
];

test.each(forged)("%s is refused, and nothing says why", async (_what, make) => {
  const headers = { "Cx-Authorization": await make() };
  const { status, json } = await ask(rest, `${ORDERS}/${ORDER_ID}/payment-message`, { headers });
  expect([status, json]).toEqual([401, unauthorized]);
  expect((await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers })).json).toEqual(unauthorized);
});

const iat = Math.floor(NOW.getTime() / 1000);
const claimsText = () => JSON.stringify({ iat, jti: "forged" });

/** Signs a header and claims as they are written here. */
async function signedText(header: string, claims: string, key = keys.bank): Promise<string> {
  const input = [header, claims].map((text) => Buffer.from(text).toString("base64url")).join(".");
  const signature = await crypto.subtle.sign("RSASSA-PKCS1-v1_5", key.privateKey, Buffer.from(input));
  return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

test.each<[string, string, string, () => Promise<string>]>([
  ["an old one", "TOKEN_STALE", "iat", () => createAccessToken(keys.bank, new Date(NOW.getTime() - 301_000), "t")],
  [
    "one of the future",
    "TOKEN_NOT_YET_VALID",
    "iat",
    () => createAccessToken(keys.bank, new Date(NOW.getTime() + 31_000), "t"),
  ],
  ["one that is not good yet", "TOKEN_NOT_YET_VALID", "nbf", () => token({ nbf: iat + 60 })],
  ["one that is over", "TOKEN_EXPIRED", "exp", () => token({ exp: iat - 60 })],
  ["one for somebody else", "TOKEN_AUDIENCE", "aud", () => token({ aud: "https://other.example" })],
  ["one without jti", "TOKEN_INCOMPLETE", "jti", () => signJws({ iat }, keys.bank)],
  ["one without iat", "TOKEN_INCOMPLETE", "iat", () => signJws({ jti: "t" }, keys.bank)],
])("of %s whoever signed it hears %s, of %s", async (_what, code, field, make) => {
  const headers = { "Cx-Authorization": await make() };
  const refusal = { error: "Access credentials are invalid", code, field };
  const { status, json } = await ask(rest, `${ORDERS}/${ORDER_ID}/payment-message`, { headers });
  expect([status, json]).toEqual([401, refusal]);
  expect((await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers })).json).toEqual(refusal);
});

const token = (claims: Record<string, unknown>) => createAccessToken(keys.bank, NOW, "t", claims as Claims);

test.each([
  ["iat as digits", () => signJws({ iat: String(iat), jti: "t" }, keys.bank)],
  ["an audience that is the platform", () => token({ aud: ["somebody", "dcm"] })],
  ["an audience that is its public address", () => token({ aud: "https://api.admin.smaug.armenotech.dev" })],
  ["an end to come and a beginning that is over", () => token({ exp: iat + 1, nbf: iat - 1 })],
])("%s is accepted", async (_what, make) => {
  const headers = { "Cx-Authorization": await make() };
  expect((await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers })).status).toBe(200);
});

test("claims that are named twice are refused by their name to whoever signed them, in every kind of token", async () => {
  const header = `{"alg":"RS256","kid":"bank-key"}`;
  const headers = { "Cx-Authorization": await signedText(header, `{"iat":${iat},"jti":"a","jti":"b"}`) };
  const { status, json } = await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers });
  expect([status, json]).toEqual([400, { error: "jti is named twice", code: "INVALID_REQUEST", field: "jti" }]);
  const claims = JSON.stringify(exampleClaims("PaymentMessageClaims"));
  const jwt = await signedText(header, claims.replace("{", '{"amount":1,'));
  const message = await ask(rest, MESSAGES, postJson(JSON.stringify({ jwt }), await access(keys.bank)));
  expect([message.status, message.json.field]).toEqual([400, "amount"]);
});

const MISSED = "/api/v1/merchants/callbacks/missed?since=2023-12-10T00:00:00Z";
const ofMerchant = (claims: Claims = {}, key = keys.merchant, at = NOW) =>
  createAccessToken(key, at, "m", { iss: MERCHANT_UID, ...claims });

test.each<[string, number, object, () => Promise<string>]>([
  ["a bank's own", 401, unauthorized, () => createAccessToken(keys.bank, NOW, "m")],
  ["a bank's that names the merchant", 401, unauthorized, () => ofMerchant({}, keys.bank)],
  ["one that names nobody", 401, unauthorized, () => createAccessToken(keys.merchant, NOW, "m")],
  ["one that names a uid too long to be one", 401, unauthorized, () => ofMerchant({ iss: "u".repeat(65) })],
  ["one that names no text", 401, unauthorized, () => ofMerchant({ iss: [MERCHANT_UID] })],
  ["an old one of somebody else", 401, unauthorized, () => ofMerchant({}, keys.stranger, new Date(0))],
  ["an order", 401, unauthorized, () => ofMerchant(exampleClaims("OrderClaims"))],
  ["a cancellation", 401, unauthorized, () => ofMerchant(exampleClaims("OrderCancellationClaims"))],
  ["an old one", 401, { code: "TOKEN_STALE", field: "iat" }, () => ofMerchant({}, keys.merchant, new Date(0))],
  [
    "one without jti",
    401,
    { code: "TOKEN_INCOMPLETE", field: "jti" },
    () => signJws({ iat, iss: MERCHANT_UID }, keys.merchant),
  ],
  ["one for somebody else", 401, { code: "TOKEN_AUDIENCE", field: "aud" }, () => ofMerchant({ aud: "shop" })],
  ["a good one", 200, { items: [] }, () => ofMerchant()],
  ["a good one without kid", 200, { items: [] }, () => withoutKid(ofMerchant())],
])("a merchant's operation: %s is answered %i", async (_what, expected, body, make) => {
  const { status, json } = await ask(rest, MISSED, { headers: { "Cx-Authorization": await make() } });
  expect([status, json]).toEqual([expected, expect.objectContaining(body)]);
});

test("a merchant's good token is none for a bank, and its suspension is told to the merchant", async () => {
  const headers = { "Cx-Authorization": await ofMerchant() };
  expect((await ask(rest, `${ORDERS}/${ORDER_ID}/payment-message`, { headers })).json).toEqual(unauthorized);
  expect((await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers })).json).toEqual(unauthorized);
  const registered = participants(keys).map((party) => ({ ...party, status: "suspended" as const }));
  const own = await startRest(keys, { registered });
  onTestFinished(() => own.stop());
  const { status, json } = await ask(own, MISSED, { headers });
  expect([status, json.code]).toEqual([403, "PARTICIPANT_SUSPENDED"]);
});

/** The same claims under a header that names no key. */
async function withoutKid(token: Promise<string>): Promise<string> {
  const claims = Buffer.from((await parts(token))[1], "base64url").toString();
  return signedText('{"alg":"RS256"}', claims, keys.merchant);
}

const withAccess = Object.entries(operations).filter(([, { needsAccess }]) => needsAccess);
const guidOf: Record<string, string> = { register_id: "1012231", counterparty_guid: BANK_GUID };
const bodies: { [operation: string]: object } = {
  submitPaymentMessage: { jwt: "a.b.c" },
  submitPaymentMessageAlias: { jwt: "a.b.c" },
  submitPaymentMessageHyphenAlias: { jwt: "a.b.c" },
  addKey: { jwt: "a.b.c" },
  payGrossSettlement: exampleClaims("GrossSettlementPaymentClaims"),
  confirmGrossSettlement: exampleClaims("GrossSettlementConfirmationClaims"),
};
const queries: { [operation: string]: string } = {
  getOrderForBank: `?id=${ORDER_ID}`,
  listMissedCallbacks: "?since=2023-12-10T00:00:00Z",
  listMerchantMissedCallbacks: "?since=2023-12-10T00:00:00Z",
};

test.each(withAccess)("%s without a token is refused before the core is asked", async (id, { method, path }) => {
  const asked = () => expect.fail("the core was asked");
  const own = await startRest(keys, {}, { clients: createClients({ unary: asked, stream: asked }) });
  onTestFinished(() => own.stop());
  const target = path.replaceAll(/\{(\w+)\}/g, (_, name: string) => guidOf[name] ?? ORDER_ID) + (queries[id] ?? "");
  const init = bodies[id] === undefined ? {} : postJson(bodies[id]);
  const { status, json } = await ask(own, target, { ...init, method: method.toUpperCase() });
  expect([status, json.code ?? json.error]).toEqual([401, "AUTHORIZATION_FAILED"]);
});

test.each([
  ["query", `${SETTLEMENTS}?limit=501`, {}],
  ["path", `${ORDERS}/1/payment-message`, {}],
  ["body", MESSAGES, postJson({})],
])(
  "without a token, or with a bad one, the shape of the %s is looked at first",
  async (_what, path, init: RequestInit) => {
    for (const headers of [{}, await access(keys.stranger)]) {
      const { status, json } = await ask(rest, path, { ...init, headers: { ...init.headers, ...headers } });
      expect([status, json.code ?? json.error]).toEqual([400, "INVALID_REQUEST"]);
    }
  },
);

test("a token of another registered bank is good, but not for this path", async () => {
  const headers = await access(keys.secondBank);
  const { status, json } = await ask(rest, `${MESSAGES}/${MESSAGE_GUID}`, { headers });
  expect([status, json.code]).toEqual([403, "FORBIDDEN"]);
});

test("a path of nobody is as foreign as a path of somebody", async () => {
  const path = `/api/v1/counterparty/${ORDER_ID}/payment-message/${MESSAGE_GUID}`;
  expect((await ask(rest, path, { headers: await access(keys.bank) })).status).toBe(403);
  expect((await ask(rest, path)).status).toBe(401);
});

test("the kid of another party does not lend its key", async () => {
  const token = await createAccessToken({ ...keys.bank, kid: "second-bank-key" }, NOW, "forged");
  const path = `/api/v1/counterparty/${SECOND_BANK_GUID}/payment-message/${MESSAGE_GUID}`;
  expect((await ask(rest, path, { headers: { "Cx-Authorization": token } })).status).toBe(401);
});

test("a payment message signed by another bank is refused", async () => {
  const { status, json } = await submit(exampleClaims("PaymentMessageClaims"), keys.secondBank);
  expect([status, json]).toEqual([401, unauthorized]);
});

test("an order signed by somebody else, or for a merchant that does not exist, is refused", async () => {
  expect((await order(exampleClaims("OrderClaims"), keys.stranger)).json).toEqual(unauthorized);
  expect((await order({ ...exampleClaims("OrderClaims"), sub: "nobody" })).json).toEqual(unauthorized);
  expect((await order({ ...exampleClaims("OrderClaims"), sub: "\u0000" })).json).toEqual(unauthorized);
});
