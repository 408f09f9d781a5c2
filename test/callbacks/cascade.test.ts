import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type ClaimsName, claims as documented } from "../../gen/rest/operations.ts";
import type { Call } from "../../src/sandbox/inbox.ts";
import type { SandboxBank, SandboxMerchant } from "../../src/sandbox/participants.ts";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { callsOf, type Platform, startPlatform } from "../support/platform.ts";

const APPROVED = "Payment message is approved by the receiver's bank. Merchant is informed by the callback";
const CREDIT_ALLOWED = "Credit is allowed";
const NO_MERCHANT_RESPONSE = "No response on the callback from the merchant";
const NO_BANK_RESPONSE = "No response on the callback from the receiver's bank";
const BANK_REJECTED = "Payment message is rejected by the receiver's bank";

/** The first attempt and its ten retries. */
const ALL_CALLS = 11;

/** The same answer so many times, before what follows. */
const exactly = (times: number, status: number): [number, ...number[]] => [status, ...Array(times - 1).fill(status)];

describe.each(["local", "rabbitmq"] as const)("cascade over the %s queue", (queue) => {
  let platform: Platform;
  let initiator: SandboxBank;
  let recipient: SandboxBank;
  let merchant: SandboxMerchant;

  beforeAll(async () => {
    platform = await startPlatform({ queue });
    ({ initiator, recipient, merchant } = platform);
  });
  afterEach(async () => {
    await platform.endsAllCallbacks().finally(() => {
      for (const participant of [initiator, recipient, merchant]) participant.reset();
    });
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  async function stateOf(guid: string, kind: string) {
    const [row] = await platform.rows<{ state: string; attempts: number; series: number }>(
      "select state, attempts, series from callback where payment_message_guid = $1 and kind = $2",
      guid,
      kind,
    );
    return row;
  }

  async function resultOf(guid: string) {
    const answer = await initiator.client().getPaymentMessage(guid);
    if (!answer.ok) throw new Error(`the payment message cannot be read: ${answer.status}`);
    const order = await merchant.client().getOrderStatus(answer.body.order_id);
    return {
      status: answer.body.status,
      reason: answer.body.reason,
      order: order.ok ? order.body.status : order.status,
      orderReason: order.ok ? order.body.reason : "",
    };
  }

  test("everyone accepts: Pay-in to the bank, then to the merchant, then Pay-out and Credit; message and order succeed", async () => {
    // Each answer takes a while, so that a callback that does not wait for the one before it would overtake it.
    recipient.answers("pay-in", { status: 200, delayMs: 150 });
    merchant.answers("pay-in", { status: 204, delayMs: 150 });
    const guid = await platform.pays({ amount: 1500.75 });
    await Promise.all([initiator.receives("pay-out", { guid }), recipient.receives("credit", { guid })]);

    const told = [recipient, merchant, initiator].flatMap(callsOf).sort((a, b) => a.at.getTime() - b.at.getTime());
    expect(told.map(({ kind, status, reason }) => ({ kind, status, reason })).slice(0, 2)).toEqual([
      { kind: "pay-in", status: "success", reason: undefined },
      { kind: "pay-in", status: "success", reason: undefined },
    ]);
    expect(told.map((call) => call.kind).sort()).toEqual(["credit", "pay-in", "pay-in", "pay-out"]);
    const [bankPayIn, merchantPayIn] = [recipient.calls("pay-in")[0] as Call, merchant.calls("pay-in")[0] as Call];
    expect(merchantPayIn.at.getTime() - bankPayIn.at.getTime()).toBeGreaterThanOrEqual(140);
    for (const call of [...initiator.calls("pay-out"), ...recipient.calls("credit")]) {
      expect(call.at.getTime() - merchantPayIn.at.getTime()).toBeGreaterThanOrEqual(140);
    }
    expect(initiator.calls("pay-out")[0]).toMatchObject({ status: "success", reason: APPROVED });
    expect(recipient.calls("credit")[0]).toMatchObject({ status: "success", reason: CREDIT_ALLOWED });
    expect(await resultOf(guid)).toEqual({
      status: "success",
      reason: "Payment message is approved",
      order: "Success",
      orderReason: "Order is paid",
    });
  });

  test("every callback's claims are those of the contract, and the recipient bank can read the personal data", async () => {
    const guid = await platform.pays({ amount: 21.5 });
    await platform.endsAllCallbacks();
    const byName: [ClaimsName, Call | undefined][] = [
      ["PayInBankClaims", recipient.calls("pay-in")[0]],
      ["PayInMerchantClaims", merchant.calls("pay-in")[0]],
      ["PayOutClaims", initiator.calls("pay-out")[0]],
      ["CreditClaims", recipient.calls("credit")[0]],
    ];
    for (const [name, call] of byName) expectDocumented(name, call);
    const bankClaims = recipient.calls("pay-in")[0]?.claims as { payment_message: Record<string, unknown> };
    expect(bankClaims.payment_message).toMatchObject({ amount: 21.5, currency: "UAH" });
    expect(bankClaims.payment_message.debtor).not.toHaveProperty("debtor_phone");
    expect(await recipient.decrypts(bankClaims.payment_message)).toMatchObject({
      fields: { debtor_name: "Lesia Ukrainka", creditor_name: merchant.name },
    });
    expect(merchant.calls("pay-in")[0]?.claims).toMatchObject({ payment_message_guid: guid, amount: 21.5 });
  });

  test("a merchant that answers 4xx rejects at once: initiator and recipient bank hear of it", async () => {
    merchant.answers("pay-in", 422);
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "reject", reason: NO_MERCHANT_RESPONSE });
    await recipient.receives("pay-in", { guid, status: "reject" });
    await platform.endsAllCallbacks();
    // It said no itself: it needs no telling.
    expect(merchant.calls("pay-in")).toHaveLength(1);
    expect(recipient.calls("credit")).toEqual([]);
    expectDocumented("PayInBankClaims", recipient.calls("pay-in", { status: "reject" })[0]);
    expectDocumented("PayOutClaims", initiator.calls("pay-out")[0]);
    expect(await resultOf(guid)).toMatchObject({
      status: "reject",
      reason: NO_MERCHANT_RESPONSE,
      order: "Canceled",
    });
  });

  test("a merchant that answers 5xx is called eleven times with one callback guid, then the payment is rejected", async () => {
    merchant.answers("pay-in", ...exactly(ALL_CALLS, 503), 200);
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "reject", reason: NO_MERCHANT_RESPONSE }, 20_000);
    await recipient.receives("pay-in", { guid, status: "reject" });
    const calls = merchant.calls("pay-in", { status: "success" });
    expect(calls).toHaveLength(ALL_CALLS);
    expect(new Set(calls.map((call) => call.callbackGuid)).size).toBe(1);
    expect(calls.every((call) => call.claims.jti === call.callbackGuid)).toBe(true);
    expect(await stateOf(guid, "pay_in_merchant")).toEqual({ state: "failed", attempts: ALL_CALLS, series: 1 });
    const rejected = await merchant.receives("pay-in", { guid, status: "reject", reason: NO_MERCHANT_RESPONSE });
    expectDocumented("PayInMerchantClaims", rejected);
    expect(rejected.callbackGuid).not.toBe(calls[0]?.callbackGuid);
    expect(rejected.claims).toMatchObject({
      callback_kind: "pay-in",
      callback_guid: rejected.callbackGuid,
      amount: 21,
    });
  });

  test("a merchant that recovers before its retries are used up is paid", async () => {
    merchant.answers("pay-in", 503, "reset", 429, 408, "garbage", { status: 302, headers: { Location: "/base" } }, 200);
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "success" });
    expect(merchant.calls("pay-in")).toHaveLength(7);
    // A redirect is never followed.
    expect(merchant.calls("base")).toEqual([]);
  });

  test("a merchant's reject that it does not take is retried, whatever it answers, and is for a person in the end", async () => {
    merchant.answers("pay-in", ...exactly(ALL_CALLS, 503), 422);
    const guid = await platform.pays();
    await platform.endsAllCallbacks();
    expect(merchant.calls("pay-in", { status: "reject" })).toHaveLength(ALL_CALLS);
    expect(await stateOf(guid, "pay_in_merchant_reject")).toEqual({ state: "review", attempts: ALL_CALLS, series: 1 });

    merchant.answers("pay-in", 200);
    const [told] = merchant.calls("pay-in", { status: "reject" });
    await platform.operators().callbacks.replayCallback({ guid: told?.callbackGuid ?? "" });
    await vi.waitFor(async () => {
      expect(await stateOf(guid, "pay_in_merchant_reject")).toEqual({ state: "delivered", attempts: 1, series: 2 });
    });
    expect(await resultOf(guid)).toMatchObject({ status: "reject", order: "Canceled" });
  });

  test("a recipient bank that answers 4xx rejects before the merchant is asked: it hears that its order is canceled", async () => {
    recipient.answers("pay-in", 400);
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "reject", reason: BANK_REJECTED });
    await platform.endsAllCallbacks();
    const [told, ...others] = merchant.calls("pay-in");
    expect(others).toEqual([]);
    expect(told).toMatchObject({ status: "reject", reason: BANK_REJECTED });
    expectDocumented("PayInMerchantClaims", told);
    expect(recipient.calls("pay-in")).toHaveLength(1);
    expect(await resultOf(guid)).toMatchObject({ status: "reject", reason: BANK_REJECTED, order: "Canceled" });
  });

  test("a recipient bank that is silent is called eleven times, then the payment is rejected, and it hears that too", async () => {
    recipient.answers("pay-in", ...exactly(ALL_CALLS, 500), 200);
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "reject", reason: NO_BANK_RESPONSE }, 20_000);
    await platform.endsAllCallbacks();
    expect(merchant.calls("pay-in", { status: "success" })).toEqual([]);
    expect(merchant.calls("pay-in", { status: "reject", reason: NO_BANK_RESPONSE })).toHaveLength(1);
    // What became of its answers is unknown: it may have booked.
    expect(recipient.calls("pay-in", { status: "reject" })).toHaveLength(1);
    expect(recipient.calls("pay-in", { status: "success" })).toHaveLength(ALL_CALLS);
  });

  test("a first 4xx of Pay-out or Credit is retried, a further one goes to manual review; the result stands", async () => {
    initiator.answers("pay-out", 404);
    recipient.answers("credit", 422, 503, 422);
    const guid = await platform.pays();
    await platform.endsAllCallbacks();
    expect(initiator.calls("pay-out")).toHaveLength(2);
    expect(recipient.calls("credit")).toHaveLength(3);
    expect(await stateOf(guid, "pay_out")).toMatchObject({ state: "review" });
    expect(await stateOf(guid, "credit")).toMatchObject({ state: "review" });
    expect(await resultOf(guid)).toMatchObject({ status: "success", order: "Success" });
  });

  test("a first 4xx of Pay-out or Credit that is followed by 2xx is delivered", async () => {
    initiator.answers("pay-out", 404, 200);
    recipient.answers("credit", 422, 200);
    const guid = await platform.pays();
    await platform.endsAllCallbacks();
    expect(await stateOf(guid, "pay_out")).toMatchObject({ state: "delivered", attempts: 2 });
    expect(await stateOf(guid, "credit")).toMatchObject({ state: "delivered", attempts: 2 });
  });

  test("a Credit that fails to the end stays success and in the register, and both banks hear of the register", async () => {
    recipient.answers("credit", 500);
    const guid = await platform.pays({ amount: 12.34 });
    await platform.endsAllCallbacks();
    expect(await stateOf(guid, "credit")).toMatchObject({ state: "review", attempts: ALL_CALLS });
    expect(await resultOf(guid)).toMatchObject({ status: "success", order: "Success" });

    const { registers } = await platform.operators().settlements.closeRegisters({
      day: kyivTime(new Date()).date,
      allowOpenDay: true,
    });
    expect(registers).toHaveLength(1);
    for (const bank of [initiator, recipient]) {
      const call = await bank.receives("gross-settlement", { id: registers[0]?.id });
      expectDocumented("GrossSettlementClaims", call);
      const payments = call.claims.payments as { payment_message_guid: string; amount: string }[];
      expect(payments.find((payment) => payment.payment_message_guid === guid)).toMatchObject({ amount: "12.34" });
    }
  });

  test("a Pay-in that ended is not replayed: its payment was rejected, and its receiver hears nothing else", async () => {
    merchant.answers("pay-in", 422);
    const guid = await platform.pays();
    await platform.endsAllCallbacks();
    const [heard] = merchant.calls("pay-in");
    const replay = platform.operators().callbacks.replayCallback({ guid: heard?.callbackGuid ?? "" });
    await expect(replay).rejects.toThrow("the callback is failed and its payment is decided");
    expect(await stateOf(guid, "pay_in_merchant")).toEqual({ state: "failed", attempts: 1, series: 1 });
    expect(merchant.calls("pay-in")).toHaveLength(1);
  });

  test("a replay of a review is a series of its own with the same guid and changes no result", async () => {
    recipient.answers("credit", 422);
    const guid = await platform.pays();
    await platform.endsAllCallbacks();
    const before = recipient.calls("credit");
    recipient.answers("credit", 200);
    await platform.operators().callbacks.replayCallback({ guid: before[0]?.callbackGuid ?? "" });
    await vi.waitFor(async () => {
      expect(await stateOf(guid, "credit")).toEqual({ state: "delivered", attempts: 1, series: 2 });
    });
    const [replayed, ...others] = recipient.calls("credit").slice(before.length);
    expect(others).toEqual([]);
    expect(replayed?.callbackGuid).toBe(before[0]?.callbackGuid);
    expect(await resultOf(guid)).toMatchObject({ status: "success", order: "Success" });
  });

  test("an order that nobody pays is canceled at exp with one open Expiration", async () => {
    const order = await merchant.order({ expiresInSeconds: 2 });
    const call = await merchant.receives("expiration", { orderId: order.id });
    expectDocumented("ExpirationBody", call);
    expect(call.claims).toEqual({
      amount: 21,
      amount_matched: "null",
      callback_guid: "null",
      code: 4001,
      currency: "UAH",
      order_id: order.id,
      payment_message_external_id: "null",
      payment_message_guid: "00000000-0000-0000-0000-000000000000",
      purpose: "null",
      reason: "Order is expired",
      receiver_account_iban: "null",
      ref_found: "null",
      ref_number: order.ref,
      sender_account_iban: "null",
      status: "reject",
    });
    const status = await merchant.client().getOrderStatus(order.id);
    expect(status.body).toMatchObject({ status: "Canceled" });
    const refused = await initiator.submits(order);
    expect(refused).toMatchObject({ ok: false, status: 400, body: { code: "ORDER_IS_EXPIRED", field: "order_id" } });
  });

  test("exp never cancels an order that is in progress", async () => {
    merchant.answers("pay-in", { status: 200, delayMs: 2500 });
    const order = await merchant.order({ expiresInSeconds: 2 });
    const guid = await initiator.pays(order);
    await initiator.receives("pay-out", { guid, status: "success" });
    expect(merchant.calls("expiration", { orderId: order.id })).toEqual([]);
  });

  test("Retry-After is honoured: the next attempt comes no earlier than was asked", async () => {
    merchant.answers("pay-in", { status: 503, headers: { "Retry-After": "2" } }, 200);
    await platform.pays();
    await vi.waitFor(() => expect(merchant.calls("pay-in")).toHaveLength(2), { timeout: 15_000 });
    const [first, second] = merchant.calls("pay-in") as [Call, Call];
    expect(second.at.getTime() - first.at.getTime()).toBeGreaterThanOrEqual(2_000);
  });

  test.each([
    ["as ordered", {}, true, true],
    ["another amount", { amount: 20.99 }, false, true],
    ["another purpose", { purpose: "Something else" }, true, false],
    ["another purpose that names the reference", { purpose: "For {ref}, thanks" }, true, true],
  ])("flags of the merchant's Pay-in: %s", async (_what, changes, amountMatched, refFound) => {
    const order = await merchant.order();
    const purpose = "purpose" in changes ? { purpose: changes.purpose?.replace("{ref}", order.ref) } : {};
    const guid = await initiator.pays(order, { ...changes, ...purpose });
    const call = await merchant.receives("pay-in", { guid });
    expect(call.claims).toMatchObject({ amount_matched: amountMatched, ref_found: refFound, ref_number: order.ref });
  });

  test("a slow endpoint does not delay the others", async () => {
    const slow = await platform.newMerchant({ name: "Slow Shop", bank: recipient });
    slow.answers("pay-in", { status: 200, delayMs: 1_500 });
    const slowOrders = await Promise.all(Array.from({ length: 24 }, () => slow.order()));
    await Promise.all(slowOrders.map((order) => initiator.pays(order)));
    await vi.waitFor(() => expect(slow.calls("pay-in").length).toBeGreaterThanOrEqual(16), { timeout: 10_000 });
    const guid = await platform.pays();
    await initiator.receives("pay-out", { guid, status: "success" }, 5_000);
    expect(slow.calls("pay-in", (call) => call.answered !== undefined).length).toBeLessThan(24);
  });

  test("a stop in the middle of a cascade loses nothing: the next start finishes it", async () => {
    merchant.answers("pay-in", { status: 200, delayMs: 400 });
    const guids = await Promise.all(Array.from({ length: 10 }, () => platform.pays()));
    await vi.waitFor(() => expect(merchant.calls("pay-in").length).toBeGreaterThan(0), { timeout: 10_000 });
    await platform.stop();
    expect(initiator.calls("pay-out").length).toBeLessThan(10);
    await platform.isConsistent();
    await platform.start();
    await platform.endsAllCallbacks();
    for (const guid of guids) expect(await resultOf(guid)).toMatchObject({ status: "success", order: "Success" });
    // Stopping drains: no attempt was cut off, so nothing was sent twice.
    expect(merchant.calls("pay-in")).toHaveLength(10);
  });
});

function expectDocumented(name: ClaimsName, call: Call | undefined): void {
  const { validate } = documented[name];
  expect(call, name).toBeDefined();
  validate(call?.claims);
  expect(validate.errors ?? [], name).toEqual([]);
}
