// Every check of this repository as one table. Without arguments all of them run, in this order, until one fails;
// with arguments only the named groups: node scripts/run.mjs scripts/check.ts proto openapi

import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { quietTools, type Step, steps } from "./checkSteps.ts";

const root = resolve(import.meta.dirname, "..");

/** Runs a command to its end; whoever stops this program stops the command first, so that services are not left behind. */
function execute([command = "", ...args]: readonly string[]): Promise<string | undefined> {
  return new Promise((done) => {
    const child = spawn(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...quietTools } });
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
