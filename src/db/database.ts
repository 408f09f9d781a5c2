import { setTimeout as delay } from "node:timers/promises";
import { Migrator } from "@mikro-orm/migrations";
import { defineConfig, MikroORM } from "@mikro-orm/postgresql";
import pg from "pg";
import { entities, routines } from "./entities.ts";
import { Migration20261120000000 } from "./migrations/Migration20261120000000.ts";

/** A statement of a hot path: the name makes PostgreSQL plan it once per connection. */
export type Statement = { name: string; text: string };

/** Runs one statement and answers its rows; `bigint` columns are numbers, `timestamptz` columns are Dates. */
export type Sql = <Row = unknown>(statement: Statement, values?: readonly unknown[]) => Promise<Row[]>;

export type Database = {
  /** The unit of work, for the ordinary paths. Fork it per use. */
  orm: MikroORM;
  /** One statement, outside any transaction. */
  sql: Sql;
  /** Runs `work` in one transaction: commits when it resolves, rolls back when it throws. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** The same for work over whole sets, which may take minutes: a closing, a reconciliation. */
  longTransaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Resolves when the database answers within `timeoutMs`, rejects otherwise. */
  ping(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  url: string;
  /** Connections of this process; PostgreSQL's default allows 100 in all. */
  maxConnections?: number;
  /** How long a caller waits for a free connection before it is told that the platform is overloaded. */
  acquireTimeoutMs?: number;
  /** A statement that runs longer is canceled by the server. */
  statementTimeoutMs?: number;
  onProblem?: (message: string) => void;
};

const migrationsList = [{ name: "Migration20261120000000", class: Migration20261120000000 }];

/** Any number; it only has to be the same in every process, so that two starts do not migrate at once. */
const migrationLock = 7_203_041;

/** Opens the pool lazily: the database need not be there yet. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  let isClosing = false;
  const orm = await MikroORM.init(
    defineConfig({
      clientUrl: options.url,
      entities: [...entities],
      routines,
      extensions: [Migrator],
      migrations: { migrationsList, snapshot: false, tableName: "migration", transactional: true },
      discovery: { warnWhenNoEntities: true },
      driverOptions: {
        max: options.maxConnections ?? 10,
        connectionTimeoutMillis: options.acquireTimeoutMs ?? 5_000,
        statement_timeout: options.statementTimeoutMs ?? 30_000,
        // A server that is gone without a word answers nothing and closes nothing: do not wait for TCP to notice.
        query_timeout: (options.statementTimeoutMs ?? 30_000) + 5_000,
        // A process that freezes or loses its network in the middle must not hold its locks until TCP notices, hours later.
        idle_in_transaction_session_timeout: 60_000,
        keepAlive: true,
        options: hotPlans,
      },
      // MikroORM greets on this channel as well; only the pool's errors are news, and not while it is being closed.
      logger: (message) => {
        if (/error/i.test(message) && !isClosing) options.onProblem?.(message);
      },
      debug: ["info"],
      colors: false,
    }),
  );
  const pool = (await orm.em.getConnection().getNativeClient()) as unknown as pg.Pool;
  return {
    orm,
    sql: (statement, values) => runAlone(pool, statement, values),
    transaction: (work) => transaction(pool, "begin", undefined, work),
    longTransaction: (work) => transaction(pool, `begin; ${setPlans}`, longTimeoutMs, work),
    ping: (timeoutMs) => ping(pool, timeoutMs),
    async close() {
      isClosing = true;
      await Promise.race([endPool(orm, pool), delay(closeTimeoutMs, undefined, { ref: false })]);
    },
  };
}

/**
 * Every hot statement is a handful of index look-ups a row, whatever the tables' size. The planner would choose otherwise
 * for tables that are small or not analysed yet, keep that plan while they grow, and plan many statements again at every
 * call (a third of PostgreSQL's time here). What is not hot runs in a `longTransaction`.
 */
const hotPlans = [
  "plan_cache_mode=force_generic_plan",
  "enable_seqscan=off",
  "enable_hashjoin=off",
  "enable_mergejoin=off",
]
  .map((setting) => `-c ${setting}`)
  .join(" ");

/** Ten minutes: longer than anything that is not hot may take, and how long a caller waits for it. */
const longTimeoutMs = 600_000;

/** For a transaction over whole sets the planner decides, and a statement may take long. */
const setPlans = `
  set local plan_cache_mode = force_custom_plan; set local enable_seqscan = on; set local enable_hashjoin = on;
  set local enable_mergejoin = on; set local statement_timeout = ${longTimeoutMs}`;

/** Brings the schema of the database at `url` up to date; safe to call from several processes at once. */
export async function migrate(url: string): Promise<void> {
  const database = await openDatabase({ url, maxConnections: 2, statementTimeoutMs: longTimeoutMs });
  const lockHolder = new pg.Client({ connectionString: url });
  try {
    await lockHolder.connect();
    await lockHolder.query("select pg_advisory_lock($1)", [migrationLock]);
    await database.orm.migrator.up();
  } finally {
    await lockHolder.end();
    await database.close();
  }
}

/** A statement that is still running when the process ends is rolled back by the server. */
const closeTimeoutMs = 5_000;

async function endPool(orm: MikroORM, pool: pg.Pool): Promise<void> {
  await orm.close(true);
  // Kysely ends the pool only when it was the first to use it.
  if (!pool.ended) await pool.end();
}

const int8 = 20;

// Amounts and counts stay below 2^53, so numbers are exact; pg would hand int8 out as text.
const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/** As the pool's own `query`, which would close the connection of every statement that PostgreSQL refuses. */
async function runAlone<Row>(pool: pg.Pool, statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    return await run<Row>(client, statement, values);
  } catch (error) {
    const isAnswer = error instanceof pg.DatabaseError && error.severity !== "FATAL";
    if (!isAnswer) broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

async function run<Row>(
  client: pg.PoolClient,
  statement: Statement,
  values: readonly unknown[] = [],
  timeoutMs?: number,
): Promise<Row[]> {
  const patience = timeoutMs === undefined ? {} : { query_timeout: timeoutMs };
  const result = await client.query({ ...statement, values: [...values], types, ...patience } as pg.QueryConfig);
  return result.rows as Row[];
}

async function transaction<T>(
  pool: pg.Pool,
  begin: string,
  timeoutMs: number | undefined,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(begin);
    const result = await work((statement, values) => run(client, statement, values, timeoutMs));
    await client.query("commit");
    return result;
  } catch (error) {
    // A rollback that fails means that the connection is gone; it must not go back to the pool.
    await client.query("rollback").catch((failure: Error) => {
      broken = failure;
    });
    throw error;
  } finally {
    client.release(broken);
  }
}

async function ping(pool: pg.Pool, timeoutMs: number): Promise<void> {
  const deadline = new Promise<never>((_, reject) => {
    setTimeout(() => reject(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs).unref();
  });
  await Promise.race([pool.query("select 1"), deadline]);
}

/** What a failed statement means for the caller; anything else is a bug or a lost database. */
export type DatabaseFailure = "unavailable" | "conflict" | "other";

/**
 * SQLSTATE classes: 08 connection, 53 resources, 57 operator intervention (shutdown, canceled) are passing faults;
 * 23505 and 40001/40P01 are lost races, which the caller decides again.
 */
export function databaseFailure(error: unknown): DatabaseFailure {
  const code = (error as { code?: unknown } | null)?.code;
  const message = error instanceof Error ? error.message : "";
  if (code === "23505" || code === "40001" || code === "40P01") return "conflict";
  if (typeof code === "string" && /^(08|53|57)/.test(code)) return "unavailable";
  if (typeof code === "string" && /^(ECONN|EPIPE|ENOTFOUND|ETIMEDOUT|EHOSTUNREACH)/.test(code)) return "unavailable";
  return /connection terminated|timeout exceeded when trying to connect|Client was closed|not queryable|Query read timeout/i.test(
    message,
  )
    ? "unavailable"
    : "other";
}
