import { beforeAll, expect, test } from "vitest";
import { createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import type { BankActor } from "../../../src/domain/actor.ts";
import { isRefusal } from "../../../src/domain/errors.ts";
import type { PublicJwk } from "../../../src/domain/participant.ts";
import { bodyDigest, createAccessToken } from "../../../src/sdk/access.ts";
import { type Claims, signJws } from "../../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { exampleClaims } from "../../rest/fixture.ts";
import { fakeContext, registered } from "./fakeContext.ts";

// Whoever calls the core hands over a body and the token in it, and these need not belong together.

const now = new Date("2023-12-10T10:12:12Z");
const bankGuid = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";

let identity: Identity;
let key: KeyPair;
/** Two messages that the bank signed; it sends the first one. */
let sent: string;
let other: string;
let body: Buffer;

beforeAll(async () => {
  key = await generateKeyPair("ES256", "bank-key");
  const signingJwks = [key.publicJwk as PublicJwk];
  const bank = registered({ kind: "bank", guid: bankGuid, name: "Bank", bic: "306500", signingJwks });
  identity = createIdentity(fakeContext([bank], { now: () => now }));
  const message = (jti: string) => signJws({ ...exampleClaims("PaymentMessageClaims"), jti }, key);
  [sent, other] = [await message("sent"), await message("other")];
  body = Buffer.from(JSON.stringify({ jwt: sent }));
});

/** The bank that came with this body, and a token that says so of it. */
async function bankWith(given: Buffer, claims: Claims) {
  const token = await createAccessToken(key, now, "access", claims);
  return identity.bankOf({
    token,
    counterpartyGuid: bankGuid,
    isChange: true,
    isForSuspended: false,
    body: given,
    requestDigest: new Uint8Array(32),
  });
}

const binding = (bytes: Buffer): Claims => ({ body_sha256: bodyDigest(bytes) });

test("a token that binds the body is good with that body alone", async () => {
  expect(await bankWith(body, binding(body))).toMatchObject({ kind: "bank", bindsBody: true });
  for (const another of [Buffer.alloc(0), Buffer.from(`${body} `)]) {
    expect(await bankWith(another, binding(body))).toMatchObject({
      refused: "TOKEN_BODY_MISMATCH",
      field: "body_sha256",
    });
  }
});

test("what is processed is the message in the body that the token binds, and no other one of the bank", async () => {
  const bank = (await bankWith(body, binding(body))) as BankActor;
  expect(await identity.paymentMessageOf(bank, sent, body)).toMatchObject({ jti: "sent", jws: sent });
  expect(await identity.paymentMessageOf(bank, other, body)).toMatchObject({
    refused: "INVALID_REQUEST",
    field: "jwt",
  });
});

test.each([
  ["none at all", ""],
  ["no JSON", "jwt"],
  ["a list", "[]"],
  ["one without a message", "{}"],
])("a body that the token binds and that is %s is refused", async (_what, text) => {
  const bytes = Buffer.from(text);
  const bank = (await bankWith(bytes, binding(bytes))) as BankActor;
  expect(isRefusal(bank)).toBe(false);
  expect(await identity.paymentMessageOf(bank, sent, bytes)).toMatchObject({ refused: "INVALID_REQUEST" });
});

test("a token that binds nothing leaves the message's own signature to speak for it", async () => {
  const bank = (await bankWith(body, {})) as BankActor;
  expect(await identity.paymentMessageOf(bank, other, body)).toMatchObject({ jti: "other" });
});
