import { fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { expect, test } from "vitest";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { bodyDigest, createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { acceptedClaims, orderClaims } from "../rest/forge.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import type { BankRequest, Captured, Report } from "./lyingTranslator.ts";

/** What the core makes of every lie: the reason of its refusal, or the code where it gives none. */
const expected = {
  "another bank's guid": "FORBIDDEN",
  "another bank's message": "AUTHORIZATION_FAILED",
  "another bank's token": "AUTHORIZATION_FAILED",
  "a message without a signature": "AUTHORIZATION_FAILED",
  "a message with another amount": "AUTHORIZATION_FAILED",
  "a message under a key of its own": "AUTHORIZATION_FAILED",
  "a token under a key of its own": "AUTHORIZATION_FAILED",
  "a token without a signature": "AUTHORIZATION_FAILED",
  "a message as the token": "AUTHORIZATION_FAILED",
  "an order as the message": "AUTHORIZATION_FAILED",
  "no token": "AUTHORIZATION_FAILED",
  "two tokens": "AUTHORIZATION_FAILED",
  "a bound token with another message": "TOKEN_BODY_MISMATCH",
  "a bound token with another message in its body's place": "INVALID_REQUEST",
  "a bound token without a body": "TOKEN_BODY_MISMATCH",
  "an unbound token of who binds": "TOKEN_INCOMPLETE",
  "a bound payment of a register, changed": "TOKEN_BODY_MISMATCH",
  "a signed payment of a register, changed": "AUTHORIZATION_FAILED",
  "a payment of a register that another bank signed": "AUTHORIZATION_FAILED",
  "an order with another amount": "AUTHORIZATION_FAILED",
  "an order without a signature": "AUTHORIZATION_FAILED",
  "an order of its own": "AUTHORIZATION_FAILED",
  "to be an operator": "PermissionDenied",
  "to be an operator with a bank's token": "PermissionDenied",
  "to register a bank": "PermissionDenied",
  "to make itself a credential": "PermissionDenied",
  "fields beside the signed ones": "done",
  "a used token with another request": "TOKEN_REPLAYED",
};

async function requestOf(bank: SandboxBank, body: Claims, isBound: boolean): Promise<BankRequest> {
  const text = JSON.stringify(body);
  const bound = isBound ? { body_sha256: bodyDigest(Buffer.from(text)) } : {};
  return { guid: bank.guid, token: await createAccessToken(bank.key, new Date(), randomUUID(), bound), body: text };
}

/** What banks and a merchant have sent through a translator that kept it to itself. */
async function captured(platform: Platform, registerId: string): Promise<Captured> {
  const { initiator, merchant } = platform;
  const another = await platform.newBank({ name: "Another Bank" });
  const binding = await platform.newBank({ name: "Binding Bank" });
  await platform.operators().participants.updateParticipant({ guid: binding.guid, requiresBodySha256: true });
  const said = await acceptedClaims(platform);
  const message = async (bank: SandboxBank, isBound: boolean) => {
    const claims = {
      ...said,
      jti: randomUUID(),
      payment_message_external_id: randomUUID(),
      debtor_agent_bic: bank.bic,
      order_id: (await merchant.order()).id,
    };
    return requestOf(bank, { jwt: await signJws(claims, bank.key) }, isBound);
  };
  const paid = { payment_message_external_id: "P-1", creditor_iban: initiator.iban, amount: 21, currency: "UAH" };
  const payment = { ...paid, purpose: "settlement", creation_date: "2026-01-31" };
  const expiresAt = timestampFromDate(new Date(Date.now() + 3_600_000));
  const wanted = { name: "translator", scopes: [Scope.GATEWAY], expiresAt };
  return {
    coreUrl: platform.rpcUrl(),
    credential: (await platform.operators().credentials.addCredential(wanted)).secret,
    bound: await message(initiator, true),
    unbound: await message(initiator, false),
    ofAnother: await message(another, false),
    careless: await message(binding, false),
    order: await signJws(orderClaims(platform), merchant.key),
    pay: { ...(await requestOf(initiator, payment, true)), registerId },
    signedPay: { ...(await requestOf(initiator, { jwt: await signJws(payment, initiator.key) }, false)), registerId },
  };
}

async function reportOf(what: Captured): Promise<Report> {
  const translator = fork(join(import.meta.dirname, "lyingTranslator.ts"), { execArgv: [] });
  try {
    return await new Promise<Report>((resolve, reject) => {
      translator.once("message", (report) => resolve(report as Report));
      translator.once("error", reject);
      translator.once("exit", (code) => reject(new Error(`the translator ended with ${code}`)));
      translator.send(what);
    });
  } finally {
    translator.kill();
  }
}

test("a translator that lies forges nothing: what is done is what was signed, by whom it was signed", async () => {
  await using platform = await startPlatform();
  const paidGuid = await platform.pays();
  await platform.endsAllCallbacks();
  const what = await captured(platform, await platform.registerOf(paidGuid));
  await platform.endsAllCallbacks();
  const before = await everything(platform);

  const report = await reportOf(what);
  expect(Object.fromEntries(report.map(({ lie, answer }) => [lie, answer]))).toEqual(expected);

  await platform.endsAllCallbacks();
  const after = await everything(platform);
  expect({ ...after, messages: after.messages.slice(0, -1) }).toEqual(before);
  // The one that was done is of the bank, the order, the amount and the purpose that were signed.
  const { amount, purpose, order_id } = claimsOf(what.unbound);
  expect(after.messages.at(-1)).toMatchObject({
    debtor_agent_guid: platform.initiator.guid,
    order_guid: order_id,
    amount_minor: String(Math.round(Number(amount) * 100)),
    purpose,
  });
});

function claimsOf({ body }: BankRequest): Claims {
  const [, claims = ""] = (JSON.parse(body) as { jwt: string }).jwt.split(".");
  return JSON.parse(Buffer.from(claims, "base64url").toString()) as Claims;
}

/** What a forgery could have touched. */
async function everything({ rows }: Platform) {
  return {
    messages: await rows("select * from payment_message order by received_at"),
    orders: await rows("select count(*) from payment_order"),
    acts: await rows("select * from register_act where kind <> 'told' order by number"),
    banks: await rows("select guid, version from participant order by guid"),
    credentials: await rows("select name from service_credential order by name"),
    registers: await rows("select id, status from settlement_register order by id"),
  };
}
