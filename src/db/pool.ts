import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { readOnlyServer } from "./failure.ts";

/** A statement; the name makes PostgreSQL plan it once per connection, an empty one each time. */
export type Statement = { name: string; text: string };

/** Runs one statement and answers its rows; `bigint` columns are numbers, `timestamptz` columns are Dates. */
export type Sql = <Row = unknown>(statement: Statement, values?: readonly unknown[]) => Promise<Row[]>;

const int8 = 20;

// Amounts and counts stay below 2^53, so numbers are exact; pg would hand int8 out as text.
const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/**
 * A server that was demoted to a standby, or was one from the start, refuses every write. Its connection does not go back
 * to the pool, so that the next one is opened to whoever is the primary now.
 */
export function leaveStandbys(pool: pg.Pool): void {
  const onStandby = new WeakSet<pg.PoolClient>();
  pool.on("connect", (client) => {
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
    connection.on("errorMessage", ({ code }: { code?: string }) => {
      if (code === readOnlyServer) onStandby.add(client);
    });
  });
  // The pool closes what is ending instead of keeping it.
  pool.on("release", (_, client) => {
    if (onStandby.has(client)) client.end().catch(() => undefined);
  });
}

/** As the pool's own `query`, which would close the connection of every statement that PostgreSQL refuses. */
export async function runAlone<Row>(pool: pg.Pool, statement: Statement, values?: readonly unknown[]): Promise<Row[]> {
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

/** Runs `work` in one transaction whose statements may take `timeoutMs` each; whatever ends it, the pool keeps its room. */
export async function transaction<T>(pool: pg.Pool, timeoutMs: number, work: (sql: Sql) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await client.query(`begin; set local statement_timeout = ${timeoutMs}`);
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

export async function ping(pool: pg.Pool, timeoutMs: number): Promise<void> {
  const late = delay(timeoutMs, undefined, { ref: false }).then(() => {
    throw new Error(`no answer within ${timeoutMs} ms`);
  });
  await Promise.race([pool.query("select 1"), late]);
}
