import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { recordWaitsMs } from "../../src/callbacks/deliver.ts";
import { startChores } from "../../src/chores.ts";
import { beginWithinMs, leaseMs, recordWithinMs } from "../../src/core/context.ts";
import { defaultRetryPolicy } from "../../src/domain/callback.ts";
import type { CallbackQueue } from "../../src/queue/queue.ts";
import {
  accepted,
  callbackOf,
  claim,
  openPlatform,
  type Parties,
  type Platform,
  pay,
  readMessage,
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

/** A Pay-in to the bank that was claimed, and whose lease has lapsed since. */
async function lapsed() {
  const messageGuid = await pay(platform, parties);
  const claimed = await claim(platform, (await callbackOf(platform, messageGuid, "pay_in_bank")).guid);
  await platform.rows("update callback set wake_at = now() where guid = $1", claimed.guid);
  return { messageGuid, claimed };
}

const attemptsOf = async (guid: string) =>
  accepted(await platform.core.getCallback(guid)).attempts.map(({ attempt, outcome }) => ({ attempt, outcome }));

describe("a lease", () => {
  test("lasts as long as it takes to begin an attempt as late as allowed, to make it and to record it", async () => {
    const guid = await pay(platform, parties);
    const claimed = await claim(platform, (await callbackOf(platform, guid, "pay_in_bank")).guid);
    const [row] = await platform.rows<{ lease_ms: number }>(
      "select (extract(epoch from wake_at - updated_at) * 1000)::float8 as lease_ms from callback where guid = $1",
      claimed.guid,
    );
    expect(row?.lease_ms).toBe(leaseMs(defaultRetryPolicy));
    const latestRecordMs = beginWithinMs + defaultRetryPolicy.attemptTimeoutMs + recordWithinMs;
    expect(row?.lease_ms).toBeGreaterThanOrEqual(latestRecordMs);
    expect(recordWaitsMs.reduce((sum, waitMs) => sum + waitMs)).toBeLessThan(recordWithinMs);
  });
});

describe("a record that comes after its attempt was counted as lost", () => {
  test("replaces that in the history, says that it is late, and changes nothing else", async () => {
    const { messageGuid, claimed } = await lapsed();
    expect(await recordLapsedLeases(platform)).toBe(1);
    expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "lost" }]);
    expect(await record(platform.core, claimed, "accepted")).toMatchObject({ applied: false, late: true });
    expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "accepted" }]);
    expect(await callbackOf(platform, messageGuid, "pay_in_bank")).toMatchObject({ state: "waiting", attempts: 1 });
    expect((await readMessage(platform, parties, messageGuid)).status).toBe(PaymentMessageStatus.PENDING);
    // The retry goes on as if nothing had been heard, and counts on its own.
    const next = await claim(platform, claimed.guid);
    expect(await record(platform.core, next, "accepted")).toMatchObject({ applied: true, late: false });
    expect(await attemptsOf(claimed.guid)).toHaveLength(2);
  });

  test("is late once: a repeat of it says that the attempt is known", async () => {
    const { claimed } = await lapsed();
    await recordLapsedLeases(platform);
    await record(platform.core, claimed, "refused");
    expect(await record(platform.core, claimed, "refused")).toMatchObject({ applied: false, late: false });
    expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "refused" }]);
  });

  test("what is known is never replaced by lost, nor by another answer", async () => {
    const { claimed } = await lapsed();
    await record(platform.core, claimed, "timeout");
    expect(await record(platform.core, claimed, "lost")).toMatchObject({ applied: false, late: false });
    expect(await record(platform.core, claimed, "accepted")).toMatchObject({ applied: false, late: false });
    expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "timeout" }]);
  });

  test("the same attempt twice in one group: one of them decides, and the other does not fail it", async () => {
    const { claimed } = await lapsed();
    const answers = await Promise.all([1, 2].map(() => record(platform.core, claimed, "accepted")));
    expect(answers.filter(({ applied }) => applied).length).toBeGreaterThan(0);
    expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "accepted" }]);
  });
});

describe("lost attempts are counted whatever else is in trouble", () => {
  const broker = {
    publish: () => Promise.reject(new Error("the broker is down")),
    publishDelayed: () => Promise.reject(new Error("the broker is down")),
    park: () => Promise.reject(new Error("the broker is down")),
    redriveDead: async () => 0,
  };

  test.each([
    ["a broker that is down", { isReady: () => false, depths: () => Promise.reject(new Error("down")) }],
    ["a queue that is long", { isReady: () => true, depths: async () => ({ first: 1e6, retry: 0 }) }],
    ["a publish that fails", { isReady: () => true, depths: async () => ({ first: 0, retry: 0 }) }],
    ["a broker that never answers", { isReady: () => true, depths: () => new Promise(() => undefined) }],
  ])("%s", async (_, trouble) => {
    const { messageGuid, claimed } = await lapsed();
    // Something that waits and cannot be published is there as well.
    const waiting = await pay(platform, parties);
    await platform.rows("update callback set wake_at = now() where payment_message_guid = $1", waiting);
    const chores = startChores({
      core: platform.core,
      queue: { ...broker, ...trouble } as unknown as CallbackQueue,
      log: { info() {}, warn() {}, error() {} },
    });
    try {
      await vi.waitFor(async () => {
        expect(await callbackOf(platform, messageGuid, "pay_in_bank")).toMatchObject({ state: "waiting" });
      });
      expect(await attemptsOf(claimed.guid)).toEqual([{ attempt: 1, outcome: "lost" }]);
    } finally {
      // A chore that hangs is not waited for: nothing of it is under way in the database.
      void chores.stop();
    }
  });
});
