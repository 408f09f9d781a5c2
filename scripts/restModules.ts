// The text of gen/rest: a route table, compiled validators, and the types that tie Express handlers to the contract.

import Ajv2020 from "ajv/dist/2020.js";
import standaloneCode from "ajv/dist/standalone/index.js";
import addFormats from "ajv-formats";
import { deprecationOf, type MaybeDeprecated } from "./deprecation.ts";

type Schema = { [keyword: string]: unknown };
type Parameter = { name: string; in: string; required?: boolean; schema: Schema };
type Content = { [mediaType: string]: { schema?: Schema } };
export type Response = {
  content?: Content;
  headers?: { [name: string]: { $ref?: string } };
  "x-dcm-codes"?: readonly string[];
};
export type Operation = MaybeDeprecated & {
  security?: unknown[];
  "x-access"?: readonly string[];
  "x-dcm-error-texts"?: { [code: string]: string };
  /** Codes by status, beside those that a shared response has. */
  "x-dcm-codes"?: { readonly [status: string]: readonly string[] };
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Content };
  responses: { [status: string]: Response };
};
export type OpenapiDocument = {
  "x-example-keys": { [party: string]: unknown };
  paths: { [path: string]: { [method: string]: Operation } };
  components: { schemas: { [name: string]: Schema } };
  "x-dcm-limits": { readonly [name: string]: { value: number } };
};

/** The payloads of tokens: validated after the signature, apart from the body. CallbackClaims is only a part of others. */
const claimsSchemas = /(?<!^Callback)Claims$|^ExpirationBody$/;
const ownKeywords = [
  "x-dcm-code",
  "x-dcm-closed",
  "x-dcm-error-texts",
  "x-dcm-problem",
  "x-enumDescriptions",
  "x-enum-varnames",
  "x-jwt-claims",
  "example",
];
const documentId = "dcm";
const methods = ["get", "put", "post", "delete", "patch"];

export type Route = { path: string; method: string; operation: Operation; parameters: Parameter[]; body?: Content };

export function routes(document: OpenapiDocument): Route[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    methods.flatMap((method): Route[] => {
      const operation = item[method];
      if (!operation) return [];
      const parameters = (operation.parameters ?? []).map((parameter) => resolved<Parameter>(document, parameter));
      const body = operation.requestBody && resolved<{ content: Content }>(document, operation.requestBody).content;
      return [{ path, method, operation, parameters, ...(body ? { body } : {}) }];
    }),
  );
}

/** Follows `$ref` inside the document, as often as it takes. */
export function resolved<T>(document: OpenapiDocument, value: unknown): T {
  let current = value;
  while (typeof current === "object" && current !== null && "$ref" in current) {
    const steps = String(current.$ref).replace(/^#\//, "").split("/");
    current = steps.reduce<unknown>((at, step) => (at as Schema)[step.replaceAll("~1", "/")], document);
  }
  return current as T;
}

/** A schema taken out of the document: its references must name the document again. */
function detached(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(detached);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, part]) => [key, key === "$ref" ? `${documentId}${part}` : detached(part)]),
  );
}

function parametersSchema(route: Route, place: "path" | "query"): Schema | undefined {
  const wanted = route.parameters.filter((parameter) => parameter.in === place);
  if (wanted.length === 0) return undefined;
  return {
    type: "object",
    required: wanted.filter((parameter) => parameter.required).map((parameter) => parameter.name),
    properties: Object.fromEntries(wanted.map((parameter) => [parameter.name, detached(parameter.schema)])),
  };
}

/** One ESM module with a compiled validator per name. */
function compiled(document: OpenapiDocument, schemas: { [name: string]: Schema }, coerceTypes: boolean): string {
  const ajv = new Ajv2020.default({
    // Only the schemas are handed over, and OpenAPI's own keywords are named: any other unknown keyword is a slip.
    strict: true,
    strictTypes: false,
    strictRequired: false,
    allErrors: false,
    coerceTypes,
    useDefaults: coerceTypes,
    code: { source: true, esm: true },
  });
  addFormats.default(ajv);
  ajv.addVocabulary([...ownKeywords, "components"]);
  ajv.addSchema({ components: { schemas: document.components.schemas } }, documentId);
  const names: { [name: string]: string } = {};
  for (const [name, schema] of Object.entries(schemas)) {
    ajv.addSchema(schema, name);
    names[name] = name;
  }
  const code = standaloneCode.default(ajv, names).replace(/^"use strict";/, "");
  // The compiled code asks for ajv's run-time pieces in the CommonJS way.
  return [
    "// @ts-nocheck",
    'import { createRequire } from "node:module";',
    "const require = createRequire(import.meta.url);",
    code.replaceAll(/;(?=export const|const |function )/g, ";\n"),
    "",
  ].join("\n");
}

export function validatorModules(document: OpenapiDocument): { [file: string]: string } {
  const parameters: { [name: string]: Schema } = {};
  const bodies: { [name: string]: Schema } = {};
  for (const route of routes(document)) {
    for (const place of ["path", "query"] as const) {
      const schema = parametersSchema(route, place);
      if (schema) parameters[`${route.operation.operationId}_${place}`] = schema;
    }
    const body = route.body?.["application/json"]?.schema;
    if (body) bodies[`${route.operation.operationId}_body`] = detached(body) as Schema;
    const bare = bareSchema(route);
    if (bare) bodies[`${route.operation.operationId}_bareBody`] = detached(bare) as Schema;
  }
  for (const name of claimsNames(document)) bodies[name] = { $ref: `${documentId}#/components/schemas/${name}` };
  return {
    "parameterValidators.ts": compiled(document, parameters, true),
    "validators.ts": compiled(document, bodies, false),
  };
}

/** The schema of a body that is no JSON but a token by itself: one for all its media types. */
function bareSchema({ operation, body = {} }: Route): Schema | undefined {
  const schemas = Object.entries(body).flatMap(([type, { schema }]) => (type === "application/json" ? [] : [schema]));
  const [first, ...others] = schemas;
  if (others.some((other) => JSON.stringify(other) !== JSON.stringify(first))) {
    throw new Error(`${operation.operationId}: the media types of its bare body have different schemas`);
  }
  return first;
}

function claimsNames(document: OpenapiDocument): string[] {
  return Object.keys(document.components.schemas).filter((name) => claimsSchemas.test(name));
}

/** A schema and what its allOf adds to it. */
function partsOf(document: OpenapiDocument, schema: unknown): Schema[] {
  const own = resolved<Schema>(document, schema);
  return [own, ...((own.allOf as unknown[] | undefined) ?? []).flatMap((part) => partsOf(document, part))];
}

/** Every field below a schema: its JSON pointer, and the parts of its own schema. */
function fieldsOf(document: OpenapiDocument, schema: unknown, pointer = ""): [string, Schema[]][] {
  const properties = partsOf(document, schema).flatMap((part) => Object.entries((part.properties as Schema) ?? {}));
  return properties.flatMap(([name, property]): [string, Schema[]][] => {
    const path = `${pointer}/${name}`;
    return [[path, partsOf(document, property)], ...fieldsOf(document, property, path)];
  });
}

/** The code of every field below a schema that has one. */
function fieldCodes(document: OpenapiDocument, schema: Schema): [string, string][] {
  return fieldsOf(document, schema).flatMap(([pointer, [own]]): [string, string][] =>
    typeof own?.["x-dcm-code"] === "string" ? [[pointer, own["x-dcm-code"]]] : [],
  );
}

/** The fields below a schema that hold texts. */
function textFields(document: OpenapiDocument, schema: Schema): string[] {
  return fieldsOf(document, schema).flatMap(([pointer, parts]) =>
    parts.some(({ type }) => [type].flat().includes("string")) ? [pointer] : [],
  );
}

/** What is said of a text that breaks its schema, where the contract has words for it, by the schema's JSON pointer. */
function ownWords(value: unknown, pointer: string): [string, string][] {
  if (typeof value !== "object" || value === null) return [];
  return Object.entries(value).flatMap(([name, part]): [string, string][] =>
    name === "x-dcm-problem" ? [[pointer, String(part)]] : ownWords(part, `${pointer}/${name}`),
  );
}

function expressPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ":$1");
}

function errorFamily(document: OpenapiDocument, operation: Operation): "ErrorAnswer" | "SettlementErrorAnswer" {
  const schemas = Object.values(operation.responses).map(
    (response) => resolved<Response>(document, response).content?.["application/json"]?.schema?.$ref,
  );
  return schemas.includes("#/components/schemas/SettlementErrorAnswer") ? "SettlementErrorAnswer" : "ErrorAnswer";
}

const needsAccess = ({ security }: Operation) => !Array.isArray(security) || security.length > 0;

/** By what a request shows who asks: its `Cx-Authorization`, a token that is what it asks for, or both. */
type Proof = "nothing" | "access" | "token" | "access and token";

const ofBank: readonly Proof[] = ["access", "access and token"];

/** Who may ask for what: the words of `x-access`, and by what such a caller is known. */
const callers: Record<string, readonly Proof[]> = {
  anybody: ["nothing"],
  // By the token of its order, or by a Cx-Authorization where it asks for something else.
  merchant: ["token", "access"],
  neighbour: ["nothing"],
  bank: ofBank,
  initiator: ofBank,
  recipient: ofBank,
  institution: ofBank,
};

function proofOf(document: OpenapiDocument, { operation, parameters, body = {} }: Route): Proof {
  const places = [
    ...parameters,
    ...parameters.map(({ schema }) => schema),
    ...Object.values(body).map(({ schema }) => schema),
  ];
  const schemas = places.flatMap((place) => [
    ...partsOf(document, place),
    ...fieldsOf(document, place).flatMap(([, parts]) => parts),
  ]);
  const hasToken = schemas.some((schema) => "x-jwt-claims" in schema);
  if (!needsAccess(operation)) return hasToken ? "token" : "nothing";
  return hasToken ? "access and token" : "access";
}

/** The callers that the contract names at an operation; throws where it names none, or not those that its security lets in. */
function accessOf(document: OpenapiDocument, route: Route): readonly string[] {
  const { operation } = route;
  const access = operation["x-access"] ?? [];
  const proof = proofOf(document, route);
  const isRight = access.length > 0 && access.every((name) => callers[name]?.includes(proof));
  if (!isRight) throw new Error(`${operation.operationId}: x-access [${access.join(", ")}] does not fit its security`);
  return access;
}

function successorOf(document: OpenapiDocument, operation: Operation): Route | undefined {
  return routes(document).find((route) => route.operation.operationId === operation["x-dcm-successor"]);
}

function routeRow(document: OpenapiDocument, route: Route): string {
  const { path, method, operation, body } = route;
  const success = Object.keys(operation.responses).find((status) => status.startsWith("2"));
  const row = {
    method,
    path,
    expressPath: expressPath(path),
    access: accessOf(document, route),
    needsAccess: needsAccess(operation),
    requestContentTypes: Object.keys(body ?? {}),
    bodyRequired: Boolean(
      operation.requestBody && resolved<{ required?: boolean }>(document, operation.requestBody).required,
    ),
    successStatus: Number(success),
    errorFamily: errorFamily(document, operation),
    ...deprecationOf(operation, successorOf(document, operation)),
  };
  return `  ${operation.operationId}: ${JSON.stringify(row)},`;
}

function validatorRow(route: Route): string {
  const id = route.operation.operationId;
  const entries = [
    ...(parametersSchema(route, "path") ? [`path: check(parameterValidators.${id}_path)`] : []),
    ...(parametersSchema(route, "query") ? [`query: check(parameterValidators.${id}_query)`] : []),
    ...(route.body?.["application/json"]?.schema ? [`body: check(validators.${id}_body)`] : []),
    ...(bareSchema(route) ? [`bareBody: check(validators.${id}_bareBody)`] : []),
  ];
  return `  ${id}: { ${entries.join(", ")} },`;
}

function claimsRow(document: OpenapiDocument, name: string): string {
  const schema = document.components.schemas[name] as Schema;
  const codes = JSON.stringify(Object.fromEntries(fieldCodes(document, schema)));
  const texts = JSON.stringify(textFields(document, schema));
  return `  ${name}: { validate: check<components["schemas"]["${name}"]>(validators.${name}), codes: ${codes}, texts: ${texts} },`;
}

/** The public keys of the examples, whose private halves everybody has. */
export function exampleKeysModule(document: OpenapiDocument): string {
  const { description: _prose, ...keys } = document["x-example-keys"];
  return `/** The keys that sign the contract's examples. Their private halves are published, so they prove nothing. */
export const exampleKeys = ${JSON.stringify(keys, null, 2)} as const;
`;
}

/** What refusals say letter by letter, by code; what an operation says otherwise, by operation and code. */
export function errorTextsModule(document: OpenapiDocument): string {
  const texts = document.components.schemas.ErrorCode?.["x-dcm-error-texts"];
  const ofOperations = routes(document).flatMap(({ operation }) => {
    const own = operation["x-dcm-error-texts"];
    return own ? [[operation.operationId, own]] : [];
  });
  return `/** What a refusal says letter by letter, by its code. */
export const errorTexts = ${JSON.stringify(texts, null, 2)} as const;

/** What an operation says otherwise. */
export const operationErrorTexts = ${JSON.stringify(Object.fromEntries(ofOperations), null, 2)} as const;
`;
}

/** The name under which answers have a shared header; throws where an answer lacks it, and where it has two names. */
function headerName(document: OpenapiDocument, component: string): string {
  const names = new Set<string | undefined>();
  for (const { operation } of routes(document)) {
    for (const response of Object.values(operation.responses)) {
      const { headers = {} } = resolved<Response>(document, response);
      names.add(Object.keys(headers).find((name) => headers[name]?.$ref === `#/components/headers/${component}`));
    }
  }
  const [name, ...others] = names;
  if (name === undefined || others.length > 0) throw new Error(`the header ${component} is not that of every answer`);
  return name;
}

/** The headers that every answer has, with the value that most answers allow alone: what an answer says otherwise is its own. */
function constantHeaders(document: OpenapiDocument): { [name: string]: string } {
  const answers = routes(document).flatMap(({ operation }) =>
    Object.values(operation.responses).map((response) => resolved<Response>(document, response).headers ?? {}),
  );
  const names = Object.keys(answers[0] ?? {}).filter((name) => answers.every((headers) => name in headers));
  return Object.fromEntries(
    names.flatMap((name) => {
      const values = answers.map((headers) => resolved<{ schema: Schema }>(document, headers[name]).schema.const);
      const times = (value: unknown) => values.filter((other) => other === value).length;
      const usual = values.toSorted((one, other) => times(other) - times(one))[0];
      return typeof usual === "string" ? [[name, usual]] : [];
    }),
  );
}

export function operationsModule(document: OpenapiDocument): string {
  const all = routes(document);
  const words = ownWords(document.components.schemas, "#/components/schemas");
  return `import type { components, operations as Documented } from "./types.ts";
import * as parameterValidators from "./parameterValidators.ts";
import * as validators from "./validators.ts";

/** Where a value breaks its schema. */
export type SchemaProblem = {
  instancePath: string;
  schemaPath: string;
  keyword: string;
  params: Record<string, unknown>;
  message?: string;
};
/** A compiled validator; after a refusal \`errors\` holds the first problem. */
export type Validate<T> = ((value: unknown) => value is T) & { errors?: SchemaProblem[] | null };

const check = <T>(compiled: unknown) => compiled as Validate<T>;

/** Every operation of the contract. */
export const operations = {
${all.map((route) => routeRow(document, route)).join("\n")}
} as const;

export type OperationId = keyof typeof operations;

/** What is validated before a handler sees it. */
export const requestValidators: { [Id in OperationId]: { path?: Validate<unknown>; query?: Validate<unknown>; body?: Validate<unknown>; bareBody?: Validate<unknown> } } = {
${all.map(validatorRow).join("\n")}
};

/** What is said of a text that breaks its schema, by the schema's JSON pointer. */
export const problemWords: { [schemaPath: string]: string } = ${JSON.stringify(Object.fromEntries(words), null, 2)};

/** The payloads of tokens, with the code of each field by its JSON pointer, and the fields that hold texts. */
export const claims = {
${claimsNames(document)
  .map((name) => claimsRow(document, name))
  .join("\n")}
} as const;

export type ClaimsName = keyof typeof claims;

type Parameters<Id extends OperationId, Place extends string> = Documented[Id] extends {
  parameters: { [P in Place]?: infer Values };
}
  ? [Values] extends [undefined | never]
    ? Record<string, never>
    : NonNullable<Values>
  : Record<string, never>;

type JsonBody<Id extends OperationId> = Documented[Id] extends { requestBody: { content: { "application/json": infer Body } } }
  ? Body
  : Documented[Id] extends { requestBody?: { content: { "application/json": infer Body } } }
    ? Body | undefined
    : undefined;

/** What a handler gets: everything validated, numbers and booleans of the query already converted. */
export type OperationInput<Id extends OperationId> = {
  path: Parameters<Id, "path">;
  query: Parameters<Id, "query">;
  body: JsonBody<Id>;
};

/**
 * What the contract describes, with every member named, also those that may be absent: a member that is added to the contract and
 * answered by nobody does not compile. What is \`undefined\` is left out of JSON.
 */
export type Whole<Shape> = Shape extends readonly (infer Item)[]
  ? Whole<Item>[]
  : Shape extends object
    ? {
        [Name in keyof Shape]-?: Record<never, never> extends Pick<Shape, Name>
          ? Whole<Shape[Name]> | undefined
          : Whole<Shape[Name]>;
      }
    : Shape;

/**
 * A body with a list that is too long to be held. It is written as it is read: \`head\`, then the list, page by page. The signal
 * says that nobody reads it any more.
 */
export type Streamed<Body> = {
  [List in keyof Body]: Body[List] extends readonly (infer Item)[]
    ? { head: Omit<Body, List>; list: List; pages: (signal: AbortSignal) => AsyncIterable<readonly Item[]> }
    : never;
}[keyof Body];

type AnswerBody<Body> = { body: Body } | (Body extends readonly unknown[] | string ? never : Stream<Streamed<Body>>);
type Stream<Kind> = [Kind] extends [never] ? never : { stream: Kind };

/** These follow from the route table, whatever the handler does. */
type HeadersOfRoute = "Deprecation" | "Sunset" | "Link";

/** Headers that an answer always has with the same value, unless the contract says otherwise at it. */
export const constantHeaders = ${JSON.stringify(constantHeaders(document))} as const;

/** Carries the identifier of each request. */
export const requestIdHeader = ${JSON.stringify(headerName(document, "RequestId"))};

/** The headers of an answer that are its handler's concern: not those that the server gives to all. */
type OwnHeader<Name, Value> = string extends Name
  ? never
  : Name extends typeof requestIdHeader | HeadersOfRoute
    ? never
    : Name extends keyof typeof constantHeaders
      ? Value extends (typeof constantHeaders)[Name] ? never : Name
      : Name;
type AnswerHeaders<Headers> = { [Name in keyof Headers as OwnHeader<Name, Headers[Name]>]: Headers[Name] };

type WithHeaders<Headers> = keyof Headers extends never ? unknown : { headers: Headers };

/** An event of an answer that is streamed as server-sent events. */
export type ServerSentEvent = { id: number; event: string; data: object };
/** Sends events to a reader until it ends; answers what is to be done when the reader left or the feed has ended. */
export type EventFeed = (reader: { send(event: ServerSentEvent): void; end(): void }) => () => void;

/** Of an answer in several media types a header may belong to one of them only. */
type OfSome<Types, Headers> = IsUnion<Types> extends true ? Partial<Headers> : Headers;
type IsUnion<Types, Each = Types> = Types extends Each ? ([Each] extends [Types] ? false : true) : never;

type Answers<Responses> = {
  [Status in keyof Responses]: Responses[Status] extends { headers: infer Headers; content: infer Content }
    ? {
        [Type in keyof Content]: { status: Status; type: Type } & (Type extends "text/event-stream"
          ? { events: EventFeed }
          : Type extends \`image/\${string}\`
            ? { body: Uint8Array }
            : AnswerBody<Whole<Content[Type]>>) &
          WithHeaders<OfSome<keyof Content, AnswerHeaders<Headers>>>;
      }[keyof Content]
    : Responses[Status] extends { headers: infer Headers }
      ? { status: Status } & WithHeaders<AnswerHeaders<Headers>>
      : never;
}[keyof Responses];

/** What a handler may answer: one of the documented statuses with its body. */
export type OperationOutput<Id extends OperationId> = Answers<Documented[Id]["responses"]>;

/** One handler per operation; a missing or mistyped one does not compile. */
export type Handlers<Context> = {
  [Id in OperationId]: (input: OperationInput<Id>, context: Context) => Promise<OperationOutput<Id>>;
};
`;
}
