import pg from "pg";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { connectionLimit, connectionsOf, type Database, openDatabase } from "../../src/db/database.ts";
import { databaseFailure } from "../../src/db/failure.ts";
import type { Sql } from "../../src/db/pool.ts";
import { execute, freshDatabase } from "../support/database.ts";

let url: string;
let drop: () => Promise<void>;
let db: Database;

beforeEach(async () => {
  ({ url, drop } = await freshDatabase());
  db = await openDatabase({ url, maxConnections: 3, acquireTimeoutMs: 2_000 });
});
afterEach(async () => {
  await db.close();
  await drop();
});

const plain = (text: string) => ({ name: "", text });
const pidOf = async (sql: Sql) => (await sql<{ pid: number }>(plain("select pg_backend_pid() as pid")))[0]?.pid;

/** Ends connections to the database, as a restart of the server does: all others, or only those that sleep in a statement. */
async function endConnections(which: "all" | "sleeping" = "all"): Promise<void> {
  const sleeping = which === "sleeping" ? "and query like 'select pg_sleep(30)%'" : "";
  await execute(
    url,
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and pid <> pg_backend_pid() ${sleeping}`,
  );
}

test("a statement that PostgreSQL refuses leaves its connection in the pool; one that ends its connection does not", async () => {
  const pid = await pidOf(db.sql);
  for (let lost = 0; lost < 5; lost += 1) {
    const error = await db.sql(plain("select lost_race('gone')")).catch((problem: unknown) => problem);
    expect(databaseFailure(error)).toBe("lost_race");
  }
  expect(await pidOf(db.sql)).toBe(pid);
  await expect(db.sql(plain("select pg_terminate_backend(pg_backend_pid())"))).rejects.toThrow(
    "terminating connection",
  );
  const next = await pidOf(db.sql);
  expect(next).toBeTypeOf("number");
  expect(next).not.toBe(pid);
});

describe("no connection is ever lost to the pool", () => {
  /** More often than either pool has room. */
  const often = 6;

  const sleep = plain("select pg_sleep(30)");

  test.each([
    ["a hot statement", () => db.hot(sleep)],
    ["an ordinary statement", () => db.sql(sleep)],
    ["a statement of a transaction", () => db.transaction((sql) => sql(sleep))],
  ])("%s is cut", async (_, work) => {
    for (let round = 0; round < often; round += 1) {
      const working = expect(work()).rejects.toThrow();
      let hasEnded = false;
      void working.finally(() => {
        hasEnded = true;
      });
      await vi.waitFor(async () => {
        await endConnections("sleeping");
        expect(hasEnded).toBe(true);
      });
      await working;
    }
    await expectWholePools();
  });

  test.each([
    ["between its statements", async (sql: Sql) => void (await sql(plain("select 2")))],
    ["before its commit", async () => undefined],
  ])("a transaction is cut %s", async (_, rest) => {
    for (let round = 0; round < often; round += 1) {
      const working = db.transaction(async (sql) => {
        await sql(plain("select 1"));
        await endConnections();
        await rest(sql);
      });
      await expect(working).rejects.toThrow();
    }
    await expectWholePools();
  });

  async function expectWholePools(): Promise<void> {
    // Both pools serve as many callers at once as they have room for.
    const sleeps = [db.hot, db.hot, db.sql].map((sql) => sql(plain("select pg_sleep(0.1)")));
    await expect(Promise.all(sleeps)).resolves.toHaveLength(3);
    await expect(db.transaction((sql) => pidOf(sql))).resolves.toBeTypeOf("number");
  }
});

test("the hot pool has its own planner settings and waits a second for a lock; the ordinary one has PostgreSQL's", async () => {
  const settingsOf = async (sql: Sql) =>
    (
      await sql(
        plain(`select current_setting('enable_seqscan') as seqscan, current_setting('plan_cache_mode') as plans,
          current_setting('lock_timeout') as locks, current_setting('statement_timeout') as statements`),
      )
    )[0];
  expect(await settingsOf(db.hot)).toEqual({
    seqscan: "off",
    plans: "force_generic_plan",
    locks: "1s",
    statements: "30s",
  });
  const ordinary = { seqscan: "on", plans: "auto", locks: "0" };
  expect(await settingsOf(db.sql)).toEqual({ ...ordinary, statements: "30s" });
  expect(await db.transaction(settingsOf)).toEqual({ ...ordinary, statements: "10min" });
});

describe("a server that takes no writes any more", () => {
  const write = () => db.hot(plain("insert into closed_day values ('2026-01-01', now()) on conflict do nothing"));

  test.each([
    ["a hot statement", write],
    ["an ordinary statement", () => db.sql(plain("delete from closed_day"))],
    ["a transaction", () => db.transaction((sql) => sql(plain("delete from closed_day")))],
  ])("%s: the caller may come again, and the next one gets another connection", async (_, work) => {
    const database = new URL(url).pathname.slice(1);
    await execute(url, `alter database ${database} set default_transaction_read_only = on`);
    await endConnections();
    const error = await vi.waitFor(async () => {
      const problem = await work().catch((failure: unknown) => failure);
      expect(problem).toMatchObject({ code: "25006" });
      return problem;
    });
    expect(databaseFailure(error)).toBe("unavailable");
    // As after a fail-over: whoever connects now finds a primary.
    await execute(url, "set default_transaction_read_only = off", `alter database ${database} reset all`);
    await work();
  });
});

test("the pools share what the process may have, the hot one has the larger part, and both have at least one", () => {
  expect([2, 3, 12, 500].map(connectionsOf)).toEqual([
    { hot: 1, ordinary: 1 },
    { hot: 2, ordinary: 1 },
    { hot: 8, ordinary: 4 },
    { hot: 334, ordinary: 166 },
  ]);
});

test("connectionLimit: never more than the server, the database and the role allow, less three for people", async () => {
  const server = new pg.Client({ connectionString: url });
  await server.connect();
  const { rows } = await server.query(
    "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as most",
  );
  await server.end();
  expect(await connectionLimit(url)).toBe(rows[0].most - 3);
  const database = new URL(url).pathname.slice(1);
  await execute(url, `alter database ${database} connection limit 20`);
  expect(await connectionLimit(url)).toBe(17);
  await execute(url, `alter database ${database} connection limit 1`);
  expect(await connectionLimit(url)).toBe(2);
});
