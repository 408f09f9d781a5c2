import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { isGuid } from "../core/guid.ts";
import { nameOf } from "./enums.ts";
import { invalidRequest } from "./errors.ts";

// Reading single fields of requests, whose shape was held to the constraints of proto/ before.

/** What proto/ requires: that it is missing here would be a fault of ours. */
export function required<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error("a required field is missing and was let in");
  return value;
}

/** A guid in the form in which the database prints it, so that texts can be compared; undefined: not given. */
export const optionalGuid = (text: string): string | undefined => (text === "" ? undefined : text.toLowerCase());

export const optionalInstant = (timestamp: Timestamp | undefined): Date | undefined =>
  timestamp && timestampDate(timestamp);

/** The domain's name of a value. That there is none would be a fault of ours: the lists hold the same, as a test sees to. */
export function named<Name extends string>(table: Readonly<Record<Name, number>>, value: number): Name {
  const name = nameOf(table, value);
  if (name === undefined) throw new Error(`${value} is none of ${Object.keys(table).join(", ")}`);
  return name;
}

/** Like `named`, where "unspecified" means that nothing was said. */
export function optionalNamed<Name extends string>(
  table: Readonly<Record<Name, number>>,
  value: number,
): Name | undefined {
  return value === 0 ? undefined : named(table, value);
}

export const textOrNull = (text: string): string | null => (text === "" ? null : text);

const maxPageSize = 500;

export const pageSize = (asked: number, whenZero: number): number =>
  asked === 0 ? whenZero : Math.min(asked, maxPageSize);

/** Page tokens carry the last row's sort key; they are opaque, so that the key can change. */
export function pageToken(key: readonly string[]): string {
  return Buffer.from(JSON.stringify(key)).toString("base64url");
}

/** `isLast`: what the last part of the key is; of most lists a guid. */
export function readPageToken(token: string, keyLength: number, isLast = isGuid): string[] | undefined {
  if (token === "") return undefined;
  try {
    const key: unknown = JSON.parse(Buffer.from(token, "base64url").toString());
    const isKey = Array.isArray(key) && key.length === keyLength && key.every((part) => typeof part === "string");
    if (isKey && isLast(key.at(-1) ?? "")) return key;
  } catch {
    // Not one of ours; said below.
  }
  throw invalidRequest("page_token", "is not a token of this list");
}
