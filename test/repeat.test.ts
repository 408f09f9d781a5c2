import { expect, onTestFinished, test, vi } from "vitest";
import { type Repetition, repeat } from "../src/repeat.ts";

/** Longer than any test waits: a round that comes after this pause does not come. */
const never = 60_000;

function repeating(repetition: Repetition) {
  const loop = repeat(repetition);
  onTestFinished(() => loop.stop());
  return loop;
}

/** A round that is under way until it is told its end. */
function heldRound() {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { round: vi.fn(() => promise), end: resolve };
}

test("repeat: the first round comes at once, the next after the pause", async () => {
  const round = vi.fn(async () => undefined);
  repeating({ everyMs: 10, round });
  expect(round).toHaveBeenCalledTimes(1);
  await vi.waitFor(() => expect(round.mock.calls.length).toBeGreaterThan(2));
});

test("repeat: where a pause comes first, no round comes before it", async () => {
  const round = vi.fn(async () => undefined);
  const loop = repeating({ everyMs: never, round, pausesFirst: true });
  await new Promise(setImmediate);
  await loop.stop();
  expect(round).not.toHaveBeenCalled();
});

test("repeat: while a round says that there is more, the next one comes without a pause", async () => {
  const round = vi
    .fn<() => Promise<boolean>>()
    .mockResolvedValue(false)
    .mockResolvedValueOnce(true)
    .mockResolvedValueOnce(true);
  repeating({ everyMs: never, round });
  await vi.waitFor(() => expect(round).toHaveBeenCalledTimes(3));
});

test("repeat: a round that fails is told with the number of failures in a row, and the next one comes", async () => {
  const failed = vi.fn();
  const round = vi
    .fn<() => Promise<void>>()
    .mockResolvedValue(undefined)
    .mockRejectedValueOnce(new Error("one"))
    .mockRejectedValueOnce(new Error("two"))
    .mockResolvedValueOnce(undefined)
    .mockRejectedValueOnce(new Error("three"));
  repeating({ everyMs: 1, round, failed });
  await vi.waitFor(() => expect(round.mock.calls.length).toBeGreaterThan(4));
  expect(failed.mock.calls).toEqual([
    ["one", 1],
    ["two", 2],
    ["three", 1],
  ]);
});

test("repeat: rounds never overlap, and a stop waits for the one under way, after which none comes", async () => {
  const { round, end } = heldRound();
  const loop = repeating({ everyMs: 1, round });
  let isStopped = false;
  const stopping = loop.stop().then(() => {
    isStopped = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect({ isStopped, rounds: round.mock.calls.length }).toEqual({ isStopped: false, rounds: 1 });
  end();
  await stopping;
  expect(round).toHaveBeenCalledTimes(1);
});

test("repeat: a stop ends a pause at once", async () => {
  const loop = repeating({ everyMs: never, round: async () => undefined });
  await new Promise(setImmediate);
  const startedMs = performance.now();
  await loop.stop();
  expect(performance.now() - startedMs).toBeLessThan(1_000);
});
