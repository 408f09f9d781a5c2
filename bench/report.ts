import type { Percentiles } from "./statistics.ts";
import { median } from "./statistics.ts";

/** Where results go; progress goes to standard error, so that standard output is the result alone. */
export type Print = (line: string) => void;

/** The table at the end. */
export function printTable(
  title: string,
  header: readonly string[],
  rows: readonly (readonly string[])[],
  print: Print = console.log,
): void {
  const lines = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => (line[column] ?? "").length)));
  const format = (line: readonly string[]) =>
    line
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  print(`\n${title}`);
  print(format(header));
  print(widths.map((width) => "-".repeat(width)).join("  "));
  for (const row of rows) print(format(row));
}

export const rounded = (value: number, digits = 2) => Number(value.toFixed(digits));

export const perSecond = (rates: readonly number[] | undefined) => `${Math.round(median(rates ?? []))}/s`;

export const roundsText = (rates: readonly number[] | undefined) =>
  (rates ?? []).map((rate) => Math.round(rate)).join(" ");

export const latencyText = ({ p50, p95, p99 }: Pick<Percentiles, "p50" | "p95" | "p99">) =>
  `${[p50, p95, p99].map((ms) => ms.toFixed(1)).join(" / ")} ms`;

/** Median and, in brackets, the worst round. */
export const withWorst = (ratios: readonly number[]) =>
  `${rounded(median(ratios)).toFixed(2)} (${rounded(Math.min(...ratios)).toFixed(2)})`;

/** Processor milliseconds of each process, as "gateway 1.2 · PostgreSQL 0.8"; what spent nothing is left out. */
export const cpuText = (spent: Record<string, number> | undefined) =>
  Object.entries(spent ?? {})
    .filter(([, ms]) => ms >= 0.005)
    .map(([name, ms]) => `${name} ${ms.toFixed(2)}`)
    .join(" · ");
