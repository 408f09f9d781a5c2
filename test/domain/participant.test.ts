import { expect, test } from "vitest";
import type { BankRole, CallbackUrls, Participant } from "../../src/domain/participant.ts";
import { participantProblem } from "../../src/domain/participant.ts";

const bank = {
  kind: "bank",
  name: "Bank",
  bic: "306500",
  uid: null,
  iban: "UA213223130000026007233566001",
  signingJwks: [{ kty: "RSA", kid: "key", alg: "RS256" }],
  encryptionJwk: null,
  feeBasisPoints: 0,
  requiresBodySha256: false,
};
const merchant = { ...bank, kind: "merchant", bic: null, roles: [], mcc: "5411", servicingBankGuid: "guid" };

function problemOf(participant: object, callbackUrls: CallbackUrls) {
  const problem = participantProblem({ ...participant, callbackUrls } as unknown as Participant);
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
])("participantProblem: a bank with the roles %j and the URLs %j lacks %s", (roles, urls, missing) => {
  const expected = missing && ["INVALID_CALLBACK_URL", `callback_urls.${missing}`];
  expect(problemOf({ ...bank, roles }, urls)).toEqual(expected);
});

test.each<[CallbackUrls, string | undefined]>([
  [{ base: url }, undefined],
  [{ pay_in: url, expiration: url }, undefined],
  [{ pay_in: url }, "expiration"],
  [{ expiration: url }, "pay_in"],
  [{}, "pay_in"],
])("participantProblem: a merchant with the URLs %j lacks %s", (urls, missing) => {
  const expected = missing && ["INVALID_CALLBACK_URL", `callback_urls.${missing}`];
  expect(problemOf(merchant, urls)).toEqual(expected);
});

const rsa = { kty: "RSA", kid: "rsa", alg: "RS256" };
const ec = { kty: "EC", kid: "ec", alg: "ES256" };

test.each<[what: string, roles: BankRole[], keys: Partial<Participant>, field: string | undefined]>([
  ["an initiator that signs with an EC key", ["initiator"], { signingJwks: [ec] }, undefined],
  ["a recipient with an EC key alone", ["recipient"], { signingJwks: [ec] }, "encryption_jwk"],
  ["a recipient with an RSA key beside it", ["recipient"], { signingJwks: [ec], encryptionJwk: rsa }, undefined],
  ["an EC key for encryption", ["initiator"], { signingJwks: [rsa], encryptionJwk: ec }, "encryption_jwk"],
  ["a signing key for encryption", ["initiator"], { signingJwks: [{ ...rsa, use: "enc" }] }, "signing_jwks"],
])("participantProblem: %s", (_what, roles, keys, field) => {
  expect(problemOf({ ...bank, roles, ...keys }, { base: url })).toEqual(field && ["INVALID_KEY", field]);
});

test.each([
  ["a bank", { ...bank, roles: ["initiator"] }, undefined],
  ["a merchant", merchant, ["INVALID_REQUEST", "requires_body_sha256"]],
])("participantProblem: %s that requires bound bodies", (_what, participant, expected) => {
  expect(problemOf({ ...participant, requiresBodySha256: true }, { base: url })).toEqual(expected);
});
