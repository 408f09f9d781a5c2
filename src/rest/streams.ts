import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { givePlaceBack } from "./admission.ts";
import { RestRefusal } from "./errors.ts";

/** An object with a list that is too long to be held; the list is written last, page by page. */
export type LongAnswer = {
  head: object;
  list: PropertyKey;
  pages: (signal: AbortSignal) => AsyncIterable<readonly unknown[]>;
  /** Who reads; one party may not take the room of all others. */
  reader: string;
};

/** Each keeps a page of some tens of kilobytes; all of them together share half a processor. */
const defaultMaxStreams = 64;
/** Of these, so many of one reader. */
const maxStreamsOfReader = 8;
const defaultReaderPatienceMs = 30_000;

/** What a reader has to take within the patience at the least, so that a slow one is told from one that takes nothing. */
export const PIECE_BYTES = 16 * 1024;

export type Sender = {
  /** Sends a text that is there. */
  whole(response: ServerResponse, text: string): Promise<void>;
  /**
   * Writes a long answer as fast as its reader takes it: the next page is read when the last one is gone. It gives its place
   * among the requests back, because what it does most is to wait for a stranger; instead, the streams themselves are counted.
   */
  stream(response: ServerResponse, answer: LongAnswer): Promise<void>;
};

export function createSender(maxStreams = defaultMaxStreams, readerPatienceMs = defaultReaderPatienceMs): Sender {
  const inTurn = oneAfterTheOther();
  let running = 0;
  const runningOf = new Map<string, number>();
  const count = (reader: string, by: 1 | -1) => {
    running += by;
    runningOf.set(reader, (runningOf.get(reader) ?? 0) + by);
    if (runningOf.get(reader) === 0) runningOf.delete(reader);
  };
  const hasRoomFor = (reader: string) => running < maxStreams && (runningOf.get(reader) ?? 0) < maxStreamsOfReader;

  /** Whoever has gone knows it; whatever else ends the writing must not look like the end of the answer. */
  async function toReader(response: ServerResponse, write: (reader: Reader) => Promise<void>): Promise<void> {
    const reader = follow(response, readerPatienceMs);
    try {
      await write(reader);
    } catch (error) {
      if (!reader.gone.aborted) throw error;
    }
  }

  return {
    async whole(response, text) {
      response.setHeader("Content-Length", Buffer.byteLength(text));
      await toReader(response, (reader) => reader.takes(text, "end"));
    },

    async stream(response, { head, list, pages, reader: party }) {
      if (!hasRoomFor(party)) throw new RestRefusal("OVERLOADED");
      count(party, 1);
      givePlaceBack(response);
      await toReader(response, async (reader) => {
        await reader.takes(`${JSON.stringify(head).slice(0, -1)},${JSON.stringify(list)}:[`);
        const iterator = pages(reader.gone)[Symbol.asyncIterator]();
        const nextPage = () =>
          inTurn(async () => {
            reader.gone.throwIfAborted();
            return textOf(await iterator.next());
          });
        let comma = "";
        for (let text = await nextPage(); text !== undefined; text = await nextPage()) {
          if (text === "") continue;
          await reader.takes(comma + text);
          comma = ",";
        }
        await reader.takes("]}", "end");
      }).finally(() => {
        count(party, -1);
      });
    },
  };
}

/** The members of a page without their brackets; undefined after the last page. */
function textOf({ done, value }: IteratorResult<readonly unknown[]>): string | undefined {
  return done ? undefined : JSON.stringify(value).slice(1, -1);
}

/**
 * Pages are made one at a time, and after each the others have as long as it took: whatever the number of readers, their
 * pages take half of the processor at the most. Who waits for a turn holds nothing; a reader takes its page outside of it.
 */
function oneAfterTheOther() {
  let before: Promise<unknown> = Promise.resolve();
  return <Result>(makePage: () => Promise<Result>): Promise<Result> => {
    let tookMs = 0;
    const turn = before.then(async () => {
      const startedAt = performance.now();
      return await makePage().finally(() => {
        tookMs = performance.now() - startedAt;
      });
    });
    const rest = () => sleep(tookMs);
    before = turn.then(rest, rest);
    return turn;
  };
}

type Reader = ReturnType<typeof follow>;

/**
 * The reader of an answer. It is gone when its connection is closed, also by us because it takes nothing. One timer and one
 * listener serve all of its pieces: those of each piece would be chained to the next one's and outlive it in memory.
 */
function follow(response: ServerResponse, patienceMs: number) {
  const left = new AbortController();
  let isTaking = false;
  let giveUp = () => {};
  const patience = setTimeout(() => {
    if (isTaking) response.req.socket.destroy();
  }, patienceMs);
  const leave = () => {
    clearTimeout(patience);
    left.abort();
    giveUp();
  };
  response.once("close", leave);
  if (response.closed) leave();

  function piece(bytes: Uint8Array, how: "write" | "end"): Promise<void> {
    return new Promise((resolve, reject) => {
      giveUp = () => reject(new Error("the reader has gone"));
      if (left.signal.aborted) return giveUp();
      const done = (error?: Error | null) => {
        isTaking = false;
        if (!error) return resolve();
        // A connection that fails is known by what could not be written before it is known to be closed.
        leave();
        reject(error);
      };
      isTaking = true;
      patience.refresh();
      if (how === "end") response.end(bytes, () => done());
      else response.write(bytes, done);
    });
  }

  return {
    gone: left.signal,
    /** Resolves when the system has the last byte; rejects when the reader has gone. */
    async takes(text: string, last: "write" | "end" = "write"): Promise<void> {
      const bytes = Buffer.from(text);
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const isLast = at + PIECE_BYTES >= bytes.length;
        await piece(bytes.subarray(at, at + PIECE_BYTES), isLast ? last : "write");
      }
    },
  };
}
