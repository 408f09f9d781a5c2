import { LRUCache } from "lru-cache";

export type Answers<T> = LRUCache<string, Promise<T>>;

/** Answers that are remembered for so long, and at most so many: then those go that were asked for least recently. */
export function rememberedAnswers<T>(forMs: number, most: number): Answers<T> {
  // With a resolution of more than 0 the cache sets a timer whenever it reads the clock. Tests replace the clock of the process.
  return new LRUCache({ max: most, ttl: forMs, ttlResolution: 0, perf: performance });
}

/** The remembered answer, otherwise a new one. Concurrent askers share one question; one that failed is asked again. */
export function recall<T>(answers: Answers<T>, key: string, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(key);
  if (known !== undefined) return known;
  const answer = ask();
  answers.set(key, answer);
  answer.catch(() => answers.delete(key));
  return answer;
}
