// Every check of this repository as one table. Without arguments all of them run, in this order, until one fails;
// with arguments only the named groups: node scripts/run.mjs scripts/check.ts proto openapi

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";

const root = resolve(import.meta.dirname, "..");

type Step = { group: string; name: string; command: readonly string[]; whatToDo: string };

const steps: readonly Step[] = [
  {
    group: "generate",
    name: "generated files are up to date",
    command: ["node", "scripts/generate.ts", "--check"],
    whatToDo: "Run `npm run generate` and commit gen/ together with the contract it comes from.",
  },
  {
    group: "proto",
    name: "Protobuf lint",
    command: ["buf", "lint"],
    whatToDo: "Follow the rule named above; buf.yaml lists the rule sets.",
  },
  {
    group: "proto",
    name: "Protobuf format",
    command: ["buf", "format", "--diff", "--exit-code"],
    whatToDo: "Run `npx buf format --write`.",
  },
  {
    group: "proto",
    name: "Protobuf compatibility with the last release",
    command: ["buf", "breaking", "--against", "contract/baseline/dcm.v1.binpb"],
    whatToDo: "Add fields or RPCs instead of changing or removing what clients already use.",
  },
  {
    group: "openapi",
    name: "OpenAPI lint",
    command: ["redocly", "lint", "openapi/dcm.v1.yaml"],
    whatToDo: "Correct openapi/dcm.v1.yaml at the place named above.",
  },
  {
    group: "openapi",
    name: "example tokens are signed anew from their claims",
    command: ["node", "scripts/example-tokens.ts", "--check"],
    whatToDo: "Run `node scripts/run.mjs scripts/example-tokens.ts --write`.",
  },
  {
    group: "types",
    name: "types",
    // Of the two that are installed the quick one; openapi-typescript needs the other.
    command: ["node", "node_modules/typescript7/bin/tsc", "--noEmit"],
    whatToDo: "Correct the types at the places named above.",
  },
  {
    group: "style",
    name: "format and lint rules (Biome)",
    command: ["biome", "check", "--error-on-warnings"],
    whatToDo: "Run `npx biome check --write`; correct by hand what it leaves.",
  },
  {
    group: "tests",
    name: "tests",
    command: ["vitest", "run"],
    whatToDo: "Run one file again with `npx vitest run <file>`; the first failure above is the best start.",
  },
];

/** Quiet tools: no telemetry, no update notices, no colours that a log would keep. */
const quiet = { REDOCLY_TELEMETRY: "off", REDOCLY_SUPPRESS_UPDATE_NOTICE: "true", DO_NOT_TRACK: "1" };

/** Runs a command to its end; whoever stops this program stops the command first, so that services are not left behind. */
function execute([command = "", ...args]: readonly string[]): Promise<string | undefined> {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...quiet } });
    const terminate = () => child.kill("SIGTERM");
    process.on("SIGTERM", terminate);
    // A terminal sends Ctrl-C to the command as well: wait for it to clean up instead of dying first.
    const wait = () => {};
    process.on("SIGINT", wait);
    const finish = (problem: string | undefined) => {
      process.off("SIGTERM", terminate);
      process.off("SIGINT", wait);
      done(problem);
    };
    child.once("error", (error) => finish(error.message));
    child.once("exit", (code, signal) => finish(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
  });
}

async function perform(step: Step): Promise<boolean> {
  console.log(`\n── ${step.group}: ${step.name}`);
  const startedAt = performance.now();
  const problem = await execute(step.command);
  const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
  if (problem === undefined) {
    console.log(`   ok: ${step.name} (${seconds} s)`);
    return true;
  }
  console.error(`   FAILED: ${step.name} (${seconds} s): ${step.command.join(" ")}: ${problem}`);
  console.error(`   What to do: ${step.whatToDo}`);
  return false;
}

async function main(wanted: readonly string[]): Promise<number> {
  const groups = new Set(steps.map((step) => step.group));
  const unknown = wanted.filter((name) => !groups.has(name));
  if (unknown.length > 0) {
    console.error(`Unknown: ${unknown.join(", ")}. The groups are: ${[...groups].join(", ")}.`);
    return 2;
  }
  if (!existsSync(resolve(root, "node_modules"))) {
    console.error("Start this through npm (`npm run check`): it installs the packages first.");
    return 2;
  }
  const startedAt = performance.now();
  const chosen = steps.filter((step) => wanted.length === 0 || wanted.includes(step.group));
  for (const step of chosen) {
    if (!(await perform(step))) return 1;
  }
  console.log(`\nAll ${chosen.length} checks passed in ${Math.round((performance.now() - startedAt) / 1000)} s.`);
  return 0;
}

process.exitCode = await main(process.argv.slice(2));
