// Tests that see: changes one thing of a room at a time and asks whether a test fails. What survives is a rule that no test knows.
// Use: npm run mutate -- ROOM [--sample N] [--seed N] [--files GLOB] [--quick]; mutate/rooms.ts says what judges each room, and
// --quick leaves out what runs only while a module is loaded, which costs a whole run of the tests for each mutant.

import { globSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { parseArgs } from "node:util";
import { Stryker } from "@stryker-mutator/core";
import { startPostgres } from "../test/support/database.ts";
import { keyOf, type Mutant, mutantsOf, sampleOf } from "./mutate/mutants.ts";
import { ROOM_VARIABLE, roomNamed, SAMPLE_VARIABLE } from "./mutate/rooms.ts";

const OUTPUT = ".mutants";
/** Two cores are the smallest machine this is meant for. */
const CONCURRENCY = 2;

type Result = Awaited<ReturnType<Stryker["runMutationTest"]>>[number];

/** A test failed, or the mutant never came to an end; a mutant that no test reaches has survived like any other. */
const killed: readonly Result["status"][] = ["Killed", "Timeout"];
const survived: readonly Result["status"][] = ["Survived", "NoCoverage"];

async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      sample: { type: "string" },
      seed: { type: "string", default: "1" },
      files: { type: "string" },
      quick: { type: "boolean", default: false },
    },
  });
  const [name] = positionals;
  const room = roomNamed(name);
  const files = globSync(values.files ?? [...room.sources]);
  const all = await mutantsOf(files);
  const size = Number(values.sample ?? room.sample ?? all.length);
  const tried = size < all.length ? sampleOf(all, size, values.seed) : all;
  console.log(`${name}: ${tried.length} of ${all.length} mutants in ${files.length} files`);

  await using cleanup = new AsyncDisposableStack();
  const folder = mkdtempSync(join(tmpdir(), "dcm-mutate-"));
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  process.env[ROOM_VARIABLE] = name;
  process.env[SAMPLE_VARIABLE] = join(folder, "sample.json");
  writeFileSync(join(folder, "sample.json"), JSON.stringify(tried.map(keyOf)));
  if (room.needsPostgres && !process.env.DATABASE_URL) {
    // One for the whole run: each worker would start its own otherwise, and a new one after every mutant that never ends.
    const postgres = await startPostgres({ fsync: false });
    cleanup.defer(() => postgres.stop());
    process.env.DATABASE_URL = postgres.url;
  }
  const results = await runStryker(
    [...new Set(tried.map(({ fileName }) => fileName))],
    room.withStatic && !values.quick,
  );
  mkdirSync(OUTPUT, { recursive: true });
  writeFileSync(join(OUTPUT, `${name}.json`), JSON.stringify(results));
  report(results, tried);
  return 0;
}

function runStryker(files: readonly string[], withStatic: boolean): Promise<Result[]> {
  return new Stryker({
    mutate: [...files],
    testRunner: "vitest",
    plugins: [import.meta.resolve("@stryker-mutator/vitest-runner"), import.meta.resolve("./mutate/onlySample.ts")],
    checkers: ["sample"],
    vitest: { configFile: "vitest.mutate.config.ts", related: false },
    coverageAnalysis: "perTest",
    ignoreStatic: !withStatic,
    concurrency: CONCURRENCY,
    dryRunTimeoutMinutes: 30,
    // Types are the compiler's business, and comments in the sources are read by tests.
    disableTypeChecks: false,
    ignorePatterns: ["data", OUTPUT],
    tempDirName: join(OUTPUT, "tmp"),
    cleanTempDir: "always",
    reporters: ["progress-append-only"],
    warnings: { slow: false, unknownOptions: true, preprocessorErrors: true, unserializableOptions: true },
    allowConsoleColors: false,
  }).runMutationTest();
}

function report(results: readonly Result[], tried: readonly Mutant[]): void {
  const keys = new Set(tried.map(keyOf));
  const judged = results.filter((result) => keys.has(keyOf(fromReport(result))));
  const alive = judged.filter(({ status }) => survived.includes(status)).sort(byPlace);
  for (const result of alive) console.log(line(result));
  const dead = judged.filter(({ status }) => killed.includes(status)).length;
  const all = dead + alive.length;
  for (const [status, found] of Map.groupBy(judged, (result) => result.status)) {
    console.log(`${status}: ${found.length}`);
  }
  console.log(`killed ÷ all: ${dead} / ${all} = ${(dead / all).toFixed(3)}`);
}

/** Stryker counts lines and columns from 0 while it works and from 1 when it tells of it. */
function fromReport(result: Result): Mutant {
  const back = ({ line, column }: Result["location"]["start"]) => ({ line: line - 1, column: column - 1 });
  return { ...result, location: { start: back(result.location.start), end: back(result.location.end) } };
}

function byPlace(one: Result, other: Result): number {
  return one.fileName.localeCompare(other.fileName) || one.location.start.line - other.location.start.line;
}

function line({ fileName, location: { start }, mutatorName, replacement = "", status }: Result): string {
  const how = status === "NoCoverage" ? "no test reaches it" : mutatorName;
  return `${relative(process.cwd(), fileName)}:${start.line}:${start.column} ${how}: ${replacement.replaceAll(/\s+/g, " ").slice(0, 120)}`;
}

process.exitCode = await main(process.argv.slice(2));
