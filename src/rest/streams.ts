import type { ServerResponse } from "node:http";
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

/** A reader's page is a few hundred kilobytes, as objects and as text: 64 readers are some 50 MB. */
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
  /** Running streams, by reader. */
  const streams = new Map<string, number>();
  const count = (reader: string, by: 1 | -1) => {
    const running = (streams.get(reader) ?? 0) + by;
    if (running === 0) streams.delete(reader);
    else streams.set(reader, running);
  };
  const hasRoomFor = (reader: string) =>
    [...streams.values()].reduce((total, running) => total + running, 0) < maxStreams &&
    (streams.get(reader) ?? 0) < maxStreamsOfReader;

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
        let comma = "";
        for await (const page of pages(reader.gone)) {
          if (page.length === 0) continue;
          await reader.takes(comma + JSON.stringify(page).slice(1, -1));
          comma = ",";
        }
        await reader.takes("]}", "end");
      }).finally(() => {
        count(party, -1);
      });
    },
  };
}

type Reader = ReturnType<typeof follow>;

/** The reader of an answer. It is gone when its connection is closed, also by us because it takes nothing. */
function follow(response: ServerResponse, patienceMs: number) {
  const left = new AbortController();
  const leave = () => left.abort();
  response.once("close", leave);
  if (response.closed) leave();

  function piece(bytes: Uint8Array, how: "write" | "end"): Promise<void> {
    return new Promise((resolve, reject) => {
      const patience = setTimeout(() => response.req.socket.destroy(), patienceMs);
      const done = (error?: Error | null) => {
        clearTimeout(patience);
        left.signal.removeEventListener("abort", gone);
        if (!error) return resolve();
        // A connection that fails is known by what could not be written before it is known to be closed.
        leave();
        reject(error);
      };
      const gone = () => done(new Error("the reader has gone"));
      left.signal.addEventListener("abort", gone);
      if (left.signal.aborted) gone();
      else if (how === "end") response.end(bytes, () => done());
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
