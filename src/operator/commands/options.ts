import type { OptionSpec } from "../../commandLine.ts";

// Help texts of options that several commands have.

export const TIME_HELP =
  "an instant like 2026-01-31T08:00:00Z, a day like 2026-01-31 (UTC), or how long ago, like 90m, 2h, 7d";

export const DURATION_HELP = "a duration like 30m, 24h, 7d, or 0s for at once";

export const limitOption = (rows: number): OptionSpec => ({
  value: "N",
  most: 100_000,
  fallback: String(rows),
  help: "At most so many.",
});
