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
 * Builds the statements of lists and filters from the entities' tables and columns. It has no connection: `rowsOf` runs the
 * statements, because MikroORM may hand a dead connection to the next caller (`Database.orm`).
 */
export const query = new Kysely<Tables>({
  dialect: {
    createAdapter: () => new PostgresAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new PostgresIntrospector(db),
    createQueryCompiler: () => new PostgresQueryCompiler(),
  },
});

/** Columns that exist as SQL text (`columns`), to be given to `select`; `Row` is the type of the result. */
export const selected = <Row>(text: string) =>
  // To Kysely a raw text is one expression without a name, which cannot be selected; here every column of the text has its own
  // name.
  sql.raw(text) as unknown as { [Column in keyof Row & string]: AliasedExpression<Row[Column], Column> }[keyof Row &
    string];

/**
 * Runs a query and answers its rows. It is planned at every call, for the actual filter: a generic plan would use no partial index.
 */
export function rowsOf<Row>(run: Sql, asked: Compilable<Row> | RawBuilder<Row>): Promise<Row[]> {
  const { sql: text, parameters } = asked.compile(query);
  return run<Row>({ name: "", text }, parameters);
}

/** An optional condition: none if the value is absent, otherwise one. */
export const whenGiven = <Value, Condition>(
  value: Value | undefined,
  condition: (given: Value) => Condition,
): Condition[] => (value === undefined ? [] : [condition(value)]);
