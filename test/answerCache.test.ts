import { expect, test, vi } from "vitest";
import { answerCache, cachedAnswer } from "../src/answerCache.ts";

/** Longer than any test takes. */
const longMs = 60_000;

const asker = () => vi.fn(async () => ({ answer: 1 }));

test("cachedAnswer: concurrent askers share one question, and later ones its answer", async () => {
  const answers = answerCache<object>(longMs, 10);
  const ask = asker();
  const [one, other] = await Promise.all([cachedAnswer(answers, "a", ask), cachedAnswer(answers, "a", ask)]);
  expect(other).toBe(one);
  expect(await cachedAnswer(answers, "a", ask)).toBe(one);
  expect(ask).toHaveBeenCalledTimes(1);
});

test("cachedAnswer: a question that fails late does not take away the answer to a newer one", async () => {
  const answers = answerCache<object>(longMs, 1);
  const { promise, reject } = Promise.withResolvers<object>();
  const slow = cachedAnswer(answers, "a", () => promise);
  answers.delete("a");
  const newer = await cachedAnswer(answers, "a", asker());
  reject(new Error("the database is down"));
  await expect(slow).rejects.toThrow("down");
  expect(await cachedAnswer(answers, "a", asker())).toBe(newer);
});

test("cachedAnswer: a question that failed is asked again", async () => {
  const answers = answerCache<object>(longMs, 10);
  const ask = asker().mockRejectedValueOnce(new Error("the database is down"));
  await expect(cachedAnswer(answers, "a", ask)).rejects.toThrow("the database is down");
  expect(await cachedAnswer(answers, "a", ask)).toEqual({ answer: 1 });
});

test("cachedAnswer: an answer is as old as its question, and an old one is asked for anew", async () => {
  const clock = vi.spyOn(performance, "now").mockReturnValue(1_000);
  try {
    const answers = answerCache<object>(20, 10);
    const ask = asker();
    for (const atMs of [1_000, 1_015, 1_020, 1_021]) {
      clock.mockReturnValue(atMs);
      await cachedAnswer(answers, "a", ask);
      expect(ask).toHaveBeenCalledTimes(atMs > 1_020 ? 2 : 1);
    }
  } finally {
    clock.mockRestore();
  }
});

test("cachedAnswer: of more than are kept, those go that were asked for least recently", async () => {
  const answers = answerCache<object>(longMs, 2);
  const ask = asker();
  for (const key of ["old", "new", "old", "newer"]) await cachedAnswer(answers, key, ask);
  expect(ask).toHaveBeenCalledTimes(3);
  await cachedAnswer(answers, "old", ask);
  expect(ask).toHaveBeenCalledTimes(3);
  await cachedAnswer(answers, "new", ask);
  expect(ask).toHaveBeenCalledTimes(4);
});
