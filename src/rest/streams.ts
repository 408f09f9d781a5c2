import type { ServerResponse } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { releasePlace } from "./admission.ts";
import { RestRefusal } from "./errors.ts";

/** An answer with a list too long to hold in memory; the list is its last member, written page by page. */
export type LongAnswer = {
  head: object;
  list: PropertyKey;
  pages: (signal: AbortSignal) => AsyncIterable<readonly unknown[]>;
  /** The party that reads; limits count per reader (bulkhead), so that one cannot take the places of all others. */
  reader: string;
};

/** Each stream holds a page of some tens of kilobytes; all of them together use at most half a processor. */
const defaultMaxStreams = 64;
/** The most streams of one reader. */
const maxStreamsOfReader = 8;
const defaultReaderPatienceMs = 30_000;

/** The least that a reader has to take within the patience: a slow reader is kept, a stuck one is cut off. */
export const PIECE_BYTES = 16 * 1024;

export type Sender = {
  /** Sends what exists already. */
  whole(response: ServerResponse, content: Uint8Array): Promise<void>;
  /**
   * Streams a long answer with back-pressure: the next page is read when the last one has been taken. The request gives its place
   * in admission back, because it mostly waits for a stranger; streams have limits of their own instead.
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

  /**
   * A reader that left needs no signal; any other failure cuts the connection, so that it cannot look like the end of the answer.
   */
  async function toReader(response: ServerResponse, write: (reader: Reader) => Promise<void>): Promise<void> {
    const reader = follow(response, readerPatienceMs);
    try {
      await write(reader);
    } catch (error) {
      if (!reader.gone.aborted) throw error;
    }
  }

  return {
    async whole(response, content) {
      response.setHeader("Content-Length", content.length);
      await toReader(response, (reader) => reader.takes(content, "end"));
    },

    async stream(response, { head, list, pages, reader: party }) {
      if (!hasRoomFor(party)) throw new RestRefusal("OVERLOADED");
      count(party, 1);
      releasePlace(response);
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
 * Pages are made one at a time, with a pause as long as each page took: however many readers there are, pages use at most half of
 * the processor. A waiting reader holds no page, and taking a page happens outside of the turn.
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
 * The reader of an answer. It is gone when its connection closes, also when we close it because it is stuck. One timer and one
 * listener serve all pieces: with one per piece, each would be chained to the next and be kept in memory.
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
        // A failed write is reported before the connection counts as closed.
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
    /** Resolves when the operating system has taken the last byte; rejects when the reader is gone. */
    async takes(content: string | Uint8Array, last: "write" | "end" = "write"): Promise<void> {
      const bytes = Buffer.from(content);
      for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
        const isLast = at + PIECE_BYTES >= bytes.length;
        await piece(bytes.subarray(at, at + PIECE_BYTES), isLast ? last : "write");
      }
    },
  };
}
