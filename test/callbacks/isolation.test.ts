import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { defaultSlotLimits } from "../../src/callbacks/slots.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startRecorder } from "./recorder.ts";

/** Attempts that one receiver begins with at the same time. */
const SLOTS = defaultSlotLimits.first;

describe("receivers beside each other", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform({ environment: { CALLBACK_TIMEOUT_MS: "4000" } });
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  test("two merchants behind one address: neither waits for the other's answers", async () => {
    const { initiator, recipient } = platform;
    await using shared = await startRecorder({ delayMs: 2_500 });
    const callbackUrls = { base: shared.url } as never;
    const pair = [
      await platform.newMerchant({ bank: recipient }, { callbackUrls }),
      await platform.newMerchant({ bank: recipient }, { callbackUrls }),
    ];
    const orders = await Promise.all(Array.from({ length: SLOTS }, () => pair.map((one) => one.order())).flat());
    const guids = await Promise.all(orders.map((order) => initiator.pays(order)));
    await vi.waitFor(
      async () => {
        const ended = await platform.rows("select from payment_message where status <> 'pending'");
        expect(ended).toHaveLength(guids.length);
      },
      { timeout: 30_000 },
    );
    const failed = await platform.rows("select outcome, duration_ms from callback_attempt where outcome <> 'accepted'");
    expect(failed).toEqual([]);
  });
});

describe("a cascade whose receivers have slots to spare", () => {
  test.each(["local", "rabbitmq"] as const)("needs one ticket and one claim (%s queue)", async (queue) => {
    await using platform = await startPlatform({ queue });
    const payments = 5;
    for (let paid = 0; paid < payments; paid += 1) await platform.pays();
    await platform.endsAllCallbacks();
    const metrics = await (await fetch(`${platform.url()}/metrics`)).text();
    const calls = (useCase: string) =>
      Number(new RegExp(`^dcm_grouped_calls_sum\\{use_case="${useCase}"\\} (\\d+)$`, "m").exec(metrics)?.[1]);
    expect(calls("claimCallback")).toBe(payments);
    expect(calls("recordAttempt")).toBe(payments * 4);
    const attempts = await platform.rows("select outcome from callback_attempt where attempt = 1");
    expect(attempts).toEqual(Array(payments * 4).fill({ outcome: "accepted" }));
  });
});
