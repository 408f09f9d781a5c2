import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { README, renewReadme } from "../../scripts/variables-table.ts";

test("README: the configuration table is the one that the program reads (`node scripts/variables-table.ts --write`)", async () => {
  expect(await readFile(README, "utf8")).toBe(await renewReadme());
});
