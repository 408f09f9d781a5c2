import { Connection } from "rabbitmq-client";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { callsOf, type Platform, startPlatform } from "../support/platform.ts";
import { type Broker, startRabbitmq } from "../support/rabbitmq.ts";

const FAULT_TIMEOUT_MS = 120_000;
const PAYMENTS = 12;

describe("the gateway while its RabbitMQ fails", { timeout: FAULT_TIMEOUT_MS }, () => {
  let broker: Broker;
  let platform: Platform;
  beforeAll(async () => {
    broker = await startRabbitmq();
    platform = await startPlatform({ amqpUrl: broker.url });
  }, FAULT_TIMEOUT_MS);
  afterEach(() => {
    for (const participant of [platform.initiator, platform.recipient, platform.merchant]) participant.reset();
  });
  afterAll(async () => {
    await platform?.[Symbol.asyncDispose]();
    await broker?.stop();
  }, FAULT_TIMEOUT_MS);

  const pay = (count: number) => Promise.all(Array.from({ length: count }, () => platform.pays()));

  /** Every payment succeeded, every callback came at least once and eleven times at most. */
  async function expectAllPaid(guids: readonly string[]): Promise<void> {
    await platform.endsAllCallbacks(60_000);
    const paid = await platform.rows<{ guid: string }>("select guid from payment_message where status = 'success'");
    expect(new Set(guids).difference(new Set(paid.map((row) => row.guid)))).toEqual(new Set());
    const { initiator, recipient, merchant } = platform;
    for (const guid of guids) {
      for (const [participant, kind] of [
        [recipient, "pay-in"],
        [merchant, "pay-in"],
        [initiator, "pay-out"],
        [recipient, "credit"],
      ] as const) {
        expect(participant.calls(kind, { guid, answered: 200 }).length, `${kind} of ${guid}`).toBeGreaterThan(0);
      }
    }
    const byGuid = Map.groupBy([recipient, merchant, initiator].flatMap(callsOf), (call) => call.callbackGuid);
    expect(Math.max(...[...byGuid.values()].map((calls) => calls.length))).toBeLessThanOrEqual(11);
  }

  async function readiness(): Promise<number> {
    return (await fetch(`${platform.url()}/readyz`)).status;
  }

  test("broker killed in the middle of the cascade and started again: every callback arrives and every payment ends right", async () => {
    const { merchant } = platform;
    // Half of the first calls fail, so that there are tickets on every lane when the power goes.
    merchant.answers("pay-in", (call) => (call.attempt === 1 ? 503 : { status: 200, delayMs: 100 }));
    const guids = await pay(PAYMENTS);
    await vi.waitFor(() => expect(merchant.calls("pay-in").length).toBeGreaterThan(2), { timeout: 20_000 });
    await broker.kill();
    guids.push(...(await pay(PAYMENTS)));
    await platform.isConsistent();
    await broker.start();
    guids.push(...(await pay(PAYMENTS)));
    await expectAllPaid(guids);
  });

  test("broker unreachable at the start: REST accepts, readiness names the queue, callbacks flow once it is back", async () => {
    await platform.stop();
    await broker.kill();
    await platform.start();
    const guids = await pay(PAYMENTS);
    const ready = await fetch(`${platform.url()}/readyz`);
    expect([ready.status, JSON.stringify(await ready.json())]).toEqual([503, expect.stringContaining("queue")]);
    expect(platform.recipient.calls("pay-in")).toEqual([]);
    await broker.start();
    await expectAllPaid(guids);
    expect(await readiness()).toBe(200);
  });

  test("queues deleted behind our back: they are declared again and what was in them is published again", async () => {
    platform.merchant.answers("pay-in", { status: 200, delayMs: 300 });
    const guids = await pay(PAYMENTS);
    const connection = new Connection(broker.url);
    for (const lane of ["first", "retry"]) {
      await connection.queueDelete(`${platform.environment.AMQP_PREFIX}.callbacks.${lane}`);
    }
    await connection.close();
    guids.push(...(await pay(PAYMENTS)));
    await expectAllPaid(guids);
  });

  test("memory alarm of the broker: REST goes on accepting at once, and callbacks flow when the alarm is over", async () => {
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
    const guids: string[] = [];
    const startedAt = performance.now();
    for (let payments = 0; payments < PAYMENTS; payments += 1) guids.push(...(await pay(1)));
    // A submission that waited for the blocked broker would take its five seconds.
    expect(performance.now() - startedAt).toBeLessThan(PAYMENTS * 2_000);
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "400MB");
    await expectAllPaid(guids);
  });
});
