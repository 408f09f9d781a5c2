import { type OperationId, requestValidators, type SchemaProblem } from "../../gen/rest/operations.ts";
import { contractProblem } from "../wire/schemaProblem.ts";
import { type ErrorCode, RestRefusal } from "./errors.ts";

/** Refuses a part of a request that breaks the contract. Query texts are converted in place to what the contract says. */
export function validatePart(id: OperationId, part: "path" | "query" | "body", value: unknown): void {
  const validate = requestValidators[id][part];
  if (!validate || validate(value)) return;
  const { code, ...details } = contractProblem(deepest(validate.errors ?? []), {});
  throw new RestRefusal(code as ErrorCode, details);
}

/** Of a choice between forms every form complains; the one that was meant is the one that could be followed furthest. */
function deepest(problems: readonly SchemaProblem[]): SchemaProblem | undefined {
  const depth = ({ instancePath }: SchemaProblem) => instancePath.split("/").length;
  return problems.reduce<SchemaProblem | undefined>(
    (best, problem) => (best === undefined || depth(problem) > depth(best) ? problem : best),
    undefined,
  );
}
