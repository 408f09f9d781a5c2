import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { isGuid } from "../core/guid.ts";
import { nameOf } from "./enums.ts";
import { invalidRequest } from "./errors.ts";

// Reading single fields of requests. Proto3 cannot require anything, so what the core needs is required here.

/** 0001-01-01: what comes before is no Timestamp, and PostgreSQL would read it as something else. */
const earliestMs = Date.parse("0001-01-01T00:00:00Z");

export function present<Value>(value: Value | undefined, field: string): Value {
  if (value === undefined) throw invalidRequest(field, "is missing");
  return value;
}

/** A guid in the form in which the database prints it, so that texts can be compared. */
export function guid(text: string, field: string): string {
  if (text === "") throw invalidRequest(field, "is missing");
  if (!isGuid(text)) throw invalidRequest(field, "is not a UUID");
  return text.toLowerCase();
}

export function instant(timestamp: Timestamp | undefined, field: string): Date {
  const date = timestampDate(present(timestamp, field));
  // Far futures pass: milliseconds that were given as seconds have a refusal of their own.
  if (Number.isNaN(date.getTime()) || date.getTime() < earliestMs) throw invalidRequest(field, "is out of range");
  return date;
}

export function optionalInstant(timestamp: Timestamp | undefined, field: string): Date | undefined {
  return timestamp && instant(timestamp, field);
}

export function named<Name extends string>(table: Readonly<Record<Name, number>>, value: number, field: string): Name {
  const name = nameOf(table, value);
  if (name === undefined) throw invalidRequest(field, value === 0 ? "is missing" : "has an unknown value");
  return name;
}

/** Like `named`, where "unspecified" means that nothing was said. */
export function optionalNamed<Name extends string>(
  table: Readonly<Record<Name, number>>,
  value: number,
  field: string,
): Name | undefined {
  return value === 0 ? undefined : named(table, value, field);
}

export const textOrNull = (text: string): string | null => (text === "" ? null : text);
