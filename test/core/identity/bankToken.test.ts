import { CompactSign, importJWK } from "jose";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import type { Participant } from "../../../src/domain/participant.ts";
import { createAccessToken } from "../../../src/sdk/access.ts";
import { type Claims, signJws } from "../../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { fakeContext, registered } from "./fakeContext.ts";

// The Cx-Authorization of a bank: who it is, and what the log says of one that is refused.

const now = new Date("2023-12-10T10:12:12.500Z");
const mine = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
const theirs = "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21";
const shop = "623e460b-9ffd-41df-8000-000000000001";

let keys: { mine: KeyPair; theirs: KeyPair; shop: KeyPair; nobody: KeyPair };
let bank: Participant;
let identity: Identity;

beforeAll(async () => {
  const names = ["mine", "theirs", "shop", "nobody"] as const;
  const made = await Promise.all(names.map(async (name) => [name, await generateKeyPair("ES256", name)] as const));
  keys = Object.fromEntries(made) as typeof keys;
});

beforeEach(() => {
  bank = registered({ kind: "bank", guid: mine, name: "Mine", bic: "306500", signingJwks: [keys.mine.publicJwk] });
  const other = { guid: theirs, name: "Theirs", bic: "380816", signingJwks: [keys.theirs.publicJwk] };
  const parties = [
    bank,
    registered({ kind: "bank", ...other }),
    registered({ kind: "merchant", guid: shop, uid: "shop-1", name: "Shop", signingJwks: [keys.shop.publicJwk] }),
  ];
  identity = createIdentity(fakeContext(parties, { now: () => now }));
});

type Presented = Partial<Parameters<Identity["bankOf"]>[0]>;

const presented = (token: string, changes: Presented = {}) =>
  identity.bankOf({
    token,
    counterpartyGuid: mine,
    isChange: false,
    isForSuspended: false,
    body: new Uint8Array(),
    requestDigest: new Uint8Array(32),
    ...changes,
  });

const tokenOf = (key: KeyPair, claims: Claims = {}): Promise<string> => createAccessToken(key, now, "jti", claims);

test.each([mine, mine.toUpperCase(), undefined])(
  "a bank's token is its own, with the path %s",
  async (counterpartyGuid) => {
    const token = await tokenOf(keys.mine);
    const requestDigest = new Uint8Array(32).fill(7);
    expect(await presented(token, { counterpartyGuid, requestDigest })).toEqual({
      kind: "bank",
      bank,
      access: { jti: "jti", issuedAt: new Date("2023-12-10T10:12:12Z"), requestDigest },
      token,
      judgedAt: now,
      bindsBody: false,
    });
  },
);

const failed = (seen: object) => ({
  refused: "AUTHORIZATION_FAILED",
  message: "Access credentials are invalid",
  seen,
});

/** The token under a header that names no key. */
async function withoutKid(token: Promise<string>): Promise<string> {
  const header = Buffer.from(JSON.stringify({ alg: "ES256" })).toString("base64url");
  return [header, ...(await token).split(".").slice(1)].join(".");
}

test.each<[string, () => Promise<string>, string | undefined, object]>([
  ["a key that it does not name", () => withoutKid(tokenOf(keys.nobody)), undefined, { tokenProblem: "no_kid" }],
  ["a key of nobody", () => tokenOf(keys.nobody), mine, { kid: "nobody", party: mine }],
  [
    "a key of nobody, without a path",
    () => tokenOf(keys.nobody),
    undefined,
    { tokenProblem: "unknown_party", kid: "nobody" },
  ],
  [
    "a path that names nobody",
    () => tokenOf(keys.nobody),
    theirs.replace("4f", "5f"),
    { tokenProblem: "unknown_party" },
  ],
  ["a path that names a merchant", () => tokenOf(keys.shop), shop, { tokenProblem: "unknown_key", party: "shop-1" }],
  ["no token at all", async () => "no token", mine.toUpperCase(), { party: mine }],
])("%s is refused, and only the log hears why", async (_, token, counterpartyGuid, seen) => {
  const answer = await presented(await token(), { counterpartyGuid });
  expect(answer).toEqual(failed(expect.objectContaining(seen)));
});

test("a token without a kid, and without a path, is nobody's", async () => {
  const [, ...rest] = (await tokenOf(keys.mine)).split(".");
  const header = Buffer.from(JSON.stringify({ alg: "ES256" })).toString("base64url");
  const token = [header, ...rest].join(".");
  expect(await presented(token, { counterpartyGuid: undefined })).toMatchObject({ refused: "AUTHORIZATION_FAILED" });
});

test("another bank's token is authentic and forbidden under this path", async () => {
  expect(await presented(await tokenOf(keys.theirs))).toEqual({
    refused: "FORBIDDEN",
    message: "the counterparty in the path is not the caller",
    seen: { tokenProblem: "another_party", kid: "theirs", party: theirs },
  });
});

test("what is wrong with another bank's token comes before the path", async () => {
  expect(await presented(await tokenOf(keys.theirs, { aud: "elsewhere" }))).toMatchObject({
    refused: "TOKEN_AUDIENCE",
  });
});

test.each<[Claims, string, string | undefined, string]>([
  [{ sub: "s", order_id: "o" }, "AUTHORIZATION_FAILED", undefined, "kind"],
  [{ exp: 1 }, "TOKEN_EXPIRED", "exp", "expired"],
  [{ nbf: 4e9 }, "TOKEN_NOT_YET_VALID", "nbf", "not_yet_valid"],
  [{ aud: "elsewhere" }, "TOKEN_AUDIENCE", "aud", "audience"],
  [{ body_sha256: "another" }, "TOKEN_BODY_MISMATCH", "body_sha256", "body"],
])("a good signature over %j is refused as %s", async (claims, refused, field, tokenProblem) => {
  const answer = await presented(await tokenOf(keys.mine, claims));
  expect(answer).toMatchObject({ refused, seen: { tokenProblem, kid: "mine", party: mine } });
  expect("field" in answer ? answer.field : undefined).toBe(field);
});

test.each<[Claims, string, string]>([
  [{ iat: "soon", jti: "jti" }, "TOKEN_INCOMPLETE", "iat"],
  [{ iat: now.getTime() / 1_000, jti: 7 }, "TOKEN_INCOMPLETE", "jti"],
  [{ iat: now.getTime() / 1_000 - 301, jti: "jti" }, "TOKEN_STALE", "iat"],
  [{ iat: now.getTime() / 1_000 + 31, jti: "jti" }, "TOKEN_NOT_YET_VALID", "iat"],
])("the claims %j are refused as %s", async (claims, refused, field) => {
  expect(await presented(await signJws(claims, keys.mine))).toMatchObject({ refused, field });
});

test.each([["dcm"], ["https://platform.example"], [["elsewhere", "dcm"]]])("a token may be for %j", async (aud) => {
  expect(await presented(await tokenOf(keys.mine, { aud }))).toMatchObject({ kind: "bank" });
});

test("a bank that requires it binds the body of every change, and of a change only", async () => {
  bank.requiresBodySha256 = true;
  const token = await tokenOf(keys.mine);
  expect(await presented(token)).toMatchObject({ kind: "bank" });
  expect(await presented(token, { isChange: true })).toMatchObject({
    refused: "TOKEN_INCOMPLETE",
    message: "body_sha256 is missing",
    field: "body_sha256",
    seen: { tokenProblem: "body" },
  });
});

test("a suspended bank may call only what is for suspended ones, too", async () => {
  bank.status = "suspended";
  const token = await tokenOf(keys.mine);
  expect(await presented(token)).toMatchObject({
    refused: "PARTICIPANT_SUSPENDED",
    seen: { tokenProblem: "suspended", party: mine },
  });
  expect(await presented(token, { isForSuspended: true })).toMatchObject({ kind: "bank" });
});

test("a claim that is named twice under a good signature is refused as that", async () => {
  const token = await signText('{"aud":"dcm","aud":"dcm"}');
  expect(await presented(token)).toMatchObject({
    refused: "INVALID_REQUEST",
    message: "aud is named twice",
    field: "aud",
  });
});

async function signText(payload: string): Promise<string> {
  const key = await importJWK(keys.mine.privateJwk as never, "ES256");
  return new CompactSign(Buffer.from(payload)).setProtectedHeader({ alg: "ES256", kid: "mine" }).sign(key);
}
