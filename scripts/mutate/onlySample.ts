// A plugin of Stryker, which loads it in a process of its own: of all mutants only those of the sample are tried.
// A range of lines could not choose them, because whatever lies inside the range of a block would be tried as well.

import { readFileSync } from "node:fs";
import { keyOf, type Mutant } from "./mutants.ts";
import { SAMPLE_VARIABLE } from "./rooms.ts";

type Named = Mutant & { id: string };

const sample = new Set(JSON.parse(readFileSync(process.env[SAMPLE_VARIABLE] ?? "", "utf8")) as string[]);

const checker = {
  init: async () => {},
  group: async (mutants: readonly Named[]) => [mutants.map(({ id }) => id)],
  check: async (mutants: readonly Named[]) =>
    Object.fromEntries(
      mutants.map((mutant) => [
        mutant.id,
        sample.has(keyOf(mutant)) ? { status: "passed" } : { status: "compileError", reason: "not in the sample" },
      ]),
    ),
};

export const strykerPlugins = [{ kind: "Checker", name: "sample", value: checker }];
