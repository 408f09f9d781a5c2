import { createFifo, type Fifo } from "../queue/delayLine.ts";

/** What waits, waits in one of two lines: what decides a payment, and the news of payments that are decided. */
export type Line = "decision" | "news";

export const lineOf = (decides: boolean | undefined): Line => (decides ? "decision" : "news");

/** News waits behind decisions, but not for ever: after as many decisions in a row it has a turn. */
const decisionsInARow = 4;

export type WaitingLines<Item> = {
  push(line: Line, item: Item): void;
  /** The next in turn. */
  shift(): Item | undefined;
  /** The one that came last, of the line that can wait. */
  pop(): Item | undefined;
  /** Takes out what matches, from the oldest on and up to the first that does not. */
  takeWhile(matches: (item: Item) => boolean): Item[];
  size(): number;
};

/** Two lines in front of one counter. */
export function createWaitingLines<Item>(): WaitingLines<Item> {
  const decisions = createFifo<Item>();
  const news = createFifo<Item>();
  let inARow = 0;
  return {
    push: (line, item) => (line === "decision" ? decisions : news).push(item),
    shift() {
      const isNewsTurn = decisions.size() === 0 || (inARow >= decisionsInARow && news.size() > 0);
      inARow = isNewsTurn ? 0 : inARow + 1;
      return (isNewsTurn ? news : decisions).shift();
    },
    pop: () => news.pop() ?? decisions.pop(),
    takeWhile(matches) {
      const taken: Item[] = [];
      for (const line of [decisions, news]) {
        for (let next = line.peek(); next !== undefined && matches(next); next = line.peek()) {
          taken.push(next);
          line.shift();
        }
      }
      return taken;
    },
    size: () => decisions.size() + news.size(),
  };
}

export type InLines = {
  run<Answer>(line: Line, job: () => Promise<Answer>): Promise<Answer>;
  waiting(line: Line): number;
};

/**
 * Runs at most `atOnce` jobs at a time, decisions first, and while one of them runs at most `besideDecisions` of news: so many have a
 * turn whatever comes.
 */
export function runInLines(atOnce: number, besideDecisions: number): InLines {
  const waiting: Record<Line, Fifo<() => void>> = { decision: createFifo(), news: createFifo() };
  const running: Record<Line, number> = { decision: 0, news: 0 };

  const mayRun = (line: Line) =>
    running.decision + running.news < atOnce &&
    (line === "decision" || running.decision === 0 || running.news < besideDecisions);

  function goOn(): void {
    for (const line of ["decision", "news"] as const) {
      while (waiting[line].size() > 0 && mayRun(line)) {
        running[line] += 1;
        waiting[line].shift()?.();
      }
    }
  }

  return {
    async run(line, job) {
      if (waiting[line].size() === 0 && mayRun(line)) running[line] += 1;
      else await new Promise<void>((go) => waiting[line].push(go));
      try {
        return await job();
      } finally {
        running[line] -= 1;
        goOn();
      }
    },
    waiting: (line) => waiting[line].size(),
  };
}
