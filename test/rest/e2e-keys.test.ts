import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { bankClient } from "../../src/sdk/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { access, createOrder, messagesUrl, post } from "./forge.ts";

// What a bank does about its keys, and what a suspended party hears, from the contract (wire contract, sections 2, 3 and 8).

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const newBank = (key?: KeyPair) => platform.newBank({ name: "Rotating Bank", ...(key && { key }) });
const keysUrl = ({ guid }: { guid: string }) => `${platform.url()}/api/v1/counterparty/${guid}/keys`;
const clientOf = ({ guid }: SandboxBank, key: KeyPair) => bankClient({ url: platform.url(), guid, key });
const since = new Date(0).toISOString();

/** Whether a request of the bank is answered that is signed with this key. */
async function isGoodKey(bank: SandboxBank, key: KeyPair): Promise<boolean> {
  const { ok, status } = await clientOf(bank, key).listMissedCallbacks({ since });
  if (!ok) expect(status).toBe(401);
  return ok;
}

/** Whatever changes something is refused at once; who reads is known as it was for two seconds. */
async function expectWithdrawn(bank: SandboxBank, ...keys: KeyPair[]): Promise<void> {
  for (const key of keys) {
    expect(await addKey(bank, { jwk: key.publicJwk }, { by: key, accessBy: key })).toMatchObject({ status: 401 });
    await expect.poll(() => isGoodKey(bank, key), { timeout: 3_000 }).toBe(false);
  }
}

async function addKey(bank: SandboxBank, claims: Claims, { by = bank.key, accessBy = bank.key } = {}) {
  const response = await post(keysUrl(bank), { jwt: await signJws(claims, by) }, await access(accessBy));
  return { status: response.status, json: (await response.json()) as Claims };
}

async function keysOf(bank: SandboxBank) {
  const { keys } = await platform.operators().participants.listParticipantKeys({ guid: bank.guid });
  return keys;
}

describe("addKey", () => {
  test("the new key is good at once, the old one until it is retired; who added it, and by which key, is kept", async () => {
    const bank = await newBank();
    const next = await generateKeyPair("RS256", "next");
    const { client, key } = bank;
    expect(await client().addKey(next.publicJwk)).toMatchObject({ status: 201, body: { kid: "next" } });
    expect([await isGoodKey(bank, next), await isGoodKey(bank, key)]).toEqual([true, true]);
    const last = await generateKeyPair("ES256", "last");
    const others = new Date(Date.now() - 1_000);
    expect(await clientOf(bank, next).addKey({ ...last.publicJwk }, others)).toMatchObject({ status: 400 });
    expect(await clientOf(bank, next).addKey((await generateKeyPair("RS256", "rsa")).publicJwk, others)).toMatchObject({
      status: 201,
    });
    await expectWithdrawn(bank, next, key);
    const found = (await keysOf(bank)).map(({ kid, addedBy, addedWith, retireAt }) => [
      kid,
      addedBy === bank.guid,
      addedWith,
      retireAt !== undefined,
    ]);
    expect(found).toEqual([
      ["rsa", true, "next", false],
      ["next", true, key.kid, true],
      [key.kid, false, "", true],
    ]);
  });

  test("a key that is retired in a second is good until then, by the clock alone", async () => {
    const bank = await newBank();
    const next = await generateKeyPair("RS256");
    const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1_000);
    expect(await bank.client().addKey(next.publicJwk, at)).toMatchObject({ status: 201 });
    expect(await isGoodKey(bank, bank.key)).toBe(true);
    await expect.poll(() => isGoodKey(bank, bank.key), { timeout: 5_000, interval: 100 }).toBe(false);
    expect(Date.now()).toBeGreaterThanOrEqual(at.getTime());
    expect(await isGoodKey(bank, next)).toBe(true);
  });

  test("a key of the same kid takes the place of the old one, and meanwhile both are good", async () => {
    const bank = await newBank(await generateKeyPair("RS256", `one-${randomUUID()}`));
    const next = await generateKeyPair("RS256", bank.key.kid);
    expect(await bank.client().addKey(next.publicJwk)).toMatchObject({ status: 201 });
    expect([await isGoodKey(bank, next), await isGoodKey(bank, bank.key)]).toEqual([true, true]);
    const { participants } = platform.operators();
    const [, old] = await keysOf(bank);
    const retired = { guid: bank.guid, kid: bank.key.kid };
    await expect(participants.retireParticipantKey(retired)).rejects.toThrow("several keys of this kid");
    await participants.retireParticipantKey({ ...retired, id: old?.id ?? 0n });
    await expectWithdrawn(bank, bank.key);
    expect(await isGoodKey(bank, next)).toBe(true);
  });

  test("the same request again, byte for byte, is answered in the same way; another one with its token is a replay", async () => {
    const bank = await newBank();
    const jwk = (await generateKeyPair("RS256", "again")).publicJwk;
    const jwt = await signJws({ jwk }, bank.key);
    const token = await access(bank.key);
    const ask = async (body: object) => {
      const response = await post(keysUrl(bank), body, token);
      return [response.status, ((await response.json()) as Claims).code ?? "added"];
    };
    expect([await ask({ jwt }), await ask({ jwt }), await ask({ jwt, a: 1 })]).toEqual([
      [201, "added"],
      [201, "added"],
      [401, "TOKEN_REPLAYED"],
    ]);
    expect(await keysOf(bank)).toHaveLength(2);
  });

  const ec = async () => (await generateKeyPair("ES256")).publicJwk;
  test.each<[what: string, claims: (bank: SandboxBank) => Promise<Claims>, code: string, field: string]>([
    ["no key", async () => ({}), "INVALID_KEY", "jwk"],
    ["a text", async () => ({ jwk: "key" }), "INVALID_KEY", "jwk"],
    ["a private key", async () => ({ jwk: (await generateKeyPair("ES256")).privateJwk }), "INVALID_KEY", "jwk"],
    ["a weak key", async () => ({ jwk: { kty: "RSA", n: "AQAB", e: "AQAB" } }), "INVALID_KEY", "jwk"],
    ["a key of another bank", async () => ({ jwk: platform.recipient.key.publicJwk }), "INVALID_KEY", "jwk"],
    ["a key of a merchant", async () => ({ jwk: platform.merchant.key.publicJwk }), "INVALID_KEY", "jwk"],
    [
      "the kid of another bank's key",
      async () => ({ jwk: { ...(await ec()), kid: platform.recipient.key.kid } }),
      "INVALID_KEY",
      "jwk",
    ],
    [
      "milliseconds",
      async () => ({ jwk: await ec(), retire_others_at: Date.now() * 1000 }),
      "INVALID_REQUEST",
      "retire_others_at",
    ],
    [
      "a time that is none",
      async () => ({ jwk: await ec(), retire_others_at: "soon" }),
      "INVALID_REQUEST",
      "retire_others_at",
    ],
  ])("%s is refused, and the field is named", async (_, claims, code, field) => {
    const bank = await newBank();
    const { status, json } = await addKey(bank, await claims(bank));
    expect([status, json.code, json.field]).toEqual([400, code, field]);
    expect(await keysOf(bank)).toHaveLength(1);
  });

  test("a fifth key at once is one too many", async () => {
    const bank = await newBank();
    const statuses = [];
    for (let count = 2; count <= 5; count += 1) statuses.push((await addKey(bank, { jwk: await ec() })).status);
    expect(statuses).toEqual([201, 201, 201, 400]);
  });

  test("what another signed adds no key, neither with the bank's token nor with his own", async () => {
    const bank = await newBank();
    const other = await newBank();
    const jwk = await ec();
    expect(await addKey(bank, { jwk }, { by: other.key })).toMatchObject({ status: 401 });
    expect(await addKey(bank, { jwk }, { accessBy: other.key })).toMatchObject({ status: 403 });
    expect(await addKey(bank, { jwk }, { by: await generateKeyPair("ES256", bank.key.kid) })).toMatchObject({
      status: 401,
    });
    expect(await keysOf(bank)).toHaveLength(1);
  });

  test("a key signs payments for as long as it is good, with whatever key the access token is signed", async () => {
    const bank = await newBank();
    const next = await generateKeyPair("RS256", "pays");
    await bank.client().addKey(next.publicJwk, new Date(Date.now() + 3_600_000));
    const { id } = (await (await createOrder(platform)).json()) as { id: string };
    expect(await clientOf(bank, next).getOrderForBank(id)).toMatchObject({ ok: true });
    expect(await bank.pays({ id })).toMatch(/-/);
    await platform.endsAllCallbacks();
  });
});

describe("a suspended party", () => {
  const soon = { timeout: 3_000 };
  const statusOf = async (response: Response) => [response.status, ((await response.json()) as Claims).code];
  const participants = () => platform.operators().participants;

  test("a bank reads, pays and confirms registers, and may do nothing else; resumed it goes on", async () => {
    const bank = await newBank();
    await participants().suspendParticipant({ guid: bank.guid });
    await expect.poll(async () => (await bank.client().listMissedCallbacks({ since })).status, soon).toBe(403);
    const token = async () => access(bank.key);
    expect(await statusOf(await post(messagesUrl(platform, bank.guid), { jwt: "a.b.c" }, await token()))).toEqual([
      403,
      "PARTICIPANT_SUSPENDED",
    ]);
    expect(await addKey(bank, { jwk: bank.key.publicJwk })).toMatchObject({
      status: 403,
      json: { code: "PARTICIPANT_SUSPENDED" },
    });
    expect(await bank.client().listGrossSettlements()).toMatchObject({ status: 200 });
    expect(await bank.client().getGrossSettlement("1012231")).toMatchObject({ status: 400 });
    await participants().resumeParticipant({ guid: bank.guid });
    await expect.poll(async () => (await bank.client().listMissedCallbacks({ since })).status, soon).toBe(200);
  });

  test("a merchant's orders are refused, and those that it has cannot be paid meanwhile", async () => {
    const shop = await platform.newMerchant({ name: "Suspended Shop", bank: platform.recipient });
    const { uid } = shop;
    const order = await shop.order();
    const { participant } = await participants().getParticipant({ by: { case: "uid", value: uid } });
    const guid = participant?.guid ?? "";
    await participants().suspendParticipant({ guid });
    expect(await shop.creates()).toMatchObject({ status: 403, body: { code: "PARTICIPANT_SUSPENDED" } });
    expect(await platform.initiator.client().getOrderForBank(order.id)).toMatchObject({
      status: 400,
      body: { code: "RECEIVER_COUNTERPARTY_SUSPENDED" },
    });
    expect(await platform.recipient.client().getOrderForBank(order.id)).toMatchObject({ status: 200 });
    await participants().resumeParticipant({ guid });
    expect(await platform.initiator.pays(order)).toMatch(/-/);
    await platform.endsAllCallbacks();
  });

  test("a closed bank is nobody", async () => {
    const bank = await newBank();
    await expect(participants().closeParticipant({ guid: bank.guid })).rejects.toThrow("not suspended");
    await participants().suspendParticipant({ guid: bank.guid });
    const { participant } = await participants().closeParticipant({ guid: bank.guid });
    expect(participant?.signingJwks).toEqual([]);
    const { status, body } = await bank.client().listGrossSettlements();
    expect([status, body]).toMatchObject([401, { error: "AUTHORIZATION_FAILED" }]);
    await expect(participants().updateParticipant({ guid: bank.guid, name: "Again" })).rejects.toThrow("closed");
    const emitters = (await (await fetch(`${platform.url()}/api/v1/merchants/emitters`)).json()) as { bic: string }[];
    expect(emitters.some(({ bic }) => bic === bank.bic)).toBe(false);
  });
});

test("a token is judged by the key alone that signed it, whatever other keys the bank has", async () => {
  const bank = await newBank();
  const forger = await generateKeyPair("RS256", bank.key.kid);
  const token = await createAccessToken(forger, new Date(), randomUUID());
  const answers = await Promise.all(
    Array.from({ length: 20 }, () =>
      fetch(`${platform.url()}/api/v1/counterparty/${bank.guid}/gross-settlement`, {
        headers: { "Cx-Authorization": token },
      }),
    ),
  );
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([401]));
});
