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
