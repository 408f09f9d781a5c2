import { randomUUID } from "node:crypto";
import { Connection } from "rabbitmq-client";
import { afterEach, describe, expect, inject, test, vi } from "vitest";
import { createLocalQueue } from "../../src/queue/local.ts";
import type { CallbackQueue, Lane, QueueLog, Ticket, Verdict } from "../../src/queue/queue.ts";
import { createRabbitmqQueue } from "../../src/queue/rabbitmq.ts";
import { buildTopology, type Topology } from "../../src/queue/topology.ts";

const RUNG_DELAYS_MS = [150, 600];
const PARK_MS = 200;

type Opened = { queue: CallbackQueue; errors: string[]; topology: Topology };

const cleanups: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function recordingLog(errors: string[]): QueueLog {
  return { info: () => undefined, warn: () => undefined, error: (_fields, message) => void errors.push(message) };
}

/** Names of its own per test: queues outlive connections, and no test may see another's tickets. */
function freshTopology(): Topology {
  return buildTopology({ prefix: `test-${randomUUID()}`, rungDelaysMs: RUNG_DELAYS_MS, parkMs: PARK_MS });
}

async function openLocal(): Promise<Opened> {
  const errors: string[] = [];
  const queue = createLocalQueue({ rungDelaysMs: RUNG_DELAYS_MS, parkMs: PARK_MS, log: recordingLog(errors) });
  cleanups.push(() => queue.close());
  return { queue, errors, topology: freshTopology() };
}

async function openRabbitmq(): Promise<Opened> {
  const errors: string[] = [];
  const topology = freshTopology();
  const queue = createRabbitmqQueue({ url: inject("amqpUrl"), topology, log: recordingLog(errors) });
  cleanups.push(async () => {
    await queue.close();
    await withBroker(async (broker) => {
      for (const declaration of topology.declarations) await broker.queueDelete(declaration.queue);
    });
  });
  await vi.waitFor(() => expect(queue.isReady()).toBe(true), { timeout: 10_000 });
  return { queue, errors, topology };
}

async function withBroker(work: (broker: Connection) => Promise<void>): Promise<void> {
  const broker = new Connection(inject("amqpUrl"));
  try {
    await work(broker);
  } finally {
    await broker.close();
  }
}

function ticket(attempt = 0): Ticket {
  return { callbackGuid: randomUUID(), series: 1, attempt, receiverGuid: randomUUID() };
}

function tickets(count: number): Ticket[] {
  return Array.from({ length: count }, (_, index) => ticket(index));
}

function byGuid(list: readonly Ticket[]): Ticket[] {
  return list.toSorted((a, b) => (a.callbackGuid < b.callbackGuid ? -1 : 1));
}

async function collect(queue: CallbackQueue, lane: Lane, verdicts: Verdict[] = []): Promise<Ticket[]> {
  const seen: Ticket[] = [];
  await queue.consume(
    lane,
    async (arrived) => {
      seen.push(arrived);
      return verdicts.shift() ?? "ack";
    },
    { concurrency: 8 },
  );
  return seen;
}

function eventually(check: () => void | Promise<void>): Promise<void> {
  return vi.waitFor(check, { timeout: 8_000, interval: 10 });
}

describe.each([
  { name: "local queue", open: openLocal },
  { name: "RabbitMQ queue", open: openRabbitmq },
])("$name", ({ open }) => {
  test("every published ticket reaches a handler of its lane once, with all it carries", async () => {
    const { queue } = await open();
    const sent = { first: tickets(40), retry: tickets(25) };
    const first = await collect(queue, "first");
    await Promise.all([queue.publish("first", sent.first), queue.publish("retry", sent.retry)]);
    const retry = await collect(queue, "retry");
    await eventually(() => expect([first.length, retry.length]).toEqual([40, 25]));
    expect(byGuid(first)).toEqual(byGuid(sent.first));
    expect(byGuid(retry)).toEqual(byGuid(sent.retry));
    await eventually(async () => {
      expect(await queue.depths()).toEqual({ first: 0, retry: 0, delayed: 0, parked: 0, dead: 0 });
    });
  });

  test("publishing no ticket is done at once", async () => {
    const { queue } = await open();
    await queue.publish("first", []);
    await queue.publishDelayed([], 1);
    await queue.park("retry", []);
    expect(await queue.depths()).toEqual({ first: 0, retry: 0, delayed: 0, parked: 0, dead: 0 });
  });

  test("many publishes at once all arrive", async () => {
    const { queue } = await open();
    const sent = Array.from({ length: 200 }, () => tickets(5));
    await Promise.all(sent.map((group) => queue.publish("first", group)));
    const seen = await collect(queue, "first");
    await eventually(() => expect(seen).toHaveLength(1_000));
    expect(byGuid(seen)).toEqual(byGuid(sent.flat()));
  });

  test("tickets wait for a consumer and are counted while they wait", async () => {
    const { queue } = await open();
    for (const one of tickets(3)) await queue.publish("first", [one]);
    for (const one of tickets(2)) await queue.publish("retry", [one]);
    await queue.publishDelayed(tickets(4), 600);
    await queue.park("first", tickets(1));
    await eventually(async () => expect(await queue.depths()).toMatchObject({ retry: 2, delayed: 4 }));
    await eventually(async () => {
      expect(await queue.depths()).toEqual({ first: 4, retry: 6, delayed: 0, parked: 0, dead: 0 });
    });
  });

  test.each([
    { delayMs: 10, rungMs: 150 },
    { delayMs: 599, rungMs: 150 },
    { delayMs: 900, rungMs: 600 },
  ])("a ticket delayed by $delayMs ms comes back on lane retry, not before $rungMs ms", async ({ delayMs, rungMs }) => {
    const { queue } = await open();
    const sent = ticket(3);
    const first = await collect(queue, "first");
    const retry = await collect(queue, "retry");
    const startedAt = performance.now();
    await queue.publishDelayed([sent], delayMs);
    await eventually(() => expect(retry).toEqual([sent]));
    // The broker reckons in whole milliseconds of its own clock.
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(rungMs - 2);
    expect(first).toEqual([]);
  });

  test("a short delay is not held up by a longer one that was asked for before", async () => {
    const { queue } = await open();
    const [long, short] = [ticket(1), ticket(2)];
    const retry = await collect(queue, "retry");
    await queue.publishDelayed([long], 600);
    await queue.publishDelayed([short], 150);
    await eventually(() => expect(retry).toEqual([short, long]));
  });

  test.each(["first", "retry"] as const)("a parked ticket comes back on lane %s after the park time", async (lane) => {
    const { queue } = await open();
    const sent = ticket();
    const seen = { first: await collect(queue, "first"), retry: await collect(queue, "retry") };
    const startedAt = performance.now();
    await queue.park(lane, [sent]);
    await eventually(() => expect(seen[lane]).toEqual([sent]));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(PARK_MS - 2);
    expect(seen[lane === "first" ? "retry" : "first"]).toEqual([]);
  });

  test("no more handlers run at once than the concurrency allows, and all its slots are used", async () => {
    const { queue } = await open();
    let running = 0;
    let most = 0;
    let done = 0;
    await queue.publish("first", tickets(30));
    await queue.consume(
      "first",
      async () => {
        running += 1;
        most = Math.max(most, running);
        await new Promise((resolve) => setTimeout(resolve, 10));
        running -= 1;
        done += 1;
        return "ack";
      },
      { concurrency: 4 },
    );
    await eventually(() => expect(done).toBe(30));
    expect(most).toBe(4);
  });

  test("handlers of one lane that hang do not hold up the other lane", async () => {
    const { queue } = await open();
    const hanging = Promise.withResolvers<Verdict>();
    await queue.consume("retry", () => hanging.promise, { concurrency: 1 });
    await queue.publish("retry", tickets(5));
    const first = await collect(queue, "first");
    await queue.publish("first", tickets(5));
    await eventually(() => expect(first).toHaveLength(5));
    hanging.resolve("ack");
  });

  test("requeue: the ticket comes back on its lane after the park time", async () => {
    const { queue } = await open();
    const sent = ticket(2);
    const startedAt = performance.now();
    const seen = await collect(queue, "retry", ["requeue"]);
    await queue.publish("retry", [sent]);
    await eventually(() => expect(seen).toEqual([sent, sent]));
    expect(performance.now() - startedAt).toBeGreaterThanOrEqual(PARK_MS - 2);
  });

  test("a throwing handler is logged once per throw and gets the ticket again after the park time", async () => {
    const { queue, errors } = await open();
    const arrivals: number[] = [];
    await queue.publish("first", [ticket()]);
    await queue.consume(
      "first",
      async () => {
        arrivals.push(performance.now());
        if (arrivals.length < 3) throw new Error("a bug");
        return "ack";
      },
      { concurrency: 2 },
    );
    await eventually(() => expect(arrivals).toHaveLength(3));
    const [one = 0, two = 0, three = 0] = arrivals;
    expect(Math.min(two - one, three - two)).toBeGreaterThanOrEqual(PARK_MS - 2);
    expect(errors).toHaveLength(2);
  });

  test("dead: the ticket is kept, and redriving brings back no more than asked, on lane retry", async () => {
    const { queue } = await open();
    const sent = tickets(3);
    await collect(queue, "first", ["dead", "dead", "dead"]);
    await queue.publish("first", sent);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 0, dead: 3 }));
    expect(await queue.redriveDead(2)).toBe(2);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ retry: 2, dead: 1 }));
    expect(await queue.redriveDead(10)).toBe(1);
    expect(await queue.redriveDead(10)).toBe(0);
    const retry = await collect(queue, "retry");
    await eventually(() => expect(byGuid(retry)).toEqual(byGuid(sent)));
  });

  test("unhandled: a handler that is stopping leaves its ticket to the next consumer", async () => {
    const { queue } = await open();
    const sent = ticket(2);
    const refused = Promise.withResolvers<void>();
    const stopping = await queue.consume(
      "retry",
      async () => {
        refused.resolve();
        void stopping.stop();
        return "unhandled";
      },
      { concurrency: 1 },
    );
    await queue.publish("retry", [sent]);
    await refused.promise;
    const seen = await collect(queue, "retry");
    await eventually(() => expect(seen).toEqual([sent]));
  });

  test("a ticket that nobody handled can be put into the dead queue, and is redriven like the others", async () => {
    const { queue } = await open();
    const sent = ticket(2);
    await queue.publishDead([sent]);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ dead: 1 }));
    expect(await queue.redriveDead(10)).toBe(1);
    const retry = await collect(queue, "retry");
    await eventually(() => expect(retry).toEqual([sent]));
  });

  test("stop: the running handler ends, unhandled tickets go to the next consumer, none is handled twice", async () => {
    const { queue } = await open();
    const handled: Ticket[] = [];
    const gate = Promise.withResolvers<void>();
    let started = 0;
    const consumer = await queue.consume(
      "first",
      async (arrived) => {
        started += 1;
        await gate.promise;
        handled.push(arrived);
        return "ack";
      },
      { concurrency: 2 },
    );
    const sent = tickets(10);
    await queue.publish("first", sent);
    await eventually(() => expect(started).toBe(2));
    const stopping = consumer.stop();
    gate.resolve();
    await stopping;
    expect(handled).toHaveLength(2);
    const rest = await collect(queue, "first");
    await eventually(() => expect(rest).toHaveLength(8));
    expect(byGuid([...handled, ...rest])).toEqual(byGuid(sent));
  });

  test("close waits for running handlers, and nothing can be published afterwards", async () => {
    const { queue } = await open();
    let finished = false;
    const started = Promise.withResolvers<void>();
    await queue.consume(
      "first",
      async () => {
        started.resolve();
        await new Promise((resolve) => setTimeout(resolve, 50));
        await queue.publishDelayed([ticket()], 1_000);
        finished = true;
        return "ack";
      },
      { concurrency: 1 },
    );
    await queue.publish("first", [ticket()]);
    await started.promise;
    await queue.close();
    expect(finished).toBe(true);
    expect(queue.isReady()).toBe(false);
    await expect(queue.publish("first", [ticket()])).rejects.toThrow(/closed/);
  });
});

describe("RabbitMQ queue: foreign messages", () => {
  test("what is not a ticket goes to the dead queue, stays there on redrive and holds up no ticket", async () => {
    const { queue, errors, topology } = await openRabbitmq();
    const seen = await collect(queue, "first", ["dead"]);
    const [good, bad] = [ticket(), { ...ticket(), attempt: "1" }];
    const poison = ["not JSON", "{}", "[]", JSON.stringify(good), JSON.stringify([good, bad])];
    await withBroker(async (broker) => {
      const publisher = broker.createPublisher({ confirm: true });
      for (const body of poison) {
        const envelope = { routingKey: topology.lanes.first, contentType: "application/json" };
        await publisher.send(envelope, Buffer.from(body));
      }
      await publisher.close();
    });
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 0, dead: 5 }));
    const sent = ticket();
    await queue.publish("first", [sent]);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ first: 0, dead: 6 }));
    expect(seen).toEqual([sent]);
    expect(errors).toHaveLength(5);
    expect(await queue.redriveDead(1)).toBe(1);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ retry: 1, dead: 5 }));
    expect(await queue.redriveDead(10)).toBe(0);
    await eventually(async () => expect(await queue.depths()).toMatchObject({ retry: 1, dead: 5 }));
  });

  test("tickets published together share messages, and each gets the verdict of its own handler", async () => {
    const { queue } = await openRabbitmq();
    const sent = tickets(20);
    await queue.publish("first", sent);
    await eventually(async () => expect((await queue.depths()).first).toBe(2));
    const fates = new Map<string, Verdict>([
      [sent[3]?.callbackGuid ?? "", "dead"],
      [sent[17]?.callbackGuid ?? "", "requeue"],
    ]);
    const seen: Ticket[] = [];
    const handler = async (arrived: Ticket) => {
      seen.push(arrived);
      const verdict = fates.get(arrived.callbackGuid) ?? "ack";
      fates.delete(arrived.callbackGuid);
      return verdict;
    };
    await queue.consume("first", handler, { concurrency: 4 });
    await eventually(() => expect(byGuid(seen)).toEqual(byGuid([...sent, sent[17] as Ticket])));
    await eventually(async () => {
      expect(await queue.depths()).toEqual({ first: 0, retry: 0, delayed: 0, parked: 0, dead: 1 });
    });
    expect(await queue.redriveDead(10)).toBe(1);
    const retry = await collect(queue, "retry");
    await eventually(() => expect(retry).toEqual([sent[3]]));
  });
});
