import { describe, expect, test } from "vitest";
import {
  type BankRole,
  type CallbackUrls,
  deepLinkContentProblem,
  isDeepLinkPrefix,
  isGood,
  isUid,
  keysProblem,
  type Participant,
  type ParticipantKey,
  type StatedKeys,
  type StatedParticipant,
  statedKeysOf,
  statedProblem,
} from "../../src/domain/participant.ts";

const bank = {
  kind: "bank",
  name: "Bank",
  bic: "306500",
  uid: null,
  iban: "UA213223130000026007233566001",
  jwksUrl: null,
  logoUrl: null,
  redirectUrl: null,
  deepLinkPrefix: null,
  feeBasisPoints: 0,
  requiresBodySha256: false,
};
const merchant = { ...bank, kind: "merchant", bic: null, roles: [], mcc: "5411", servicingBankGuid: "guid" };

function problemOf(participant: object, callbackUrls: CallbackUrls) {
  const problem = statedProblem({ ...participant, callbackUrls } as unknown as Participant);
  return problem && [problem.refused, problem.field];
}

const url = "https://bank.example/callbacks";

test.each<[BankRole[], CallbackUrls, string | undefined]>([
  [["initiator"], { base: url }, undefined],
  [["initiator"], { pay_out: url }, undefined],
  [["initiator"], {}, "pay_out"],
  [["initiator"], { pay_in: url, credit: url }, "pay_out"],
  [["recipient"], { base: url }, undefined],
  [["recipient"], { pay_in: url, credit: url }, undefined],
  [["recipient"], { pay_in: url }, "credit"],
  [["recipient"], { credit: url }, "pay_in"],
  [["recipient"], { gross_settlement: url }, "pay_in"],
  [["initiator", "recipient"], { pay_in: url, credit: url, pay_out: url }, undefined],
  [["initiator", "recipient"], { pay_out: url }, "pay_in"],
])("statedProblem: a bank with the roles %j and the URLs %j lacks %s", (roles, urls, missing) => {
  const expected = missing && ["INVALID_CALLBACK_URL", `callback_urls.${missing}`];
  expect(problemOf({ ...bank, roles }, urls)).toEqual(expected);
});

test.each<[CallbackUrls, string | undefined]>([
  [{ base: url }, undefined],
  [{ pay_in: url, expiration: url }, undefined],
  [{ pay_in: url }, "expiration"],
  [{ expiration: url }, "pay_in"],
  [{}, "pay_in"],
])("statedProblem: a merchant with the URLs %j lacks %s", (urls, missing) => {
  const expected = missing && ["INVALID_CALLBACK_URL", `callback_urls.${missing}`];
  expect(problemOf(merchant, urls)).toEqual(expected);
});

const rsa = { kty: "RSA", kid: "rsa", alg: "RS256" };
const ec = { kty: "EC", kid: "ec", alg: "ES256" };

test.each<[what: string, roles: BankRole[], keys: Partial<StatedKeys>, field: string | undefined]>([
  ["an initiator that signs with an EC key", ["initiator"], { signingJwks: [ec] }, undefined],
  ["a recipient with an EC key alone", ["recipient"], { signingJwks: [ec] }, "encryption_jwk"],
  ["a recipient with an RSA key beside it", ["recipient"], { signingJwks: [ec], encryptionJwk: rsa }, undefined],
  ["an EC key for encryption", ["initiator"], { signingJwks: [rsa], encryptionJwk: ec }, "encryption_jwk"],
  ["a signing key for encryption", ["initiator"], { signingJwks: [{ ...rsa, use: "enc" }] }, "signing_jwks"],
  ["four keys", ["initiator"], { signingJwks: [rsa, ec, { ...ec, kid: "3" }, { ...ec, kid: "4" }] }, undefined],
  [
    "five keys",
    ["initiator"],
    { signingJwks: ["1", "2", "3", "4", "5"].map((kid) => ({ ...ec, kid })) },
    "signing_jwks",
  ],
  ["three keys of one kid", ["initiator"], { signingJwks: [ec, ec, ec] }, "signing_jwks"],
])("keysProblem: %s", (_what, roles, keys, field) => {
  const problem = keysProblem({ kind: "bank", roles }, { signingJwks: [], encryptionJwk: null, ...keys });
  expect(problem && [problem.refused, problem.field]).toEqual(field && ["INVALID_KEY", field]);
});

test.each<[Partial<Participant>, string | undefined]>([
  [{ logoUrl: "https://a.example/logo.svg" }, undefined],
  [{ logoUrl: "javascript:alert(1)" }, "logo_url"],
  [{ logoUrl: "data:image/svg+xml,<svg/>" }, "logo_url"],
  [{ redirectUrl: "file:///etc/passwd" }, "redirect_url"],
  [{ redirectUrl: "thanks" }, "redirect_url"],
  [{ deepLinkPrefix: "bank://pay?order=" }, undefined],
  [{ deepLinkPrefix: "https://bank.example/pay/" }, undefined],
  [{ deepLinkPrefix: "JavaScript:alert(1)//" }, "deep_link_prefix"],
  [{ deepLinkPrefix: "vbscript:x" }, "deep_link_prefix"],
  [{ deepLinkPrefix: "/pay/" }, "deep_link_prefix"],
  [{ jwksUrl: "https://bank.example/jwks.json" }, "jwks_url"],
])("statedProblem: of a bank with %j it names %s", (links, field) => {
  expect(problemOf({ ...bank, roles: ["initiator"], ...links }, { base: url })).toEqual(
    field && ["INVALID_REQUEST", field],
  );
});

test.each([
  ["a bank", { ...bank, roles: ["initiator"] }, undefined],
  ["a merchant", merchant, ["INVALID_REQUEST", "requires_body_sha256"]],
])("statedProblem: %s that requires bound bodies", (_what, participant, expected) => {
  expect(problemOf({ ...participant, requiresBodySha256: true }, { base: url })).toEqual(expected);
});

type Refused = [field: string, message: string];

/** A participant that nothing is wrong with. */
const full = {
  ...bank,
  guid: "bank-guid",
  roles: ["initiator"],
  taxCode: "12345678",
  email: "bank@example.com",
  mcc: null,
  servicingBankGuid: null,
  callbackUrls: { base: url },
} as unknown as StatedParticipant;
const fullMerchant = { ...full, ...merchant } as StatedParticipant;
const refusal = (refused: Refused | undefined) =>
  refused && { refused: "INVALID_REQUEST", field: refused[0], message: refused[1] };
const isNoWebUrl = (field: string): Refused => [field, `${field} is not an http or https URL without a user name`];

describe("statedProblem: what a participant states of itself", () => {
  test.each<[Partial<StatedParticipant>, Refused | undefined]>([
    [{}, undefined],
    [{ name: "" }, ["name", "name is missing"]],
    [{ name: "n".repeat(140) }, undefined],
    [{ name: "n".repeat(141) }, ["name", "name must have at most 140 characters"]],
    [{ taxCode: "1".repeat(21) }, ["tax_code", "tax_code must have at most 20 characters"]],
    [{ taxCode: "" }, undefined],
    [{ email: "e".repeat(255) }, ["email", "email must have at most 254 characters"]],
    [{ email: "e".repeat(254) }, undefined],
    [{ deepLinkPrefix: `bank://${"p".repeat(493)}` }, undefined],
    [
      { deepLinkPrefix: `bank://${"p".repeat(494)}` },
      ["deep_link_prefix", "deep_link_prefix must have at most 500 characters"],
    ],
    [{ logoUrl: `${url}${"l".repeat(500)}` }, ["logo_url", "logo_url must have at most 500 characters"]],
    [{ redirectUrl: `${url}${"r".repeat(2000)}` }, ["redirect_url", "redirect_url must have at most 2000 characters"]],
    [{ jwksUrl: `${url}${"j".repeat(2000)}` }, ["jwks_url", "jwks_url must have at most 2000 characters"]],
    [{ logoUrl: "data:," }, isNoWebUrl("logo_url")],
    [{ redirectUrl: "thanks" }, isNoWebUrl("redirect_url")],
    [
      { deepLinkPrefix: "about:blank" },
      ["deep_link_prefix", "deep_link_prefix does not begin like a link to an application (bank:// or https://)"],
    ],
    [{ iban: "UA00" }, ["iban", "iban is not a Ukrainian IBAN of 29 characters"]],
    [{ feeBasisPoints: -1 }, ["fee_basis_points", "fee_basis_points is not between 0 and 10000"]],
    [{ feeBasisPoints: 10_000 }, undefined],
    [{ feeBasisPoints: 10_001 }, ["fee_basis_points", "fee_basis_points is not between 0 and 10000"]],
    [{ bic: null }, ["bic", "bic is not six digits"]],
    [{ bic: "1234567" }, ["bic", "bic is not six digits"]],
    [{ bic: "a123456" }, ["bic", "bic is not six digits"]],
    [{ roles: [] }, ["roles", "roles names no role"]],
    [{ uid: "uid" }, ["uid", "uid is for merchants only"]],
    [{ uid: "u\n" }, ["uid", "uid must have 1 to 64 characters, none of them a control character"]],
    [{ jwksUrl: url }, ["jwks_url", "jwks_url is for merchants only: a bank hands over its keys"]],
  ])("a bank with %j", (change, refused) => {
    expect(statedProblem({ ...full, ...change })).toEqual(refusal(refused));
  });

  test.each<[Partial<StatedParticipant>, Refused | undefined]>([
    [{}, undefined],
    [{ uid: "u".repeat(64) }, undefined],
    [{ uid: "" }, ["uid", "uid must have 1 to 64 characters, none of them a control character"]],
    [{ bic: "306500" }, ["bic", "bic is for banks only"]],
    [{ requiresBodySha256: true }, ["requires_body_sha256", "requires_body_sha256 is for banks only"]],
    [{ mcc: null }, ["mcc", "mcc is not four digits"]],
    [{ mcc: "54111" }, ["mcc", "mcc is not four digits"]],
    [{ mcc: "a5411" }, ["mcc", "mcc is not four digits"]],
    [{ servicingBankGuid: null }, ["servicing_bank_guid", "servicing_bank_guid is missing"]],
    [{ jwksUrl: url }, undefined],
  ])("a merchant with %j", (change, refused) => {
    expect(statedProblem({ ...fullMerchant, ...change })).toEqual(refusal(refused));
  });

  test("a missing URL is named with who needs it", () => {
    const message = (role: string) => `${role} needs it, or callback_urls.base`;
    const of = (participant: StatedParticipant) => statedProblem({ ...participant, callbackUrls: {} })?.message;
    expect(of(full)).toBe(`callback_urls.pay_out is missing: ${message("a bank with the role initiator")}`);
    expect(of(fullMerchant)).toBe(`callback_urls.pay_in is missing: ${message("a merchant")}`);
  });

  test("texts that it keeps are not judged anew: rules may have been added since", () => {
    const old = { ...full, name: "a\u0085", logoUrl: "data:,", redirectUrl: "thanks" };
    expect(statedProblem(old, old)).toBeUndefined();
    for (const field of ["name", "logoUrl", "redirectUrl"] as const) {
      expect(statedProblem(old, { ...old, [field]: "other" })?.field).toBeDefined();
    }
  });
});

test.each<[string, boolean]>([
  ["bank://", true],
  ["a+b-c.1:", true],
  ["1bank://", false],
  ["//bank", false],
  ["xjavascript:", true],
  ...["javascript:", "data:", "vbscript:", "file:", "blob:", "about:", "JAVASCRIPT:"].map(
    (text) => [text, false] as [string, boolean],
  ),
])("isDeepLinkPrefix: %j: %s", (text, is) => {
  expect(isDeepLinkPrefix(text)).toBe(is);
});

test.each([
  ["bank", "bank://", undefined],
  ["bank", null, "deep_link_content is given without deep_link_prefix"],
  ["merchant", "bank://", "deep_link_content is for banks only"],
] as const)("deepLinkContentProblem: a %s with the prefix %j", (kind, deepLinkPrefix, message) => {
  const refused = { refused: "INVALID_REQUEST", field: "deep_link_content", message };
  expect(deepLinkContentProblem({ kind, deepLinkPrefix })).toEqual(message && refused);
});

test("isGood: a key is good until the moment at which it is retired", () => {
  const now = new Date("2026-05-10T09:00:00Z");
  const at = (ms: number) => ({ retireAt: new Date(now.getTime() + ms) });
  expect([isGood({ retireAt: null }, now), isGood(at(1), now), isGood(at(0), now)]).toEqual([true, true, false]);
});

test("statedKeysOf: the keys by what they are for, the newest first", () => {
  const key = (use: "sig" | "enc", jwk: object) => ({ use, jwk }) as unknown as ParticipantKey;
  const keys = [key("sig", ec), key("enc", { ...rsa, kid: "newest" }), key("sig", rsa), key("enc", rsa)];
  expect(statedKeysOf({ keys })).toEqual({ signingJwks: [ec, rsa], encryptionJwk: { ...rsa, kid: "newest" } });
  expect(statedKeysOf({ keys: [] })).toEqual({ signingJwks: [], encryptionJwk: null });
});

test.each<[what: string, keys: Partial<StatedKeys>, kind: "bank" | "merchant", message: string]>([
  ["none", {}, "bank", "signing_jwks has no key and jwks_url gave none"],
  [
    "one for encryption",
    { signingJwks: [rsa, { ...rsa, use: "enc" }] },
    "bank",
    "signing_jwks has a key for encryption",
  ],
  [
    "too many",
    { signingJwks: ["1", "2", "3", "4", "5"].map((kid) => ({ ...ec, kid })) },
    "bank",
    "signing_jwks has more than 4 keys",
  ],
  ["too many of one kid", { signingJwks: [ec, rsa, ec, ec] }, "bank", "signing_jwks has more than 2 keys of one kid"],
  ["an EC key to encrypt for", { signingJwks: [rsa], encryptionJwk: ec }, "bank", "encryption_jwk is not an RSA key"],
  [
    "no RSA key",
    { signingJwks: [ec] },
    "bank",
    "a recipient bank would be left without an RSA key that payments can be encrypted for",
  ],
])("keysProblem says what is wrong: %s", (_what, keys, kind, message) => {
  const stated = { signingJwks: [], encryptionJwk: null, ...keys };
  expect(keysProblem({ kind, roles: ["recipient"] }, stated)?.message).toBe(message);
});

test("keysProblem: two keys of one kid are a rotation that keeps it, and a merchant is encrypted nothing for", () => {
  expect(keysProblem({ kind: "bank", roles: [] }, { signingJwks: [ec, rsa, ec], encryptionJwk: null })).toBeUndefined();
  expect(keysProblem({ kind: "merchant", roles: [] }, { signingJwks: [ec], encryptionJwk: ec })).toBeUndefined();
});

test("a recipient's RSA key may stand anywhere among its signing keys", () => {
  const stated = { signingJwks: [ec, rsa], encryptionJwk: null };
  expect(keysProblem({ kind: "bank", roles: ["recipient"] }, stated)).toBeUndefined();
});

test.each([
  ["uid-1", true],
  [7, false],
  [null, false],
])("isUid: %j: %s", (value, is) => {
  expect(isUid(value)).toBe(is);
});
