import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { isCalendarDay, kyivDay } from "../domain/kyiv.ts";
import { nameOf } from "../wire/enums.ts";
import { invalidRequest } from "./errors.ts";

// Reading single fields of requests that have already been validated against the constraints of proto/.

/** A value that proto/ requires; without it validation has failed to do its work, which throws. */
export function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("a required field is missing and was let in");
  return value;
}

/** A guid in the form in which the database prints it, so that texts can be compared; undefined: not given. */
export const optionalGuid = (text: string): string | undefined => (text === "" ? undefined : text.toLowerCase());

export const optionalInstant = (timestamp: Timestamp | undefined): Date | undefined =>
  timestamp && timestampDate(timestamp);

/** The domain's name of an enum value. A value without one would be a fault of ours: a test keeps the two lists equal. */
export function named<Name extends string>(table: Readonly<Record<Name, number>>, value: number): Name {
  const name = nameOf(table, value);
  if (name === undefined) throw new Error(`${value} is none of ${Object.keys(table).join(", ")}`);
  return name;
}

/** Like `named`; undefined for "unspecified". */
export function optionalNamed<Name extends string>(
  table: Readonly<Record<Name, number>>,
  value: number,
): Name | undefined {
  return value === 0 ? undefined : named(table, value);
}

export const textOrNull = (text: string): string | null => (text === "" ? null : text);

/** A period, as two instants or as a Kyiv day. */
export function period(request: { day: string; since?: Timestamp | undefined; until?: Timestamp | undefined }) {
  const since = optionalInstant(request.since);
  const until = optionalInstant(request.until);
  if (request.day === "") return { since, until };
  if (since !== undefined || until !== undefined) throw invalidRequest("day", "goes with neither since nor until");
  if (!isCalendarDay(request.day)) throw invalidRequest("day", "is not a calendar day YYYY-MM-DD");
  return kyivDay(request.day);
}
