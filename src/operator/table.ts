import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { Money } from "../../gen/dcm/v1/money_pb.ts";
import { printable } from "../commandLine.ts";
import { formatAmountText } from "../domain/money.ts";

/** Columns as wide as their widest cell, with a heading, and one line per row. */
export function table(heading: readonly string[], rows: ReadonlyArray<readonly string[]>): string[] {
  const all = [heading, ...rows.map((row) => row.map((cell) => (cell === "" ? "–" : printable(cell))))];
  const widths = heading.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  return all.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}

/** One line per field; fields with an empty value are left out. */
export function fields(pairs: ReadonlyArray<readonly [name: string, value: string]>): string[] {
  const known = pairs.filter(([, value]) => value !== "");
  const width = Math.max(0, ...known.map(([name]) => name.length));
  return known.map(([name, value]) => `${name.padEnd(width)}  ${printable(value)}`);
}

export const moneyText = (money: Money | undefined): string =>
  money ? `${formatAmountText(money.amountMinor)} ${money.currency}` : "";

export const when = (timestamp: Timestamp | undefined): string =>
  timestamp === undefined ? "" : timestampDate(timestamp).toISOString();

/** "1 callback", "2 callbacks". */
export const counted = (count: number, noun: string): string => `${count} ${noun}${count === 1 ? "" : "s"}`;
