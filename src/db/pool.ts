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

/** A server that is gone without a word answers nothing and closes nothing. Its connection is of no more use. */
class NoAnswer extends Error {
  constructor(timeoutMs: number) {
    super(`PostgreSQL gave no answer within ${timeoutMs} ms`);
  }
}

/**
 * Runs one statement on a connection of its own. Otherwise than with the pool's own `query`, a statement that PostgreSQL
 * refuses does not cost its connection.
 */
export async function runAlone<Row>(
  pool: pg.Pool,
  timeoutMs: number,
  statement: Statement,
  values?: readonly unknown[],
): Promise<Row[]> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    return await run<Row>(client, timeoutMs, statement, values);
  } catch (error) {
    const isAnswer = error instanceof pg.DatabaseError && error.severity !== "FATAL";
    if (!isAnswer) broken = error as Error;
    throw error;
  } finally {
    client.release(broken);
  }
}

/**
 * The callback and the time-out are given here and not left to pg, which would set the callback later: with that, V8 keeps
 * the rows of every answer until it collects the whole heap, and everybody waits while it does (measured with Node 24).
 */
async function run<Row>(
  client: pg.PoolClient,
  timeoutMs: number,
  statement: Statement,
  values: readonly unknown[] = [],
): Promise<Row[]> {
  const query: pg.QueryConfig = { ...statement, values: [...values], types };
  try {
    return await new Promise<Row[]>((resolve, reject) => {
      const patience = setTimeout(() => reject(new NoAnswer(timeoutMs)), timeoutMs);
      client.query(query, (error, result) => {
        clearTimeout(patience);
        if (error) reject(error);
        else resolve(result.rows as Row[]);
      });
    });
  } catch (error) {
    // Its stack would begin at the socket and tell nobody whose statement it was.
    if (error instanceof Error) Error.captureStackTrace(error);
    throw error;
  }
}

const commit: Statement = { name: "", text: "commit" };
const rollback: Statement = { name: "", text: "rollback" };

/** How long a transaction waits for each statement of its work, and for its begin and its end. */
export type TransactionPatience = { statementMs: number; boundaryMs: number };

/** Runs `work` in one transaction; whatever ends it, the pool keeps its room. */
export async function transaction<T>(
  pool: pg.Pool,
  { statementMs, boundaryMs }: TransactionPatience,
  work: (sql: Sql) => Promise<T>,
): Promise<T> {
  const client = await pool.connect();
  let broken: Error | undefined;
  try {
    await run(client, boundaryMs, { name: "", text: `begin; set local statement_timeout = ${statementMs}` });
    const result = await work((statement, values) => run(client, statementMs, statement, values));
    await run(client, boundaryMs, commit);
    return result;
  } catch (error) {
    if (error instanceof NoAnswer) broken = error;
    // A rollback that fails means that the connection is gone; it must not go back to the pool.
    else
      await run(client, boundaryMs, rollback).catch((failure: Error) => {
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
