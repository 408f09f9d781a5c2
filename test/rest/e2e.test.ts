import { randomUUID } from "node:crypto";
import createClient from "openapi-fetch";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { paths } from "../../gen/rest/types.ts";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { type Claims, peekJws, signJws, verifyJws } from "../../src/sdk/jws.ts";
import { fetchPlatformKeys } from "../../src/sdk/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { acceptedClaims, access, messagesUrl, orderClaims, ordersUrl, post } from "./forge.ts";

let platform: Platform;
let stranger: SandboxBank;

beforeAll(async () => {
  platform = await startPlatform();
  stranger = await platform.newBank({ name: "Stranger Bank" });
});
afterEach(async () => {
  await platform.endsAllCallbacks();
  for (const participant of [platform.initiator, platform.recipient, platform.merchant]) participant.reset();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

async function json(response: Response): Promise<Record<string, unknown>> {
  return (await response.json()) as Record<string, unknown>;
}

test("a client generated from the contract drives the running server from the order to the payment and back", async () => {
  const { initiator, merchant } = platform;
  const client = createClient<paths>({ baseUrl: platform.url() });
  const created = await client.POST("/api/v1/merchants/order", {
    body: { jwt: await signJws(orderClaims(platform, { amt: 1500.75 }), merchant.key) },
  });
  const id = created.data?.id ?? "";
  const order = await client.GET("/api/v1/merchants/order/nbu/json", {
    params: { query: { id } },
    headers: await access(initiator.key),
  });
  expect(order.data).toMatchObject({ id, amt: 1500.75, uid: merchant.uid });
  const guid = await initiator.pays({ id });
  await initiator.receives("pay-out", { guid, status: "success" });
  const paid = await client.GET("/api/v1/counterparty/{counterparty_guid}/payment-message/{payment_message_guid}", {
    params: { path: { counterparty_guid: initiator.guid, payment_message_guid: guid } },
    headers: await access(initiator.key),
  });
  expect(paid.data).toMatchObject({ guid, amount: 1500.75, status: "success", reason: "Payment message is approved" });
  const unknown = await client.GET("/api/v1/merchants/order/{order_id}/payment-message", {
    params: { path: { order_id: randomUUID() } },
    headers: await access(initiator.key),
  });
  expect([unknown.response.status, unknown.error]).toEqual([400, expect.objectContaining({ error: "not found" })]);
});

describe("orders", () => {
  test("the token may come in the query or in the body; times may be numeric strings; the links lead to the order", async () => {
    const claims = orderClaims(platform);
    const token = await signJws({ ...claims, iat: String(claims.iat), exp: String(claims.exp) }, platform.merchant.key);
    const byQuery = await fetch(`${ordersUrl(platform)}?jwt=${token}`, { method: "POST" });
    expect(byQuery.status).toBe(201);
    const order = await json(byQuery);
    expect(Object.keys(order).sort()).toEqual(["id", "link_deeplinks", "link_qr"]);
    expect(order.link_qr).toMatch(new RegExp(`/api/v1/merchants/order\\?id=${order.id}&mobile=0$`));
    expect(order.link_deeplinks).toMatch(new RegExp(`/api/v1/merchants/order\\?id=${order.id}&mobile=1$`));
    const byBody = await post(ordersUrl(platform), { jwt: token });
    expect(await json(byBody)).toEqual(order);
  });

  test("the same ref again: the same content answers the first order, other content is refused", async () => {
    const { merchant } = platform;
    const claims = orderClaims(platform);
    const create = async (changes = {}) =>
      post(ordersUrl(platform), { jwt: await signJws({ ...claims, ...changes }, merchant.key) });
    const first = await json(await create());
    const again = await Promise.all(Array.from({ length: 8 }, () => create()));
    expect(await Promise.all(again.map(async (answer) => (await json(answer)).id))).toEqual(Array(8).fill(first.id));
    const other = await create({ amt: 22 });
    expect([other.status, await json(other)]).toEqual([
      409,
      { error: "order with provided ref already exists", code: "REF_IS_ALREADY_TAKEN", field: "ref" },
    ]);
    // Another merchant's numbers are its own.
    const second = await platform.newMerchant({ bank: platform.recipient });
    const elsewhere = await second.order({ ref: String(claims.ref) });
    expect(elsewhere.id).not.toBe(first.id);
  });

  test("custom=true adds the order's details under the platform's signature", async () => {
    const claims = orderClaims(platform, { amt: 12.5 });
    const jwt = await signJws(claims, platform.merchant.key);
    const order = await json(await post(`${ordersUrl(platform)}?custom=true`, { jwt }));
    const verified = await verifyJws(order.jwt, await fetchPlatformKeys({ url: platform.url() }));
    expect(verified).toMatchObject({ ok: true, claims: { id: order.id, amt: 12.5, ref: claims.ref } });
  });

  test("claims that nobody knows are ignored, and kept in the evidence", async () => {
    const token = await signJws(orderClaims(platform, { loyalty: { card: 17 } }), platform.merchant.key);
    const order = await json(await post(ordersUrl(platform), { jwt: token }));
    const [row] = await platform.rows<{ jws: string }>("select jws from payment_order where guid = $1", order.id);
    expect(row?.jws).toBe(token);
    expect(peekJws(row?.jws)).toMatchObject({ claims: { loyalty: { card: 17 } } });
  });

  test("nbu/json: the documented members and the key to encrypt for, by id and by order_id", async () => {
    const { initiator, recipient, merchant } = platform;
    const fri = { frn: "Fund", frc: "12345678", fra: "UA723445993115212345678", frb: "300650", frm: "1234" };
    const order = await merchant.order({ amount: 7.1, claims: { fri } });
    const read = async (name: string) =>
      fetch(`${ordersUrl(platform)}/nbu/json?${name}=${order.id.toUpperCase()}`, {
        headers: await access(initiator.key),
      });
    const body = await json(await read("id"));
    expect(body).toEqual({
      id: order.id,
      exp: expect.any(Number),
      amt: 7.1,
      cur: "UAH",
      ref: order.ref,
      prp: expect.any(String),
      uid: merchant.uid,
      recn: merchant.name,
      recc: merchant.taxCode,
      acc: merchant.iban,
      mcc: Number(merchant.mcc),
      bic: recipient.bic,
      fri,
      public_key: expect.objectContaining({ kid: recipient.key.kid }),
      status: "Created",
    });
    expect(await json(await read("order_id"))).toEqual(body);
    const unknown = await initiator.client().getOrderForBank(randomUUID());
    expect(unknown).toMatchObject({
      status: 400,
      body: {
        error:
          "func GetMerchantsOrderNbuJSONHandler() failed. Error: failed to get order by ID: get order by guid err: order not found",
      },
    });
    expect((await fetch(`${ordersUrl(platform)}/nbu/json?id=${order.id}`)).status).toBe(401);
  });

  test("order status: Created, In Progress, Success, Canceled by the merchant, Canceled by time; unknown is an empty object", async () => {
    const { initiator, merchant } = platform;
    const statusOf = async (id: string) => (await merchant.client().getOrderStatus(id)).body as Record<string, unknown>;
    const order = await merchant.order({ amount: 33.3 });
    expect(await statusOf(order.id)).toEqual({
      amount: 33.3,
      amount_matched: false,
      callback_guid: null,
      code: null,
      currency: "UAH",
      order_id: order.id,
      payment_message_external_id: "",
      payment_message_guid: "00000000-0000-0000-0000-000000000000",
      purpose: expect.any(String),
      reason: "",
      receiver_account_iban: "",
      ref_found: null,
      ref_number: order.ref,
      sender_account_iban: "",
      status: "Created",
    });
    merchant.answers("pay-in", { status: 200, delayMs: 500 });
    const guid = await initiator.pays(order);
    expect(await statusOf(order.id)).toMatchObject({ status: "In Progress", payment_message_guid: guid, reason: "" });
    await initiator.receives("pay-out", { guid });
    expect(await statusOf(order.id)).toMatchObject({
      status: "Success",
      amount_matched: true,
      reason: "Order is paid",
    });

    merchant.answers("pay-in", 422);
    const rejected = await merchant.order();
    const rejectedGuid = await initiator.pays(rejected);
    await initiator.receives("pay-out", { guid: rejectedGuid });
    expect(await statusOf(rejected.id)).toMatchObject({ status: "Canceled" });

    const late = await merchant.order({ expiresInSeconds: 1 });
    await merchant.receives("expiration", { orderId: late.id });
    expect(await statusOf(late.id)).toMatchObject({ status: "Canceled", reason: "Order is expired" });

    const unknown = await fetch(`${ordersUrl(platform)}/status?id=${randomUUID()}`);
    expect([unknown.status, await unknown.json()]).toEqual([400, {}]);
  });

  test("payment page: a QR code for screens, the banks' deep links for phones, neither once the order is paid", async () => {
    const { initiator, merchant } = platform;
    const order = await merchant.order({ purpose: "<script>alert(1)</script>" });
    const page = async (mobile: number) => {
      const answer = await fetch(`${ordersUrl(platform)}?id=${order.id}&mobile=${mobile}`);
      expect(answer.headers.get("content-type")).toMatch(/^text\/html/);
      return answer.text();
    };
    const [screen, phone] = [await page(0), await page(1)];
    expect(screen).toContain('role="img"');
    expect(phone).toContain(`href="${initiator.deepLinkPrefix}`);
    for (const html of [screen, phone]) expect(html).not.toContain("<script>alert");
    const guid = await initiator.pays(order);
    await initiator.receives("pay-out", { guid });
    expect(await page(0)).not.toContain('role="img"');
    expect((await fetch(`${ordersUrl(platform)}?id=${randomUUID()}`)).status).toBe(404);
  });
});

describe("payment messages", () => {
  test("concurrent submissions for one order: exactly one wins, the others hear its guid, and the cascade runs once", async () => {
    const { initiator, merchant, recipient } = platform;
    const order = await merchant.order();
    const answers = await Promise.all(Array.from({ length: 12 }, () => initiator.submits(order)));
    const won = answers.filter((answer) => answer.ok);
    expect(won).toHaveLength(1);
    const guid = won[0]?.ok ? won[0].body.guid : "";
    for (const lost of answers.filter((answer) => !answer.ok)) {
      expect([lost.status, lost.body]).toEqual([
        409,
        {
          error: "payment message with provided order id already exists",
          code: "PAYMENT_MESSAGE_EXISTS",
          field: "order_id",
          payment_message_guid: guid,
        },
      ]);
    }
    await platform.endsAllCallbacks();
    expect(recipient.calls("pay-in", { guid })).toHaveLength(1);
  });

  test("a signed request that is sent again hears the first answer's guid, through either path", async () => {
    const { initiator } = platform;
    const claims = await acceptedClaims(platform);
    const [first] = await platform.rows<{ guid: string }>(
      "select guid from payment_message where order_guid = $1",
      claims.order_id,
    );
    const jwt = await signJws(claims, initiator.key);
    for (const url of [messagesUrl(platform), `${platform.url()}/api/v1/payment_message`]) {
      const again = await post(url, { jwt }, await access(initiator.key));
      expect([again.status, await json(again)]).toEqual([
        409,
        expect.objectContaining({
          error: "payment message with provided jti already exists",
          payment_message_guid: first?.guid,
        }),
      ]);
    }
  });

  test("a Cx-Authorization is used up by what was stored: the same bytes again hear its guid, anything else is a replay", async () => {
    const { initiator, merchant } = platform;
    const accepted = await acceptedClaims(platform);
    const message = async (changes: Claims = {}) => {
      const own = {
        jti: randomUUID(),
        payment_message_external_id: randomUUID(),
        order_id: (await merchant.order()).id,
      };
      return JSON.stringify({ jwt: await signJws({ ...accepted, ...own, ...changes }, initiator.key) });
    };
    const headers = await access(initiator.key);
    // What was refused has stored nothing, so the token is as good as new.
    expect((await post(messagesUrl(platform), await message({ amount: -1 }), headers)).status).toBe(400);
    expect((await post(messagesUrl(platform), await message({ order_id: randomUUID() }), headers)).status).toBe(400);
    const body = await message();
    const first = await post(messagesUrl(platform), body, headers);
    expect(first.status).toBe(201);
    const again = await Promise.all(Array.from({ length: 4 }, () => post(messagesUrl(platform), body, headers)));
    const { guid } = await json(first);
    for (const answer of again) {
      expect([answer.status, await json(answer)]).toEqual([
        409,
        expect.objectContaining({ payment_message_guid: guid }),
      ]);
    }
    for (const [url, other] of [
      [messagesUrl(platform), await message()],
      [messagesUrl(platform), `${body} `],
      [`${messagesUrl(platform)}?again=1`, body],
      [`${platform.url()}/api/v1/payment_message`, body],
    ] as const) {
      const replay = await post(url, other, headers);
      const refusal = { error: "Access credentials are invalid", code: "TOKEN_REPLAYED", field: "jti" };
      expect([replay.status, await json(replay)]).toEqual([401, refusal]);
    }
  });

  test("a bank that is registered so pays only with tokens that bind their bodies, which those of the SDK do", async () => {
    const [bank, order] = [await platform.newBank({}, { requiresBodySha256: true }), await platform.merchant.order()];
    const unbound = await post(messagesUrl(platform, bank.guid), { jwt: "x" }, await access(bank.key));
    expect([unbound.status, await json(unbound)]).toEqual([
      401,
      { error: "Access credentials are invalid", code: "TOKEN_INCOMPLETE", field: "body_sha256" },
    ]);
    expect(await bank.submits(order)).toMatchObject({ status: 201 });
  });

  test("claims that nobody knows are ignored, and kept in the evidence", async () => {
    const { initiator, merchant } = platform;
    const guid = await initiator.pays(await merchant.order(), { channel: { device: "watch" } });
    const [row] = await platform.rows<{ jws: string }>(
      "select jws from payment_evidence where payment_message_guid = $1",
      guid,
    );
    expect(peekJws(row?.jws)).toMatchObject({ claims: { channel: { device: "watch" } } });
  });

  test("both GETs answer both banks alike; others hear `not found`, as if there were nothing", async () => {
    const { initiator, recipient, merchant } = platform;
    const order = await merchant.order({ amount: 5 });
    const guid = await initiator.pays(order);
    await initiator.receives("pay-out", { guid });
    const byGuid = await initiator.client().getPaymentMessage(guid);
    expect(byGuid.body).toEqual({
      jti: expect.any(String),
      payment_message_external_id: expect.any(String),
      amount: 5,
      currency: "UAH",
      debtor_agent: { debtor_agent_name: initiator.name, debtor_agent_bic: initiator.bic },
      debtor: { debtor_name: expect.any(String), debtor_id: expect.any(String), debtor_account: expect.any(String) },
      creditor_agent: { creditor_agent_name: recipient.name, creditor_agent_bic: recipient.bic },
      creditor: {
        creditor_name: expect.any(String),
        creditor_id: expect.any(String),
        creditor_account: merchant.iban,
        creditor_uid: merchant.uid,
      },
      order_id: order.id,
      purpose: expect.any(String),
      msg_creation_date: expect.stringMatching(/^\d{4}-\d{2}-\d{2}$/),
      msg_creation_time: expect.stringMatching(/^\d{2}:\d{2}:\d{2}$/),
      pm_type: "trade",
      sender_account_type: "limit-related",
      encryption: { nonce: expect.any(String), encrypted_key: expect.any(String) },
      public_key: expect.objectContaining({ kty: "RSA", kid: recipient.key.kid }),
      status: "success",
      reason: "Payment message is approved",
      guid,
    });
    for (const bank of [initiator, recipient]) {
      expect((await bank.client().getPaymentMessage(guid)).body).toEqual(byGuid.body);
      expect((await bank.client().getPaymentMessageByOrder(order.id)).body).toEqual(byGuid.body);
    }
    for (const answer of [
      await stranger.client().getPaymentMessage(guid),
      await stranger.client().getPaymentMessageByOrder(order.id),
      await initiator.client().getPaymentMessage(randomUUID()),
      await initiator.client().getPaymentMessageByOrder(randomUUID()),
    ]) {
      expect(answer).toMatchObject({ status: 400, body: { error: "not found" } });
    }
    const path = `${platform.url()}/api/v1/counterparty/${initiator.guid}/payment-message/${guid}`;
    expect((await fetch(path, { headers: await access(stranger.key) })).status).toBe(403);
  });
});

test("registers: both banks list and read them with the payments, others see neither; amounts are strings", async () => {
  const { initiator, recipient } = platform;
  const guid = await platform.pays({ amount: 100.05 });
  await platform.endsAllCallbacks();
  await platform.operators().settlements.closeRegisters({ day: kyivTime(new Date()).date, allowOpenDay: true });
  const listed = await initiator.client().listGrossSettlements({ role: "Debtor" });
  if (!listed.ok) throw new Error(`the registers cannot be listed: ${listed.status}`);
  const register = listed.body.find((entry) => entry.creditor_bic === recipient.bic);
  expect(register).toMatchObject({ debtor_bic: initiator.bic, status: "Sent", currency: "UAH" });
  const id = register?.id ?? "";
  for (const bank of [initiator, recipient]) {
    const read = await bank.client().getGrossSettlement(id);
    if (!read.ok) throw new Error(`the register cannot be read: ${read.status}`);
    expect(read.body.payments?.find((payment) => payment.payment_message_guid === guid)).toMatchObject({
      amount: "100.05",
      register_id: id,
    });
  }
  const asCreditor = await recipient.client().listGrossSettlements({ role: "All" });
  expect(asCreditor.ok && asCreditor.body.map((entry) => entry.id)).toContain(id);
  const asDebtor = await recipient.client().listGrossSettlements();
  expect(asDebtor.ok && asDebtor.body.map((entry) => entry.id)).not.toContain(id);
  const foreign = await stranger.client().listGrossSettlements({ role: "All" });
  expect(foreign.ok && foreign.body.map((entry) => entry.status)).toEqual(["Sent (no PM)"]);
  expect(await stranger.client().getGrossSettlement(id)).toMatchObject({
    status: 400,
    body: { error: "REGISTER_NOT_FOUND" },
  });
});

test("missed callbacks: a bank lists what could not be delivered to it, and nobody else's", async () => {
  const { initiator, recipient } = platform;
  initiator.answers("pay-out", 404);
  const since = new Date(Date.now() - 60_000).toISOString();
  const guid = await platform.pays();
  await platform.endsAllCallbacks();
  const missed = await initiator.client().listMissedCallbacks({ since });
  expect(JSON.stringify(missed.body)).toContain(guid);
  const others = await recipient.client().listMissedCallbacks({ since });
  expect(JSON.stringify(others.body)).not.toContain(guid);
});

test("missed callbacks: a merchant lists its Expiration and its Pay-in reject, and another merchant neither", async () => {
  const { merchant, recipient, newMerchant } = platform;
  const neighbour = await newMerchant({ name: "Lviv Books", bank: recipient });
  const since = new Date(Date.now() - 60_000).toISOString();
  // What must not be missed is answered by the next receiver; here nobody does.
  merchant.answers("pay-in", 503);
  merchant.answers("expiration", 503);
  const late = await merchant.order({ expiresInSeconds: 1 });
  const guid = await platform.pays();
  await expect
    .poll(async () => (await kindsMissed(merchant)).toSorted(), { timeout: 20_000 })
    .toEqual([
      ["expiration", late.id],
      ["pay_in_merchant_reject", guid],
    ]);
  expect(await kindsMissed(neighbour)).toEqual([]);

  async function kindsMissed(of: typeof merchant) {
    const answer = await of.client().listMissedCallbacks({ since });
    if (!answer.ok) throw new Error(`the callbacks cannot be listed: ${answer.status}`);
    const missed = answer.body.items.filter(({ state }) => state === "review");
    return missed.map(({ kind, order_id, payment_message_guid }) => [kind, payment_message_guid ?? order_id]);
  }
});
