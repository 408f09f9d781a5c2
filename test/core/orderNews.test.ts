import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { isRefusal } from "../../src/domain/errors.ts";
import {
  accepted,
  createOrder,
  deliver,
  minutesMs,
  openPlatform,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  payWithSuccess,
  registerParties,
  setClock,
} from "./platform.ts";

// What pages of orders are told: every change, once, after it was committed.

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());
beforeEach(() => void platform.changes.splice(0));

const told = (orderGuid: string) =>
  platform.changes.flatMap((change) => (change.orderGuid === orderGuid ? [change.state] : []));

test("a payment is told when it is accepted and when it has succeeded, and only then", async () => {
  const order = await orderOf(await payWithSuccess(platform, parties));
  expect(told(order)).toEqual(["processing", "paid"]);
  expect(platform.changes).toHaveLength(2);
});

test("a rejected payment is told", async () => {
  const guid = await pay(platform, parties);
  await deliver(platform, guid, "pay_in_bank", "refused");
  expect(told(await orderOf(guid))).toEqual(["processing", "rejected"]);
});

test("what is refused is not told", async () => {
  const order = await createOrder(platform, parties.merchant);
  const submit = () => platform.core.submitPaymentMessage(paymentRequest(platform, parties, order));
  accepted(await submit());
  expect(isRefusal(await submit())).toBe(true);
  expect(told(order.id)).toEqual(["processing"]);
});

test("a canceled order is told once, however often its merchant cancels it", async () => {
  const order = await createOrder(platform, parties.merchant);
  const cancellation = {
    merchantGuid: parties.merchant.guid,
    merchantVersion: parties.merchant.version,
    orderGuid: order.id,
    issuedAt: platform.clock.now,
    jws: "cancellation.jws.text",
  };
  accepted(await platform.core.cancelOrder(cancellation));
  accepted(await platform.core.cancelOrder(cancellation));
  expect(told(order.id)).toEqual(["canceled"]);
});

test("every order that expires is told", async () => {
  const orders = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
  await setClock(platform, new Date(platform.clock.now.getTime() + minutesMs(20)));
  expect(await platform.core.expireOrders(10)).toBe(2);
  expect(orders.map(({ id }) => told(id))).toEqual([["expired"], ["expired"]]);
  expect(await platform.core.expireOrders(10)).toBe(0);
  expect(platform.changes).toHaveLength(2);
});

async function orderOf(messageGuid: string): Promise<string> {
  const [row] = await platform.rows<{ order_guid: string }>(
    "select order_guid from payment_message where guid = $1",
    messageGuid,
  );
  return row?.order_guid ?? "";
}
