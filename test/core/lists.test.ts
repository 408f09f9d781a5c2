import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { createGuids } from "../../src/core/guid.ts";
import type { OrderFilter } from "../../src/core/orderList.ts";
import type { PaymentMessageFilter } from "../../src/core/paymentMessageList.ts";
import { kyivDay } from "../../src/domain/kyiv.ts";
import {
  accepted,
  createOrder,
  deliver,
  openPlatform,
  type Parties,
  type Platform,
  paymentRequest,
  readOrder,
  registerParties,
  secondsFrom,
  setClock,
} from "./platform.ts";

// Lists of orders and of payment messages, newest first.

let platform: Platform;
let parties: Parties;
let others: Parties;
/** In the order of their making: created, canceled, paid, rejected, in progress; and one of others. */
let orders: string[];
let messages: string[];
let refs: string[];

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
  others = await registerParties(platform);
  const made = [];
  for (let n = 0; n < 5; n++) made.push(await createOrder(platform, parties.merchant));
  const ofOthers = await createOrder(platform, others.merchant);
  const [, canceled, paid, rejected, inProgress] = made;
  if (!canceled || !paid || !rejected || !inProgress) throw new Error("no orders");
  const { guid: merchantGuid, version: merchantVersion } = parties.merchant;
  const cancellation = { merchantGuid, merchantVersion, orderGuid: canceled.id, issuedAt: new Date(), jws: "c" };
  accepted(await platform.core.cancelOrder(cancellation));
  const pay = async (who: Parties, order: typeof paid, externalId: string) =>
    accepted(await platform.core.submitPaymentMessage(paymentRequest(platform, who, order, { externalId }))).guid;
  messages = [
    await pay(parties, paid, "A"),
    await pay(parties, rejected, "B"),
    await pay(parties, inProgress, "C"),
    await pay(others, ofOthers, "A"),
  ];
  await deliver(platform, messages[0] ?? "", "pay_in_bank", "accepted");
  await deliver(platform, messages[0] ?? "", "pay_in_merchant", "accepted");
  await deliver(platform, messages[1] ?? "", "pay_in_bank", "refused");
  orders = [...made, ofOthers].map(({ id: guid }) => guid);
  refs = made.map(({ ref }) => ref);
});
afterAll(() => platform.close());

const everything = { statuses: [] };
const listed = async (filter: Partial<OrderFilter>, limit = 100) => {
  const found = await platform.core.listOrders({ ...everything, ...filter }, { limit });
  return found.map(({ id: guid }) => orders.indexOf(guid));
};
const listedMessages = async (filter: Partial<PaymentMessageFilter>) => {
  const found = await platform.core.listPaymentMessages({ ...everything, ...filter }, { limit: 100 });
  return found.map(({ guid }) => messages.indexOf(guid));
};

describe("listOrders", () => {
  test.each<[string, () => Partial<OrderFilter>, number[]]>([
    ["without a filter all are listed, newest first", () => ({}), [5, 4, 3, 2, 1, 0]],
    ["of a merchant", () => ({ party: { merchantGuid: parties.merchant.guid } }), [4, 3, 2, 1, 0]],
    ["of a bank's merchants", () => ({ party: { creditorAgentGuid: others.recipient.guid } }), [5]],
    ["of a bank that services nobody", () => ({ party: { creditorAgentGuid: parties.initiator.guid } }), []],
    ["of one status", () => ({ statuses: ["canceled"] }), [3, 1]],
    ["of the status that most have in the end", () => ({ statuses: ["success"] }), [2]],
    ["of several statuses", () => ({ statuses: ["in_progress", "created", "created"] }), [5, 4, 0]],
    [
      "of a merchant and a status",
      () => ({ party: { merchantGuid: parties.merchant.guid }, statuses: ["in_progress", "success"] }),
      [4, 2],
    ],
    ["with a number", () => ({ party: { merchantGuid: parties.merchant.guid }, ref: refs[3] }), [3]],
    [
      "with a number and another status",
      () => ({ party: { merchantGuid: parties.merchant.guid }, ref: refs[3], statuses: ["created"] }),
      [],
    ],
    ["with a number of another merchant", () => ({ party: { merchantGuid: others.merchant.guid }, ref: refs[3] }), []],
  ])("%s", async (_, filter, expected) => {
    expect(await listed(filter())).toEqual(expected);
  });

  test("an order is listed as it is read alone, and says who canceled it", async () => {
    const [order] = await platform.core.listOrders(
      { statuses: [], party: { merchantGuid: parties.merchant.guid }, ref: refs[1] },
      { limit: 1 },
    );
    expect(order).toEqual(await readOrder(platform, orders[1] ?? ""));
    expect([order?.status, order?.canceledByMerchant]).toEqual([OrderStatus.CANCELED, true]);
  });

  test("an order whose time is up is listed as it is read alone, also before the expiry job has canceled it", async () => {
    const past = new Date(Date.now() - 3_600_000);
    await setClock(platform, past);
    const { merchant } = await registerParties(platform);
    const { id: guid } = await createOrder(platform, merchant, { expiresAt: secondsFrom(past, 60) });
    await setClock(platform, new Date());
    const [order] = await platform.core.listOrders(
      { statuses: ["created"], party: { merchantGuid: merchant.guid } },
      { limit: 1 },
    );
    expect(order).toEqual(await readOrder(platform, guid));
    expect([order?.status, order?.canceledByMerchant]).toEqual([OrderStatus.CANCELED, false]);
    await platform.rows("delete from payment_order where guid = $1", guid);
  });

  test.each<[string, Partial<OrderFilter>]>([
    ["all", {}],
    ["those of a party", { party: { merchantGuid: "" } }],
    ["those of statuses", { statuses: ["created", "canceled", "success"] }],
  ])("page by page, %s come once each", async (_, filter) => {
    const party = filter.party && { merchantGuid: parties.merchant.guid };
    const asked = { ...everything, ...filter, party };
    const paged: string[] = [];
    for (let after: string | undefined; ; after = paged.at(-1)) {
      const page = await platform.core.listOrders(asked, { limit: 2, after });
      paged.push(...page.map(({ id: guid }) => guid));
      if (page.length < 2) break;
    }
    const whole = await platform.core.listOrders(asked, { limit: 100 });
    expect(paged).toEqual(whole.map(({ id: guid }) => guid));
  });
});

describe("listPaymentMessages", () => {
  test.each<[string, () => Partial<PaymentMessageFilter>, number[]]>([
    ["without a filter all are listed, newest first", () => ({}), [3, 2, 1, 0]],
    ["of a merchant", () => ({ party: { merchantGuid: parties.merchant.guid } }), [2, 1, 0]],
    ["of a debtor agent", () => ({ party: { debtorAgentGuid: others.initiator.guid } }), [3]],
    ["of a creditor agent", () => ({ party: { creditorAgentGuid: parties.recipient.guid } }), [2, 1, 0]],
    ["of another side of the same bank", () => ({ party: { creditorAgentGuid: parties.initiator.guid } }), []],
    ["of a status", () => ({ statuses: ["reject"] }), [1]],
    ["of success", () => ({ statuses: ["success"] }), [0]],
    [
      "of a party and statuses",
      () => ({ party: { debtorAgentGuid: parties.initiator.guid }, statuses: ["pending", "success"] }),
      [2, 0],
    ],
    ["with an identifier that two banks have used", () => ({ externalId: "A" }), [3, 0]],
    [
      "with an identifier, of one bank",
      () => ({ externalId: "A", party: { debtorAgentGuid: others.initiator.guid } }),
      [3],
    ],
    ["with an identifier and another status", () => ({ externalId: "A", statuses: ["reject"] }), []],
  ])("%s", async (_, filter, expected) => {
    expect(await listedMessages(filter())).toEqual(expected);
  });

  test("a message is listed as it is read alone", async () => {
    const [message] = await platform.core.listPaymentMessages({ statuses: ["reject"] }, { limit: 1 });
    expect(message).toEqual(accepted(await platform.core.getPaymentMessage(undefined, { guid: messages[1] ?? "" })));
  });
});

describe("a period", () => {
  /** Orders that were made at these instants, and are identified so. */
  async function ordersMadeAt(...instants: string[]): Promise<string[]> {
    const guids: string[] = [];
    for (const instant of instants) {
      const { id: guid } = await createOrder(platform, others.merchant);
      const made = createGuids(() => new Date(instant))();
      await platform.rows("update payment_order set guid = $2, created_at = $3 where guid = $1", guid, made, instant);
      guids.push(made);
    }
    return guids;
  }

  test("a Kyiv day has what was made in it, whatever the clocks do that day", async () => {
    const made = await ordersMadeAt(
      "2025-10-25T20:59:59.999Z",
      "2025-10-25T21:00:00.000Z",
      "2025-10-26T21:59:59.999Z",
      "2025-10-26T22:00:00.000Z",
    );
    const day = kyivDay("2025-10-26");
    const party = { merchantGuid: others.merchant.guid };
    for (const filter of [day, { ...day, party }, { ...day, party, statuses: ["created" as const] }]) {
      const found = await platform.core.listOrders({ ...everything, ...filter }, { limit: 100 });
      expect(found.map(({ id: guid }) => guid)).toEqual([made[2], made[1]]);
    }
    const later = await platform.core.listOrders(
      { statuses: [], since: new Date("2025-10-26T22:00:00Z"), until: new Date("2025-10-27T00:00:00Z") },
      { limit: 100 },
    );
    expect(later.map(({ id: guid }) => guid)).toEqual([made[3]]);
  });

  test("an order whose statement waited a while belongs to the instant at which it was made", async () => {
    const [guid = ""] = await ordersMadeAt("2025-09-01T20:59:40Z");
    await platform.rows("update payment_order set created_at = '2025-09-01T21:00:10Z' where guid = $1", guid);
    const list = async (day: string) =>
      (await platform.core.listOrders({ ...everything, ...kyivDay(day) }, { limit: 10 })).map((order) => order.id);
    expect([await list("2025-09-01"), await list("2025-09-02")]).toEqual([[], [guid]]);
  });

  test("messages have the same periods", async () => {
    await platform.rows("update payment_message set received_at = '2025-05-05T12:00:00Z' where guid = $1", messages[3]);
    const made = createGuids(() => new Date("2025-05-05T12:00:00Z"))();
    await platform.rows("update payment_message set guid = $2 where guid = $1", messages[3], made);
    const list = async (day: string) =>
      (await platform.core.listPaymentMessages({ ...everything, ...kyivDay(day) }, { limit: 10 })).map(
        ({ guid }) => guid,
      );
    expect([await list("2025-05-04"), await list("2025-05-05"), await list("2025-05-06")]).toEqual([[], [made], []]);
  });
});
