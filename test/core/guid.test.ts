import { expect, test } from "vitest";
import { createGuids, firstGuidOf, isGuid } from "../../src/core/guid.ts";

const at = (ms: number) => new Date(ms);

test("createGuids: each is above the one before, also in one millisecond and when the clock is corrected", () => {
  let now = 1_700_000_000_000;
  const newGuid = createGuids(() => at(now));
  const guids = Array.from({ length: 20_000 }, (_, n) => {
    if (n % 100 === 0) now += n % 300 === 0 ? -1 : 1;
    return newGuid();
  });
  expect(guids.every(isGuid)).toBe(true);
  expect(guids.toSorted()).toEqual(guids);
  expect(new Set(guids).size).toBe(guids.length);
});

test("createGuids: their time is the clock's, also of one that is set back", () => {
  let now = 1_700_000_000_000;
  const newGuid = createGuids(() => at(now));
  for (const then of [now, now + 5_000, now - 3_600_000]) {
    now = then;
    const guid = newGuid();
    expect(guid >= firstGuidOf(at(then)) && guid < firstGuidOf(at(then + 1))).toBe(true);
  }
});

test("createGuids: a clock that is set back by up to ten seconds is waited for; by more it is followed", () => {
  const start = 1_700_000_000_000;
  const timeAfterBeing = (setBackMs: number) => {
    let now = start;
    const newGuid = createGuids(() => at(now));
    newGuid();
    now -= setBackMs;
    return Number.parseInt(newGuid().replaceAll("-", "").slice(0, 12), 16);
  };
  expect([timeAfterBeing(10_000), timeAfterBeing(10_001)]).toEqual([start, start - 10_001]);
});

test.each([
  [at(0), "00000000-0000-7000-8000-000000000000"],
  [at(-1), "00000000-0000-7000-8000-000000000000"],
  [at(8.64e15), "ffffffff-ffff-7000-8000-000000000000"],
  [new Date("2026-01-31T00:00:00Z"), "019c1159-7000-7000-8000-000000000000"],
])("firstGuidOf: of %s it is %s", (instant, guid) => {
  expect(firstGuidOf(instant)).toBe(guid);
});
