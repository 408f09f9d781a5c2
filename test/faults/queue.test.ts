import { randomUUID } from "node:crypto";
import { Connection } from "rabbitmq-client";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { CallbackQueue, Lane, QueueLog, Ticket } from "../../src/queue/queue.ts";
import { createRabbitmqQueue } from "../../src/queue/rabbitmq.ts";
import { buildTopology, type Topology } from "../../src/queue/topology.ts";
import { startRabbitmq } from "../support/rabbitmq.ts";

const DEADLINE_MS = 1_500;
/** A promise kept at its deadline is kept within this much more: timers of a busy machine are late. */
const SLACK_MS = 1_000;
const FAULT_TIMEOUT_MS = 90_000;

const silent: QueueLog = { info: () => undefined, warn: () => undefined, error: () => undefined };

let broker: Awaited<ReturnType<typeof startRabbitmq>>;
let queues: CallbackQueue[] = [];

beforeAll(async () => {
  broker = await startRabbitmq();
}, FAULT_TIMEOUT_MS);
afterEach(async () => {
  await Promise.all(queues.map((queue) => queue.close()));
  queues = [];
}, FAULT_TIMEOUT_MS);
afterAll(() => broker?.stop(), FAULT_TIMEOUT_MS);

function open(): { queue: CallbackQueue; topology: Topology } {
  const topology = buildTopology({ prefix: `fault-${randomUUID()}`, rungDelaysMs: [300], parkMs: 200 });
  const queue = createRabbitmqQueue({
    url: broker.url,
    topology,
    log: silent,
    publishDeadlineMs: DEADLINE_MS,
    drainTimeoutMs: 2_000,
  });
  queues.push(queue);
  return { queue, topology };
}

async function openReady(): Promise<{ queue: CallbackQueue; topology: Topology }> {
  const opened = open();
  await eventually(() => expect(opened.queue.isReady()).toBe(true));
  return opened;
}

function tickets(count: number): Ticket[] {
  return Array.from({ length: count }, () => ({
    callbackGuid: randomUUID(),
    series: 1,
    attempt: 0,
    receiverGuid: randomUUID(),
  }));
}

async function collectGuids(queue: CallbackQueue, lane: Lane): Promise<Set<string>> {
  const guids = new Set<string>();
  const handler = async ({ callbackGuid }: Ticket) => {
    guids.add(callbackGuid);
    return "ack" as const;
  };
  await queue.consume(lane, handler, { concurrency: 8 });
  return guids;
}

function eventually(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 40_000, interval: 25 });
}

async function rejectionTimeMs(publish: Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await expect(publish).rejects.toThrow(/publishing failed/);
  return performance.now() - startedAt;
}

async function deleteQueue(name: string): Promise<void> {
  const connection = new Connection(broker.url);
  await connection.queueDelete(name);
  await connection.close();
}

describe("queue under faults", { timeout: FAULT_TIMEOUT_MS }, () => {
  test("broker killed and started again: every confirmed ticket arrives, whatever lane or rung it was on", async () => {
    const { queue } = await openReady();
    const first = await collectGuids(queue, "first");
    const retry = await collectGuids(queue, "retry");
    const confirmed = { first: [] as string[], retry: [] as string[] };
    let refused = 0;
    const attempt = async (lane: Lane, group: Ticket[], publishing: Promise<void>) => {
      await publishing.then(
        () => confirmed[lane].push(...group.map(({ callbackGuid }) => callbackGuid)),
        () => (refused += 1),
      );
    };
    const load = async (rounds: number) => {
      for (let round = 0; round < rounds; round += 1) {
        const [direct, delayed, parked] = [tickets(20), tickets(20), tickets(20)];
        await Promise.all([
          attempt("first", direct, queue.publish("first", direct)),
          attempt("retry", delayed, queue.publishDelayed(delayed, 300)),
          attempt("first", parked, queue.park("first", parked)),
        ]);
      }
    };
    await load(20);
    const during = load(4);
    await broker.kill();
    await during;
    await eventually(() => expect(queue.isReady()).toBe(false));
    await broker.start();
    await eventually(() => expect(queue.isReady()).toBe(true));
    await load(5);
    await eventually(() => {
      expect(confirmed.first.filter((guid) => !first.has(guid))).toEqual([]);
      expect(confirmed.retry.filter((guid) => !retry.has(guid))).toEqual([]);
    });
    expect(confirmed.first.length).toBeGreaterThanOrEqual(25 * 40);
    expect(refused).toBeGreaterThan(0);
  });

  test("broker killed while a handler works: the ticket comes again, the handler's end harms nothing", async () => {
    const { queue } = await openReady();
    const [sent] = tickets(1);
    const hold = Promise.withResolvers<void>();
    const seen: string[] = [];
    const handler = async ({ callbackGuid }: Ticket) => {
      seen.push(callbackGuid);
      if (seen.length === 1) await hold.promise;
      return "ack" as const;
    };
    await queue.consume("first", handler, { concurrency: 1 });
    await queue.publish("first", sent ? [sent] : []);
    await eventually(() => expect(seen).toHaveLength(1));
    await broker.kill();
    hold.resolve();
    await broker.start();
    await eventually(() => expect(seen).toEqual([sent?.callbackGuid, sent?.callbackGuid]));
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 0 }));
  });

  test("broker unreachable at start: publishing rejects in time, and all works once the broker is there", async () => {
    await broker.kill();
    const { queue } = open();
    const seen = await collectGuids(queue, "first");
    expect(queue.isReady()).toBe(false);
    expect(await rejectionTimeMs(queue.publish("first", tickets(3)))).toBeLessThan(DEADLINE_MS + SLACK_MS);
    expect(await rejectionTimeMs(queue.publishDelayed(tickets(3), 300))).toBeLessThan(DEADLINE_MS + SLACK_MS);
    await broker.start();
    await eventually(() => expect(queue.isReady()).toBe(true));
    const sent = tickets(5);
    await queue.publish("first", sent);
    await eventually(() => expect([...seen].sort()).toEqual(sent.map(({ callbackGuid }) => callbackGuid).sort()));
  });

  test("broker never reachable: close ends all the same", async () => {
    await broker.kill();
    const { queue } = open();
    await queue.consume("first", async () => "ack", { concurrency: 1 });
    await queue.close();
    await broker.start();
  });

  test("queues deleted behind our back: publishing declares them again, and their consumers come back", async () => {
    const { queue, topology } = await openReady();
    const first = await collectGuids(queue, "first");
    const retry = await collectGuids(queue, "retry");
    // Several rounds, because a queue made again in the moment of its deletion once left its consumer without a word.
    for (let round = 1; round <= 5; round += 1) {
      for (const { queue: name } of topology.declarations) await deleteQueue(name);
      await queue.publish("first", tickets(3));
      await queue.publishDelayed(tickets(3), 300);
      await eventually(() => expect([first.size, retry.size]).toEqual([3 * round, 3 * round]));
    }
    expect(queue.isReady()).toBe(true);
  });

  test("queue deleted while nobody consumes: a returned ticket is published again to the new queue", async () => {
    const { queue, topology } = await openReady();
    await deleteQueue(topology.lanes.first);
    await Promise.all([queue.publish("first", tickets(2)), queue.publish("first", tickets(3))]);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 2 }));
    await deleteQueue(topology.dead);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 2, dead: 0 }));
  });

  test("memory alarm: publishing rejects at its deadline and holds nothing back; handlers still get tickets", async () => {
    const { queue } = await openReady();
    await queue.publish("first", tickets(4));
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "1MB");
    // The broker tells a connection that it is blocked when that connection next publishes.
    await eventually(async () => {
      await queue.publish("retry", tickets(1)).catch(() => undefined);
      expect(queue.isReady()).toBe(false);
    });
    const waits = Array.from({ length: 50 }, () => rejectionTimeMs(queue.publish("retry", tickets(20))));
    for (const waitedMs of await Promise.all(waits)) {
      expect(waitedMs).toBeGreaterThanOrEqual(DEADLINE_MS - 5);
      expect(waitedMs).toBeLessThan(DEADLINE_MS + SLACK_MS);
    }
    const first = await collectGuids(queue, "first");
    await eventually(() => expect(first.size).toBe(4));
    await open().queue.close();
    await broker.ctl("set_vm_memory_high_watermark", "absolute", "400MB");
    await eventually(() => expect(queue.isReady()).toBe(true));
    await queue.publish("first", tickets(2));
    await eventually(() => expect(first.size).toBe(6));
    // None of the 1,000 rejected tickets was kept and sent late.
    expect((await queue.depths()).retry).toBeLessThan(50);
  });
});
