import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AuditAct } from "../../gen/dcm/v1/audit_service_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import { RegisterRole } from "../../gen/dcm/v1/settlement_pb.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import { accepted, deliver, operator, type Platform } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import { transportOfAnybody } from "./inProcess.ts";
import {
  asMerchant,
  newJwk,
  onItsPath,
  openPlatformOfSigners,
  pays,
  registerBankAndMerchant,
  type Sides,
} from "./messages.ts";

// One way to page through every list over RPC.

let platform: Platform;
let clients: CoreClients;
let sides: Sides;
let message: string;
let registerId: string;

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  clients = createClients(transportOfAnybody(platform.core, { debug: () => {}, info: () => {}, error: () => {} }));
  sides = await registerBankAndMerchant(clients);
  await registerBankAndMerchant(clients);
  const { guid } = sides.bank;
  for (let n = 0; n < 2; n++) await clients.participants.addParticipantKey({ guid, jwk: await newJwk() });
  const expiresAt = timestampFromDate(new Date(Date.now() + 3_600_000));
  for (const name of ["a", "b", "c"]) {
    await clients.credentials.addCredential({ name, scopes: [Scope.READER], expiresAt });
  }
  await clients.platform.rotatePlatformKey({ atOnce: true });
  await clients.platform.rotatePlatformKey({ atOnce: true });
  for (const day of ["2026-02-01", "2026-02-02", "2026-02-03"]) {
    for (let n = 0; n < 3; n++) {
      message = await pays(clients, sides);
      await deliver(platform, message, "pay_in_bank", "accepted");
      await deliver(platform, message, "pay_in_merchant", "accepted");
      await platform.rows("update payment_message set decided_at = $2 where guid = $1", message, `${day}T10:00:00Z`);
    }
    const registers = accepted(await platform.core.closeRegisters(operator, day, false));
    registerId = registers.find(({ paymentCount }) => paymentCount > 0)?.id ?? "";
  }
  await platform.rows(
    "insert into register_act (register_id, kind, actor, at) select $1, 'told', $2, now() from generate_series(1, 2)",
    registerId,
    sides.bank.guid,
  );
});
afterAll(() => platform.close());

type Page = { pageSize: number; pageToken: string };
/** A list, and the same with another filter. `ids`: what tells its rows apart. */
type List = {
  list: (page: Page) => Promise<{ nextPageToken: string } & Record<string, unknown>>;
  filtered: (page: Page) => Promise<unknown>;
  ids: (answer: never) => string[];
};

const lists: Record<string, List> = {
  ListOrders: {
    list: (page) => clients.orders.listOrders(page),
    filtered: (page) => clients.orders.listOrders({ ...page, statuses: [OrderStatus.SUCCESS] }),
    ids: ({ orders }: Awaited<ReturnType<CoreClients["orders"]["listOrders"]>>) => orders.map(({ id }) => id),
  },
  ListPaymentMessages: {
    list: (page) => clients.paymentMessages.listPaymentMessages(page),
    filtered: (page) =>
      clients.paymentMessages.listPaymentMessages({ ...page, statuses: [PaymentMessageStatus.SUCCESS] }),
    ids: ({ paymentMessages }: Awaited<ReturnType<CoreClients["paymentMessages"]["listPaymentMessages"]>>) =>
      paymentMessages.map(({ guid }) => guid),
  },
  ListCallbacks: {
    list: (page) => clients.callbacks.listCallbacks(page),
    filtered: (page) => clients.callbacks.listCallbacks({ ...page, filter: { receiverGuid: sides.bank.guid } }),
    ids: ({ callbacks }: Awaited<ReturnType<CoreClients["callbacks"]["listCallbacks"]>>) =>
      callbacks.map(({ guid }) => guid),
  },
  ListParticipants: {
    list: (page) => clients.participants.listParticipants(page),
    filtered: (page) => clients.participants.listParticipants({ ...page, kind: ParticipantKind.BANK }),
    ids: ({ participants }: Awaited<ReturnType<CoreClients["participants"]["listParticipants"]>>) =>
      participants.map(({ guid }) => guid),
  },
  ListParticipantKeys: {
    list: (page) => clients.participants.listParticipantKeys({ ...page, guid: sides.bank.guid }),
    filtered: (page) => clients.participants.listParticipantKeys({ ...page, guid: sides.merchant.guid }),
    ids: ({ keys }: Awaited<ReturnType<CoreClients["participants"]["listParticipantKeys"]>>) =>
      keys.map(({ id }) => String(id)),
  },
  ListCredentials: {
    list: (page) => clients.credentials.listCredentials(page),
    filtered: (page) => clients.platform.listPlatformKeys(page),
    ids: ({ credentials }: Awaited<ReturnType<CoreClients["credentials"]["listCredentials"]>>) =>
      credentials.map(({ name }) => name),
  },
  ListPlatformKeys: {
    list: (page) => clients.platform.listPlatformKeys(page),
    filtered: (page) => clients.credentials.listCredentials(page),
    ids: ({ keys }: Awaited<ReturnType<CoreClients["platform"]["listPlatformKeys"]>>) => keys.map(({ kid }) => kid),
  },
  ListAuditEntries: {
    list: (page) => clients.audit.listAuditEntries(page),
    filtered: (page) => clients.audit.listAuditEntries({ ...page, acts: [AuditAct.DAY_CLOSED] }),
    ids: ({ entries }: Awaited<ReturnType<CoreClients["audit"]["listAuditEntries"]>>) =>
      entries.map(({ number }) => String(number)),
  },
  ListRegisters: {
    list: (page) => clients.settlements.listRegisters({ ...page, bankGuid: sides.bank.guid, role: RegisterRole.ALL }),
    filtered: (page) => clients.settlements.listRegisters({ ...page, bankGuid: sides.bank.guid }),
    ids: ({ registers }: Awaited<ReturnType<CoreClients["settlements"]["listRegisters"]>>) =>
      registers.map(({ id }) => id),
  },
  GetRegister: {
    list: (page) => clients.settlements.getRegister({ ...page, registerId }),
    filtered: (page) => clients.settlements.getRegister({ ...page, registerId: "1" }),
    ids: ({ payments }: Awaited<ReturnType<CoreClients["settlements"]["getRegister"]>>) =>
      payments.map(({ paymentMessageGuid }) => paymentMessageGuid),
  },
  ListRegisterActs: {
    list: (page) => clients.settlements.listRegisterActs({ ...page, registerId }),
    filtered: (page) => clients.settlements.listRegisterActs({ ...page, registerId: "1" }),
    ids: ({ acts }: Awaited<ReturnType<CoreClients["settlements"]["listRegisterActs"]>>) =>
      acts.map(({ number }) => String(number)),
  },
};

const named = Object.entries(lists);
const refusedToken = { reason: "INVALID_REQUEST", field: "page_token" };

describe.each(named)("%s", (name, { list, filtered, ids }) => {
  test("page by page every row comes once, in the order of the whole list", async () => {
    const whole = ids((await list({ pageSize: 500, pageToken: "" })) as never);
    const paged: string[] = [];
    let pageToken = "";
    let pages = 0;
    do {
      const page = await list({ pageSize: 1, pageToken });
      paged.push(...ids(page as never));
      pageToken = page.nextPageToken;
      pages += 1;
    } while (pageToken !== "");
    expect(whole.length).toBeGreaterThanOrEqual(2);
    expect(paged).toEqual(whole);
    expect(pages).toBe(whole.length);
    expect(new Set(paged).size).toBe(paged.length);
  });

  test("its token is refused with another filter, and so are tokens of every other list and what is none", async () => {
    const { nextPageToken } = await list({ pageSize: 1, pageToken: "" });
    expect(await errorOf(filtered({ pageSize: 1, pageToken: nextPageToken }))).toMatchObject(refusedToken);
    for (const [other, { list: ofOther }] of named) {
      if (other === name) continue;
      const refused = await errorOf(ofOther({ pageSize: 1, pageToken: nextPageToken }));
      expect([other, refused]).toEqual([other, expect.objectContaining(refusedToken)]);
    }
    // A token of this list whose key is another one's.
    const [digest] = JSON.parse(Buffer.from(nextPageToken, "base64url").toString());
    const forged = [[digest], [digest, "a\0"], [digest, "x", "y", "z"], [digest, 7], { digest }, [], "text", null];
    const tokens = ["%%%", "WyJhIl0", ...forged.map((key) => Buffer.from(JSON.stringify(key)).toString("base64url"))];
    for (const pageToken of tokens) {
      expect([pageToken, await errorOf(list({ pageSize: 1, pageToken }))]).toEqual([
        pageToken,
        expect.objectContaining(refusedToken),
      ]);
    }
  });

  test("a negative page size is refused", async () => {
    expect(await errorOf(list({ pageSize: -1, pageToken: "" }))).toMatchObject({ field: "page_size" });
  });
});

test("a bank's token is refused to another bank and to its merchant, although all ask for the same", async () => {
  const other = await registerBankAndMerchant(clients);
  const { nextPageToken: pageToken } = await clients.callbacks.listCallbacks(
    { pageSize: 1 },
    await onItsPath(sides.bank),
  );
  expect(pageToken).not.toBe("");
  for (const shown of [await onItsPath(other.bank), await asMerchant(sides.merchant)]) {
    expect(await errorOf(clients.callbacks.listCallbacks({ pageToken }, shown))).toMatchObject(refusedToken);
  }
});

describe("what REST pages by goes on beside the tokens, and not with them", () => {
  const ofBank = () => ({ bankGuid: sides.bank.guid, role: RegisterRole.ALL });

  test("ListRegisters: offset and limit, and how many there are", async () => {
    const { settlements } = clients;
    const all = await settlements.listRegisters(ofBank());
    const [, second] = all.registers;
    const page = await settlements.listRegisters({ ...ofBank(), offset: 1, limit: 1 });
    expect([page.registers, page.totalCount]).toEqual([[second], all.totalCount]);
    const further = await settlements.listRegisters({ ...ofBank(), pageToken: page.nextPageToken, limit: 1 });
    expect([further.registers, further.totalCount]).toEqual([[all.registers[2]], 0n]);
    const both = settlements.listRegisters({ ...ofBank(), pageToken: page.nextPageToken, offset: 1 });
    expect(await errorOf(both)).toMatchObject({ reason: "INVALID_REQUEST", field: "offset" });
    expect(await errorOf(settlements.listRegisters({ ...ofBank(), limit: -1 }))).toMatchObject({ field: "limit" });
  });

  test("GetRegister: the guid of a payment", async () => {
    const { settlements } = clients;
    const first = await settlements.getRegister({ registerId, paymentsLimit: 1 });
    const paymentsAfter = first.nextPaymentsAfter;
    expect(paymentsAfter).toBe(first.payments[0]?.paymentMessageGuid);
    const second = await settlements.getRegister({ registerId, paymentsAfter });
    const { nextPageToken: pageToken } = first;
    expect((await settlements.getRegister({ registerId, pageToken })).payments).toEqual(second.payments);
    const both = settlements.getRegister({ registerId, pageToken, paymentsAfter });
    expect(await errorOf(both)).toMatchObject({ reason: "INVALID_REQUEST", field: "payments_after" });
  });

  test("ListRegisterActs: the number of an act, as clients of before have it", async () => {
    const { settlements } = clients;
    const {
      acts,
      nextPageToken: pageToken,
      nextAfterNumber,
    } = await settlements.listRegisterActs({ registerId, pageSize: 1 });
    expect(nextAfterNumber).toBe(acts[0]?.number);
    const rest = await settlements.listRegisterActs({ registerId, afterNumber: nextAfterNumber });
    expect(rest.acts).toEqual((await settlements.listRegisterActs({ registerId, pageToken })).acts);
    const both = settlements.listRegisterActs({ registerId, pageToken, afterNumber: 1n });
    expect(await errorOf(both)).toMatchObject({ reason: "INVALID_REQUEST", field: "after_number" });
  });
});

describe("lists of orders and of payment messages", () => {
  test("a message is listed without what only the recipient bank can read", async () => {
    const { paymentMessages } = await clients.paymentMessages.listPaymentMessages({
      party: { case: "debtorAgentGuid", value: sides.bank.guid.toUpperCase() },
      pageSize: 1,
    });
    const { paymentMessage: alone } = await clients.paymentMessages.getPaymentMessage({
      by: { case: "guid", value: message },
    });
    if (alone === undefined) throw new Error("no message");
    const { encryption: _encryption, creditorAgentJwk: _key, debtor, creditor, ...others } = alone;
    expect([debtor?.name, creditor?.taxNumber].every(Boolean)).toBe(true);
    expect(paymentMessages).toMatchObject([
      { ...others, creditorAgentJwk: "", debtor: { name: "", taxNumber: "" }, creditor: { name: "", taxNumber: "" } },
    ]);
    expect(paymentMessages[0]?.encryption).toBeUndefined();
    expect([paymentMessages[0]?.debtor?.account, paymentMessages[0]?.creditor?.account]).toEqual([
      debtor?.account,
      creditor?.account,
    ]);
  });

  test("a day is one in Kyiv", async () => {
    const [row] = await platform.rows<{ day: string }>("select (now() at time zone 'Europe/Kyiv')::date::text as day");
    const day = row?.day ?? "";
    expect((await clients.orders.listOrders({ day })).orders).toHaveLength(9);
    expect((await clients.orders.listOrders({ day: "2020-02-29" })).orders).toEqual([]);
    const soon = timestampFromDate(new Date(Date.now() + 60_000));
    expect((await clients.orders.listOrders({ since: soon })).orders).toEqual([]);
    expect((await clients.paymentMessages.listPaymentMessages({ until: soon })).paymentMessages).toHaveLength(9);
  });

  const since = timestampFromDate(new Date());
  const calls: ReadonlyArray<[what: string, call: () => Promise<unknown>, field: string]> = [
    ["a day that is none", () => clients.orders.listOrders({ day: "2026-02-30" }), "day"],
    ["a day with an instant", () => clients.orders.listOrders({ day: "2026-02-01", since }), "day"],
    [
      "a day with an end",
      () => clients.paymentMessages.listPaymentMessages({ day: "2026-02-01", until: since }),
      "day",
    ],
    ["an unknown status", () => clients.orders.listOrders({ statuses: [9 as never] }), "statuses"],
    ["an unspecified status", () => clients.paymentMessages.listPaymentMessages({ statuses: [0] }), "statuses"],
    [
      "a party that is no guid",
      () => clients.orders.listOrders({ party: { case: "merchantGuid", value: "shop" } }),
      "merchant_guid",
    ],
    [
      "an empty party",
      () => clients.paymentMessages.listPaymentMessages({ party: { case: "creditorAgentGuid", value: "" } }),
      "creditor_agent_guid",
    ],
    ["a number without its merchant", () => clients.orders.listOrders({ ref: "1" }), "ref"],
    [
      "a number with another party",
      () => clients.orders.listOrders({ ref: "1", party: { case: "creditorAgentGuid", value: sides.bank.guid } }),
      "ref",
    ],
  ];

  test.each(calls)("%s is refused by its field", async (_, call, field) => {
    expect(await errorOf(call())).toMatchObject({ reason: "INVALID_REQUEST", field });
  });
});
