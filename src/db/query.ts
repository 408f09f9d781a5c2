import {
  type AliasedExpression,
  type Compilable,
  DummyDriver,
  Kysely,
  PostgresAdapter,
  PostgresIntrospector,
  PostgresQueryCompiler,
  type RawBuilder,
  sql,
} from "kysely";
import type { Tables } from "./entities/entities.ts";
import type { Sql } from "./pool.ts";

/**
 * Writes the statements of lists and filters, with the tables and columns of the entities. It has no connection: what it wrote is
 * run by `rowsOf`, because a connection of MikroORM's that has died is handed to the next caller (`Database.orm`).
 */
export const query = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

/** Columns that are written as text already (`columns`), to be given to `select`; `Row` is what they are read as. */
export const selected = <Row>(text: string) =>
  // A text is an expression to Kysely, but only one that has a name may be selected: here every column of the text has its own.
  sql.raw(text) as unknown as { [Column in keyof Row & string]: AliasedExpression<Row[Column], Column> }[keyof Row &
    string];

/**
 * Runs a query and answers its rows. PostgreSQL plans it anew each time, for what is asked: a prepared plan for any filter would use
 * no partial index.
 */
export function rowsOf<Row>(run: Sql, asked: Compilable<Row> | RawBuilder<Row>): Promise<Row[]> {
  const { sql: text, parameters } = asked.compile(query);
  return run<Row>({ name: "", text }, parameters);
}

/** A condition on a value that may be missing: none, or one. */
export const whenGiven = <Value, Condition>(
  value: Value | undefined,
  condition: (given: Value) => Condition,
): Condition[] => (value === undefined ? [] : [condition(value)]);
