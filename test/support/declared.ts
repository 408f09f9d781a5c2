import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

type Node = { [key: string]: unknown };
type Answer = {
  headers?: { [name: string]: Node };
  content?: { [type: string]: { schema: Node } };
};
type Operation = { operationId: string; responses: { [status: string]: Node } };

const document = JSON.parse(readFileSync("gen/rest/openapi.json", "utf8")) as Node & {
  paths: { [path: string]: { [method: string]: Operation } };
};
const ajv = new Ajv2020.default({ strict: false, coerceTypes: true });
addFormats.default(ajv);
ajv.addSchema(document, "dcm");

/** The pointer of what a reference leads to, and the thing itself. */
function followed(pointer: string): { pointer: string; value: Node } {
  const steps = pointer.slice(2).split("/");
  const value = steps.reduce<unknown>(
    (at, step) => (at as Node)?.[step.replaceAll("~1", "/").replaceAll("~0", "~")],
    document,
  ) as Node;
  return typeof value?.$ref === "string" ? followed(value.$ref) : { pointer, value };
}

const step = (name: string) => name.replaceAll("~", "~0").replaceAll("/", "~1");

function accepts(pointer: string, value: unknown): string[] {
  const encoded = pointer.slice(2).split("/").map(encodeURIComponent).join("/");
  const validate = ajv.getSchema(`dcm#/${encoded}`);
  if (!validate) return [`there is no schema at ${pointer}`];
  // Coercion needs a place to write to.
  return validate(structuredClone(value)) ? [] : [ajv.errorsText(validate.errors)];
}

/** What HTTP itself adds to any answer. */
const ofHttp = /^(date|connection|keep-alive|content-type|content-length|transfer-encoding|content-encoding)$/;

function operationOf(method: string, path: string): { pointer: string; operation: Operation } | undefined {
  const bare = path.replace(/^\/+/, "/").replace(/\?.*$/s, "");
  for (const [template, item] of Object.entries(document.paths)) {
    const pattern = new RegExp(`^${template.replaceAll(".", "\\.").replaceAll(/\{\w+\}/g, "[^/]+")}/?$`, "i");
    const verb = method === "HEAD" ? "get" : method.toLowerCase();
    // An answer to another method is declared at the methods that the path has.
    const known = item[verb] ? verb : Object.keys(item)[0];
    if (pattern.test(bare) && known) {
      return { pointer: `#/paths/${step(template)}/${known}`, operation: item[known] as Operation };
    }
  }
  return undefined;
}

export type SeenAnswer = { status: number; headers: Headers; text: string };

/** What an answer has that the contract does not declare at its operation, and what it lacks; nothing for paths of no operation. */
export function undeclared(method: string, path: string, { status, headers, text }: SeenAnswer): string[] {
  const found = operationOf(method, path);
  if (!found) return [];
  const place = `${found.pointer}/responses/${status}`;
  if (!found.operation.responses[status]) return [`the status ${status} is not declared`];
  const { pointer, value } = followed(place);
  const answer = value as Answer;
  const declared = Object.keys(answer.headers ?? {});
  const superfluous = [...headers.keys()].filter(
    (name) => !ofHttp.test(name) && !declared.some((other) => other.toLowerCase() === name),
  );
  const wrong = declared.flatMap((name) => {
    const header = followed(`${pointer}/headers/${name}`);
    const sent = headers.get(name);
    if (sent === null) return header.value.required ? [`the header ${name} is missing`] : [];
    return accepts(followed(`${header.pointer}/schema`).pointer, sent).map((problem) => `${name}: ${problem}`);
  });
  return [...superfluous.map((name) => `the header ${name} is not declared`), ...wrong, ...contentProblems()];

  function contentProblems(): string[] {
    if (method === "HEAD") return [];
    const type = headers.get("content-type")?.split(";")[0] ?? "";
    if (answer.content === undefined) return text === "" ? [] : ["no content is declared"];
    if (answer.content[type] === undefined) return [`the content type ${type} is not declared`];
    const body = type === "application/json" ? JSON.parse(text) : text;
    return accepts(followed(`${pointer}/content/${step(type)}/schema`).pointer, body);
  }
}
