import { p } from "@mikro-orm/core";
import { MAX_AMOUNT_MINOR } from "../../domain/money.ts";

// What the tables' columns and checks are made of.

/** Amounts: at most 99 999 999 999 minor units a payment, far below 2^53, so JavaScript numbers are exact. */
export const amountMinor = () => p.bigint("number").columnType("bigint");
export const instant = () => p.datetime().columnType("timestamptz");
export const text = () => p.text();

/** A CHECK of a table: what the code assumes of a row, the schema enforces, whoever writes it. */
export const check = (name: string, expression: string) => ({ name, expression });

export const quoted = (values: readonly string[]) => values.map((value) => `'${value}'`).join(", ");

/** The column holds one of a closed list of the domain. */
export const oneOf = (table: string, column: string, values: readonly string[]) =>
  check(`${table}_${column}_check`, `${column} in (${quoted(values)})`);

/** What one payment may move (wire-contract section 3). */
export const payable = (table: string) =>
  check(`${table}_amount_check`, `amount_minor >= 1 and amount_minor <= ${MAX_AMOUNT_MINOR}`);
