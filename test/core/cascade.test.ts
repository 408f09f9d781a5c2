import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type BornClaimed, claimCallbacks, claimOfBorn } from "../../src/core/delivery.ts";
import {
  CREDIT_REASON,
  defaultRetryPolicy,
  type Outcome,
  PAY_OUT_REJECT_BY_BANK_ANSWER_REASON,
  PAY_OUT_REJECT_BY_BANK_SILENCE_REASON,
  PAY_OUT_REJECT_BY_MERCHANT_REASON,
  PAY_OUT_SUCCESS_REASON,
  PAYMENT_MESSAGE_SUCCESS_REASON,
} from "../../src/domain/callback.ts";
import { answeredName, orderStatuses, paymentMessageStatuses } from "../../src/wire/enums.ts";
import {
  accepted,
  attempt,
  callbackOf,
  callbacksOf,
  claim,
  deliver,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  payWithSuccess,
  readMessage,
  readOrder,
  reasonOf,
  record,
  recordLapsedLeases,
  registerParties,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

async function orderStatus(messageGuid: string) {
  const { orderId } = await readMessage(platform, parties, messageGuid);
  return answeredName(orderStatuses, (await readOrder(platform, orderId)).status);
}

/** What a payment came to: its message, its order and who is told what. */
async function standing(messageGuid: string) {
  const { status, reason } = await readMessage(platform, parties, messageGuid);
  const callbacks = await callbacksOf(platform, messageGuid);
  return {
    message: answeredName(paymentMessageStatuses, status),
    reason,
    order: await orderStatus(messageGuid),
    callbacks: Object.fromEntries(callbacks.map((callback) => [callback.kind, callback.state])),
  };
}

const everyAttempt = (outcome: Outcome): Outcome[] => Array(defaultRetryPolicy.maxAttempts).fill(outcome);

describe("the cascade", () => {
  test("bank and merchant accept: the payment succeeds, Pay-out and Credit follow", async () => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "accepted");
    expect(await standing(guid)).toEqual({
      message: "pending",
      reason: "",
      order: "in_progress",
      callbacks: { pay_in_bank: "delivered", pay_in_merchant: "waiting" },
    });
    await deliver(platform, guid, "pay_in_merchant", "accepted");
    expect(await standing(guid)).toEqual({
      message: "success",
      reason: PAYMENT_MESSAGE_SUCCESS_REASON,
      order: "success",
      callbacks: { pay_in_bank: "delivered", pay_in_merchant: "delivered", pay_out: "waiting", credit: "waiting" },
    });
    const { initiator, recipient, merchant } = parties;
    expect(
      (await callbacksOf(platform, guid)).map(({ kind, receiver_guid, reason }) => [kind, receiver_guid, reason]),
    ).toEqual([
      ["pay_in_bank", recipient.guid, ""],
      ["pay_in_merchant", merchant.guid, ""],
      ["pay_out", initiator.guid, PAY_OUT_SUCCESS_REASON],
      ["credit", recipient.guid, CREDIT_REASON],
    ]);
    await deliver(platform, guid, "pay_out", "accepted");
    await deliver(platform, guid, "credit", "accepted");
    expect((await standing(guid)).callbacks).toMatchObject({ pay_out: "delivered", credit: "delivered" });
  });

  test("the recipient bank refuses: rejected at once, initiator and merchant hear of it, and the bank nothing more", async () => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "refused");
    expect(await standing(guid)).toEqual({
      message: "reject",
      reason: PAY_OUT_REJECT_BY_BANK_ANSWER_REASON,
      order: "canceled",
      callbacks: { pay_in_bank: "failed", pay_out: "waiting", pay_in_merchant_reject: "waiting" },
    });
    expect((await callbackOf(platform, guid, "pay_out")).reason).toBe(PAY_OUT_REJECT_BY_BANK_ANSWER_REASON);
    expect((await callbackOf(platform, guid, "pay_in_merchant_reject")).receiver_guid).toBe(parties.merchant.guid);
  });

  test("the recipient bank is silent for eleven attempts: rejected, and the reason says so", async () => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", ...everyAttempt("timeout"));
    expect(await standing(guid)).toEqual({
      message: "reject",
      reason: PAY_OUT_REJECT_BY_BANK_SILENCE_REASON,
      order: "canceled",
      callbacks: {
        pay_in_bank: "failed",
        pay_out: "waiting",
        pay_in_bank_reject: "waiting",
        pay_in_merchant_reject: "waiting",
      },
    });
  });

  test.each([
    ["refuses", ["refused"] as Outcome[], []],
    ["refuses after a while", ["server_error", "timeout", "refused"] as Outcome[], []],
    ["is silent for eleven attempts", everyAttempt("server_error"), ["pay_in_merchant_reject"]],
    // It may have answered 200 to the last one, just before the worker died.
    ["answers what nobody recorded", everyAttempt("lost"), ["pay_in_merchant_reject"]],
  ])("the merchant %s: rejected, and who may believe otherwise hears it too", async (_, outcomes, others) => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "accepted");
    await deliver(platform, guid, "pay_in_merchant", ...outcomes);
    expect(await standing(guid)).toEqual({
      message: "reject",
      reason: PAY_OUT_REJECT_BY_MERCHANT_REASON,
      order: "canceled",
      callbacks: {
        pay_in_bank: "delivered",
        pay_in_merchant: "failed",
        pay_out: "waiting",
        pay_in_bank_reject: "waiting",
        ...Object.fromEntries(others.map((kind) => [kind, "waiting"])),
      },
    });
    expect((await callbackOf(platform, guid, "pay_in_bank_reject")).receiver_guid).toBe(parties.recipient.guid);
  });
});

describe("retries", () => {
  test("the waits are the documented ones, and the twelfth call is never made", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    const waits: (number | string)[] = [];
    for (let number = 1; number <= 11; number += 1) {
      const decision = await attempt(platform, callbackGuid, "connect_refused");
      waits.push(decision.state === "waiting" ? decision.delayMs / 1000 : decision.state);
    }
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60, 60, 60, "failed"]);
    await expect(claim(platform, callbackGuid)).rejects.toThrow("obsolete");
    const { attempts } = accepted(await platform.core.getCallback(callbackGuid));
    expect(attempts.map((entry) => [entry.attempt, entry.outcome])).toEqual(
      Array.from({ length: 11 }, (_, index) => [index + 1, "connect_refused"]),
    );
  });

  test("a success after failures goes on as if nothing had been", async () => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "server_error", "throttled", "accepted");
    expect((await standing(guid)).callbacks).toEqual({ pay_in_bank: "delivered", pay_in_merchant: "waiting" });
  });

  test("a Retry-After moves the time at which the row is due, and a ticket before it is told to wait", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    expect(await attempt(platform, callbackGuid, "throttled", 30_000)).toMatchObject({ delayMs: 30_000 });
    const ticket = { callbackGuid, series: 1, attempt: 1, receiverGuid: parties.recipient.guid };
    const answer = accepted(await platform.core.claimCallback(ticket));
    const { notDueForMs } = answer as { notDueForMs: number };
    expect(notDueForMs).toBeGreaterThan(20_000);
    expect(notDueForMs).toBeLessThanOrEqual(30_000);
    // Not a moment of it is given away, however little is left.
    await platform.rows(
      "update callback set due_at = now() + interval '300 milliseconds', updated_at = now() - interval '30 seconds' where guid = $1",
      callbackGuid,
    );
    expect(accepted(await platform.core.claimCallback(ticket))).toEqual({ notDueForMs: expect.any(Number) });
    await platform.rows("update callback set due_at = now() where guid = $1", callbackGuid);
    expect(accepted(await platform.core.claimCallback(ticket))).toMatchObject({ claimed: { attempt: 2 } });
  });

  test.each(["pay_out", "credit"] as const)(
    "%s: the first 4xx is retried, the second goes to review, and the result stands",
    async (kind) => {
      const guid = await payWithSuccess(platform, parties);
      expect(await deliver(platform, guid, kind, "refused")).toMatchObject({ state: "waiting" });
      expect(await deliver(platform, guid, kind, "server_error")).toMatchObject({ state: "waiting" });
      expect(await deliver(platform, guid, kind, "refused")).toMatchObject({ state: "review" });
      expect(await standing(guid)).toMatchObject({
        message: "success",
        order: "success",
        callbacks: { [kind]: "review" },
      });
    },
  );

  test.each(["pay_out", "credit"] as const)(
    "%s: silence to the end goes to review, and the result stands",
    async (kind) => {
      const guid = await payWithSuccess(platform, parties);
      await deliver(platform, guid, kind, ...everyAttempt("dns_failure"));
      expect(await standing(guid)).toMatchObject({
        message: "success",
        order: "success",
        callbacks: { [kind]: "review" },
      });
    },
  );
});

describe("claims and leases", () => {
  const ticketOf = async (messageGuid: string) => {
    const row = await callbackOf(platform, messageGuid, "pay_in_bank");
    return { callbackGuid: row.guid, series: row.series, attempt: row.attempts, receiverGuid: row.receiver_guid };
  };

  test("of many equal tickets, in two processes, exactly one is claimed, and its attempt is counted before it is made", async () => {
    const second = await platform.secondCore();
    const ticket = await ticketOf(await pay(platform, parties));
    const answers = await Promise.all(
      Array.from({ length: 10 }, (_, index) => (index % 2 ? second : platform.core).claimCallback(ticket)),
    );
    expect(answers.filter((answer) => answer === "obsolete")).toHaveLength(9);
    const { callback } = accepted(await platform.core.getCallback(ticket.callbackGuid));
    expect(callback).toMatchObject({ state: CallbackState.IN_FLIGHT, attempts: 1 });
  });

  test("a claim carries everything that is told", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    const claimed = await claim(platform, callbackGuid);
    expect(claimed).toMatchObject({ kind: "pay_in_bank", series: 1, attempt: 1, refusals: 0, registerId: null });
    expect(claimed.paymentMessage).toEqual(await readMessage(platform, parties, guid));
    expect(claimed.order).toMatchObject({ amount: { amountMinor: 2100n, currency: "UAH" } });
    expect(Math.abs(claimed.claimedAt.getTime() - Date.now())).toBeLessThan(5_000);
  });

  test("a lapsed lease is counted as a lost attempt, and what its process says later changes nothing", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    const claimed = await claim(platform, callbackGuid);
    await platform.rows("update callback set wake_at = now() - interval '1 second' where guid = $1", callbackGuid);
    expect(await recordLapsedLeases(platform)).toBe(1);
    const { callback, attempts } = accepted(await platform.core.getCallback(callbackGuid));
    expect(callback).toMatchObject({ state: CallbackState.WAITING, attempts: 1, lastOutcome: "lost" });
    expect(attempts).toMatchObject([
      { outcome: "lost", problem: "the process that made this attempt ended before it recorded the answer" },
    ]);
    const late = await record(platform.core, claimed, "accepted");
    expect(late).toMatchObject({ applied: false });
    expect(await standing(guid)).toMatchObject({ message: "pending", callbacks: { pay_in_bank: "waiting" } });
  });

  test("eleven lost leases end like eleven failures: the payment is rejected", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    for (let number = 1; number <= 11; number += 1) {
      await claim(platform, callbackGuid);
      await platform.rows("update callback set wake_at = now() where guid = $1", callbackGuid);
      await recordLapsedLeases(platform);
    }
    expect(await standing(guid)).toMatchObject({ message: "reject", callbacks: { pay_in_bank: "failed" } });
  });

  test("a callback that nobody claimed is handed out again, once in a while", async () => {
    const ticket = await ticketOf(await pay(platform, parties));
    const overdue = async () =>
      (await platform.core.takeOverdueCallbacks(1_000)).filter(
        ({ callbackGuid }) => callbackGuid === ticket.callbackGuid,
      );
    expect(await overdue()).toEqual([]);
    await platform.rows("update callback set wake_at = now() where guid = $1", ticket.callbackGuid);
    expect(await overdue()).toEqual([{ ...ticket, decides: true }]);
    expect(await overdue()).toEqual([]);
  });

  test("the same record twice applies once: one next callback, whatever is repeated", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    const claimed = await claim(platform, callbackGuid);
    const cores = [platform.core, await platform.secondCore()];
    const answers = await Promise.all(cores.map((core) => record(core, claimed, "accepted")));
    expect(answers.map(({ applied }) => applied).sort()).toEqual([false, true]);
    expect((await callbacksOf(platform, guid)).map(({ kind }) => kind)).toEqual(["pay_in_bank", "pay_in_merchant"]);
  });

  /** The Pay-in of the bank claimed twice: the first lease lapsed, so what its process says comes too late. */
  async function overtaken(guid: string) {
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    const late = await claim(platform, callbackGuid);
    await platform.rows("update callback set wake_at = now() where guid = $1", callbackGuid);
    await recordLapsedLeases(platform);
    return { late, current: await claim(platform, callbackGuid) };
  }

  test("a late acceptance that comes together with the rejection that overtook it makes no callback", async () => {
    const guid = await pay(platform, parties);
    const { late, current } = await overtaken(guid);
    const answers = await Promise.all([
      record(platform.core, current, "refused"),
      record(platform.core, late, "accepted"),
    ]);
    expect(answers.map(({ applied }) => applied)).toEqual([true, false]);
    expect(await standing(guid)).toEqual({
      message: "reject",
      reason: PAY_OUT_REJECT_BY_BANK_ANSWER_REASON,
      order: "canceled",
      callbacks: { pay_in_bank: "failed", pay_out: "waiting", pay_in_merchant_reject: "waiting" },
    });
  });

  test("a late rejection that comes together with the merchant's acceptance does not word the Pay-out", async () => {
    const guid = await pay(platform, parties);
    const { late, current } = await overtaken(guid);
    await record(platform.core, current, "accepted");
    const merchants = await claim(platform, (await callbackOf(platform, guid, "pay_in_merchant")).guid);
    const answers = await Promise.all([
      record(platform.core, late, "refused"),
      record(platform.core, merchants, "accepted"),
    ]);
    expect(answers.map(({ applied }) => applied)).toEqual([false, true]);
    expect(await callbackOf(platform, guid, "pay_out")).toMatchObject({ reason: PAY_OUT_SUCCESS_REASON });
    expect(await standing(guid)).toMatchObject({
      message: "success",
      callbacks: { pay_in_bank: "delivered", pay_in_merchant: "delivered", pay_out: "waiting", credit: "waiting" },
    });
  });

  test("a second look that fails costs none of the callbacks that were claimed", async () => {
    const claimable = await ticketOf(await pay(platform, parties));
    const stale = { ...(await ticketOf(await pay(platform, parties))), attempt: 5 };
    const hot: typeof platform.db.hot = (statement, values) =>
      statement.name === "callbacks_not_due"
        ? Promise.reject(new Error("timeout exceeded when trying to connect"))
        : platform.db.hot(statement, values);
    const context = { ...platform.context, db: { ...platform.db, hot } };
    const [first, second] = await claimCallbacks(context, [claimable, stale]);
    expect(first).toMatchObject({ claimed: { guid: claimable.callbackGuid, attempt: 1 } });
    expect(second).toBe("obsolete");
    await expect(claimCallbacks(context, [stale])).rejects.toThrow("timeout");
  });

  test("what follows and has a slot in hand is leased with the record, and its claim says what a claim would", async () => {
    const message = await pay(platform, parties);
    const back = (guid: string) =>
      platform.rows("update callback set state = 'waiting', attempts = 0 where guid = $1", guid);
    let { guid } = await callbackOf(platform, message, "pay_in_bank");
    for (const next of ["pay_in_merchant", "pay_out"] as const) {
      const cause = await claim(platform, guid);
      platform.due.length = 0;
      const { born } = await record(platform.core, cause, "accepted", { inHand: [next] });
      expect(born).toHaveLength(1);
      const made = claimOfBorn(cause, born[0] as BornClaimed);
      guid = made.guid;
      const rows = await platform.rows(
        `select kind, state, attempts, series, wake_at - updated_at = interval '30 seconds' as leased from callback
         where guid = $1`,
        guid,
      );
      expect(rows).toEqual([{ kind: next, state: "in_flight", attempts: 1, series: 1, leased: true }]);
      // No ticket: Credit, for which no slot was in hand, has one.
      const credit = next === "pay_out" ? [(await callbackOf(platform, message, "credit")).guid] : [];
      expect(platform.due.map(({ callbackGuid }) => callbackGuid)).toEqual(credit);
      await back(guid);
      const claimed = await claim(platform, guid);
      expect({ ...made, claimedAt: claimed.claimedAt }).toEqual(claimed);
      await back(guid);
    }
  });

  test("a callback that we could not prepare is dead, with the problem, and goes on after its replay", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    await platform.core.buryCallback(await claim(platform, callbackGuid), "the receiver has no URL");
    const { callback } = accepted(await platform.core.getCallback(callbackGuid));
    expect(callback).toMatchObject({
      state: CallbackState.DEAD,
      attempts: 0,
      resolutionNote: "the receiver has no URL",
    });
    const replayed = accepted(await platform.core.replayCallback(operator, callbackGuid));
    expect(replayed).toMatchObject({ state: CallbackState.WAITING, series: 1, attempts: 0 });
    await deliver(platform, guid, "pay_in_bank", "accepted");
    await deliver(platform, guid, "pay_in_merchant", "accepted");
    expect(await readMessage(platform, parties, guid)).toMatchObject({ status: PaymentMessageStatus.SUCCESS });
  });

  test("a dead Pay-in is not resolved, because its payment waits for it", async () => {
    const guid = await pay(platform, parties);
    const { guid: callbackGuid } = await callbackOf(platform, guid, "pay_in_bank");
    await platform.core.buryCallback(await claim(platform, callbackGuid), "the receiver has no URL");
    const answer = await platform.core.resolveCallback(operator, callbackGuid, "not needed");
    expect(reasonOf(answer)).toBe("CALLBACK_NOT_REPLAYABLE");
  });
});
