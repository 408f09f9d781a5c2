// Changes the contract in a copy of this repository, one thing after the other, and says who notices: the compiler, because what is
// written from the contract no longer fits the program, or a check. A change that nobody notices is how a contract begins to lie.
// With words only the changes that have them all in their line.

import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { quietTools, steps } from "./checkSteps.ts";
import { type Contract, copyOf, readContract, writeContract } from "./drift/contract.ts";
import { batchesOf, type Mutation, namedPattern } from "./drift/mutations.ts";

const root = resolve(import.meta.dirname, "..");
/** One for each core of the smallest machine: half of the time one program writes and another one waits for it. */
const COPIES = 2;
/** The tests are not compiled: what only they hold to the contract is not held. */
const compiled = ["src", "gen", "scripts"];
/** Nor is what runs them. */
const notCompiled = ["scripts/mutate.ts", "scripts/mutate"];
const copied = [...compiled, "openapi", "proto", "contract", "package.json", "tsconfig.json"];
const configured = ["buf.yaml", "buf.gen.yaml", "buf.gen.deps.yaml", "redocly.yaml"];

type Outcome = { ok: boolean; said: string };

/** Who notices, and what it says about the one change. */
type Noticed = { by: string; said: string };

function makeCopy(): string {
  const folder = mkdtempSync(join(tmpdir(), "dcm-drift-"));
  for (const name of [...copied, ...configured]) cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
  const config = { extends: "./tsconfig.json", include: compiled, exclude: notCompiled };
  writeFileSync(join(folder, "tsconfig.drift.json"), JSON.stringify(config));
  return folder;
}

function run(folder: string, [command = "", ...args]: readonly string[]): Promise<Outcome> {
  const options = { cwd: folder, env: { ...process.env, ...quietTools }, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((done) => {
    execFile(command, args, options, (error, stdout, stderr) => done({ ok: error === null, said: stdout + stderr }));
  });
}

const step = (name: string) => steps.find((one) => one.name === name)?.command ?? [];

/** Whoever may notice, the quickest answer first. What each says comes in pieces, one a problem. */
const watchers: readonly { by: string; command: readonly string[]; pieces: RegExp }[] = [
  {
    by: "the compiler",
    command: ["node", "node_modules/typescript7/bin/tsc", "--noEmit", "--pretty", "false", "-p", "tsconfig.drift.json"],
    pieces: /^\S.*(?:\n .*)*/gm,
  },
  {
    by: "redocly diff",
    command: step("OpenAPI compatibility with the last release"),
    // What is breaking, and below it what it breaks.
    pieces: /^ *✖ .*\n(?: +.*\(.*\)\n)*/gm,
  },
  { by: "buf breaking", command: step("Protobuf compatibility with the last release"), pieces: /^.+$/gm },
];

/** Writes the contract and what is generated from it; what the generator itself refuses is an answer as well. */
async function generate(folder: string, contract: Contract): Promise<Outcome> {
  writeContract(folder, contract);
  return run(folder, ["node", "scripts/generate.ts"]);
}

/** The contract of now is the last release: what has been added since must not be taken for the change. */
async function makeBaseline(folder: string, contract: Contract): Promise<void> {
  writeContract(folder, contract);
  cpSync(join(folder, "openapi/dcm.v1.yaml"), join(folder, "contract/baseline/dcm.v1.yaml"));
  const built = await run(folder, ["buf", "build", "--exclude-source-info", "-o", "contract/baseline/dcm.v1.binpb"]);
  if (!built.ok) throw new Error(built.said);
}

/** Each copy takes what is next as soon as it is free. */
async function share<Item>(folders: readonly string[], items: readonly Item[], work: Work<Item>): Promise<void> {
  const left = items.values();
  await Promise.all(
    folders.map(async (folder) => {
      for (const item of left) await work(folder, item);
    }),
  );
}

type Work<Item> = (folder: string, item: Item) => Promise<void>;

const inOneLine = (text: string) => text.trim().replaceAll(/\s+/g, " ").slice(0, 180);

function changed(contract: Contract, mutations: readonly Mutation[]): Contract {
  const copy = copyOf(contract);
  for (const mutation of mutations) mutation.apply(copy);
  return copy;
}

const tellsOf = ({ trace }: Mutation, problem: string): boolean =>
  (typeof trace === "string" ? new RegExp(namedPattern(trace), "m") : trace).test(problem);

/** Changes all of a batch at once. Whose change nobody can be heard to notice is missing in the answer. */
async function judgeTogether(folder: string, contract: Contract, batch: readonly Mutation[]) {
  const noticed = new Map<Mutation, Noticed>();
  const generated = await generate(folder, changed(contract, batch));
  if (!generated.ok) return noticed;
  for (const { by, command, pieces } of watchers) {
    const open = batch.filter((mutation) => !noticed.has(mutation));
    if (open.length === 0) break;
    const { said } = await run(folder, command);
    const problems = said.match(pieces) ?? [];
    for (const mutation of open) {
      const problem = problems.find((piece) => tellsOf(mutation, piece));
      if (problem !== undefined) noticed.set(mutation, { by, said: inOneLine(problem) });
    }
  }
  return noticed;
}

/** Changes one thing: whatever fails now fails because of it. */
async function judgeAlone(folder: string, contract: Contract, mutation: Mutation): Promise<Noticed | undefined> {
  const generated = await generate(folder, changed(contract, [mutation]));
  if (!generated.ok) return { by: "the generator", said: inOneLine(generated.said) };
  for (const { by, command } of watchers) {
    const { ok, said } = await run(folder, command);
    if (!ok) return { by, said: inOneLine(said) };
  }
  return undefined;
}

/** What is not changed must be in order, or everything would seem to be noticed. */
async function refuseBroken(folder: string, contract: Contract): Promise<void> {
  const outcomes = [await generate(folder, contract)];
  for (const { command } of watchers) outcomes.push(await run(folder, command));
  const broken = outcomes.find(({ ok }) => !ok);
  if (broken !== undefined) throw new Error(`Without any change: ${broken.said}`);
}

async function main(words: readonly string[]): Promise<number> {
  const folders = Array.from({ length: COPIES }, makeCopy);
  // Whoever stops this must not find the copies left behind.
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(1));
  process.once("exit", () => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  const contract = readContract(root);
  await Promise.all(folders.map((folder) => makeBaseline(folder, contract)));
  const unnoticed: Mutation[] = [];
  const tell = (mutation: Mutation, { by, said }: Noticed) =>
    console.log(`${mutation.what} → caught by ${by}: ${said}`);
  const wanted = batchesOf(contract).map((all) => all.filter(({ what }) => words.every((word) => what.includes(word))));
  const batches = wanted.filter(({ length }) => length > 0);
  await share(folders, batches, async (folder, batch) => {
    const noticed = await judgeTogether(folder, contract, batch);
    for (const [mutation, notice] of noticed) tell(mutation, notice);
    unnoticed.push(...batch.filter((mutation) => !noticed.has(mutation)));
  });
  let missed = 0;
  await share(folders, unnoticed, async (folder, mutation) => {
    const notice = await judgeAlone(folder, contract, mutation);
    if (notice !== undefined) tell(mutation, notice);
    else {
      missed += 1;
      console.error(`${mutation.what} → NOT CAUGHT`);
    }
  });
  // At the end, so that it holds for all the time before: whatever is broken is broken still.
  if (unnoticed.length > 0) await Promise.all(folders.map((folder) => refuseBroken(folder, contract)));
  return missed === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
