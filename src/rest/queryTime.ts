import { type Timestamp, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { kyivMidnight } from "../domain/kyiv.ts";
import { MAX_UNIX_SECONDS } from "../wire/values.ts";
import { RestRefusal } from "./errors.ts";

/** An instant, or a calendar date that stands for its midnight in Kyiv. */
export function timestampOfQuery(text: string, field: string): Timestamp {
  const isDate = /^\d{4}-\d{2}-\d{2}$/.test(text);
  const instant = isDate ? kyivMidnight(text) : new Date(withOffset(text));
  const isUsable = instant.getTime() >= 0 && instant.getTime() <= MAX_UNIX_SECONDS * 1000;
  if (!isUsable || (isDate && !isCalendarDate(text))) {
    throw new RestRefusal("INVALID_REQUEST", { text: `${field} is not a date or an instant`, field });
  }
  return timestampFromDate(instant);
}

/** The documents' own sample has an offset after Z, whose plus sign is lost in the query: `…Z03:00`. */
function withOffset(text: string): string {
  const offset = /^(.*?\d{2}:\d{2}:\d{2}(?:\.\d+)?)[Zz]?([+-]?)(\d{2}:\d{2})$/.exec(text);
  return offset ? `${offset[1]}${offset[2] || "+"}${offset[3]}` : text;
}

function isCalendarDate(text: string): boolean {
  const instant = new Date(`${text}T00:00:00Z`);
  return !Number.isNaN(instant.getTime()) && instant.toISOString().startsWith(text);
}
