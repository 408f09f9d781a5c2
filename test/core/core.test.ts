import { afterAll, beforeAll, expect, test } from "vitest";
import { createCore } from "../../src/core/core.ts";
import { isUnavailable } from "../../src/core/failure.ts";
import { PartyChanged, unlessChanged } from "../../src/core/identity/partyChanged.ts";
import {
  accepted,
  callbackOf,
  claim,
  createOrder,
  openPlatform,
  operator,
  orderRequest,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  record,
  registerParties,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

test("createCore: what is grouped tells the observer its use-case and its size, and drain waits for it", async () => {
  const told: [string, number][] = [];
  const observer = { grouped: (...about: [string, number]) => void told.push(about), lost() {}, decided() {} };
  const core = createCore({ ...platform.context, observer });
  let answered = 0;
  for (const _ of [1, 2, 3]) {
    void core.createOrder(orderRequest(platform, parties.merchant)).then(() => (answered += 1));
  }
  await core.drain();
  expect(told).toEqual([["createOrder", 3]]);
  expect(answered).toBe(3);
});

test("createCore: of a payment on its way the submission, the claims and the records are grouped, each under its name", async () => {
  const told: string[] = [];
  const observer = { grouped: (name: string) => void told.push(name), lost() {}, decided() {} };
  const core = createCore({ ...platform.context, observer });
  const order = await createOrder({ ...platform, core }, parties.merchant);
  const { guid } = accepted(await core.submitPaymentMessage(paymentRequest(platform, parties, order)));
  const payIn = await callbackOf(platform, guid, "pay_in_bank");
  await record(core, await claim(platform, payIn.guid, core), "accepted");
  expect(told).toEqual(["createOrder", "submitPaymentMessage", "claimCallback", "recordAttempt"]);
});

test("createCore: the callbacks that a call makes carry its trace", async () => {
  const core = createCore({ ...platform.context, currentTrace: () => trace });
  const order = await createOrder(platform, parties.merchant);
  const { guid } = accepted(await core.submitPaymentMessage(paymentRequest(platform, parties, order)));
  const payIn = await callbackOf(platform, guid, "pay_in_bank");
  const ticketOf = (callbackGuid: string) => platform.due.find((due) => due.callbackGuid === callbackGuid);
  expect(ticketOf(payIn.guid)).toMatchObject({ trace });
  await record(core, await claim(platform, payIn.guid, core), "accepted");
  const next = await callbackOf(platform, guid, "pay_in_merchant");
  expect(ticketOf(next.guid)).toMatchObject({ trace });
});

test("recordAttempt: a payment that is decided is told to the observer, with the time that it took", async () => {
  const decided: unknown[] = [];
  const observer = { grouped() {}, lost() {}, decided: (...about: unknown[]) => void decided.push(about) };
  const core = createCore({ ...platform.context, observer });
  const { guid } = await callbackOf(platform, await pay(platform, parties), "pay_in_bank");
  await record(core, await claim(platform, guid, core), "refused");
  expect(decided).toEqual([["reject", expect.any(Number)]]);
});

test("recordLostAttempts: each attempt whose lease has lapsed is told to the observer, and counted", async () => {
  const lost: string[] = [];
  const observer = { grouped() {}, lost: (kind: string) => void lost.push(kind), decided() {} };
  const core = createCore({ ...platform.context, observer });
  const { guid } = await callbackOf(platform, await pay(platform, parties), "pay_in_bank");
  await claim(platform, guid, core);
  await platform.rows("update callback set wake_at = now() - interval '1 second' where guid = $1", guid);
  expect(await core.recordLostAttempts(1_000)).toBe(1);
  expect(lost).toEqual(["pay_in_bank"]);
});

test("redriveDeadLetters: where no queue is configured nothing is moved, and nothing is written down", async () => {
  expect(await platform.core.redriveDeadLetters(operator, 10)).toBe(0);
  expect(await platform.core.listAuditEntries({ acts: ["redrive_asked", "redrive_done"] }, { limit: 1 })).toEqual([]);
});

test.each([
  ["the server is gone", Object.assign(new Error(), { code: "ECONNREFUSED" }), true],
  ["somebody holds the row", Object.assign(new Error(), { code: "55P03" }), true],
  ["a race was lost", Object.assign(new Error(), { code: "40001" }), false],
  ["a bug", new TypeError("x is undefined"), false],
])("isUnavailable: %s", (_, error, unavailable) => {
  expect(isUnavailable(error)).toBe(unavailable);
});

test("unlessChanged: a PartyChanged among the answers of a group is thrown, all others are answered", () => {
  expect(() => unlessChanged(new PartyChanged())).toThrow(PartyChanged);
  expect(unlessChanged("answer")).toBe("answer");
});
