import { setTimeout as delay } from "node:timers/promises";
import { Migrator } from "@mikro-orm/migrations";
import { defineConfig, MikroORM } from "@mikro-orm/postgresql";
import pg from "pg";
import { advisoryLocks } from "./advisoryLocks.ts";
import { entities, routines } from "./entities/entities.ts";
import { migrationsList } from "./migrations/migrations.ts";
import { leaveStandbys, ping, runAlone, type Sql, transaction } from "./pool.ts";

export type Database = {
  /** Where it is, for what needs a connection of its own. */
  url: string;
  /**
   * The schema as entities. Statements do not run through it: its transactions keep a connection for ever that died within one, and
   * its single statements hand a connection that no longer answers to the next caller.
   */
  orm: MikroORM;
  /** A statement of a hot path: a few index look-ups per row, however large the tables are. It waits for locks at most a second. */
  hot: Sql;
  /** Any other statement; the planner is free. */
  sql: Sql;
  /** Several statements in one transaction, on the ordinary pool: commits when `work` resolves, rolls back when it throws. */
  transaction<T>(work: (sql: Sql) => Promise<T>): Promise<T>;
  /** Resolves when the database answers within `timeoutMs`, rejects otherwise. */
  ping(timeoutMs: number): Promise<void>;
  close(): Promise<void>;
};

export type DatabaseOptions = {
  url: string;
  /** Connections of this process, both pools together; at least 2. */
  maxConnections?: number;
  /** How long a caller waits for a free connection before it is refused as OVERLOADED (back-pressure). */
  acquireTimeoutMs?: number;
  /** The server cancels a statement outside of a transaction that runs longer. */
  statementTimeoutMs?: number;
  onProblem?: (message: string) => void;
};

/** Two thirds of the connections are for hot statements: at most eight groups and the chores use them at a time. */
export function connectionsOf(maxConnections: number): { hot: number; ordinary: number } {
  const ordinary = Math.max(1, Math.floor(maxConnections / 3));
  return { hot: maxConnections - ordinary, ordinary };
}

/** Opens both pools lazily: the database need not be there yet. */
export async function openDatabase(options: DatabaseOptions): Promise<Database> {
  let isClosing = false;
  const { hot, ordinary } = connectionsOf(options.maxConnections ?? 12);
  const onProblem = (message: string) => {
    if (!isClosing) options.onProblem?.(message);
  };
  const orm = await openOrm(options.url, { ...poolSettings(options), max: ordinary }, onProblem);
  const pool = (await orm.em.getConnection().getNativeClient()) as unknown as pg.Pool;
  const hotPool = new pg.Pool({
    ...poolSettings(options),
    connectionString: options.url,
    max: hot,
    lock_timeout: hotLockTimeoutMs,
    options: hotPlans.map((setting) => `-c ${setting}`).join(" "),
  });
  // The server may close a connection while no statement runs: an idle one reports it on the pool, one that is taken out on itself.
  // The pool drops it; an `error` event without a listener would end the process.
  hotPool.on("error", (error) => onProblem(`PostgreSQL pool error: ${error.message}`));
  hotPool.on("connect", (client) => {
    client.on("error", (error) => onProblem(`PostgreSQL connection error: ${error.message}`));
  });
  for (const each of [pool, hotPool]) leaveStandbys(each);
  // The server's own time-out comes first, unless the server is gone silently; then this ends the wait, long before TCP does.
  const answerTimeoutMs = (options.statementTimeoutMs ?? defaultStatementTimeoutMs) + 5_000;
  return {
    url: options.url,
    orm,
    hot: (statement, values) => runAlone(hotPool, answerTimeoutMs, statement, values),
    sql: (statement, values) => runAlone(pool, answerTimeoutMs, statement, values),
    transaction: (work) => transaction(pool, { statementMs: longTimeoutMs, boundaryMs: answerTimeoutMs }, work),
    ping: (timeoutMs) => ping(hotPool, timeoutMs),
    async close() {
      isClosing = true;
      const ended = Promise.all([endOrm(orm, pool), hotPool.end()]);
      await Promise.race([ended, delay(closeTimeoutMs, undefined, { ref: false })]);
    },
  };
}

/** Far longer than any statement outside of a transaction takes. */
const defaultStatementTimeoutMs = 30_000;

/**
 * How long a hot statement waits for a lock. Locks on a payment are normally held for the milliseconds of one statement; a longer
 * holder is frozen, or a person in a session, and a hundred neighbours in the group must not wait for that.
 */
const hotLockTimeoutMs = 1_000;

/** The time-out of statements over whole sets (closing, reconciliation): longer than any of them takes. */
const longTimeoutMs = 600_000;

/** How long the end of the process waits for a running statement; the server then rolls it back. */
const closeTimeoutMs = 5_000;

const poolSettings = ({ acquireTimeoutMs, statementTimeoutMs = defaultStatementTimeoutMs }: DatabaseOptions) => ({
  connectionTimeoutMillis: acquireTimeoutMs ?? 5_000,
  statement_timeout: statementTimeoutMs,
  // Ends a session that is idle in a transaction: a process that froze or lost its network must not hold locks until TCP notices,
  // hours later.
  idle_in_transaction_session_timeout: 60_000,
  keepAlive: true,
});

/**
 * Settings for hot statements, which are a few index look-ups per row. For small or not yet analysed tables the planner would
 * choose otherwise and keep that plan while they grow; and it would plan many statements at every call (a third of PostgreSQL's
 * time here), hence the generic plan.
 */
export const hotPlans = [
  "plan_cache_mode=force_generic_plan",
  "enable_seqscan=off",
  "enable_hashjoin=off",
  "enable_mergejoin=off",
];

function openOrm(url: string, driverOptions: object, onProblem: (message: string) => void): Promise<MikroORM> {
  return MikroORM.init(
    defineConfig({
      clientUrl: url,
      entities: [...entities],
      routines,
      extensions: [Migrator],
      // Each migration is a transaction of its own: one may add what the next one then validates without a lock.
      migrations: { migrationsList, snapshot: false, tableName: "migration", transactional: true, allOrNothing: false },
      discovery: { warnWhenNoEntities: true },
      driverOptions,
      // MikroORM logs greetings on this channel as well; only the pool's errors matter.
      logger: (message) => {
        if (/error/i.test(message)) onProblem(message);
      },
      debug: ["info"],
      colors: false,
    }),
  );
}

async function endOrm(orm: MikroORM, pool: pg.Pool): Promise<void> {
  await orm.close(true);
  // Kysely ends the pool only if it was used.
  if (!pool.ended) await pool.end();
}

/** Brings the schema of the database at `url` up to date; safe to call from several processes at once. */
export async function migrate(url: string): Promise<void> {
  // No time-out for statements: building an index of a large table takes long, and one that is cut off would begin anew at every
  // start and never finish. Only waiting for locks is limited.
  const waits = { lock_timeout: longTimeoutMs, connectionTimeoutMillis: 5_000, keepAlive: true };
  const settings = { max: 2, statement_timeout: 0, ...waits };
  const orm = await openOrm(url, settings, () => undefined);
  const lockHolder = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  // The loss of this connection is reported by the running statement; without a listener the `error` event would end the process.
  lockHolder.on("error", () => undefined);
  try {
    await lockHolder.connect();
    // Polls for the advisory lock: a session waiting for it in a statement would block `create index concurrently`, which waits for
    // it in turn.
    const tryLock = "select pg_try_advisory_lock($1) as locked";
    while (!(await lockHolder.query<{ locked: boolean }>(tryLock, [advisoryLocks.migrating])).rows[0]?.locked)
      await delay(200);
    await orm.migrator.up();
  } finally {
    await lockHolder.end();
    await orm.close(true);
  }
}

/** Connections that are left to operators and their tools. */
const connectionsForOthers = 3;

/** How many connections the server allows this role in this database, less some for operators. */
export async function connectionLimit(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  client.on("error", () => undefined);
  await client.connect();
  try {
    // -1 means no limit; reserved_connections exists since PostgreSQL 16.
    const { rows } = await client.query<{ most: number }>(`
      select least(
        current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
          - coalesce(current_setting('reserved_connections', true)::int, 0),
        (select nullif(datconnlimit, -1) from pg_database where datname = current_database()),
        (select nullif(rolconnlimit, -1) from pg_roles where rolname = current_user)
      ) as most`);
    return Math.max(2, (rows[0]?.most ?? 0) - connectionsForOthers);
  } finally {
    await client.end();
  }
}
