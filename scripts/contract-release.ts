// Makes the contract of today the one that later changes are held against: contract/baseline/, with every release.
// It refuses what breaks clients of the release before, unless told --breaking, which is for a new major version.

import { execFileSync } from "node:child_process";
import { copyFileSync } from "node:fs";
import { resolve } from "node:path";
import { quietTools, steps } from "./checkSteps.ts";

const root = resolve(import.meta.dirname, "..");

function run([command = "", ...args]: readonly string[]): void {
  execFileSync(command, args, { cwd: root, stdio: "inherit", env: { ...process.env, ...quietTools } });
}

function isCompatible(): boolean {
  const comparisons = steps.filter(({ name }) => name.endsWith("compatibility with the last release"));
  return comparisons.every(({ command }) => {
    try {
      run(command);
      return true;
    } catch {
      return false;
    }
  });
}

function main(args: readonly string[]): number {
  if (args.some((arg) => arg !== "--breaking")) {
    console.error("Use: npm run contract:release [-- --breaking]");
    return 2;
  }
  if (!args.includes("--breaking") && !isCompatible()) {
    console.error("The changes above break clients of the last release: contract/baseline/ stays as it is.");
    return 1;
  }
  run(["buf", "build", "--exclude-source-info", "-o", "contract/baseline/dcm.v1.binpb"]);
  copyFileSync(resolve(root, "openapi/dcm.v1.yaml"), resolve(root, "contract/baseline/dcm.v1.yaml"));
  console.log("contract/baseline/ is the contract of today. Commit it with the release.");
  return 0;
}

process.exitCode = main(process.argv.slice(2));
