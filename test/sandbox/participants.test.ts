import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeAll, describe, expect, test } from "vitest";
import { type SandboxBank, type SandboxMerchant, startBank, startMerchant } from "../../src/sandbox/participants.ts";
import { bodyDigest, createAccessToken } from "../../src/sdk/access.ts";
import { MAX_CALLBACK_TOKEN_CHARS } from "../../src/sdk/callbacks.ts";
import { type Claims, peekJws, signJws, verifyJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";

let platform: KeyPair;
let stranger: KeyPair;
let keys: { bank: KeyPair; other: KeyPair };
const stops: (() => Promise<void>)[] = [];

beforeAll(async () => {
  const pairs = await Promise.all(Array.from({ length: 4 }, () => generateKeyPair()));
  const [first, second, bank, other] = pairs as [KeyPair, KeyPair, KeyPair, KeyPair];
  platform = first;
  stranger = second;
  keys = { bank, other };
});

afterEach(async () => {
  for (const stop of stops.splice(0)) await stop();
});

const platformKeys = () => [{ kid: platform.kid, alg: platform.alg, key: platform.publicKey }];

async function aBank(options: Parameters<typeof startBank>[0] = {}) {
  const bank = await startBank({ key: keys.bank, ...options });
  stops.push(bank.stop);
  bank.joins({ url: "http://127.0.0.1:1", keys: platformKeys() });
  return bank;
}

/** Sends a callback the way the platform does. */
async function call(
  to: { url: string },
  audience: string,
  kind: string,
  claims: Claims,
  changes: { key?: KeyPair; guid?: string; signal?: AbortSignal } = {},
) {
  const guid = changes.guid ?? randomUUID();
  const iat = Math.floor(Date.now() / 1000);
  const jwt = await signJws({ ...claims, aud: audience, iat, exp: iat + 60, jti: guid }, changes.key ?? platform);
  return fetch(`${to.url}/${kind}`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      "Cx-Authorization": await createAccessToken(changes.key ?? platform, new Date(), randomUUID()),
      "X-Callback-Guid": guid,
    },
    body: JSON.stringify({ jwt }),
    redirect: "manual",
    signal: changes.signal ?? null,
  });
}

describe("a participant", () => {
  test("records a verified callback and answers 200 unless told otherwise", async () => {
    const bank = await aBank();
    const guid = randomUUID();
    const claims = {
      payment_message: { order_id: "order-1" },
      payment_message_guid: "pm-1",
      status: "success",
      reason: "R",
    };
    expect((await call(bank, bank.guid, "pay-out", claims, { guid })).status).toBe(200);
    expect(await bank.receives("pay-out", { guid: "pm-1", status: "success" })).toMatchObject({
      kind: "pay-out",
      guid: "pm-1",
      callbackGuid: guid,
      orderId: "order-1",
      reason: "R",
      problem: undefined,
      answered: 200,
      attempt: 1,
    });
    expect(bank.calls("pay-in")).toHaveLength(0);
  });

  test("takes the largest token that the platform signs", async () => {
    const bank = await aBank();
    const filling = "x".repeat((MAX_CALLBACK_TOKEN_CHARS - 2_000) * 0.75);
    expect((await call(bank, bank.guid, "gross-settlement", { filling })).status).toBe(200);
  });

  test("answers by script, one reply after the other; the last one stays", async () => {
    const bank = await aBank();
    bank.answers("credit", 503, (c) => (c.attempt === 2 ? { status: 429, headers: { "Retry-After": "1" } } : 500), 204);
    const guid = randomUUID();
    const statuses: number[] = [];
    for (let n = 0; n < 4; n++) statuses.push((await call(bank, bank.guid, "credit", {}, { guid })).status);
    expect(statuses).toEqual([503, 429, 204, 204]);
    expect(bank.calls("credit").map((c) => c.attempt)).toEqual([1, 2, 3, 4]);
  });

  test("answers 401 to what it cannot verify, and says why", async () => {
    const bank = await aBank();
    expect((await call(bank, bank.guid, "pay-in", {}, { key: stranger })).status).toBe(401);
    expect((await call(bank, "someone-else", "pay-in", {})).status).toBe(401);
    expect(bank.calls("pay-in").map((c) => c.problem)).toEqual(["access_unknown_key", "audience"]);
  });

  test("accepts an open Expiration body whose digest is bound", async () => {
    const merchant = await startMerchant({ key: keys.other, bank: { guid: "b", bic: "300001" } });
    stops.push(merchant.stop);
    merchant.joins({ url: "http://127.0.0.1:1", keys: platformKeys() });
    const body = JSON.stringify({ order_id: "order-1", code: 4001, status: "reject", reason: "Order is expired" });
    const further = {
      aud: merchant.uid,
      exp: Math.floor(Date.now() / 1000) + 60,
      body_sha256: bodyDigest(Buffer.from(body)),
    };
    const headers = {
      "Cx-Authorization": await createAccessToken(platform, new Date(), "callback-1", further),
      "X-Callback-Guid": "callback-1",
    };
    expect((await fetch(`${merchant.url}/expiration`, { method: "POST", headers, body })).status).toBe(200);
    expect(await merchant.receives("expiration", { orderId: "order-1", code: 4001 })).toMatchObject({ answered: 200 });
  });

  test.each(["reset", "garbage", "endless-body"] as const)("misbehaves on demand: %s", async (fault) => {
    const bank = await aBank();
    bank.answers("pay-in", fault);
    const answer = call(bank, bank.guid, "pay-in", {}, { signal: AbortSignal.timeout(300) }).then((r) => r.text());
    await expect(answer).rejects.toThrow();
    // Where a status line went out, it is the answer.
    expect(await bank.receives("pay-in")).toMatchObject({ answered: fault === "endless-body" ? 200 : fault });
  });

  test("hangs on demand: the call is there, the answer never comes", async () => {
    const bank = await aBank();
    bank.answers("pay-in", "hang");
    const abort = new AbortController();
    const answer = call(bank, bank.guid, "pay-in", {}, { signal: abort.signal });
    expect(await bank.receives("pay-in")).toMatchObject({ answered: "hang" });
    abort.abort();
    await expect(answer).rejects.toThrow();
  });

  test("an answer that the sender did not wait for counts as hanging", async () => {
    const bank = await aBank();
    const waiting = Promise.withResolvers<void>();
    const called = Promise.withResolvers<void>();
    bank.answers("pay-in", async () => {
      called.resolve();
      await waiting.promise;
      return { status: 200, delayMs: 50 };
    });
    const abort = new AbortController();
    const answer = call(bank, bank.guid, "pay-in", {}, { signal: abort.signal }).catch(() => undefined);
    await called.promise;
    abort.abort();
    waiting.resolve();
    await answer;
    expect(await bank.receives("pay-in")).toMatchObject({ answered: "hang" });
  });

  test("waits for a callback that comes later, and says what came instead when it does not", async () => {
    const bank = await aBank();
    const later = bank.receives("pay-out", { status: "reject" });
    await call(bank, bank.guid, "pay-out", { status: "success" });
    await call(bank, bank.guid, "pay-out", { status: "reject" });
    expect(await later).toMatchObject({ status: "reject" });
    await expect(bank.receives("credit", { status: "success" }, 20)).rejects.toThrow(
      /No credit callback.*pay-out reject/,
    );
  });

  test("keeps only as many calls as it was told", async () => {
    const bank = await aBank({ keepCalls: 2 });
    for (const status of ["a", "b", "c"]) await call(bank, bank.guid, "credit", { status });
    expect(bank.calls("credit").map((c) => c.status)).toEqual(["b", "c"]);
    bank.reset();
    expect(bank.calls("credit")).toEqual([]);
  });

  test("answers 404 on paths that it did not register", async () => {
    const bank = await aBank();
    expect((await fetch(`${bank.url}/other`, { method: "POST", body: "{}" })).status).toBe(404);
  });
});

/** Stands in for the platform's side of two requests, so that what the participants send can be looked at. */
async function standIn(bank: SandboxBank, merchant: () => SandboxMerchant) {
  const seen: { path: string; access: string | undefined; jwt: string }[] = [];
  const order = () => ({
    id: "order-1",
    amt: 1500.75,
    cur: "UAH",
    prp: "Books",
    recn: merchant().name,
    recc: merchant().taxCode,
    acc: merchant().iban,
    bic: bank.bic,
    public_key: bank.key.publicJwk,
  });
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const path = String(request.url);
    seen.push({
      path,
      access: request.headers["cx-authorization"] as string | undefined,
      jwt: body && JSON.parse(body).jwt,
    });
    const answers: [RegExp, number, unknown][] = [
      [/nbu\/json/, 200, order()],
      [/payment-message/, 201, { guid: "pm-1" }],
      [/merchants\/order$/, 201, { id: "order-1", link_deeplinks: "", link_qr: "" }],
    ];
    const [, status, answer] = answers.find(([pattern]) => pattern.test(path)) ?? [/./, 404, { error: "not found" }];
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(answer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  stops.push(async () => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

test("a payment: signed by the merchant and the bank, and its people readable for the recipient bank alone", async () => {
  const recipient = await aBank({ bic: "380816" });
  const initiator = await aBank({ key: keys.other, bic: "306500" });
  const merchant: SandboxMerchant = await startMerchant({ key: keys.other, bank: recipient });
  stops.push(merchant.stop);
  const { url, seen } = await standIn(recipient, () => merchant);
  for (const participant of [recipient, initiator, merchant]) participant.joins({ url, keys: platformKeys() });

  const order = await merchant.order({ amount: 1500.75, ref: "r-1" });
  expect(await initiator.pays(order)).toBe("pm-1");

  const [created, read, paid] = seen;
  expect(peekJws(created?.jwt)).toMatchObject({ claims: { sub: merchant.uid, amt: 1500.75, ref: "r-1", cur: "UAH" } });
  expect(read?.path).toBe("/api/v1/merchants/order/nbu/json?id=order-1");
  expect(paid?.path).toBe(`/api/v1/counterparty/${initiator.guid}/payment-message`);
  expect(read?.access).not.toBe(paid?.access);
  const own = [{ kid: keys.other.kid, alg: keys.other.alg, key: keys.other.publicKey }];
  expect(await verifyJws(paid?.access, own)).toMatchObject({ ok: true });
  const message = await verifyJws(paid?.jwt, own);
  if (!message.ok) throw new Error(message.problem);
  expect(message.claims).toMatchObject({
    order_id: "order-1",
    debtor_agent_bic: "306500",
    creditor_agent_bic: "380816",
  });
  expect(await recipient.decrypts(message.claims)).toMatchObject({
    ok: true,
    fields: { creditor_name: merchant.name },
  });
  expect(await initiator.decrypts(message.claims)).toEqual({ ok: false });
});
