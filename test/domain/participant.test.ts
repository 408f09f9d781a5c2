import { expect, test } from "vitest";
import type { BankRole, CallbackUrls, Participant } from "../../src/domain/participant.ts";
import { keysProblem, type StatedKeys, statedProblem } from "../../src/domain/participant.ts";

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
