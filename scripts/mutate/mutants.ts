import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { relative } from "node:path";
import { Instrumenter } from "@stryker-mutator/instrumenter";

type Position = { line: number; column: number };

/** As much of a mutant as tells it from all others. */
export type Mutant = {
  fileName: string;
  location: { start: Position; end: Position };
  mutatorName: string;
  replacement?: string | undefined;
};

/** Names a mutant in the same way wherever it is spoken of. */
export function keyOf({ fileName, location: { start, end }, mutatorName, replacement }: Mutant): string {
  const place = [start.line, start.column, end.line, end.column].join(":");
  return `${relative(process.cwd(), fileName)}:${place} ${mutatorName} ${replacement ?? ""}`;
}

/** Every mutant that there is of some files. */
export async function mutantsOf(files: readonly string[]): Promise<readonly Mutant[]> {
  const silent = () => {};
  const is = () => false;
  const logger = {
    ...{ trace: silent, debug: silent, info: silent, warn: silent, error: silent, fatal: silent },
    ...{ isTraceEnabled: is, isDebugEnabled: is, isInfoEnabled: is },
    ...{ isWarnEnabled: is, isErrorEnabled: is, isFatalEnabled: is },
  };
  const sources = files.map((name) => ({ name, content: readFileSync(name, "utf8"), mutate: true }));
  const options = { excludedMutations: [], ignorers: [], plugins: null };
  const { mutants } = await new Instrumenter(logger).instrument(sources, options);
  return mutants;
}

/** So many of them, the same ones for the same seed; whoever adds a mutant moves hardly any other in or out. */
export function sampleOf(mutants: readonly Mutant[], size: number, seed: string): readonly Mutant[] {
  const rank = (mutant: Mutant) =>
    createHash("sha256")
      .update(`${seed} ${keyOf(mutant)}`)
      .digest("hex");
  return mutants
    .map((mutant) => ({ mutant, rank: rank(mutant) }))
    .sort((one, other) => (one.rank < other.rank ? -1 : 1))
    .slice(0, size)
    .map(({ mutant }) => mutant);
}
