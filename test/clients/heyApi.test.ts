import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdtempDisposable, readFile, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { startPlatform } from "../support/platform.ts";

// A client of another maker: what it makes of the OpenAPI document is compiled as it is, with a program that uses all of it.

const root = resolve(import.meta.dirname, "../..");
const contract = join(root, "openapi/dcm.v1.yaml");
const modules = join(root, "node_modules");
const run = promisify(execFile);
let folder: Awaited<ReturnType<typeof mkdtempDisposable>>;
let said: string;

const compilerOptions = {
  target: "es2024",
  module: "nodenext",
  strict: true,
  types: ["node"],
  skipLibCheck: true,
  rootDir: ".",
  outDir: "out",
};

/** What the generator exports by a name, of one of its files. */
async function exportsOf(file: string, kind: "type" | "const"): Promise<string[]> {
  const code = await readFile(join(folder.path, "client", file), "utf8");
  return [...code.matchAll(new RegExp(`^export ${kind} (\\w+)`, "gm"))].map(([, name = ""]) => name);
}

beforeAll(async () => {
  folder = await mkdtempDisposable(join(tmpdir(), "dcm-test-hey-api-"));
  const here = (name: string) => join(folder.path, name);
  await symlink(modules, here("node_modules"));
  await copyFile(join(import.meta.dirname, "heyApi/flow.ts"), here("flow.ts"));
  await writeFile(here("package.json"), JSON.stringify({ type: "module" }));
  await writeFile(here("tsconfig.json"), JSON.stringify({ compilerOptions, include: ["flow.ts", "client"] }));
  const generator = join(modules, "@hey-api/openapi-ts/bin/run.js");
  const made = await run(process.execPath, [generator, "-i", contract, "-o", here("client"), "--no-log-file"], {
    cwd: folder.path,
    env: { ...process.env, NO_COLOR: "1" },
  });
  said = made.stdout + made.stderr;
}, 60_000);
afterAll(() => folder.remove());

test("@hey-api/openapi-ts renames nothing and warns of nothing", async () => {
  expect(said).not.toMatch(/warn|⚠|renam|duplicate|conflict/i);
  const document = parse(await readFile(contract, "utf8"));
  const types = await exportsOf("types.gen.ts", "type");
  expect(types).toEqual(expect.arrayContaining(Object.keys(document.components.schemas)));
  // Of two things with one name the second would get a number.
  expect(types.filter((name) => /\d$/.test(name))).toEqual([]);
  const methods = Object.values(document.paths as Record<string, Record<string, { operationId?: string }>>);
  const operations = methods.flatMap((path) => Object.values(path).flatMap(({ operationId }) => operationId ?? []));
  expect((await exportsOf("sdk.gen.ts", "const")).sort()).toEqual(operations.sort());
});

test("a TypeScript client made by @hey-api/openapi-ts compiles as it is, and orders, pays, cancels, lists and reads refusals", async () => {
  const compiler = join(modules, "typescript7/bin/tsc");
  const compiled = await run(process.execPath, [compiler, "-p", folder.path]).catch((error) => error);
  expect(compiled.stdout).toBe("");

  await using platform = await startPlatform();
  const { initiator, recipient, merchant } = platform;
  const given = {
    url: platform.url(),
    merchant: { uid: merchant.uid, key: merchant.key.privateJwk },
    initiator: { guid: initiator.guid, bic: initiator.bic, account: initiator.iban, key: initiator.key.privateJwk },
    recipient: { guid: recipient.guid, key: recipient.key.privateJwk },
  };
  const flow = spawn(process.execPath, [join(folder.path, "out/flow.js"), JSON.stringify(given)], { timeout: 50_000 });
  const complaints = text(flow.stderr);
  const ended = once(flow, "close");
  const lines: Record<string, unknown>[] = [];
  for await (const line of createInterface({ input: flow.stdout })) {
    lines.push(JSON.parse(line));
    if (lines.length > 1) continue;
    const { settlements } = platform.operators();
    await settlements.closeRegisters({ day: kyivTime(new Date()).date, allowOpenDay: true });
  }
  await ended;
  expect(await complaints).toBe("");
  const [{ paid } = { paid: undefined }, told] = lines;
  expect(told).toEqual({
    guid: paid,
    status: "success",
    reason: "Payment message is approved",
    seenByRecipient: paid,
    exists: { http: 409, code: "PAYMENT_MESSAGE_EXISTS", guid: paid },
    unknown: "ORDER_NOT_FOUND",
    stranger: "AUTHORIZATION_FAILED",
    canceled: "Canceled",
    tooLate: "ORDER_IS_BEING_PAID",
    register: { total: "150.75", payments: [paid] },
  });
  await platform.endsAllCallbacks();
}, 120_000);
