import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { repeat } from "../repeat.ts";
import type { Sql } from "./pool.ts";

// Notices between the processes of one platform, through PostgreSQL (LISTEN and NOTIFY). They are news and not truth: a notice is
// sent after the commit that it tells of, by itself, because a transaction that notifies holds a lock of the whole database while it
// commits. What is lost with a process, or while a listener has no connection, is not repeated.

/** PostgreSQL takes less than 8 000 bytes a notice. */
const noticeBytes = 7_900;
/** Notices of this long travel together: fewer statements, and nobody sees the difference. */
const gatherMs = 25;

export type Notices = {
  /** Tells all listeners; an item is a short JSON value. Never throws. */
  tell(items: readonly unknown[]): void;
  /** Sends what was told and not yet sent. */
  stop(): Promise<void>;
};

const notify = { name: "notify", text: "select pg_notify($1, text) from unnest($2::text[]) as text" };

/** `failed` is called when items could not be sent. */
export function createNotices(sql: Sql, channel: string, failed: (problem: string, items: number) => void): Notices {
  let gathered: unknown[] = [];
  let sending = Promise.resolve();
  let timer: NodeJS.Timeout | undefined;

  function send(): void {
    clearTimeout(timer);
    timer = undefined;
    const items = gathered;
    if (items.length === 0) return;
    gathered = [];
    sending = sending.then(async () => {
      await sql(notify, [channel, noticesOf(items)]).catch((error: Error) => failed(error.message, items.length));
    });
  }

  return {
    tell(items) {
      gathered.push(...items);
      if (gathered.length > 0) timer ??= setTimeout(send, gatherMs);
    },
    async stop() {
      send();
      await sending;
    },
  };
}

/** The items as JSON lists, each short enough for a notice. */
function noticesOf(items: readonly unknown[]): string[] {
  const notices: string[] = [];
  let members: string[] = [];
  let bytes = 2;
  for (const item of items) {
    const text = JSON.stringify(item);
    const more = Buffer.byteLength(text) + 1;
    if (bytes + more > noticeBytes) {
      notices.push(`[${members}]`);
      members = [];
      bytes = 2;
    }
    members.push(text);
    bytes += more;
  }
  notices.push(`[${members}]`);
  return notices;
}

/**
 * The items of a notice. Whoever may connect to the database can send one, and what an event listener throws ends the process: what
 * is no list has no items.
 */
function itemsOf(payload: string): unknown[] {
  try {
    const items: unknown = JSON.parse(payload);
    return Array.isArray(items) ? items : [];
  } catch {
    return [];
  }
}

/** How often a connection is asked whether it still lives, and a lost one is opened again. */
const checkEveryMs = 2_000;
const answerWithinMs = 5_000;

export type NoticeListener = {
  url: string;
  channel: string;
  /** Called with the items of each notice. */
  heard: (items: unknown[]) => void;
  /** Called when listening begins, also again after a loss: what was told before was not heard. */
  begun: () => void;
  /** Called when it cannot listen, with the number of failures in a row. */
  failed: (problem: string, inARow: number) => void;
};

/** Listens on a connection of its own until it is stopped; a lost connection is opened again. */
export function listenForNotices({ url, channel, heard, begun, failed }: NoticeListener): { stop(): Promise<void> } {
  let client: pg.Client | undefined;

  async function connect(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: url,
      connectionTimeoutMillis: answerWithinMs,
      query_timeout: answerWithinMs,
      keepAlive: true,
    });
    // The loss of a connection without a running statement is an event, which without a listener would end the process.
    fresh.on("error", () => leave(fresh));
    fresh.on("end", () => leave(fresh));
    fresh.on("notification", ({ payload = "" }) => heard(itemsOf(payload)));
    try {
      await fresh.connect();
      await fresh.query(`listen ${pg.escapeIdentifier(channel)}`);
      return fresh;
    } catch (error) {
      fresh.end().catch(() => undefined);
      throw error;
    }
  }

  function leave(left: pg.Client): void {
    if (client !== left) return;
    client = undefined;
    left.end().catch(() => undefined);
  }

  const listening = repeat({
    everyMs: checkEveryMs,
    failed,
    async round() {
      if (client === undefined) {
        client = await connect();
        begun();
        return;
      }
      const asked = client;
      await asked.query("select 1").catch((error: Error) => {
        leave(asked);
        throw error;
      });
    },
  });

  return {
    async stop() {
      await listening.stop();
      const last = client;
      client = undefined;
      if (last === undefined) return;
      await Promise.race([last.end(), delay(answerWithinMs, undefined, { ref: false })]).catch(() => undefined);
    },
  };
}
