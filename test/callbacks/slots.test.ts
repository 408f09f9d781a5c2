import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  createSlots,
  defaultSlotLimits,
  type NoSlot,
  type Slot,
  type SlotLimits,
  type Slots,
} from "../../src/callbacks/slots.ts";
import { type Line, runInLines } from "../../src/callbacks/waitingLines.ts";
import { leaseMs } from "../../src/core/context.ts";
import { defaultRetryPolicy } from "../../src/domain/callback.ts";

// The bulkhead of delivery: who may make how many attempts at a time, and who waits.

const usual: SlotLimits = {
  first: 4,
  mostOfEndpoint: 32,
  most: 64,
  mostWaiting: 20,
  silentAfterMs: 1_000,
  mostWaitMs: 25_000,
};

let slots: Slots;
beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  slots.close();
  vi.useRealTimers();
});

function open(limits: Partial<SlotLimits> = {}): void {
  slots = createSlots({ ...usual, ...limits });
}

/** As many slots of an endpoint as it gives at once. */
function takeAll(endpoint: string): Slot[] {
  const taken: Slot[] = [];
  for (let slot = slots.take(endpoint); slot; slot = slots.take(endpoint)) taken.push(slot);
  return taken;
}

/** Waits for a slot; `answers` collects what each waiter got, in order. */
function wait(
  endpoint: string,
  answers: [string, Slot | NoSlot][],
  name = endpoint,
  line: "decision" | "news" = "news",
) {
  void slots.acquire(endpoint, line).then((answer) => answers.push([name, answer]));
}

const settle = () => vi.advanceTimersByTimeAsync(0);

async function answerAfter(slot: Slot, ms: number): Promise<void> {
  slot.posting();
  await vi.advanceTimersByTimeAsync(ms);
  slot.release(true);
}

describe("what waits", () => {
  test("goes on in order the moment a slot is free, however long that takes", async () => {
    open();
    const [first, ...others] = takeAll("bank");
    const answers: [string, Slot | NoSlot][] = [];
    wait("bank", answers, "a");
    wait("bank", answers, "b");
    await vi.advanceTimersByTimeAsync(20_000);
    expect(answers).toEqual([]);
    first?.release();
    await settle();
    expect(answers.map(([name]) => name)).toEqual(["a"]);
    for (const slot of others) slot.release();
    await settle();
    expect(answers.map(([name]) => name)).toEqual(["a", "b"]);
    expect(answers.every(([, slot]) => typeof slot !== "string")).toBe(true);
  });

  test("is left to the relay after 25 s, which is about to publish it again", async () => {
    open();
    takeAll("bank");
    const answers: [string, Slot | NoSlot][] = [];
    wait("bank", answers);
    await vi.advanceTimersByTimeAsync(24_000);
    expect(answers).toEqual([]);
    await vi.advanceTimersByTimeAsync(2_000);
    expect(answers).toEqual([["bank", "overdue"]]);
  });

  test("is sent away by a stop, and nobody gets a slot after it", async () => {
    open();
    const [held] = takeAll("bank");
    const answers: [string, Slot | NoSlot][] = [];
    wait("bank", answers);
    slots.close();
    held?.release(true);
    wait("another", answers);
    await settle();
    expect(new Map(answers)).toEqual(
      new Map([
        ["bank", "closed"],
        ["another", "closed"],
      ]),
    );
    expect(slots.take("another")).toBeUndefined();
    expect(vi.getTimerCount()).toBe(0);
  });

  test("decisions go before news, but after four of them news has a turn", async () => {
    open({ first: 1 });
    let [held] = takeAll("bank");
    const answers: [string, Slot | NoSlot][] = [];
    for (const name of ["n1", "n2", "n3"]) wait("bank", answers, name, "news");
    for (const name of ["d1", "d2", "d3", "d4", "d5", "d6"]) wait("bank", answers, name, "decision");
    for (let given = 1; given <= 9; given += 1) {
      held?.release();
      await settle();
      held = answers.at(-1)?.[1] as Slot;
    }
    expect(answers.map(([name]) => name).join(" ")).toBe("d1 d2 d3 d4 n1 d5 d6 n2 n3");
  });

  test("a slot is not taken ahead past those who wait", async () => {
    open({ first: 1, most: 1 });
    const [held] = takeAll("bank");
    wait("another", []);
    held?.release();
    await settle();
    expect(slots.take("another")).toBeUndefined();
  });
});

describe("the share of an endpoint", () => {
  test("grows with every answer while more waits, up to the most", async () => {
    open({ mostOfEndpoint: 24, mostWaiting: 200 });
    const answers: [string, Slot | NoSlot][] = [];
    let held = takeAll("bank");
    for (let count = 0; count < 200; count += 1) wait("bank", answers);
    const sizes: number[] = [];
    for (let rounds = 0; rounds < 5; rounds += 1) {
      for (const slot of held) await answerAfter(slot, 10);
      await settle();
      held = answers.splice(0).map(([, slot]) => slot as Slot);
      sizes.push(held.length);
    }
    expect(sizes).toEqual([8, 16, 24, 24, 24]);
  });

  test("does not grow where nothing waits, nor where answers slow down", async () => {
    open();
    for (let count = 0; count < 10; count += 1) await answerAfter(slots.take("idle") as Slot, 10);
    expect(takeAll("idle")).toHaveLength(4);
    const slow = takeAll("slow");
    for (let count = 0; count < 20; count += 1) wait("slow", []);
    await answerAfter(slow[0] as Slot, 10);
    const before = slots.held();
    for (const slot of slow) slot.posting();
    await vi.advanceTimersByTimeAsync(2_000);
    for (const slot of slow.slice(1)) slot.release(true);
    await settle();
    // The first of them still counts as fast enough.
    expect(slots.held()).toBeLessThanOrEqual(before + 1);
  });

  test("is halved by each missing answer, down to one, and won back answer by answer", async () => {
    open();
    for (let silences = 0; silences < 5; silences += 1) slots.take("bank")?.release(false);
    expect(takeAll("bank")).toHaveLength(1);
    open();
    for (let silences = 0; silences < 5; silences += 1) slots.take("bank")?.release(false);
    slots.take("bank")?.release(true);
    expect(takeAll("bank")).toHaveLength(2);
  });

  test("counts as won only as long as there is work", async () => {
    open();
    const answers: [string, Slot | NoSlot][] = [];
    const held = takeAll("bank");
    for (let count = 0; count < 10; count += 1) wait("bank", answers);
    for (const slot of held) await answerAfter(slot, 10);
    for (let index = 0; index < answers.length; index += 1) await answerAfter(answers[index]?.[1] as Slot, 10);
    expect(slots.held()).toBe(0);
    expect(takeAll("bank")).toHaveLength(4);
  });
});

describe("endpoints beside each other", () => {
  test("however many hang, a quarter of all slots is left for those that answer", async () => {
    open();
    await answerAfter(slots.take("works") as Slot, 10);
    for (let number = 0; number < 200; number += 1) for (const slot of takeAll(`hangs ${number}`)) slot.posting();
    expect(slots.held()).toBe(48);
    expect(takeAll("works")).toHaveLength(4);
  });

  test("one with many slots that stops answering leaves a first one to each that was not asked before", async () => {
    open({ first: 32 });
    await answerAfter(slots.take("large") as Slot, 10);
    const held = takeAll("large");
    expect(held).toHaveLength(32);
    held[0]?.release(false);
    expect(["a", "b"].map((name) => takeAll(name).length)).toEqual([1, 1]);
  });

  test("one that answers slowly never has more slots than are left for all others", async () => {
    open({ mostOfEndpoint: 1_000, mostWaiting: 1_000 });
    const answers: [string, Slot | NoSlot][] = [];
    let held = takeAll("slow");
    for (let count = 0; count < 900; count += 1) wait("slow", answers);
    for (let rounds = 0; rounds < 6; rounds += 1) {
      for (const slot of held) slot.posting();
      await vi.advanceTimersByTimeAsync(3_000);
      for (const slot of held) slot.release(true);
      await settle();
      held = answers.splice(0).map(([, slot]) => slot as Slot);
    }
    expect(held).toHaveLength(32);
    expect(takeAll("another")).toHaveLength(4);
  });

  test("whoever was crowded out goes on when another endpoint leaves room", async () => {
    open({ most: 4 });
    const hanging = ["one", "two", "three"].flatMap(takeAll);
    expect(hanging).toHaveLength(3);
    const answers: [string, Slot | NoSlot][] = [];
    wait("late", answers);
    await settle();
    expect(answers).toEqual([]);
    hanging[0]?.release(false);
    await settle();
    expect(answers.map(([name]) => name)).toEqual(["late"]);
  });

  test("where no room is left to wait in, what waits for silent endpoints goes first", async () => {
    open();
    const answers: [string, Slot | NoSlot][] = [];
    for (const slot of takeAll("silent")) slot.posting();
    takeAll("works");
    for (let count = 0; count < 15; count += 1) wait("silent", answers);
    for (let count = 0; count < 5; count += 1) wait("works", answers);
    await vi.advanceTimersByTimeAsync(1_200);
    expect(slots.isSilent("silent")).toBe(true);
    wait("silent", answers);
    await settle();
    expect(answers).toEqual([["silent", "full"]]);
    wait("works", answers);
    await settle();
    expect(answers).toEqual(Array.from({ length: 16 }, () => ["silent", "full"]));
  });

  test("where nobody is silent, the last of the longest line goes", async () => {
    open();
    const answers: [string, Slot | NoSlot][] = [];
    takeAll("flooded");
    takeAll("works");
    for (let count = 1; count <= 20; count += 1) wait("flooded", answers, `flooded ${count}`);
    wait("works", answers);
    wait("flooded", answers, "flooded 21");
    await settle();
    expect(new Map(answers)).toEqual(
      new Map([
        ["flooded 20", "full"],
        ["flooded 21", "full"],
      ]),
    );
  });
});

test("where a busy process spends its time, decisions go before news, of which a few go on beside them", async () => {
  open();
  const inLines = runInLines(4, 1);
  const begun: string[] = [];
  const ends = new Map<string, () => void>();
  const run = (name: string, line: Line) =>
    inLines.run(line, async () => {
      begun.push(name);
      await new Promise<void>((end) => ends.set(name, end));
    });
  for (const name of ["n1", "n2", "n3", "n4", "n5"]) void run(name, "news");
  for (const name of ["d1", "d2"]) void run(name, "decision");
  expect(begun).toEqual(["n1", "n2", "n3", "n4"]);
  expect([inLines.waiting("decision"), inLines.waiting("news")]).toEqual([2, 1]);
  const order: string[] = [];
  for (const name of ["n1", "n2", "d1", "n3", "n4"]) {
    ends.get(name)?.();
    await settle();
    order.push(begun.slice(4).join(" "));
  }
  // While d2 runs there is one place for news, however many are free.
  expect(order).toEqual(["d1", "d1 d2", "d1 d2", "d1 d2", "d1 d2 n5"]);
});

test("docs/callbacks.md says the numbers that the worker goes by", () => {
  open();
  const document = readFileSync("docs/callbacks.md", "utf8").replaceAll(/\s+/g, " ");
  const { first, mostOfEndpoint, most } = defaultSlotLimits;
  expect(document).toContain(`gets up to ${first} callbacks at a time`);
  expect(document).toContain(`each of its answers adds one, up to ${mostOfEndpoint},`);
  expect(document).toContain(`It begins with ${first} again after a rest`);
  expect(document).toContain(`All receivers together get ${most.toLocaleString("en").replace(",", " ")} at a time`);
  expect(document).toContain(`${leaseMs(defaultRetryPolicy) / 1_000} seconds after it was counted`);
});

describe("silence", () => {
  test("is counted from the request, and ended by an answer", async () => {
    open();
    const [first, second] = takeAll("bank");
    await vi.advanceTimersByTimeAsync(5_000);
    expect(slots.isSilent("bank")).toBe(false);
    first?.posting();
    second?.posting();
    await vi.advanceTimersByTimeAsync(1_000);
    expect(slots.isSilent("bank")).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    expect(slots.isSilent("bank")).toBe(true);
    first?.release(true);
    expect(slots.isSilent("bank")).toBe(false);
    second?.release();
    await vi.advanceTimersByTimeAsync(60_000);
    expect(slots.isSilent("bank")).toBe(false);
  });

  test("does not pass while this process does not run", async () => {
    vi.useRealTimers();
    open({ silentAfterMs: 300 });
    slots.take("bank")?.posting();
    const endAt = performance.now() + 1_500;
    while (performance.now() < endAt);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(slots.isSilent("bank")).toBe(false);
  });
});
