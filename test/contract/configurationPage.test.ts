import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { CONFIGURATION, renewConfiguration } from "../../scripts/variables-table.ts";

test("docs/configuration.md: its table is the one that the program reads (`node scripts/variables-table.ts --write`)", async () => {
  expect(await readFile(CONFIGURATION, "utf8")).toBe(await renewConfiguration());
});
