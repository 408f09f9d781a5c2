import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { create } from "@bufbuild/protobuf";
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import { PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import { createOrderChanges } from "../../src/core/orderChanges.ts";
import { refuse } from "../../src/domain/errors.ts";
import type { PaymentState } from "../../src/domain/order.ts";
import { createEventStreams } from "../../src/rest/eventStreams.ts";
import { ask, exampleOrder, type Keys, makeKeys, ORDER_ID, type Rest, SECOND_BANK_GUID, startRest } from "./fixture.ts";

// An order followed live (contract, followOrder).

let keys: Keys;
beforeAll(async () => {
  keys = await makeKeys();
});

type Live = {
  rest: Rest;
  changes: ReturnType<typeof createOrderChanges>;
  streams: ReturnType<typeof createEventStreams>;
  /** How often the core was asked for an order, and how often it was waited for changes. */
  asked: { orders: number; changes: number };
  set(change: Partial<Order>, isRejected?: boolean): void;
  say(state: PaymentState): void;
};

async function live(maxEventStreams = 1_000): Promise<Live> {
  let order: GetOrderResponse = exampleOrder(keys);
  const changes = createOrderChanges();
  const streams = createEventStreams();
  const asked = { orders: 0, changes: 0 };
  const core = {
    async getOrder(id: string) {
      asked.orders += 1;
      return id === ORDER_ID ? order : refuse("ORDER_NOT_FOUND", "order not found", { field: "order_id" });
    },
    waitForOrderChanges(cursor: string, patienceMs: number, signal: AbortSignal) {
      asked.changes += 1;
      return changes.wait(cursor, patienceMs, signal);
    },
  };
  const rest = await startRest(keys, { core }, { eventStreams: streams, maxEventStreams });
  onTestFinished(async () => {
    streams.endAll();
    changes.release();
    await rest.stop();
  });
  return {
    rest,
    changes,
    streams,
    asked,
    set(change, isRejected = false) {
      const paymentMessage = isRejected ? create(PaymentMessageSchema, {}) : undefined;
      order = { ...exampleOrder(keys, change), ...(paymentMessage && { paymentMessage }) };
    },
    say: (state) => changes.heard([{ orderGuid: ORDER_ID, state }]),
  };
}

const path = `/api/v1/merchants/order/events?id=${ORDER_ID}`;

/** Opens a stream; `next` is its next event or comment, undefined at the end. */
async function follow({ rest }: Live, headers: Record<string, string> = {}, address = path) {
  const leave = new AbortController();
  onTestFinished(() => leave.abort());
  const answer = await fetch(rest.url + address, { headers, signal: leave.signal });
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  async function next(): Promise<string | undefined> {
    while (!text.includes("\n\n")) {
      const { value, done } = (await reader?.read()) ?? { done: true };
      if (done) return undefined;
      text += value;
    }
    const [event = ""] = text.split("\n\n", 1);
    text = text.slice(event.length + 2);
    return event;
  }
  return { answer, next, leave: () => leave.abort() };
}

const event = (id: number, state: PaymentState) => `id: ${id}\nevent: state\ndata: {"state":"${state}"}`;

test("the present state comes at once, then every change, and the end after the last", async () => {
  const platform = await live();
  const { answer, next } = await follow(platform);
  expect(answer.status).toBe(200);
  expect(answer.headers.get("content-type")).toBe("text/event-stream; charset=utf-8");
  expect(answer.headers.get("cache-control")).toBe("no-store");
  expect(answer.headers.get("x-accel-buffering")).toBe("no");
  expect(await next()).toBe("retry: 3000");
  expect(await next()).toBe(event(1, "waiting"));
  platform.changes.heard([{ orderGuid: SECOND_BANK_GUID, state: "paid" }]);
  platform.say("processing");
  expect(await next()).toBe(event(2, "processing"));
  platform.say("paid");
  expect(await next()).toBe(event(3, "paid"));
  expect(await next()).toBeUndefined();
  // One read of the order, whatever happened to it.
  expect(platform.asked.orders).toBe(1);
  expect(platform.streams.count()).toBe(0);
});

test.each([
  ["paid", { status: OrderStatus.SUCCESS }, false],
  ["rejected", { status: OrderStatus.CANCELED }, true],
  ["expired", { status: OrderStatus.CANCELED }, false],
  ["canceled", { status: OrderStatus.CANCELED, canceledByMerchant: true }, false],
] as const)(
  "an order that is %s already is told and ended; who has heard that gets nothing more",
  async (state, change, isRejected) => {
    const platform = await live();
    platform.set(change, isRejected);
    const { next } = await follow(platform, { "Last-Event-ID": "2" });
    await next();
    expect(await next()).toBe(event(3, state));
    expect(await next()).toBeUndefined();
    const again = await ask(platform.rest, path, { headers: { "Last-Event-ID": "3" } });
    expect(again.status).toBe(204);
    expect(again.headers.get("content-type")).toBeNull();
    expect(again.text).toBe("");
  },
);

test("a change between the reading of an order and its stream is not lost, and one from before it is not told twice", async () => {
  const platform = await live();
  const { next } = await follow(platform);
  await next();
  await next();
  platform.set({ status: OrderStatus.IN_PROGRESS });
  const second = await follow(platform, {}, path.replace(ORDER_ID, ORDER_ID.toUpperCase()));
  await second.next();
  expect(await second.next()).toBe(event(2, "processing"));
  // What is said late of the state that was read is known already.
  platform.say("processing");
  platform.say("rejected");
  expect(await second.next()).toBe(event(3, "rejected"));
  expect(await next()).toBe(event(2, "processing"));
  expect(await next()).toBe(event(3, "rejected"));
});

test("all who follow are one question to the core, and it is asked no more when the last has left", async () => {
  const platform = await live();
  const all = await Promise.all(Array.from({ length: 15 }, () => follow(platform)));
  for (const { next } of all) {
    await next();
    await next();
  }
  // The first cursor, and one wait.
  expect(platform.asked.changes).toBe(2);
  expect(platform.streams.count()).toBe(15);
  for (const { leave } of all) leave();
  await expect.poll(() => platform.streams.count()).toBe(0);
  platform.say("processing");
  await follow(platform);
  expect(platform.asked.changes).toBeLessThanOrEqual(4);
});

test("when changes may have been missed every stream ends soon, and its browser reads the state anew", async () => {
  const platform = await live();
  const { next } = await follow(platform);
  await next();
  await next();
  platform.changes.gap();
  expect(await next()).toBeUndefined();
  platform.set({ status: OrderStatus.SUCCESS });
  const again = await follow(platform, { "Last-Event-ID": "1" });
  await again.next();
  expect(await again.next()).toBe(event(3, "paid"));
});

test("beyond the most streams of a process, and of one order, a browser is told to ask instead", async () => {
  const full = await live(1);
  await follow(full);
  const refused = await ask(full.rest, path);
  expect(refused.status).toBe(503);
  expect(refused.headers.get("retry-after")).toBe("1");
  expect(refused.json).toMatchObject({ code: "OVERLOADED" });
  const platform = await live();
  for (let opened = 0; opened < 20; opened += 1) await follow(platform);
  expect((await ask(platform.rest, path)).status).toBe(503);
  expect(platform.streams.count()).toBe(20);
});

test("whoever is on the way counts: of many who come at once no more are let in than there are places", async () => {
  const platform = await live(5);
  const all = await Promise.all(Array.from({ length: 30 }, () => follow(platform)));
  const statuses = all.map(({ answer }) => answer.status);
  expect(statuses.filter((status) => status === 200)).toHaveLength(5);
  expect(statuses.filter((status) => status === 503)).toHaveLength(25);
  // A place is free again when its reader has left, and when nothing came of it.
  for (const { leave } of all) leave();
  await expect.poll(() => platform.streams.count()).toBe(0);
  for (let asked = 0; asked < 6; asked += 1) {
    expect((await ask(platform.rest, path.replace(ORDER_ID, SECOND_BANK_GUID))).status).toBe(404);
  }
  expect((await follow(platform)).answer.status).toBe(200);
});

test.each([
  [404, "ORDER_NOT_FOUND", SECOND_BANK_GUID],
  [400, "INVALID_REQUEST", "nonsense"],
])("%i %s: nothing is followed", async (status, code, id) => {
  const platform = await live();
  const answer = await ask(platform.rest, path.replace(ORDER_ID, id));
  expect(answer.status).toBe(status);
  expect(answer.json).toMatchObject({ code, field: "id" });
  expect(platform.streams.count()).toBe(0);
});

test("whoever only asks about the stream (HEAD) follows nothing", async () => {
  const platform = await live();
  for (let asked = 0; asked < 21; asked += 1) {
    expect((await ask(platform.rest, path, { method: "HEAD" })).status).toBe(200);
  }
  expect(platform.streams.count()).toBe(0);
  const { answer } = await follow(platform);
  expect(answer.status).toBe(200);
});

test("a stop ends all streams", async () => {
  const platform = await live();
  const { next } = await follow(platform);
  await next();
  await next();
  platform.streams.endAll();
  expect(await next()).toBeUndefined();
});

test("how long somebody watched is in the log and not among the times of answers", async () => {
  const seen: string[] = [];
  const streams = createEventStreams();
  const changes = createOrderChanges();
  const core = {
    getOrder: async () => exampleOrder(keys, { status: OrderStatus.SUCCESS }),
    waitForOrderChanges: changes.wait,
  };
  const rest = await startRest(
    keys,
    { core },
    { eventStreams: streams, requestDone: (operation) => seen.push(operation) },
  );
  onTestFinished(async () => {
    changes.release();
    await rest.stop();
  });
  await (await fetch(rest.url + path)).text();
  await ask(rest, "/healthz");
  await expect.poll(() => seen).toEqual(["getHealth"]);
  expect(rest.lines.join("")).toContain("/api/v1/merchants/order/events");
});

describe("while nothing happens", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  /** A stream to a reader that notes what it gets; `waiting` bytes of it were not taken yet. */
  function opened(streams: ReturnType<typeof createEventStreams>, waiting = 0) {
    const written: string[] = [];
    const left = vi.fn();
    const response = Object.assign(new EventEmitter(), {
      closed: false,
      writableLength: waiting,
      write: (text: string) => written.push(text),
      end: () => written.push("end"),
      destroy: () => written.push("destroyed"),
    });
    streams.open(response as unknown as ServerResponse, () => left);
    return { written, left, response };
  }

  test("a comment is sent every 15 s, so that no proxy takes the connection for dead", () => {
    const { written } = opened(createEventStreams());
    vi.advanceTimersByTime(14_999);
    expect(written).toEqual(["retry: 3000\n\n"]);
    vi.advanceTimersByTime(1);
    expect(written.slice(1)).toEqual([":\n\n"]);
    vi.advanceTimersByTime(30_000);
    expect(written.slice(1)).toEqual([":\n\n", ":\n\n", ":\n\n"]);
  });

  test("a stream ends after ten minutes, and its order is not followed any more", () => {
    const streams = createEventStreams();
    const { written, left } = opened(streams);
    vi.advanceTimersByTime(10 * 60_000 - 1);
    expect([written.includes("end"), streams.count()]).toEqual([false, 1]);
    vi.advanceTimersByTime(1);
    expect([written.at(-1), streams.count()]).toEqual(["end", 0]);
    expect(left).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a reader that takes nothing is cut off", () => {
    const { written } = opened(createEventStreams(), 16 * 1_024 + 1);
    vi.advanceTimersByTime(15_000);
    expect(written.at(-1)).toBe("destroyed");
  });

  test("a reader that leaves is forgotten, and with the last one the timer", () => {
    const streams = createEventStreams();
    const { left, response } = opened(streams);
    response.emit("close");
    expect([streams.count(), left.mock.calls.length, vi.getTimerCount()]).toEqual([0, 1, 0]);
  });
});
