import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Claims } from "../../src/sdk/jws.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { merchantClient } from "../../src/sdk/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { access, orderClaims, ordersUrl, post } from "./forge.ts";

// A merchant cancels an order that nobody has begun to pay (wire contract, section 2).

let platform: Platform;

beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const seconds = () => Math.floor(Date.now() / 1000);

async function cancel(claims: Claims, key = platform.merchant.key) {
  const response = await post(`${ordersUrl(platform)}/cancel`, { jwt: await signJws(claims, key) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const cancellation = (orderId: string, changes: Claims = {}): Claims => ({
  sub: platform.merchant.uid,
  order_id: orderId,
  iat: seconds(),
  ...changes,
});

const statusOf = async (orderId: string) => (await fetch(`${ordersUrl(platform)}/status?id=${orderId}`)).json();

test("an order is canceled with its reason, again and by the SDK it is answered the same, and nobody can pay it", async () => {
  const order = await platform.merchant.order();
  const claims = cancellation(order.id.toUpperCase(), { novelty: "ignored", iat: String(seconds()) });
  const first = await cancel(claims);
  expect(first).toMatchObject({
    status: 200,
    body: { order_id: order.id, status: "Canceled", reason: "Order is canceled by the merchant", code: null },
  });
  expect(await cancel(claims)).toEqual(first);
  const client = merchantClient({ url: platform.url(), uid: platform.merchant.uid, key: platform.merchant.key });
  expect(await client.cancelOrder(order.id)).toMatchObject({ ok: true, ...first });
  expect(await statusOf(order.id)).toEqual(first.body);
  await expect(platform.initiator.pays(order)).rejects.toThrow("it is Canceled");
  await platform.endsAllCallbacks();
  const callbacks = await platform.rows("select kind from callback where order_guid = $1", order.id);
  expect(callbacks).toEqual([]);
  const [kept] = await platform.rows<{ cancel_jws: string }>(
    "select cancel_jws from payment_order where guid = $1",
    order.id,
  );
  expect(kept?.cancel_jws).toBe(await signJws(claims, platform.merchant.key));
});

test("an order that is paid, or whose payment is under way, is refused", async () => {
  const order = await platform.merchant.order();
  await platform.initiator.pays(order);
  const refusal = { status: 409, body: { code: "ORDER_IS_BEING_PAID", field: "order_id" } };
  expect(await cancel(cancellation(order.id))).toMatchObject(refusal);
  await platform.endsAllCallbacks();
  expect(await cancel(cancellation(order.id))).toMatchObject(refusal);
  expect(await statusOf(order.id)).toMatchObject({ status: "Success" });
});

test("an order of nobody, or of another merchant, is not found", async () => {
  const other = await platform.newMerchant({ name: "Another Shop", bank: platform.recipient });
  const { id } = await other.order();
  for (const orderId of [randomUUID(), id]) {
    expect(await cancel(cancellation(orderId))).toMatchObject({
      status: 400,
      body: { code: "ORDER_NOT_FOUND", field: "order_id" },
    });
  }
  expect(await statusOf(id)).toMatchObject({ status: "Created" });
});

test.each<[string, Claims, number, string, string | undefined]>([
  ["from the future", { iat: 4_000_000_000 }, 400, "INVALID_ISSUE_TIME", "iat"],
  ["in milliseconds", { iat: Date.now() }, 400, "INVALID_ISSUE_TIME", "iat"],
  ["without an instant", { iat: undefined }, 400, "INVALID_ISSUE_TIME", "iat"],
  ["without an order", { order_id: undefined }, 400, "INVALID_REQUEST", "order_id"],
  ["of what is no order", { order_id: "7" }, 400, "INVALID_REQUEST", "order_id"],
  ["of an unknown merchant", { sub: "nobody" }, 401, "AUTHORIZATION_FAILED", undefined],
])("a cancellation %s is refused, and the order stays", async (_, changes, status, code, field) => {
  const { id } = await platform.merchant.order();
  const { status: answered, body } = await cancel(cancellation(id, changes));
  expect([answered, body.code, body.field]).toEqual([status, code, field]);
  expect(await statusOf(id)).toMatchObject({ status: "Created" });
});

test("one of long ago is good: it can only ask for what its merchant has asked for", async () => {
  const { id } = await platform.merchant.order();
  expect(await cancel(cancellation(id, { iat: 1_000_000_000 }))).toMatchObject({ status: 200 });
});

test("a suspended merchant is refused, as with a new order", async () => {
  const merchant = await platform.newMerchant({ name: "Suspended Shop", bank: platform.recipient });
  const { id } = await merchant.order();
  const { participants } = platform.operators();
  const { participant } = await participants.getParticipant({ by: { case: "uid", value: merchant.uid } });
  await participants.suspendParticipant({ guid: participant?.guid ?? "" });
  const claims = { sub: merchant.uid, order_id: id, iat: seconds() };
  expect(await cancel(claims, merchant.key)).toMatchObject({ status: 403, body: { code: "PARTICIPANT_SUSPENDED" } });
});

test("tokens of one kind are never taken for another: order, cancellation, payment message, Cx-Authorization", async () => {
  const { merchant, initiator } = platform;
  const { id } = await merchant.order();
  // An order that also says what a cancellation says, as it may stand in somebody's log.
  const order = orderClaims(platform, { order_id: id });
  expect(await cancel(order)).toMatchObject({ status: 401, body: { code: "AUTHORIZATION_FAILED" } });
  expect(await cancel(orderClaims(platform))).toMatchObject({ status: 401 });
  const asOrder = await post(ordersUrl(platform), { jwt: await signJws(cancellation(id), merchant.key) });
  expect(asOrder.status).toBe(400);
  expect(await cancel(cancellation(id), initiator.key)).toMatchObject({ status: 401 });
  const asAccess = async (claims: Claims) => {
    const token = await signJws({ ...claims, jti: randomUUID() }, initiator.key);
    const url = `${ordersUrl(platform)}/nbu/json?id=${id}`;
    return (await fetch(url, { headers: { "Cx-Authorization": token } })).status;
  };
  expect([await asAccess({ iat: seconds() }), await asAccess(cancellation(id))]).toEqual([200, 401]);
  const message = `${platform.url()}/api/v1/counterparty/${initiator.guid}/payment-message`;
  const asMessage = await post(
    message,
    { jwt: await signJws(cancellation(id), initiator.key) },
    await access(initiator.key),
  );
  expect(asMessage.status).toBe(400);
  expect(await statusOf(id)).toMatchObject({ status: "Created" });
});

test.each([
  ["nothing", {}, 400],
  ["a number", { jwt: 7 }, 400],
  ["what is no token", { jwt: "a.b" }, 401],
])("a body with %s is refused", async (_, body, status) => {
  expect((await post(`${ordersUrl(platform)}/cancel`, body)).status).toBe(status);
});
