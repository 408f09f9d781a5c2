export type Fifo<T> = {
  push(item: T): void;
  shift(): T | undefined;
  /** Takes out the newest. */
  pop(): T | undefined;
  peek(): T | undefined;
  size(): number;
};

export type DelayLine<T> = { push(items: readonly T[]): void; size(): number; stop(): void };

/**
 * Holds every item for the same time, so the oldest is always the next to go and one timer is enough.
 * Refuses by throwing when it would hold more than `maxItems`.
 */
export function createDelayLine<T>(
  delayMs: number,
  maxItems: number,
  onDue: (items: readonly T[]) => void,
): DelayLine<T> {
  const waiting = createFifo<{ item: T; dueAtMs: number }>();
  let timer: NodeJS.Timeout | undefined;

  function arm(): void {
    const next = waiting.peek();
    // Rounded up: an item may come late, never early.
    timer = next && setTimeout(release, Math.max(1, Math.ceil(next.dueAtMs - performance.now())));
  }

  function release(): void {
    const due: T[] = [];
    for (let next = waiting.peek(); next && next.dueAtMs <= performance.now(); next = waiting.peek()) {
      due.push(next.item);
      waiting.shift();
    }
    arm();
    if (due.length > 0) onDue(due);
  }

  return {
    push(items) {
      if (waiting.size() + items.length > maxItems) throw new RangeError(`more than ${maxItems} are waiting`);
      const dueAtMs = performance.now() + delayMs;
      for (const item of items) waiting.push({ item, dueAtMs });
      if (timer === undefined) arm();
    },
    size: () => waiting.size(),
    stop: () => clearTimeout(timer),
  };
}

/** A first-in-first-out queue in constant time: `Array.shift` moves all later elements, which is slow for a long backlog. */
export function createFifo<T>(): Fifo<T> {
  let items: T[] = [];
  let head = 0;
  return {
    push: (item) => void items.push(item),
    peek: () => items[head],
    size: () => items.length - head,
    pop: () => (head < items.length ? items.pop() : undefined),
    shift() {
      const item = items[head];
      if (head < items.length) head += 1;
      if (head > 1_024 && head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
  };
}
