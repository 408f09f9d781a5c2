import { create } from "@bufbuild/protobuf";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CallbackKind } from "../../gen/dcm/v1/callback_pb.ts";
import { OrderStatus, UltimateCreditorSchema } from "../../gen/dcm/v1/order_pb.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { Participant } from "../../src/domain/participant.ts";
import {
  accepted,
  bankRegistration,
  claim,
  createOrder,
  minutesMs,
  openPlatform,
  operator,
  orderRequest,
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

test("createOrder: the same order again answers the first one, so a retry is safe", async () => {
  const request = orderRequest(platform, parties.merchant);
  const first = accepted(await platform.core.createOrder(request));
  const again = accepted(await platform.core.createOrder(request));
  expect(first.alreadyExisted).toBe(false);
  expect(again).toEqual({ order: first.order, alreadyExisted: true });
});

test.each([
  ["another amount", { amountMinor: 2101 }],
  ["another currency", { currency: "EUR" }],
  ["another purpose", { purpose: "something else" }],
  ["another address to return to", { redirectUrl: "https://shop.example/elsewhere" }],
  ["an ultimate creditor", { ultimateCreditor: { name: "n", taxNumber: "1", iban: "UA1", bic: "1", mcc: "1" } }],
])("createOrder: the same ref with %s is refused", async (_, changes) => {
  const request = orderRequest(platform, parties.merchant);
  accepted(await platform.core.createOrder(request));
  expect(await platform.core.createOrder({ ...request, ...changes })).toMatchObject({
    refused: "REF_IS_ALREADY_TAKEN",
    field: "ref",
  });
});

test("createOrder: two merchants may use the same ref", async () => {
  const other = await registerParties(platform);
  const request = orderRequest(platform, parties.merchant);
  const first = accepted(await platform.core.createOrder(request));
  const second = accepted(
    await platform.core.createOrder({ ...orderRequest(platform, other.merchant), ref: request.ref }),
  );
  expect(second.order.id).not.toBe(first.order.id);
});

test("createOrder: an ultimate creditor is kept and compared by its content", async () => {
  const ultimateCreditor = { name: "Somebody", taxNumber: "123", iban: "UA21", bic: "300001", mcc: "5411" };
  const request = orderRequest(platform, parties.merchant, { ultimateCreditor });
  const { order } = accepted(await platform.core.createOrder(request));
  expect(order.ultimateCreditor).toEqual(create(UltimateCreditorSchema, ultimateCreditor));
  expect(accepted(await platform.core.createOrder(request)).alreadyExisted).toBe(true);
});

test("createOrder: of twenty equal orders at once, in two processes, one is created and all hear its guid", async () => {
  const second = await platform.secondCore();
  const request = orderRequest(platform, parties.merchant);
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) => (index % 2 ? second : platform.core).createOrder(request)),
  );
  const created = answers.map((answer) => accepted(answer));
  expect(new Set(created.map(({ order }) => order.id)).size).toBe(1);
  expect(created.filter(({ alreadyExisted }) => !alreadyExisted)).toHaveLength(1);
});

test("createOrder: a bad order in a group does not fail its neighbours", async () => {
  const requests = [
    orderRequest(platform, parties.merchant),
    orderRequest(platform, parties.merchant, { amountMinor: 0 }),
    // PostgreSQL itself refuses this one, so the whole group fails first.
    orderRequest(platform, parties.merchant, { jws: "with a \u0000 inside" }),
    orderRequest(platform, parties.merchant),
  ];
  const answers = await Promise.allSettled(requests.map((request) => platform.core.createOrder(request)));
  expect(answers.map((answer) => (answer.status === "fulfilled" ? reasonOf(answer.value) : "failed"))).toEqual([
    "accepted",
    "INVALID_AMOUNT",
    "failed",
    "accepted",
  ]);
});

const beneficiary = { name: "Somebody", taxNumber: "123", iban: "UA21", bic: "300001", mcc: "5411" };

test.each([
  ["above the largest amount", { amountMinor: 100_000_000_000 }, "INVALID_AMOUNT"],
  ["in an unknown currency", { currency: "ZZZ" }, "INVALID_CURRENCY"],
  ["in a currency that is not processed", { currency: "USD" }, "UNSUPPORTED_CURRENCY"],
  ["without a purpose", { purpose: "" }, "INVALID_PURPOSE"],
  ["without a ref", { ref: "" }, "INVALID_REQUEST"],
  ["with an invisible beneficiary", { ultimateCreditor: { ...beneficiary, name: "\u200b" } }, "INVALID_REQUEST"],
  [
    "with a beneficiary's number of two lines",
    { ultimateCreditor: { ...beneficiary, taxNumber: "1\u20282" } },
    "INVALID_REQUEST",
  ],
  ["that leads to another host than it seems", { redirectUrl: "https://a:b@evil.example/" }, "INVALID_REQUEST"],
  ["that has expired", { expiresAt: new Date(Date.now() - 1000) }, "ORDER_IS_EXPIRED"],
  ["that expires in 367 days", { expiresAt: new Date(Date.now() + minutesMs(367 * 24 * 60)) }, "INVALID_EXPIRY"],
  ["whose expiry is in milliseconds", { expiresAt: new Date(Date.now() * 1000) }, "INVALID_EXPIRY"],
  ["issued in the future", { issuedAt: new Date(Date.now() + minutesMs(5)) }, "INVALID_ISSUE_TIME"],
])("createOrder: an order %s is refused", async (_, changes, reason) => {
  expect(reasonOf(await platform.core.createOrder(orderRequest(platform, parties.merchant, changes)))).toBe(reason);
});

test.each([
  ["another merchant's", () => parties.merchant],
  ["the same merchant's, as it is now,", (changed: Participant) => changed],
])(
  "createOrder: an order whose merchant was changed since its signature was verified is not stored, and has to be verified anew; %s beside it is stored",
  async (_, neighbourOf) => {
    const { merchant } = await registerParties(platform);
    const changed = accepted(await platform.core.updateParticipant(operator, merchant.guid, { name: "Renamed" }));
    const requests = [orderRequest(platform, merchant), orderRequest(platform, neighbourOf(changed))];
    const [stale, neighbour] = await Promise.allSettled(requests.map((request) => platform.core.createOrder(request)));
    expect(stale).toEqual({ status: "rejected", reason: expect.any(PartyChanged) });
    expect(neighbour?.status === "fulfilled" && reasonOf(neighbour.value)).toBe("accepted");
    const refs = requests.map(({ ref }) => ref);
    const stored = await platform.rows("select ref from payment_order where ref = any($1)", refs);
    expect(stored).toEqual([{ ref: refs[1] }]);
  },
);

test("createOrder: a repeat is verified anew as well when its merchant was changed, and then answers the first order", async () => {
  const { merchant } = await registerParties(platform);
  const request = orderRequest(platform, merchant);
  const { order } = accepted(await platform.core.createOrder(request));
  const { version } = accepted(await platform.core.updateParticipant(operator, merchant.guid, { name: "Renamed" }));
  await expect(platform.core.createOrder(request)).rejects.toThrow(PartyChanged);
  const again = await platform.core.createOrder({ ...request, merchantVersion: version });
  expect(again).toEqual({ order, alreadyExisted: true });
});

test("getOrder: a bank reads what it may pay or whose merchant it services, and no other order", async () => {
  const order = await createOrder(platform, parties.merchant);
  const register = async (role: "initiator" | "recipient") =>
    accepted(await platform.core.registerParticipant(operator, bankRegistration({ roles: [role] })));
  const read = async (bank: Participant) => reasonOf(await platform.core.getOrder(order.id, bank));
  expect([await read(await register("initiator")), await read(parties.recipient)]).toEqual(["accepted", "accepted"]);
  expect(await read(await register("recipient"))).toBe("ORDER_NOT_FOUND");
});

test("getOrder: an order is answered with its merchant, the servicing bank and its payment message", async () => {
  const guid = await pay(platform, parties);
  const [row] = await platform.rows<{ order_guid: string }>(
    "select order_guid from payment_message where guid = $1",
    guid,
  );
  const found = accepted(await platform.core.getOrder(row?.order_guid ?? ""));
  expect(found.order?.status).toBe(OrderStatus.IN_PROGRESS);
  expect(found.merchant?.guid).toBe(parties.merchant.guid);
  expect(found.creditorAgent?.guid).toBe(parties.recipient.guid);
  expect(found.paymentMessage?.guid).toBe(guid);
});

test.each(["", "not a guid", "00000000-0000-4000-8000-000000000000"])("getOrder: %j is no order", async (guid) => {
  expect(reasonOf(await platform.core.getOrder(guid))).toBe("ORDER_NOT_FOUND");
});

/** An order whose time is up, and that nobody has canceled yet. */
async function overdueOrder() {
  const past = new Date(Date.now() - minutesMs(60));
  await setClock(platform, past);
  const order = await createOrder(platform, parties.merchant, { expiresAt: secondsFrom(past, 60) });
  await setClock(platform, new Date());
  return order;
}

test("getOrder: an order whose time is up reads as canceled from that instant on, though nobody has canceled it yet", async () => {
  const order = await overdueOrder();
  expect((await readOrder(platform, order.id)).status).toBe(OrderStatus.CANCELED);
  expect(await platform.rows("select status from payment_order where guid = $1", order.id)).toEqual([
    { status: "created" },
  ]);
  await platform.core.expireOrders(10);
});

test("getOrder: an order in progress stays so after its time", async () => {
  const past = new Date(Date.now() - minutesMs(60));
  await setClock(platform, past);
  const order = await createOrder(platform, parties.merchant, { expiresAt: secondsFrom(past, 60) });
  accepted(await platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)));
  await setClock(platform, new Date());
  expect((await readOrder(platform, order.id)).status).toBe(OrderStatus.IN_PROGRESS);
});

test("createOrder: how far ahead an order may expire is the deployment's choice, to the second", async () => {
  const short = await openPlatform({ maxOrderLifeDays: 2 });
  const { merchant } = await registerParties(short);
  const ahead = (seconds: number) => orderRequest(short, merchant, { expiresAt: secondsFrom(new Date(), seconds) });
  const twoDaysS = 2 * 24 * 60 * 60;
  expect(reasonOf(await short.core.createOrder(ahead(twoDaysS - 5)))).toBe("accepted");
  expect(await short.core.createOrder(ahead(twoDaysS + 5))).toEqual({
    refused: "INVALID_EXPIRY",
    message: "exp is more than 2 days ahead",
    field: "exp",
  });
  await short.close();
});

test("expireOrders: an order is canceled once, with exactly one Expiration callback, whoever looks", async () => {
  const order = await overdueOrder();
  const second = await platform.secondCore();
  const expired = await Promise.all([
    platform.core.expireOrders(10),
    second.expireOrders(10),
    platform.core.expireOrders(10),
  ]);
  expect(expired.reduce((sum, count) => sum + count)).toBe(1);
  expect((await readOrder(platform, order.id)).status).toBe(OrderStatus.CANCELED);
  const callbacks = await platform.rows<{ guid: string }>("select guid from callback where order_guid = $1", order.id);
  expect(callbacks).toHaveLength(1);
  expect(accepted(await platform.core.getCallback(callbacks[0]?.guid ?? "")).callback).toMatchObject({
    ...{ kind: CallbackKind.EXPIRATION, receiverGuid: parties.merchant.guid },
    ...{ orderId: order.id, paymentMessageGuid: "", registerId: "" },
  });
  expect(await platform.core.expireOrders(10)).toBe(0);
});

test("createOrder: an order that was accepted in time answers its repeat even after it has expired", async () => {
  const past = new Date(Date.now() - minutesMs(60));
  await setClock(platform, past);
  const request = orderRequest(platform, parties.merchant, { expiresAt: secondsFrom(past, 60) });
  const first = accepted(await platform.core.createOrder(request));
  await setClock(platform, new Date());
  const order = { ...first.order, status: OrderStatus.CANCELED };
  expect(await platform.core.createOrder(request)).toEqual({ order, alreadyExisted: true });
  expect(reasonOf(await platform.core.createOrder({ ...request, purpose: "something else" }))).toBe("ORDER_IS_EXPIRED");
  expect(await platform.core.expireOrders(10)).toBe(1);
});

test("expireOrders: an order that is being paid never expires", async () => {
  const past = new Date(Date.now() - minutesMs(60));
  await setClock(platform, past);
  const order = await createOrder(platform, parties.merchant, { expiresAt: secondsFrom(past, 60) });
  accepted(await platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)));
  expect(await platform.core.expireOrders(10)).toBe(0);
  expect((await readOrder(platform, order.id)).status).toBe(OrderStatus.IN_PROGRESS);
});

test("expireOrders: an order whose time is not up stays", async () => {
  const order = await createOrder(platform, parties.merchant);
  await platform.core.expireOrders(10);
  expect((await readOrder(platform, order.id)).status).toBe(OrderStatus.CREATED);
});

test("expireOrders: a payment and the expiry at the same moment: exactly one of them has the order", async () => {
  const order = await overdueOrder();
  await setClock(platform, new Date(Date.now() - minutesMs(60)));
  const [expired, answer] = await Promise.all([
    platform.core.expireOrders(10),
    platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)),
  ]);
  const { status } = await readOrder(platform, order.id);
  expect([expired, reasonOf(answer), status]).toEqual(
    expired === 1 ? [1, "ORDER_IS_EXPIRED", OrderStatus.CANCELED] : [0, "accepted", OrderStatus.IN_PROGRESS],
  );
});

test("an Expiration callback is claimed with the order it is about", async () => {
  const order = await overdueOrder();
  await platform.core.expireOrders(10);
  const [callback] = await platform.rows<{ guid: string }>("select guid from callback where order_guid = $1", order.id);
  const claimed = await claim(platform, callback?.guid ?? "");
  expect(claimed).toMatchObject({
    kind: "expiration",
    paymentMessage: undefined,
    order: { id: order.id, ref: order.ref, amount: { amountMinor: 2100n, currency: "UAH" }, purpose: order.purpose },
  });
});
