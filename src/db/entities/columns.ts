import { p } from "@mikro-orm/core";
import { MAX_AMOUNT_MINOR } from "../../domain/money.ts";

// Building blocks of the tables' columns and checks.

/** Amounts: at most 99 999 999 999 minor units a payment, far below 2^53, so JavaScript numbers are exact. */
export const amountMinor = () => p.bigint("number").columnType("bigint");
export const instant = () => p.datetime().columnType("timestamptz");
export const text = () => p.text();

/** A CHECK constraint: what the code assumes of a row is enforced by the schema, whoever writes it. */
export const check = (name: string, expression: string) => ({ name, expression });

export const quoted = (values: readonly string[]) => values.map((value) => `'${value}'`).join(", ");

/** The column holds a value of one of the domain's closed lists. */
export const oneOf = (table: string, column: string, values: readonly string[]) =>
  check(`${table}_${column}_check`, `${column} in (${quoted(values)})`);

/** The limits of a payment's amount (wire-contract section 3). */
export const payable = (table: string) =>
  check(`${table}_amount_check`, `amount_minor >= 1 and amount_minor <= ${MAX_AMOUNT_MINOR}`);
