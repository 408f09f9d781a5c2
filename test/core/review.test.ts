import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { CallbackKind } from "../../src/domain/callback.ts";
import {
  accepted,
  attempt,
  callbackOf,
  claim,
  deliver,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  payWithSuccess,
  readMessage,
  reasonOf,
  registerParties,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

/** A successful payment whose callback of one kind is in review. */
async function inReview(kind: CallbackKind = "credit", sides = parties) {
  const messageGuid = await payWithSuccess(platform, sides);
  await deliver(platform, messageGuid, kind, "refused", "refused");
  return { messageGuid, guid: (await callbackOf(platform, messageGuid, kind)).guid };
}

describe("replayCallback", () => {
  test("a review gets a new series under the same guid, and is announced", async () => {
    const { guid } = await inReview();
    expect(accepted(await platform.core.replayCallback(operator, guid))).toMatchObject({
      guid,
      state: CallbackState.WAITING,
      series: 2,
      attempts: 0,
    });
    expect(platform.due).toContainEqual({
      callbackGuid: guid,
      series: 2,
      attempt: 0,
      receiverGuid: parties.recipient.guid,
      decides: false,
    });
    await attempt(platform, guid, "accepted");
    expect(accepted(await platform.core.getCallback(guid))).toMatchObject({
      callback: { state: CallbackState.DELIVERED },
      attempts: [{ series: 1 }, { series: 1 }, { series: 2, attempt: 1, outcome: "accepted" }],
    });
  });

  test.each([
    ["the recipient bank refused", "pay_in_bank", []],
    ["the merchant refused", "pay_in_merchant", ["pay_in_bank"]],
  ] as const)(
    "a Pay-in that ended is over, when %s: nobody is told success after the reject",
    async (_, kind, before) => {
      const messageGuid = await pay(platform, parties);
      for (const earlier of before) await deliver(platform, messageGuid, earlier, "accepted");
      await deliver(platform, messageGuid, kind, "refused");
      const { guid } = await callbackOf(platform, messageGuid, kind);
      const refusal = await platform.core.replayCallback(operator, guid);
      expect(refusal).toMatchObject({
        refused: "CALLBACK_NOT_REPLAYABLE",
        message: expect.stringContaining("is failed"),
      });
      expect(await platform.core.replayCallbacks(operator, { paymentMessageGuid: messageGuid })).toBe(0);
      expect((await callbackOf(platform, messageGuid, kind)).state).toBe("failed");
      expect((await readMessage(platform, parties, messageGuid)).status).toBe(PaymentMessageStatus.REJECT);
    },
  );

  test("attempts of before that a body had spoilt stay readable", async () => {
    const { guid } = await inReview("pay_out");
    for (const outcome of ["body_timeout", "oversized"]) {
      await platform.rows("update callback set last_outcome = $2 where guid = $1", guid, outcome);
      await platform.rows("update callback_attempt set outcome = $2 where callback_guid = $1", guid, outcome);
      expect(accepted(await platform.core.getCallback(guid))).toMatchObject({
        callback: { lastOutcome: outcome },
        attempts: [{ outcome }, { outcome }],
      });
    }
  });

  test("nor is a Pay-in replayed that an earlier version replayed into review", async () => {
    const messageGuid = await pay(platform, parties);
    await deliver(platform, messageGuid, "pay_in_bank", "refused");
    const { guid } = await callbackOf(platform, messageGuid, "pay_in_bank");
    for (const state of ["review", "resolved"]) {
      await platform.rows("update callback set state = $2, series = 2 where guid = $1", guid, state);
      expect(await platform.core.replayCallback(operator, guid)).toMatchObject({
        refused: "CALLBACK_NOT_REPLAYABLE",
        message: `the callback is ${state} and its payment is decided; telling it again would not be true`,
      });
      expect(await platform.core.replayCallbacks(operator, { paymentMessageGuid: messageGuid })).toBe(0);
    }
  });

  test("it never undoes a payment: a replay that fails ends in review", async () => {
    const { messageGuid, guid } = await inReview("pay_out");
    accepted(await platform.core.replayCallback(operator, guid));
    await attempt(platform, guid, "refused");
    expect(await attempt(platform, guid, "refused")).toMatchObject({ state: "review", effect: "none" });
    expect((await readMessage(platform, parties, messageGuid)).status).toBe(PaymentMessageStatus.SUCCESS);
  });

  test("what is under way or delivered is not replayed", async () => {
    const messageGuid = await pay(platform, parties);
    const { guid } = await callbackOf(platform, messageGuid, "pay_in_bank");
    expect(reasonOf(await platform.core.replayCallback(operator, guid))).toBe("CALLBACK_NOT_REPLAYABLE");
    await attempt(platform, guid, "accepted");
    expect(reasonOf(await platform.core.replayCallback(operator, guid))).toBe("CALLBACK_NOT_REPLAYABLE");
    expect(reasonOf(await platform.core.replayCallback(operator, "unknown"))).toBe("CALLBACK_NOT_FOUND");
  });

  test("of two operators at once one starts the series", async () => {
    const { guid } = await inReview();
    const answers = await Promise.all([
      platform.core.replayCallback(operator, guid),
      platform.core.replayCallback(operator, guid),
    ]);
    expect(answers.map(reasonOf).sort()).toEqual(["CALLBACK_NOT_REPLAYABLE", "accepted"]);
    expect(accepted(await platform.core.getCallback(guid)).callback.series).toBe(2);
  });
});

describe("replayCallbacks", () => {
  test("only what is in review or dead and matches the filter gets a new series", async () => {
    const others = await registerParties(platform);
    const mine = await inReview();
    const elsewhere = await inReview("credit", others);
    const resolved = await inReview();
    accepted(await platform.core.resolveCallback(operator, resolved.guid, "settled by phone"));
    const filter = { receiverGuid: parties.recipient.guid, kinds: ["credit"] as const };
    expect(await platform.core.replayCallbacks(operator, filter)).toBe(1);
    expect(await platform.core.replayCallbacks(operator, filter)).toBe(0);
    const state = async (guid: string) => accepted(await platform.core.getCallback(guid)).callback.state;
    expect([await state(mine.guid), await state(elsewhere.guid), await state(resolved.guid)]).toEqual([
      CallbackState.WAITING,
      CallbackState.REVIEW,
      CallbackState.RESOLVED,
    ]);
  });

  test("states other than review and dead are left alone, even when the filter names them", async () => {
    await inReview();
    expect(await platform.core.replayCallbacks(operator, { states: ["delivered", "waiting", "resolved"] })).toBe(0);
    expect(await platform.core.replayCallbacks(operator, { receiverGuid: "not a guid" })).toBe(0);
  });
});

describe("resolveCallback", () => {
  test("a review is closed in the operator's name; closing it again is safe; it can still be replayed", async () => {
    const { guid } = await inReview();
    const resolved = accepted(await platform.core.resolveCallback(operator, guid, "settled by phone"));
    expect(resolved).toMatchObject({
      state: CallbackState.RESOLVED,
      resolvedBy: "tests",
      resolutionNote: "settled by phone",
    });
    expect(reasonOf(await platform.core.resolveCallback(operator, guid, "settled by phone"))).toBe("accepted");
    expect(accepted(await platform.core.replayCallback(operator, guid))).toMatchObject({
      state: CallbackState.WAITING,
      resolvedBy: "",
    });
  });

  test("what is under way is not resolved, and a note is needed", async () => {
    const messageGuid = await pay(platform, parties);
    const { guid } = await callbackOf(platform, messageGuid, "pay_in_bank");
    expect(await platform.core.resolveCallback(operator, guid, "note")).toMatchObject({
      refused: "CALLBACK_NOT_REPLAYABLE",
      field: "guid",
    });
    expect(await platform.core.resolveCallback(operator, guid, "")).toMatchObject({ field: "note" });
    expect(await platform.core.resolveCallback(operator, guid, "x".repeat(2001))).toMatchObject({
      field: "note",
    });
  });
});

describe("dead callbacks", () => {
  async function dead(kind: "pay_in_bank" | "credit") {
    const messageGuid = kind === "credit" ? await payWithSuccess(platform, parties) : await pay(platform, parties);
    const { guid } = await callbackOf(platform, messageGuid, kind);
    await platform.core.buryCallback(await claim(platform, guid), "the body could not be built");
    return guid;
  }

  test("a dead Pay-in cannot be closed, because its payment waits for it; any other dead callback can", async () => {
    const payIn = await platform.core.resolveCallback(operator, await dead("pay_in_bank"), "note");
    expect(reasonOf(payIn)).toBe("CALLBACK_NOT_REPLAYABLE");
    expect(reasonOf(await platform.core.resolveCallback(operator, await dead("credit"), "note"))).toBe("accepted");
  });
});

describe("listCallbacks", () => {
  test("newest first, page by page, each one once", async () => {
    const sides = await registerParties(platform);
    const guids: string[] = [];
    for (let number = 0; number < 5; number += 1)
      guids.push((await callbackOf(platform, await pay(platform, sides), "pay_in_bank")).guid);
    const listed: string[] = [];
    for (let after: string | undefined; ; ) {
      const page = await platform.core.listCallbacks({ receiverGuid: sides.recipient.guid }, { limit: 2, after });
      if (page.length === 0) break;
      listed.push(...page.map(({ guid }) => guid));
      after = page.at(-1)?.guid;
    }
    expect(listed).toEqual(guids.reverse());
  });

  test("missed: what failed at least once and is not delivered", async () => {
    const sides = await registerParties(platform);
    const untouched = await pay(platform, sides);
    const failing = await pay(platform, sides);
    const recovered = await pay(platform, sides);
    await deliver(platform, failing, "pay_in_bank", "timeout");
    await deliver(platform, recovered, "pay_in_bank", "timeout", "accepted");
    const missed = await platform.core.listCallbacks(
      { receiverGuid: sides.recipient.guid, missed: true },
      { limit: 10 },
    );
    expect(missed.map(({ paymentMessageGuid }) => paymentMessageGuid)).toEqual([failing]);
    expect(missed[0]).toMatchObject({ state: CallbackState.WAITING, attempts: 1, lastOutcome: "timeout" });
    expect(untouched).not.toBe(failing);
  });

  test("every field of the filter restricts", async () => {
    const sides = await registerParties(platform);
    const before = new Date(Date.now() - 60_000);
    const messageGuid = await payWithSuccess(platform, sides);
    await payWithSuccess(platform, sides);
    const count = async (filter: Parameters<typeof platform.core.listCallbacks>[0]) =>
      (await platform.core.listCallbacks({ paymentMessageGuid: messageGuid, ...filter }, { limit: 100 })).length;
    expect(await count({})).toBe(4);
    expect(await count({ kinds: ["pay_out", "credit"] })).toBe(2);
    expect(await count({ states: ["delivered"] })).toBe(2);
    expect(await count({ receiverGuid: sides.merchant.guid })).toBe(1);
    expect(await count({ since: before })).toBe(4);
    expect(await count({ until: before })).toBe(0);
    expect(await count({ receiverGuid: "not a guid" })).toBe(0);
  });
});
