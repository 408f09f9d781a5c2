// Writes gen/ from the two contracts: Protobuf stubs, REST types, the route table and compiled validators.
// With --check it writes into a temporary folder instead and fails when gen/ is not exactly that.

import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import openapiTS, { astToString } from "openapi-typescript";
import { parse } from "yaml";
import { limitsModule } from "./limitsModule.ts";
import { refusalsModule } from "./refusalsModule.ts";
import { type OpenapiDocument, operationsModule, validatorModules } from "./restModules.ts";

const root = resolve(import.meta.dirname, "..");
const contract = join(root, "openapi", "dcm.v1.yaml");
const banner = "// Generated from the contract by scripts/generate.ts. Do not edit.\n";

async function generate(target: string): Promise<void> {
  execFileSync("buf", ["generate", "-o", target], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  const document = parse(readFileSync(contract, "utf8")) as OpenapiDocument;
  const types = astToString(await openapiTS(pathToFileURL(contract), { alphabetize: false }));
  const files = {
    "types.ts": types,
    "operations.ts": operationsModule(document),
    "refusals.ts": refusalsModule(document),
    "limits.ts": limitsModule(document),
    ...validatorModules(document),
  };
  const folder = join(target, "gen", "rest");
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), banner + text);
}

function filesBelow(folder: string): Map<string, string> {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path, "utf8")];
    }),
  );
}

/** The files that are missing, superfluous or different in gen/, each with what is wrong with it. */
function differences(expected: Map<string, string>, actual: Map<string, string>): string[] {
  const names = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return names.flatMap((name) => {
    if (!actual.has(name)) return [`gen/${name} is missing`];
    if (!expected.has(name)) return [`gen/${name} is no longer generated`];
    return actual.get(name) === expected.get(name) ? [] : [`gen/${name} differs`];
  });
}

async function check(): Promise<number> {
  const target = mkdtempSync(join(tmpdir(), "dcm-generate-"));
  try {
    await generate(target);
    const problems = differences(filesBelow(join(target, "gen")), filesBelow(join(root, "gen")));
    for (const problem of problems) console.error(problem);
    return problems.length === 0 ? 0 : 1;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

async function write(): Promise<number> {
  const generated = mkdtempSync(join(tmpdir(), "dcm-generate-"));
  try {
    await generate(generated);
    const wanted = filesBelow(join(generated, "gen"));
    // Only files that changed are written, so that watching tools stay quiet.
    const current = filesBelow(join(root, "gen"));
    for (const name of current.keys()) if (!wanted.has(name)) rmSync(join(root, "gen", name));
    for (const [name, text] of wanted) {
      if (current.get(name) === text) continue;
      mkdirSync(dirname(join(root, "gen", name)), { recursive: true });
      writeFileSync(join(root, "gen", name), text);
    }
    return 0;
  } finally {
    rmSync(generated, { recursive: true, force: true });
  }
}

mkdirSync(join(root, "gen"), { recursive: true });
process.exitCode = process.argv.includes("--check") ? await check() : await write();
