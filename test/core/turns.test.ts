import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { createTurns } from "../../src/core/turns.ts";

/** Work that notes when it begins, and ends when it is told to. */
function works(begun: string[]) {
  return (name: string) => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const work = () => {
      begun.push(name);
      return promise;
    };
    return { work, resolve: () => resolve(name), reject: () => reject(new Error(name)) };
  };
}

test("createTurns: work about one thing waits for what came before, also when that failed or began later than it", async () => {
  const begun: string[] = [];
  const [first, second, third] = ["first", "second", "third"].map(works(begun)) as [Work, Work, Work];
  const inTurn = createTurns();
  const failing = inTurn("a", first.work);
  const waiting = inTurn("a", second.work);
  await setImmediate();
  expect(begun).toEqual(["first"]);
  first.reject();
  await expect(failing).rejects.toThrow("first");
  await setImmediate();
  const last = inTurn("a", third.work);
  await setImmediate();
  expect(begun).toEqual(["first", "second"]);
  second.resolve();
  third.resolve();
  expect([await waiting, await last]).toEqual(["second", "third"]);
});

test("createTurns: work about different things does not wait for each other", async () => {
  const begun: string[] = [];
  const [one, other] = ["one", "other"].map(works(begun)) as [Work, Work];
  const inTurn = createTurns();
  const answers = [inTurn("a", one.work), inTurn("b", other.work)];
  await setImmediate();
  expect(begun).toEqual(["one", "other"]);
  one.resolve();
  other.resolve();
  expect(await Promise.all(answers)).toEqual(["one", "other"]);
});

type Work = ReturnType<ReturnType<typeof works>>;
