import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { claims, type Handlers, type OperationId, operations } from "../../gen/rest/operations.ts";
import { refusals } from "../../gen/rest/refusals.ts";

import { type OpenapiDocument, operationsModule } from "../../scripts/restModules.ts";

type Node = { [key: string]: unknown };
const document = parse(readFileSync("openapi/dcm.v1.yaml", "utf8")) as Node;
const schemas = (document.components as { schemas: { [name: string]: Node } }).schemas;

/** Every object of the document with its JSON pointer. */
function* nodes(value: unknown, pointer = "#"): Generator<[pointer: string, node: Node]> {
  if (typeof value !== "object" || value === null) return;
  if (!Array.isArray(value)) yield [pointer, value as Node];
  for (const [key, part] of Object.entries(value)) {
    if (key === "example" || key === "examples") continue;
    yield* nodes(part, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
  }
}

const all = [...nodes(document)];
const ajv = new Ajv2020.default({ strict: false, allErrors: true });
addFormats.default(ajv);
ajv.addSchema(document, "dcm");
const encoded = (pointer: string) =>
  pointer
    .slice(2)
    .split("/")
    .map((step) => encodeURIComponent(step))
    .join("/");

function problems(pointer: string, value: unknown): unknown {
  const validate = ajv.getSchema(`dcm#/${encoded(pointer)}`);
  if (!validate) return `no schema at ${pointer}`;
  return validate(value) ? [] : validate.errors;
}

function examplesOf(name: string): Node[] {
  return (schemas[name]?.examples ?? []) as Node[];
}

function nameOf(reference: unknown): string {
  return String(reference).split("/").at(-1) ?? "";
}

describe("examples", () => {
  const bodies = all.filter(([pointer, node]) => /\/content\/[^/]+$/.test(pointer) && node.schema !== undefined);

  /** One example, or several by name. */
  const examplesIn = ({ example, examples }: Node): unknown[] =>
    examples === undefined ? [example] : Object.values(examples as Record<string, Node>).map(resolvedValue);
  const shared = (document.components as { examples: { [name: string]: Node } }).examples;
  const resolvedValue = ({ $ref, value }: Node) => ($ref === undefined ? value : shared[nameOf($ref)]?.value);

  test.each(bodies)("%s has examples, and its schema accepts each", (pointer, node) => {
    for (const example of examplesIn(node)) {
      expect(example).toBeDefined();
      expect(problems(`${pointer}/schema`, example)).toEqual([]);
    }
  });

  const exemplified = Object.entries(schemas).filter(([, schema]) => schema.examples !== undefined);

  test.each(exemplified)("%s accepts its own examples", (name, schema) => {
    for (const example of schema.examples as unknown[]) {
      expect(problems(`#/components/schemas/${name}`, example)).toEqual([]);
    }
  });

  test.each(Object.keys(claims).filter((name) => name !== "ExpirationBody"))("%s has an example", (name) => {
    expect(examplesOf(name)).not.toHaveLength(0);
  });
});

describe("prose", () => {
  const described = all.filter(
    ([pointer, node]) =>
      /\/properties\/[^/]+$/.test(pointer) ||
      /^#\/components\/schemas\/[^/]+$/.test(pointer) ||
      (/\/responses\/[^/]+$/.test(pointer) && !node.$ref),
  );

  test.each(described)("%s has a sentence", (_pointer, node) => {
    const target = node.$ref ? schemas[nameOf(node.$ref)] : node;
    expect(target?.description).toMatch(/\S.*\.\s*$/s);
  });

  const enumerations = all.filter(([, node]) => Array.isArray(node.enum));

  test.each(enumerations)("%s has a sentence for every value", (_pointer, node) => {
    const texts = node["x-enumDescriptions"] as Record<string, string>;
    expect(Object.keys(texts).sort()).toEqual((node.enum as unknown[]).map(String).sort());
    for (const text of Object.values(texts)) expect(text).toMatch(/\.$/);
  });
});

describe("codes", () => {
  test("every code of a field is a documented error code", () => {
    const documented = new Set(schemas.ErrorCode?.enum as string[]);
    const used = all.flatMap(([, node]) => (typeof node["x-dcm-code"] === "string" ? [node["x-dcm-code"]] : []));
    expect(used.filter((code) => !documented.has(code))).toEqual([]);
    expect(used.length).toBeGreaterThan(30);
  });

  // The codes of shared answers are easily declared where nobody can be answered so, or forgotten where somebody is.
  test.each(Object.entries(operations))("%s: who asks says which refusals there are", (id, operation) => {
    const codes = Object.keys(refusals[id as OperationId]);
    const { access, method, path, needsAccess, errorFamily } = operation;
    const isSigned = needsAccess || (access as readonly string[]).includes("merchant");
    const worksForSuspended = errorFamily === "SettlementErrorAnswer";
    const expected = {
      AUTHORIZATION_FAILED: isSigned,
      PARTICIPANT_SUSPENDED: isSigned && !worksForSuspended,
      FORBIDDEN: path.includes("{counterparty_guid}"),
      TOKEN_STALE: needsAccess,
      TOKEN_REPLAYED: needsAccess && method !== "get",
    };
    const declared = Object.keys(expected).map((code) => [code, codes.includes(code)]);
    expect(Object.fromEntries(declared)).toEqual(expected);
  });

  test("every field of the tokens that arrive has a code", () => {
    for (const name of [
      "OrderClaims",
      "OrderCancellationClaims",
      "PaymentMessageClaims",
      "CxAuthorizationClaims",
    ] as const) {
      const required = schemas[name]?.required as string[];
      expect(Object.keys(claims[name].codes)).toEqual(expect.arrayContaining(required.map((field) => `/${field}`)));
    }
  });
});

describe("generated code", () => {
  test("the route table has every operation of the document", () => {
    const documented = all.filter(([pointer]) => pointer.startsWith("#/paths/")).map(([, node]) => node.operationId);
    expect(Object.keys(operations).sort()).toEqual(documented.filter(Boolean).map(String).sort());
  });

  type Operation = { security?: unknown[]; "x-access": string[] };
  const pathsOf = (changed: Node) => changed.paths as { [path: string]: { [method: string]: Operation } };

  test.each<[string, string, string, Partial<Operation>]>([
    ["a merchant by nothing", "/api/v1/merchants/callbacks/missed", "get", { security: [] }],
    [
      "a merchant by a Cx-Authorization beside its order",
      "/api/v1/merchants/order",
      "post",
      { security: [{ Cx: [] }] },
    ],
    ["a merchant where nobody shows who asks", "/api/v1/merchants/emitters", "get", { "x-access": ["merchant"] }],
    ["a bank without Cx-Authorization", "/api/v1/merchants/order", "post", { "x-access": ["bank"] }],
    ["anybody with a Cx-Authorization", "/api/v1/merchants/callbacks/missed", "get", { "x-access": ["anybody"] }],
    ["nobody", "/api/v1/merchants/callbacks/missed", "get", { "x-access": [] }],
  ])("an operation that admits %s stops the generator", (_who, path, method, change) => {
    const changed = structuredClone(document);
    Object.assign(pathsOf(changed)[path]?.[method] ?? {}, change);
    expect(() => operationsModule(changed as unknown as OpenapiDocument)).toThrow("does not fit its security");
  });

  const example = () => structuredClone(examplesOf("PaymentMessageClaims")[0] as Node);

  test.each([
    ["a missing field", (message: Node) => delete message.order_id, { keyword: "required", instancePath: "" }],
    ["a number as a string", (message: Node) => Object.assign(message, { amount: "5" }), { instancePath: "/amount" }],
    ["zero", (message: Node) => Object.assign(message, { amount: 0 }), { instancePath: "/amount" }],
    ["too much", (message: Node) => Object.assign(message, { amount: 1e9 }), { instancePath: "/amount" }],
    ["an impossible date", (message: Node) => Object.assign(message, { msg_creation_date: "2023-02-30" }), {}],
    ["a readable name", (message: Node) => Object.assign(message.debtor as Node, { debtor_name: "Taras" }), {}],
    ["a control character", (message: Node) => Object.assign(message, { purpose: "a\u0000b" }), {}],
  ])("PaymentMessageClaims: %s is refused", (_what, change, problem) => {
    const message = example();
    change(message);
    const { validate } = claims.PaymentMessageClaims;
    expect(validate(message)).toBe(false);
    expect(validate.errors?.[0]).toMatchObject(problem);
  });

  test("PaymentMessageClaims: unknown fields are accepted", () => {
    expect(claims.PaymentMessageClaims.validate({ ...example(), novelty: { deep: [1] } })).toBe(true);
  });

  test("a missing handler, a wrong status and a wrong body do not compile", () => {
    type Some = Handlers<undefined>;
    // @ts-expect-error: there are more operations than one
    const missing: Some = {
      getHealth: async () => ({ status: 200, type: "application/json", body: { status: "ok" } }),
    };
    // @ts-expect-error: 418 is not documented
    const wrongStatus: Some["getHealth"] = async () => ({
      status: 418,
      type: "application/json",
      body: { status: "ok" },
    });
    // @ts-expect-error: the documented status is a constant
    const wrongBody: Some["getHealth"] = async () => ({
      status: 200,
      type: "application/json",
      body: { status: "no" },
    });
    const right: Some["getHealth"] = async () => ({ status: 200, type: "application/json", body: { status: "ok" } });
    expect([missing, wrongStatus, wrongBody, right]).toHaveLength(4);
  });
});
