// Writes gen/ from the two contracts: Protobuf stubs, REST types, the route table and compiled validators; and proto/buf/, the
// language of the constraints in proto/, so that proto/ is whole for whoever makes a client from it.
// With --check it writes into a temporary folder instead and fails when the two folders are not exactly that.

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { file_buf_validate_validate } from "@bufbuild/protovalidate/gen/buf/validate/validate_pb.js";
import openapiTS, { astToString } from "openapi-typescript";
import { parse } from "yaml";
import { limitsModule } from "./limitsModule.ts";
import { printProto } from "./printProto.ts";
import { refusalsModule } from "./refusalsModule.ts";
import {
  errorTextsModule,
  exampleKeysModule,
  type OpenapiDocument,
  operationsModule,
  validatorModules,
} from "./restModules.ts";
import { type WebhookDocument, webhooksModule } from "./webhookModule.ts";

const root = resolve(import.meta.dirname, "..");
const contract = join(root, "openapi", "dcm.v1.yaml");
const banner = "// Generated from the contract by scripts/generate.ts. Do not edit.\n";
const constraintBanner = `// The language of constraints, of Buf Technologies, Inc., under the Apache License, Version 2.0.
// Printed by scripts/generate.ts from the descriptor in the package @bufbuild/protovalidate. Do not edit.
`;

/** The folders that are nothing but what this program writes. */
const generated = ["gen", "proto/buf"];

const buf = (...args: string[]) => execFileSync("buf", args, { cwd: root, stdio: ["ignore", "inherit", "inherit"] });

async function generate(target: string): Promise<void> {
  writeConstraintProto(target);
  buf("generate", "-o", target);
  buf("generate", "--template", "buf.gen.deps.yaml", "-o", target);
  const document = parse(readFileSync(contract, "utf8")) as OpenapiDocument & WebhookDocument;
  const types = astToString(await openapiTS(pathToFileURL(contract), { alphabetize: false }));
  const files = {
    "types.ts": types,
    "operations.ts": operationsModule(document),
    "exampleKeys.ts": exampleKeysModule(document),
    "errorTexts.ts": errorTextsModule(document),
    "webhooks.ts": webhooksModule(document),
    "refusals.ts": refusalsModule(document),
    "limits.ts": limitsModule(document),
    ...validatorModules(document),
  };
  const folder = join(target, "gen", "rest");
  mkdirSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), banner + text);
  writeFileSync(join(folder, "openapi.json"), `${JSON.stringify(document, null, 1)}\n`);
}

/** The package that checks constraints carries the descriptor of their language, and not the file itself. */
function writeConstraintProto(target: string): void {
  const path = join(target, "proto", file_buf_validate_validate.proto.name);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, constraintBanner + printProto(file_buf_validate_validate));
  buf("format", "--write", path);
}

/** Every generated file below a folder, by its path there. */
function filesBelow(folder: string): Map<string, string> {
  const entries = generated
    .map((part) => join(folder, part))
    .filter(existsSync)
    .flatMap((part) => readdirSync(part, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile());
  return new Map(
    entries.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      return [relative(folder, path), readFileSync(path, "utf8")];
    }),
  );
}

/** The files that are missing, superfluous or different, each with what is wrong with it. */
function differences(expected: Map<string, string>, actual: Map<string, string>): string[] {
  const names = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return names.flatMap((name) => {
    if (!actual.has(name)) return [`${name} is missing`];
    if (!expected.has(name)) return [`${name} is no longer generated`];
    return actual.get(name) === expected.get(name) ? [] : [`${name} differs`];
  });
}

async function check(): Promise<number> {
  const target = mkdtempSync(join(tmpdir(), "dcm-generate-"));
  try {
    await generate(target);
    const problems = differences(filesBelow(target), filesBelow(root));
    for (const problem of problems) console.error(problem);
    return problems.length === 0 ? 0 : 1;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

async function write(): Promise<number> {
  const target = mkdtempSync(join(tmpdir(), "dcm-generate-"));
  try {
    // What proto/ imports has to be there before it is compiled.
    writeConstraintProto(root);
    await generate(target);
    const wanted = filesBelow(target);
    // Only files that changed are written, so that watching tools stay quiet.
    const current = filesBelow(root);
    for (const name of current.keys()) if (!wanted.has(name)) rmSync(join(root, name));
    for (const [name, text] of wanted) {
      if (current.get(name) === text) continue;
      mkdirSync(dirname(join(root, name)), { recursive: true });
      writeFileSync(join(root, name), text);
    }
    return 0;
  } finally {
    rmSync(target, { recursive: true, force: true });
  }
}

process.exitCode = process.argv.includes("--check") ? await check() : await write();
