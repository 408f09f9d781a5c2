import { describe, expect, test, vi } from "vitest";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

const metric = async (platform: Platform, series: string) => {
  const text = await (await fetch(`${platform.url()}/metrics`)).text();
  return text.split("\n").find((line) => line.startsWith(`${series} `));
};

/** Longer than a scrape remembers what it read. */
const patience = { timeout: 15_000, interval: 200 };

describe.each(["local", "rabbitmq"] as const)("dead letters on the %s queue", (queue) => {
  test("a callback that we cannot prepare is dead with its reason and counted; after the repair a redrive brings its payment to its end", async () => {
    await using platform = await startPlatform({ queue });
    const console = openConsole(platform.operators());
    const { guid: merchantGuid, callbackUrls } = await merchantOf(platform);
    await platform.rows("update participant set callback_urls = '{}' where guid = $1", merchantGuid);
    const guid = await platform.pays();

    await vi.waitFor(async () => {
      const { callbacks } = await console.json("callbacks", "list", "--state", "dead");
      expect(callbacks).toMatchObject([{ payment_message_guid: guid, kind: "CALLBACK_KIND_PAY_IN_MERCHANT" }]);
    }, patience);
    const [dead] = (await console.json("callbacks", "list", "--state", "dead")).callbacks as [{ guid: string }];
    const shown = await console.run("callbacks", "show", dead.guid);
    expect(shown.lines.join("\n")).toMatch(/problem +the receiver has no URL for pay_in_merchant callbacks/);
    expect(platform.merchant.calls("pay-in")).toEqual([]);
    expect(await metric(platform, "dcm_callbacks_dead")).toBe("dcm_callbacks_dead 1");
    const depth = 'dcm_queue_depth{queue="dead"}';
    await vi.waitFor(async () => expect(await metric(platform, depth)).toBe(`${depth} 1`), patience);

    const refused = await console.run("callbacks", "resolve", dead.guid, "--note", "never mind");
    expect([refused.code, refused.complaints[0]]).toEqual([1, expect.stringContaining("replay it instead")]);

    await console.json("participants", "update", merchantGuid, { callback_urls: callbackUrls });
    expect(await console.json("redrive")).toEqual({ callbacks: 1, tickets: 1 });
    await platform.initiator.receives("pay-out", { guid });
    await platform.endsAllCallbacks();
    expect(await platform.rows("select status from payment_message where guid = $1", guid)).toEqual([
      { status: "success" },
    ]);
    // Of its two tickets one was served, the other found nothing to do.
    expect(platform.merchant.calls("pay-in")).toHaveLength(1);
    await vi.waitFor(
      async () => expect(await metric(platform, "dcm_callbacks_dead")).toBe("dcm_callbacks_dead 0"),
      patience,
    );
    expect(await metric(platform, depth)).toBe(`${depth} 0`);
    expect(await console.json("redrive")).toEqual({ callbacks: 0, tickets: 0 });
  });
});

async function merchantOf(platform: Platform) {
  const [row] = await platform.rows<{ guid: string; callback_urls: Record<string, string> }>(
    "select guid, callback_urls from participant where kind = 'merchant'",
  );
  if (row === undefined) throw new Error("no merchant is registered");
  return { guid: row.guid, callbackUrls: row.callback_urls };
}
