import { setTimeout as delay } from "node:timers/promises";
import pg from "pg";
import { readOnlyServer } from "./failure.ts";

/** A statement. PostgreSQL prepares a named one once per connection; with an empty name it is planned at every call. */
export type Statement = { name: string; text: string };

/** Runs one statement and answers its rows; `bigint` columns become numbers, `timestamptz` columns Dates. */
export type Sql = <Row = unknown>(statement: Statement, values?: readonly unknown[]) => Promise<Row[]>;

const int8 = 20;

// Amounts and counts stay below 2^53, so numbers are exact; by default pg answers int8 as text.
const types = {
  getTypeParser: ((oid: number, format?: "text" | "binary") =>
    oid === int8 ? Number : pg.types.getTypeParser(oid, format)) as typeof pg.types.getTypeParser,
};

/**
 * A server that is a standby, from the start or since it was demoted, refuses every write. Its connection is closed instead of
 * returned to the pool, so that the next one goes to the current primary (failover).
 */
export function leaveStandbys(pool: pg.Pool): void {
  const onStandby = new WeakSet<pg.PoolClient>();
  pool.on("connect", (client) => {
    const { connection } = client as unknown as { connection: NodeJS.EventEmitter };
    connection.on("errorMessage", ({ code }: { code?: string }) => {
      if (code === readOnlyServer) onStandby.add(client);
    });
  });
  // The pool closes a client that is ending instead of keeping it.
  pool.on("release", (_, client) => {
    if (onStandby.has(client)) client.end().catch(() => undefined);
  });
}

/** A server that vanished silently neither answers nor closes the connection, which must not be used again. */
class NoAnswer extends Error {
  constructor(timeoutMs: number) {
    super(`PostgreSQL gave no answer within ${timeoutMs} ms`);
  }
}

/**
 * Runs one statement on a connection from the pool. Unlike with the pool's own `query`, a statement that PostgreSQL refuses does
 * not cost the connection.
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
 * Callback and time-out are given in the query itself: pg would set the callback later, and then V8 keeps the rows of every answer
 * until a full garbage collection, during which everything stops (measured with Node 24).
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
    // The original stack begins at the socket and does not show the statement's caller.
    if (error instanceof Error) Error.captureStackTrace(error);
    throw error;
  }
}

const commit: Statement = { name: "", text: "commit" };
const rollback: Statement = { name: "", text: "rollback" };

/** The time-outs of a transaction: for each statement of its work, and for its begin and its end. */
export type TransactionPatience = { statementMs: number; boundaryMs: number };

/** Runs `work` in one transaction; however that ends, the pool gets its connection back, or closes it. */
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
    // A failing rollback means that the connection is lost, so it must not go back to the pool.
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
