import { escaped, page } from "./html.ts";

type Described = { description?: string; $ref?: string };
type Operation = Described & {
  operationId: string;
  summary?: string;
  deprecated?: boolean;
  tags?: string[];
  parameters?: (Described & { name?: string; in?: string; required?: boolean })[];
  requestBody?: Described;
  responses?: Record<string, Described>;
};
type Schema = Described & { properties?: Record<string, Described>; required?: string[]; allOf?: Schema[] };

/** The parts of an OpenAPI document that the page shows. */
export type OpenapiPage = {
  info: { title: string; version: string; description?: string };
  paths: Record<string, Record<string, Operation>>;
  webhooks?: Record<string, Record<string, Operation>>;
  components: Record<string, Record<string, Schema>>;
};

/** The contract for people: one static page without scripts or external resources, rendered once. */
export function docsPage(document: OpenapiPage): string {
  const { info } = document;
  const content = [
    `<h1>${escaped(info.title)} ${escaped(info.version)}</h1>`,
    prose(info.description),
    '<p>For tools: <a href="/openapi.yaml">openapi.yaml</a>, <a href="/openapi.json">openapi.json</a>.</p>',
    "<h2>Operations</h2>",
    ...operationSections(document, document.paths),
    "<h2>Callbacks</h2>",
    ...operationSections(document, document.webhooks ?? {}),
    "<h2>Schemas</h2>",
    ...Object.entries(document.components.schemas ?? {}).map(([name, schema]) => schemaSection(document, name, schema)),
  ].join("\n");
  return page({ lang: "en", title: info.title, kind: "docs", content });
}

function operationSections(document: OpenapiPage, items: Record<string, Record<string, Operation>>): string[] {
  return Object.entries(items).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => operationSection(document, path, method, operation)),
  );
}

function operationSection(document: OpenapiPage, path: string, method: string, operation: Operation): string {
  const parameters = (operation.parameters ?? []).map((parameter) => resolved(document, parameter));
  const rows = parameters.map((parameter) => [
    parameter.name ?? "",
    `${parameter.in ?? ""}${parameter.required ? ", required" : ""}`,
    parameter.description ?? "",
  ]);
  const body = operation.requestBody && resolved(document, operation.requestBody).description;
  const responses = Object.entries(operation.responses ?? {}).map(([status, response]) => [
    status,
    resolved(document, response).description ?? "",
  ]);
  return [
    `<section id="${escaped(operation.operationId)}"><h3>${escaped(operation.summary ?? operation.operationId)}</h3>`,
    `<p><code>${escaped(method.toUpperCase())} ${escaped(path)}</code>${operation.deprecated ? " (deprecated)" : ""}</p>`,
    prose(operation.description),
    table(["Parameter", "Where", "Meaning"], rows),
    body === undefined ? "" : prose(`**Body.** ${body}`),
    table(["Status", "Meaning"], responses),
    "</section>",
  ].join("\n");
}

function schemaSection(document: OpenapiPage, name: string, schema: Schema): string {
  const rows = fields(document, schema).map(([field, description, isRequired]) => [
    field,
    isRequired ? "required" : "",
    description,
  ]);
  const title = `<section id="schema-${escaped(name)}"><h3><code>${escaped(name)}</code></h3>`;
  return [title, prose(schema.description), table(["Field", "", "Meaning"], rows), "</section>"].join("\n");
}

function fields(document: OpenapiPage, schema: Schema): [name: string, description: string, isRequired: boolean][] {
  const own = Object.entries(schema.properties ?? {}).map(([name, property]): [string, string, boolean] => [
    name,
    property.description ?? resolved(document, property).description ?? "",
    schema.required?.includes(name) ?? false,
  ]);
  return [...(schema.allOf ?? []).flatMap((part) => fields(document, resolved(document, part))), ...own];
}

function resolved<T extends Described>(document: OpenapiPage, value: T): T {
  if (value.$ref === undefined) return value;
  const [, , section = "", name = ""] = value.$ref.split("/");
  return (document.components[section]?.[name] ?? value) as T;
}

function table(head: string[], rows: string[][]): string {
  if (rows.length === 0) return "";
  const cells = (row: string[], tag: string) => row.map((cell) => `<${tag}>${inline(cell)}</${tag}>`).join("");
  const body = rows.map((row) => `<tr>${cells(row, "td")}</tr>`).join("");
  return `<table><thead><tr>${cells(head, "th")}</tr></thead><tbody>${body}</tbody></table>`;
}

function prose(text: string | undefined): string {
  const paragraphs = (text ?? "").split(/\n\s*\n/).filter((paragraph) => paragraph.trim() !== "");
  return paragraphs.map((paragraph) => `<p>${inline(paragraph.trim())}</p>`).join("\n");
}

/** The two marks that the contract's prose uses: code and emphasis. */
function inline(text: string): string {
  return escaped(text)
    .replace(/`([^`]+)`/g, "<code>$1</code>")
    .replace(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>");
}
