import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { createCore } from "../../src/core/core.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { OrderCancellation } from "../../src/domain/order.ts";
import type { Participant } from "../../src/domain/participant.ts";
import {
  accepted,
  createOrder,
  deliver,
  minutesMs,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  readOrder,
  reasonOf,
  registerParties,
  secondsFrom,
  setClock,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

const cancellationOf = (order: Order, merchant: Participant = parties.merchant): OrderCancellation => ({
  merchantGuid: merchant.guid,
  merchantVersion: merchant.version,
  orderGuid: order.id,
  issuedAt: new Date(),
  jws: "cancellation.jws.text",
});

const stored = async (order: Order) => {
  const [row] = await platform.rows<{ status: string; cancel_jws: string | null; callbacks: number }>(
    `select status, cancel_jws, (select count(*)::int from callback c where c.order_guid = o.guid) as callbacks
     from payment_order o where guid = $1`,
    order.id,
  );
  return row;
};

test("cancelOrder: an order that nobody has begun to pay is canceled, with what its merchant signed, and nobody is called", async () => {
  const order = await createOrder(platform, parties.merchant);
  const canceled = accepted(await platform.core.cancelOrder(cancellationOf(order)));
  expect(canceled).toEqual({
    order: { ...order, status: OrderStatus.CANCELED, canceledByMerchant: true },
    paymentMessage: undefined,
  });
  expect(await stored(order)).toEqual({ status: "canceled", cancel_jws: "cancellation.jws.text", callbacks: 0 });
  expect(await readOrder(platform, order.id)).toEqual(canceled.order);
});

test("cancelOrder: again, it is answered as it stands, and the first token stays", async () => {
  const order = await createOrder(platform, parties.merchant);
  const first = accepted(await platform.core.cancelOrder(cancellationOf(order)));
  const again = await platform.core.cancelOrder({ ...cancellationOf(order), jws: "another.jws.text" });
  expect(again).toEqual(first);
  expect((await stored(order))?.cancel_jws).toBe("cancellation.jws.text");
});

test("cancelOrder: a canceled order cannot be paid", async () => {
  const order = await createOrder(platform, parties.merchant);
  accepted(await platform.core.cancelOrder(cancellationOf(order)));
  const answer = await platform.core.submitPaymentMessage(paymentRequest(platform, parties, order));
  expect(reasonOf(answer)).toBe("ORDER_IS_EXPIRED");
});

test("cancelOrder: an order that is being paid, or is paid, is refused; one whose payment was rejected is answered with it", async () => {
  const orderOf = async (guid: string) => {
    const { orderId } = accepted(await platform.core.getPaymentMessage(undefined, { guid }));
    return readOrder(platform, orderId);
  };
  const message = await pay(platform, parties);
  const order = await orderOf(message);
  expect(await platform.core.cancelOrder(cancellationOf(order))).toMatchObject({
    refused: "ORDER_IS_BEING_PAID",
    field: "order_id",
  });
  await deliver(platform, message, "pay_in_bank", "accepted");
  await deliver(platform, message, "pay_in_merchant", "accepted");
  expect(reasonOf(await platform.core.cancelOrder(cancellationOf(order)))).toBe("ORDER_IS_BEING_PAID");
  const rejected = await pay(platform, parties);
  await deliver(platform, rejected, "pay_in_bank", "refused");
  const answer = accepted(await platform.core.cancelOrder(cancellationOf(await orderOf(rejected))));
  expect([answer.order.status, answer.order.canceledByMerchant, answer.paymentMessage?.guid]).toEqual([
    OrderStatus.CANCELED,
    false,
    rejected,
  ]);
});

test("cancelOrder: an order of another merchant is not found, and stays", async () => {
  const others = await registerParties(platform);
  const order = await createOrder(platform, parties.merchant);
  expect(reasonOf(await platform.core.cancelOrder(cancellationOf(order, others.merchant)))).toBe("ORDER_NOT_FOUND");
  expect((await stored(order))?.status).toBe("created");
  for (const id of ["", "no guid", parties.merchant.guid]) {
    expect(reasonOf(await platform.core.cancelOrder(cancellationOf({ ...order, id })))).toBe("ORDER_NOT_FOUND");
  }
});

test("cancelOrder: one signed in the future is refused, one of long ago is not", async () => {
  const order = await createOrder(platform, parties.merchant);
  const signed = (fromNow: number) => ({ ...cancellationOf(order), issuedAt: new Date(Date.now() + fromNow) });
  expect(await platform.core.cancelOrder(signed(minutesMs(5)))).toMatchObject({
    refused: "INVALID_ISSUE_TIME",
    field: "iat",
  });
  expect(reasonOf(await platform.core.cancelOrder(signed(-minutesMs(60 * 24 * 365))))).toBe("accepted");
});

test("cancelOrder: a merchant that was changed since its signature was verified is verified anew, and its order stays", async () => {
  const { merchant } = await registerParties(platform);
  const order = await createOrder(platform, merchant);
  const changed = accepted(await platform.core.updateParticipant(operator, merchant.guid, { name: "Renamed" }));
  await expect(platform.core.cancelOrder(cancellationOf(order, merchant))).rejects.toThrow(PartyChanged);
  expect((await stored(order))?.status).toBe("created");
  expect(reasonOf(await platform.core.cancelOrder(cancellationOf(order, changed)))).toBe("accepted");
});

test("cancelOrder: a merchant that comes to this version between canceling and reading is verified anew", async () => {
  const order = await createOrder(platform, parties.merchant);
  const { db } = platform.context;
  // The statement that cancels comes too early for that version, the one that reads does not.
  const hot: typeof db.hot = async (statement, values) =>
    statement.name === "cancel_order" ? [] : db.hot(statement, values);
  const core = createCore({ ...platform.context, db: { ...db, hot } });
  await expect(core.cancelOrder(cancellationOf(order))).rejects.toThrow(PartyChanged);
  expect((await stored(order))?.status).toBe("created");
});

/** Orders whose time is up, and that nobody has canceled yet. */
async function overdueOrders(count: number): Promise<Order[]> {
  const past = new Date(Date.now() - minutesMs(60));
  await setClock(platform, past);
  const changes = { expiresAt: secondsFrom(past, 60) };
  const orders = await Promise.all(
    Array.from({ length: count }, () => createOrder(platform, parties.merchant, changes)),
  );
  await setClock(platform, new Date());
  return orders;
}

test("cancelOrder: an order whose time is over is answered as canceled, and its merchant hears of the expiry as ever", async () => {
  const [order] = await overdueOrders(1);
  if (order === undefined) throw new Error("no order");
  const { order: answered } = accepted(await platform.core.cancelOrder(cancellationOf(order)));
  expect([answered.status, answered.canceledByMerchant]).toEqual([OrderStatus.CANCELED, false]);
  expect((await stored(order))?.status).toBe("created");
  expect(await platform.core.expireOrders(10)).toBe(1);
  expect(await stored(order)).toEqual({ status: "canceled", cancel_jws: null, callbacks: 1 });
});

test("cancelOrder and the expiry at the same moment: an order has a cancellation or an Expiration, never both, never neither", async () => {
  const soon = 40;
  const now = new Date();
  const orders = await Promise.all(
    Array.from({ length: soon }, () => createOrder(platform, parties.merchant, { expiresAt: secondsFrom(now, 2) })),
  );
  const second = await platform.secondCore();
  const end = Date.now() + 3_000;
  const expiring = (async () => {
    while (Date.now() < end) await second.expireOrders(5);
  })();
  for (const [place, order] of orders.entries()) {
    if (place > 0) await delay(60);
    accepted(await platform.core.cancelOrder(cancellationOf(order)));
  }
  await expiring;
  await platform.core.expireOrders(1_000);
  const ends = await Promise.all(orders.map(stored));
  for (const row of ends) {
    expect(row?.status).toBe("canceled");
    expect(row?.callbacks).toBe(row?.cancel_jws === null ? 1 : 0);
  }
});

test("cancelOrder and a payment message at the same moment: of each order exactly one has it, whichever process they reach", async () => {
  const second = await platform.secondCore();
  const orders = await Promise.all(Array.from({ length: 60 }, () => createOrder(platform, parties.merchant)));
  // In a group, one order that is lost would have its neighbours decided again until all of them are lost.
  const alone = createCore(platform.context, { maxGroup: 1, maxWaiting: 1_000, concurrency: 4 });
  // The others do not wait for its first connection.
  accepted(await second.cancelOrder(cancellationOf(await createOrder(platform, parties.merchant))));
  const ends = await Promise.all(
    orders.map(async (order, place) => {
      const submit = () => delay(60).then(() => alone.submitPaymentMessage(paymentRequest(platform, parties, order)));
      // A submission reads before it stores: the cancellations come before it, between, and after.
      const cancel = () => delay(place * 3).then(() => second.cancelOrder(cancellationOf(order)));
      const [paid, canceled] = await Promise.all([submit(), cancel()]);
      const row = await stored(order);
      return [reasonOf(paid), reasonOf(canceled), row?.status, row?.cancel_jws !== null];
    }),
  );
  const outcomes = [
    ["accepted", "ORDER_IS_BEING_PAID", "in_progress", false],
    ["ORDER_IS_EXPIRED", "accepted", "canceled", true],
  ];
  for (const end of ends) expect(outcomes).toContainEqual(end);
});

test.each([
  ["a cancellation that comes first has the order, and the payment message is refused", "cancel"],
  ["a payment message that comes first has the order, and the cancellation is refused", "submit"],
] as const)("cancelOrder: both wait for the same row: %s", async (_, firstComes) => {
  const order = await createOrder(platform, parties.merchant);
  const second = await platform.secondCore();
  const calls = {
    submit: () => platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)),
    cancel: () => second.cancelOrder(cancellationOf(order)),
  };
  const lastComes = firstComes === "cancel" ? "submit" : "cancel";
  const waiting = (count: number) =>
    expect
      .poll(async () => (await platform.rows(waitingForLocks)).length, { interval: 5, timeout: 900 })
      .toBeGreaterThanOrEqual(count);
  const [first, last] = await platform.db.transaction(async (sql) => {
    await sql({ name: "", text: "select from payment_order where guid = $1 for update" }, [order.id]);
    const asked = calls[firstComes]();
    await waiting(1);
    const asWell = calls[lastComes]();
    await waiting(2);
    return [() => asked, () => asWell];
  });
  const refused = firstComes === "cancel" ? "ORDER_IS_EXPIRED" : "ORDER_IS_BEING_PAID";
  expect([reasonOf(await first?.()), reasonOf(await last?.())]).toEqual(["accepted", refused]);
  const { status, cancel_jws } = (await stored(order)) ?? {};
  expect([status, cancel_jws !== null]).toEqual(firstComes === "cancel" ? ["canceled", true] : ["in_progress", false]);
});

const waitingForLocks = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
