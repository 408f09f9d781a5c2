import { describe, expect, test, vi } from "vitest";
import { groupCalls } from "../../src/core/batch.ts";

const failure = (code: string) => Object.assign(new Error(code), { code });
const limits = { maxGroup: 10, maxWaiting: 100, concurrency: 1 };

/** Calls 1 to 5 at once; answers what came of each, and the groups that ran. */
async function runsOf(run: (inputs: readonly number[]) => void) {
  const runs: number[][] = [];
  const grouped = groupCalls(async (inputs: readonly number[]) => {
    runs.push([...inputs]);
    run(inputs);
    return inputs;
  }, limits);
  const settled = await Promise.allSettled([1, 2, 3, 4, 5].map((input) => grouped.call(input)));
  return { runs, came: settled.map((each) => (each.status === "fulfilled" ? each.value : each.reason.message)) };
}

const all = [1, 2, 3, 4, 5];
const alone = [[1], [2], [3], [4], [5]];

describe("groupCalls: what a group that fails comes to", () => {
  test.each(["55P03", "57014", "23514"])(
    "%s: each member runs alone, and only the one that fails again fails",
    async (code) => {
      const { runs, came } = await runsOf((inputs) => {
        if (inputs.includes(3)) throw failure(code);
      });
      expect(runs).toEqual([all, ...alone]);
      expect(came).toEqual([1, 2, code, 4, 5]);
    },
  );

  test.each(["40001", "23505", "40P01"])("%s: the group has lost a race and runs again", async (code) => {
    let losses = 0;
    const { runs, came } = await runsOf(() => {
      losses += 1;
      if (losses <= 2) throw failure(code);
    });
    expect(runs).toEqual([all, all, all]);
    expect(came).toEqual(all);
  });

  test.each(["08006", "53300", "25006"])(
    "%s: the database is not there for anybody, and is not asked again",
    async (code) => {
      const { runs, came } = await runsOf(() => {
        throw failure(code);
      });
      expect(runs).toEqual([all]);
      expect(came).toEqual([code, code, code, code, code]);
    },
  );

  test("a member that is held up holds up none of those behind it", async () => {
    let release = () => {};
    const grouped = groupCalls(async (inputs: readonly number[]) => {
      if (inputs.length > 1) throw failure("55P03");
      if (inputs[0] === 1) await new Promise<void>((resolve) => (release = resolve));
      return inputs;
    }, limits);
    const first = grouped.call(1);
    await expect(Promise.all([2, 3, 4, 5].map((input) => grouped.call(input)))).resolves.toEqual([2, 3, 4, 5]);
    release();
    await expect(first).resolves.toBe(1);
  });

  test("members whose turn comes after ten seconds are given up", async () => {
    let nowMs = 0;
    const clock = vi.spyOn(performance, "now").mockImplementation(() => nowMs);
    const { runs, came } = await runsOf((inputs) => {
      nowMs += 4_000;
      if (inputs.length > 1) throw failure("57014");
    });
    clock.mockRestore();
    expect(runs).toEqual([all, [1], [2], [3]]);
    expect(came).toEqual([1, 2, 3, "57014", "57014"]);
  });
});

describe("groupCalls: how many wait and run", () => {
  /** Groups that run until the test ends them. */
  function held(given: Partial<typeof limits>) {
    const runs: { inputs: readonly number[]; end: () => void }[] = [];
    const grouped = groupCalls(
      (inputs: readonly number[]) =>
        new Promise<readonly number[]>((resolve) => runs.push({ inputs, end: () => resolve(inputs) })),
      { ...limits, ...given },
    );
    return { grouped, runs };
  }
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  const inputsOf = (runs: readonly { inputs: readonly number[] }[]) => runs.map(({ inputs }) => inputs);

  test("calls of one turn share groups of at most maxGroup, and at most so many groups run as may at once", async () => {
    const { grouped, runs } = held({ maxGroup: 2, concurrency: 2 });
    const calls = all.map((input) => grouped.call(input));
    await turn();
    expect(inputsOf(runs)).toEqual([
      [1, 2],
      [3, 4],
    ]);
    runs[0]?.end();
    await expect(Promise.all(calls.slice(0, 2))).resolves.toEqual([1, 2]);
    await turn();
    expect(inputsOf(runs).slice(2)).toEqual([[5]]);
    for (const { end } of runs) end();
    await expect(Promise.all(calls)).resolves.toEqual(all);
  });

  test("what arrives while a group runs forms the next one", async () => {
    const { grouped, runs } = held({});
    const calls = [grouped.call(1)];
    await turn();
    calls.push(grouped.call(2), grouped.call(3));
    await turn();
    expect(inputsOf(runs)).toEqual([[1]]);
    runs[0]?.end();
    await calls[0];
    await turn();
    expect(inputsOf(runs)).toEqual([[1], [2, 3]]);
    runs[1]?.end();
    await expect(Promise.all(calls)).resolves.toEqual([1, 2, 3]);
  });

  test("one more than may wait is refused as overloaded; those that run do not count", async () => {
    const { grouped, runs } = held({ maxGroup: 1, maxWaiting: 2 });
    const first = grouped.call(1);
    await turn();
    const waiting = [grouped.call(2), grouped.call(3)];
    expect(await grouped.call(4)).toMatchObject({ refused: "OVERLOADED" });
    for (let place = 0; place < 3; place += 1) {
      await vi.waitFor(() => expect(runs).toHaveLength(place + 1));
      runs[place]?.end();
    }
    await expect(Promise.all([first, ...waiting])).resolves.toEqual([1, 2, 3]);
  });

  test("drain: resolves at once where nothing waits or runs, and otherwise when the last group has ended", async () => {
    const { grouped, runs } = held({ maxGroup: 1, concurrency: 2 });
    await grouped.drain();
    const calls = [1, 2, 3].map((input) => grouped.call(input));
    let drained = 0;
    const draining = [grouped.drain(), grouped.drain()].map((each) => each.then(() => (drained += 1)));
    for (let place = 0; place < 3; place += 1) {
      await vi.waitFor(() => expect(runs.length).toBeGreaterThan(place));
      expect(drained).toBe(0);
      runs[place]?.end();
      await calls[place];
    }
    await Promise.all(draining);
    expect(drained).toBe(2);
    await grouped.drain();
  });

  test("a group that keeps losing races fails after four tries, its members after four each", async () => {
    const { runs, came } = await runsOf((inputs) => {
      if (inputs.includes(3)) throw failure("40001");
    });
    expect(runs.slice(0, 4)).toEqual([all, all, all, all]);
    // The members run beside each other, so the order of their tries means nothing.
    expect(runs.slice(4).flat().toSorted()).toEqual([1, 2, 3, 3, 3, 3, 4, 5]);
    expect(came).toEqual([1, 2, "40001", 4, 5]);
  });

  test("a group of one that fails is not run again", async () => {
    const runs: (readonly number[])[] = [];
    const grouped = groupCalls(async (inputs: readonly number[]) => {
      runs.push(inputs);
      throw failure("55P03");
    }, limits);
    await expect(grouped.call(1)).rejects.toThrow("55P03");
    expect(runs).toEqual([[1]]);
  });
});
