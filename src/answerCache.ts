import { LRUCache } from "lru-cache";

export type Answers<T> = LRUCache<string, Promise<T>>;

/** A cache of answers with a TTL of `forMs`, for at most `most` keys; beyond that the least recently used go. */
export function answerCache<T>(forMs: number, most: number): Answers<T> {
  // With a resolution above 0, the cache would cache the time with a timer of its own, but tests replace the clock.
  return new LRUCache({ max: most, ttl: forMs, ttlResolution: 0, perf: performance });
}

/** The cached answer, or a new one. Concurrent callers share one question (single flight); a failed one is asked again. */
export function cachedAnswer<T>(answers: Answers<T>, key: string, ask: () => Promise<T>): Promise<T> {
  const known = answers.get(key);
  if (known !== undefined) return known;
  const answer = ask();
  answers.set(key, answer);
  answer.catch(() => {
    // A newer question may have taken its place meanwhile.
    if (answers.peek(key) === answer) answers.delete(key);
  });
  return answer;
}
