import { type Html, html, pageHeaders, trusted } from "../../html.ts";

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

const style = `
  :root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 0 auto; padding: 1rem; }
  section { border-top: 1px solid; margin-top: 1.5rem; }
  table { border-collapse: collapse; width: 100%; }
  th, td { border-bottom: 1px solid; padding: 0.25rem 0.5rem; text-align: left; vertical-align: top; }
  code { font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
`;

export const docsPageHeaders = pageHeaders({ style });

/** The contract for people: one static page without scripts or external resources, rendered once. */
export function docsPage(document: OpenapiPage): string {
  const { info } = document;
  return html`<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>${info.title}</title><style>${trusted(style)}</style></head>
<body><main><h1>${info.title} ${info.version}</h1>
${prose(info.description)}
<p>For tools: <a href="/openapi.yaml">openapi.yaml</a>, <a href="/openapi.json">openapi.json</a>.</p>
<h2>Operations</h2>
${operationSections(document, document.paths)}
<h2>Callbacks</h2>
${operationSections(document, document.webhooks ?? {})}
<h2>Schemas</h2>
${Object.entries(document.components.schemas ?? {}).map(([name, schema]) => schemaSection(document, name, schema))}</main></body>
</html>`.markup;
}

function operationSections(document: OpenapiPage, items: Record<string, Record<string, Operation>>): Html[] {
  return Object.entries(items).flatMap(([path, item]) =>
    Object.entries(item).map(([method, operation]) => operationSection(document, path, method, operation)),
  );
}

function operationSection(document: OpenapiPage, path: string, method: string, operation: Operation): Html {
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
  return html`<section id="${operation.operationId}"><h3>${operation.summary ?? operation.operationId}</h3>
<p><code>${method.toUpperCase()} ${path}</code>${operation.deprecated ? " (deprecated)" : ""}</p>
${prose(operation.description)}
${table(["Parameter", "Where", "Meaning"], rows)}
${body !== undefined && prose(`**Body.** ${body}`)}
${table(["Status", "Meaning"], responses)}
</section>
`;
}

function schemaSection(document: OpenapiPage, name: string, schema: Schema): Html {
  const rows = fields(document, schema).map(([field, description, isRequired]) => [
    field,
    isRequired ? "required" : "",
    description,
  ]);
  return html`<section id="schema-${name}"><h3><code>${name}</code></h3>
${prose(schema.description)}
${table(["Field", "", "Meaning"], rows)}
</section>
`;
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

function table(head: string[], rows: string[][]): Html | undefined {
  if (rows.length === 0) return undefined;
  const columns = head.map((cell) => html`<th>${inline(cell)}</th>`);
  const body = rows.map((row) => html`<tr>${row.map((cell) => html`<td>${inline(cell)}</td>`)}</tr>`);
  return html`<table><thead><tr>${columns}</tr></thead><tbody>${body}</tbody></table>`;
}

function prose(text: string | undefined): Html[] {
  const paragraphs = (text ?? "").split("\n\n").filter((paragraph) => paragraph.trim() !== "");
  return paragraphs.map((paragraph) => html`<p>${inline(paragraph.trim())}</p>\n`);
}

/** The two marks that the contract's prose uses: code and emphasis. */
function inline(text: string): Html[] {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((piece) => {
    if (/^`[^`]+`$/.test(piece)) return html`<code>${piece.slice(1, -1)}</code>`;
    return /^\*\*[^*]+\*\*$/.test(piece) ? html`<strong>${piece.slice(2, -2)}</strong>` : html`${piece}`;
  });
}
