// The text of gen/rest/refusals.ts: with which status each operation answers each code.

import { type OpenapiDocument, type Operation, type Response, resolved, routes } from "./restModules.ts";

/** [code, status] of everything that an operation can be refused with. */
type Refusals = readonly (readonly [code: string, status: number])[];

/**
 * The codes of an answer stand at the answer itself (`x-dcm-codes`), or, where an answer is shared and one operation has more
 * codes, at the operation by status. Throws for a refusal that names no code, and for a code that would have two statuses.
 */
function refusalsOf(document: OpenapiDocument, operation: Operation): Refusals {
  const { operationId: id, "x-dcm-codes": more = {} } = operation;
  const undeclared = Object.keys(more).filter((status) => operation.responses[status] === undefined);
  if (undeclared.length > 0) throw new Error(`${id}: x-dcm-codes names ${undeclared}, which is no answer of it`);
  const found = Object.entries(operation.responses).flatMap(([status, response]) => {
    const answer = resolved<Response>(document, response);
    const codes = [...(answer["x-dcm-codes"] ?? []), ...(more[status] ?? [])];
    if (codes.length === 0 && isRefusal(answer)) throw new Error(`${id}: the answer ${status} names no code`);
    return codes.map((code) => [code, Number(status)] as const);
  });
  const twice = found.filter(([code], index) => found.findIndex(([other]) => other === code) !== index);
  if (twice.length > 0) throw new Error(`${id}: ${twice.map(([code]) => code)} stands twice`);
  return found;
}

function isRefusal({ content }: Response): boolean {
  return /ErrorAnswer"/.test(JSON.stringify(content?.["application/json"]?.schema ?? {}));
}

/** The status that most operations answer a code with: for what is refused before the operation is known. */
function usualStatuses(all: readonly Refusals[], codes: readonly string[]): Refusals {
  return codes.map((code) => {
    const statuses = all.flat().flatMap(([name, status]) => (name === code ? [status] : []));
    if (statuses.length === 0) throw new Error(`${code}: no operation answers it`);
    const times = (status: number) => statuses.filter((other) => other === status).length;
    return [code, statuses.reduce((best, status) => (times(status) > times(best) ? status : best))];
  });
}

const literal = (refusals: Refusals) => JSON.stringify(Object.fromEntries(refusals));

export function refusalsModule(document: OpenapiDocument): string {
  const codes = document.components.schemas.ErrorCode?.enum as string[];
  const all = routes(document).map(({ operation }) => ({
    id: operation.operationId,
    refusals: refusalsOf(document, operation),
  }));
  const unknown = all.flatMap(({ refusals }) => refusals).filter(([code]) => !codes.includes(code));
  if (unknown.length > 0) throw new Error(`not in ErrorCode: ${[...new Set(unknown.map(([code]) => code))]}`);
  return `import type { OperationId } from "./operations.ts";
import type { components } from "./types.ts";

type ErrorCode = components["schemas"]["ErrorCode"];

/** With which status each operation answers each code that it can be refused with. */
export const refusals = {
${all.map(({ id, refusals }) => `  ${id}: ${literal(refusals)},`).join("\n")}
} as const satisfies Record<OperationId, { readonly [Code in ErrorCode]?: number }>;

/** The status of every code where no operation is known: the one that most operations answer it with. */
export const usualStatuses = ${literal(
    usualStatuses(
      all.map(({ refusals }) => refusals),
      codes,
    ),
  )} as const satisfies Record<ErrorCode, number>;

/** What an operation can be refused with. */
export type RefusalOf<Id extends OperationId> = keyof (typeof refusals)[Id];
`;
}
