import { spawn } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { quietTools, steps } from "../../scripts/checkSteps.ts";

// Everything that breaks is done in one copy and looked for in what the check's own step says: each run takes seconds.

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

/** The contract and its baseline, alone, so that a test can break it. */
function copyOfContract(): string {
  const folder = mkdtempSync(join(tmpdir(), "dcm-compatibility-"));
  folders.push(folder);
  for (const name of ["openapi", "proto", "contract", "redocly.yaml", "buf.yaml"])
    cpSync(name, join(folder, name), { recursive: true });
  return folder;
}

/** Runs a step of the check in a folder. */
function check(name: string, folder: string): Promise<{ code: number | null; said: string }> {
  const [command = "", ...args] = steps.find((step) => step.name === name)?.command ?? [];
  const path = `${resolve("node_modules/.bin")}${delimiter}${process.env.PATH}`;
  return new Promise((done, fail) => {
    const child = spawn(command, args, { cwd: folder, env: { ...process.env, ...quietTools, PATH: path } });
    let said = "";
    const hear = (part: Buffer) => {
      said += part;
    };
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    child.once("error", fail);
    child.once("close", (code) => done({ code, said }));
  });
}

type Node = Record<string, unknown>;

/** A part of the document by its keys. */
function at(document: Node, ...keys: string[]): Node {
  return keys.reduce<unknown>((node, key) => (node as Node)[key], document) as Node;
}

function rename(map: Node, from: string, to: string): void {
  if (!(from in map)) throw new Error(`there is no ${from}`);
  map[to] = map[from];
  delete map[from];
}

function openapiCopy(change: (document: Node) => void): string {
  const folder = copyOfContract();
  const file = join(folder, "openapi/dcm.v1.yaml");
  const document = parse(readFileSync(file, "utf8")) as Node;
  // What is judged is the change that the test makes, whatever has been added since the last release.
  writeFileSync(join(folder, "contract/baseline/dcm.v1.yaml"), stringify(document));
  change(document);
  writeFileSync(file, stringify(document, { aliasDuplicateObjects: false }));
  return folder;
}

function protoCopy(changes: readonly Change[]): string {
  const folder = copyOfContract();
  for (const [name, before, after] of changes) {
    const file = join(folder, "proto/dcm/v1", name);
    const text = readFileSync(file, "utf8");
    if (!text.includes(before)) throw new Error(`${name} has no ${before}`);
    writeFileSync(file, text.replace(before, after));
  }
  return folder;
}

type Change = readonly [file: string, before: string, after: string];

const ofOpenapi = "OpenAPI compatibility with the last release";
const ofProto = "Protobuf compatibility with the last release";
const schema = (document: Node, name: string, ...keys: string[]) =>
  at(document, "components", "schemas", name, ...keys);
const operation = (document: Node, path: string, method: string) => at(document, "paths", path, method);

describe("the check fails on what breaks REST clients", () => {
  const breaks: readonly [what: string, change: (document: Node) => void, says: string][] = [
    [
      "a field of an answer is removed",
      (document) => delete schema(document, "OrderCreated", "properties").link_qr,
      "Property `link_qr` of `OrderCreated` was removed",
    ],
    [
      "an answer no longer always has a field",
      (document) => Object.assign(schema(document, "PaymentMessageCreated"), { required: [] }),
      "Properties of `PaymentMessageCreated` are no longer required: `guid`",
    ],
    [
      "a request needs a field more",
      (document) => (schema(document, "NewKeyEnvelope").required as string[]).push("kid"),
      "Properties of `NewKeyEnvelope` became required: `kid`",
    ],
    [
      "an order needs a claim more",
      (document) => (schema(document, "OrderClaims").required as string[]).push("fri"),
      "Properties of `OrderClaims` became required: `fri`",
    ],
    [
      "a request may not say a value any more",
      (document) => (schema(document, "PaymentType").enum as string[]).splice(1, 1),
      "lost values: 'p2p'",
    ],
    [
      "a limit is narrowed",
      (document) => Object.assign(schema(document, "Amount"), { maximum: 1000 }),
      "Upper bound of `Amount` changed",
    ],
    [
      "a path is removed",
      (document) => delete at(document, "paths")["/api/v1/merchants/emitters"],
      "Path `/api/v1/merchants/emitters` was removed",
    ],
    [
      "an operation has another name",
      (document) => Object.assign(operation(document, "/healthz", "get"), { operationId: "health" }),
      "changed from 'getHealth' to 'health'",
    ],
    [
      "a status is answered no more",
      (document) => delete at(operation(document, "/api/v1/payment_message", "post"), "responses")["409"],
      "Response `409` was removed",
    ],
    ["a callback is removed", (document) => delete at(document, "webhooks").credit, "Webhook `credit` was removed"],
    [
      "a callback has another name",
      (document) => rename(at(document, "webhooks"), "payOut", "paidOut"),
      "Webhook payOut was renamed to paidOut",
    ],
    [
      "a callback has another header",
      (document) => Object.assign(at(document, "components", "parameters", "CallbackKindHeader"), { name: "X-Kind" }),
      "changed from X-Callback-Kind to X-Kind",
    ],
    [
      "the claims of a callback lose a field",
      (document) => delete schema(document, "PayInMerchantClaims", "allOf", "1", "properties").currency,
      "Property `currency` was removed",
    ],
    [
      "a closed enumeration gains a value",
      (document) => (schema(document, "RegisterStatus").enum as string[]).push("Lost"),
      "A closed enumeration gained values: Lost",
    ],
    [
      "a field is refused with another code",
      (document) => Object.assign(schema(document, "Currency"), { "x-dcm-code": "INVALID_REQUEST" }),
      "refused with INVALID_REQUEST instead of INVALID_CURRENCY",
    ],
  ];
  let answer: { code: number | null; said: string };
  beforeAll(async () => {
    const folder = openapiCopy((document) => {
      for (const [, change] of breaks) change(document);
    });
    answer = await check(ofOpenapi, folder);
  }, 60_000);

  test.each(breaks)("%s", (_what, _change, says) => {
    const breaking = answer.said.split("\n").filter((line) => /^ {6}\S.* \([a-z/-]+\)$/.test(line));
    expect(breaking).toContainEqual(expect.stringContaining(says));
    expect(answer.code).toBe(1);
  });
});

test("what is added breaks no REST client", async () => {
  const novelty = { type: "string", description: "New." };
  const folder = openapiCopy((document) => {
    Object.assign(schema(document, "OrderCreated", "properties"), { novelty });
    Object.assign(schema(document, "OrderClaims", "properties"), { novelty });
    Object.assign(schema(document, "PayInMerchantClaims", "allOf", "1", "properties"), { novelty });
    (schema(document, "ErrorCode").enum as string[]).push("NEW_CODE");
    (schema(document, "CallbackKind").enum as string[]).push("news");
    (schema(document, "PaymentType").enum as string[]).push("gift");
    at(document, "webhooks").news = { post: { operationId: "news", responses: { "2XX": { description: "Heard." } } } };
  });
  const { code, said } = await check(ofOpenapi, folder);
  expect(said).toMatch(/\b0 major, [1-9]\d* minor/);
  expect(code).toBe(0);
}, 60_000);

describe("the check fails on what breaks RPC clients", () => {
  const breaks: readonly [what: string, change: Change, says: RegExp][] = [
    [
      "a field has another name",
      ["order.proto", " string ref = ", " string reference = "],
      /field .* name.*"reference"/i,
    ],
    ["a field has another number", ["money.proto", " currency = 1;", " currency = 77;"], /field "1".*"Money".*deleted/],
    ["a method is removed", ["order_service.proto", "rpc GetOrder(", "rpc ReadOrder("], /RPC "GetOrder".*deleted/],
    [
      "a value of an enumeration is removed",
      ["order.proto", "ORDER_STATUS_CANCELED = 4", "ORDER_STATUS_CANCELED = 5"],
      /value "4".*deleted/,
    ],
    [
      "an answer has another type",
      ["settlement.proto", "int32 payment_count", "string payment_count"],
      /"int32" to "string"/,
    ],
  ];
  let answer: { code: number | null; said: string };
  beforeAll(async () => {
    answer = await check(ofProto, protoCopy(breaks.map(([, change]) => change)));
  }, 60_000);

  test.each(breaks)("%s", (_what, _change, says) => {
    expect(answer.said).toMatch(says);
    expect(answer.code).toBe(100);
  });
});

test("what is added breaks no RPC client", async () => {
  const folder = protoCopy([
    ["money.proto", "message Money {", "message Money {\n  string novelty = 77;"],
    ["order.proto", "ORDER_STATUS_CANCELED = 4;", "ORDER_STATUS_CANCELED = 4;\n  ORDER_STATUS_NEW = 77;"],
  ]);
  expect(await check(ofProto, folder)).toEqual({ code: 0, said: "" });
}, 60_000);
