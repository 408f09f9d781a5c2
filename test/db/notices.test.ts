import { afterEach, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "../../src/db/database.ts";
import { createNotices, listenForNotices } from "../../src/db/notices.ts";
import { execute, freshDatabase } from "../support/database.ts";

// News between the processes of one platform, through PostgreSQL.

let url: string;
let drop: () => Promise<void>;
let db: Database;
let heard: unknown[];
let begun: number;
const problems: string[] = [];
const listeners: { stop(): Promise<void> }[] = [];

beforeEach(async () => {
  ({ url, drop } = await freshDatabase());
  db = await openDatabase({ url });
  heard = [];
  begun = 0;
  problems.length = 0;
});
afterEach(async () => {
  await Promise.all(listeners.splice(0).map((listener) => listener.stop()));
  await db.close();
  await drop();
});

async function listen(channel = "news"): Promise<void> {
  const before = begun;
  listeners.push(
    listenForNotices({
      url,
      channel,
      heard: (items) => heard.push(...items),
      begun: () => {
        begun += 1;
      },
      failed: (problem) => problems.push(problem),
    }),
  );
  await expect.poll(() => begun, { timeout: 10_000 }).toBe(before + 1);
}

const notices = (channel = "news") =>
  createNotices(db.sql, channel, (problem, items) => problems.push(`${items}: ${problem}`));

test("what one process tells, every listener of the channel hears, in order", async () => {
  await listen();
  await listen();
  await listen("other news");
  const told = notices();
  told.tell([["a", "paid"], { "it's": "ünï" }]);
  told.tell([3]);
  told.tell([]);
  await expect.poll(() => heard).toEqual(expect.arrayContaining([3]));
  await expect.poll(() => heard.length).toBe(6);
  expect(heard.slice(0, 3)).toEqual([["a", "paid"], { "it's": "ünï" }, 3]);
  expect(problems).toEqual([]);
});

test("thousands of items travel in notices that PostgreSQL takes, and a stop sends what is left", async () => {
  await listen();
  const told = notices();
  const items = Array.from({ length: 5_000 }, (_, place) => `${place} ${"ж".repeat(20)}`);
  told.tell(items);
  await told.stop();
  await expect.poll(() => heard.length).toBe(items.length);
  expect(heard).toEqual(items);
});

test("a listener whose connection is lost listens again, and says that it begins anew", async () => {
  await listen();
  await execute(
    url,
    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()",
  );
  await expect.poll(() => begun, { timeout: 20_000 }).toBe(2);
  notices().tell(["again"]);
  await expect.poll(() => heard).toEqual(["again"]);
});

test.each(["", "no JSON", "{", "{}", "null", "7"])(
  "a stranger's notice %j is no news, and nobody ends by it",
  async (payload) => {
    await listen();
    await execute(url, `select pg_notify('news', '${payload}')`);
    notices().tell(["after it"]);
    await expect.poll(() => heard).toEqual(["after it"]);
  },
);

test("what cannot be told is said, and is no error of who told it", async () => {
  const told = createNotices(
    () => Promise.reject(new Error("down")),
    "news",
    (problem, items) => problems.push(`${items}: ${problem}`),
  );
  told.tell([1, 2]);
  await told.stop();
  expect(problems).toEqual(["2: down"]);
});
