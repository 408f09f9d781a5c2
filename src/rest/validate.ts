import { type OperationId, requestValidators, type SchemaProblem } from "../../gen/rest/operations.ts";
import { contractProblem } from "../wire/schemaProblem.ts";
import { type ErrorCode, RestRefusal } from "./errors.ts";

/** Refuses a part of a request that breaks the contract's schema. Query texts are converted in place to the declared types. */
export function validatePart(id: OperationId, part: "path" | "query" | "body", value: unknown): void {
  const validate = requestValidators[id][part];
  if (!validate || validate(value)) return;
  const problem = deepest(validate.errors ?? []);
  const { code, ...details } = contractProblem(problem, {});
  const isRepeated = part === "query" && problem !== undefined && isList(value, problem.instancePath.slice(1));
  throw new RestRefusal(
    code as ErrorCode,
    isRepeated ? { ...details, text: `${details.field} is given twice` } : details,
  );
}

/** Whether a query parameter was repeated, which makes it a list; none is documented as one. */
function isList(query: unknown, name: string): boolean {
  return Array.isArray((query as Record<string, unknown>)[name]);
}

/** Refuses a body that has to be a bare token and is not. */
export function validateBareBody(id: OperationId, text: string): void {
  const value: unknown = text;
  const validate = requestValidators[id].bareBody;
  if (!validate || validate(value)) return;
  const advice = text.trimStart().startsWith("{") ? "; JSON is sent as application/json" : "";
  throw new RestRefusal("INVALID_REQUEST", { text: `the body is not a compact JWS${advice}` });
}

/**
 * With a choice between forms the validator reports a problem for each; the form that matched furthest is the one that was meant.
 */
function deepest(problems: readonly SchemaProblem[]): SchemaProblem | undefined {
  const depth = ({ instancePath }: SchemaProblem) => instancePath.split("/").length;
  return problems.reduce<SchemaProblem | undefined>(
    (best, problem) => (best === undefined || depth(problem) > depth(best) ? problem : best),
    undefined,
  );
}
