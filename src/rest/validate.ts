import {
  type ClaimsName,
  claims as claimsTable,
  type OperationId,
  requestValidators,
  type SchemaProblem,
  type Validate,
} from "../../gen/rest/operations.ts";
import { type ErrorCode, RestRefusal } from "./errors.ts";

type Checked<Name extends ClaimsName> = (typeof claimsTable)[Name]["validate"] extends Validate<infer T> ? T : never;

/** Refuses a part of a request that breaks the contract. Query texts are converted in place to what the contract says. */
export function validatePart(id: OperationId, part: "path" | "query" | "body", value: unknown): void {
  const validate = requestValidators[id][part];
  if (!validate || validate(value)) return;
  throw refusalOf(deepest(validate.errors ?? []), {});
}

/** The verified payload of a token as the contract describes it; the code of a refusal comes from the contract as well. */
export function validClaims<Name extends ClaimsName>(name: Name, value: unknown): Checked<Name> {
  const { validate, codes } = claimsTable[name];
  if (!validate(value)) throw refusalOf(validate.errors?.[0], codes);
  const field = illFormedText(value);
  if (field !== undefined) {
    const text = `${field} is not well-formed Unicode`;
    throw new RestRefusal(codeOf(`/${field.replaceAll(".", "/")}`, codes), { text, field });
  }
  return value as Checked<Name>;
}

/** Of a choice between forms every form complains; the one that was meant is the one that could be followed furthest. */
function deepest(problems: readonly SchemaProblem[]): SchemaProblem | undefined {
  const depth = ({ instancePath }: SchemaProblem) => instancePath.split("/").length;
  return problems.reduce<SchemaProblem | undefined>(
    (best, problem) => (best === undefined || depth(problem) > depth(best) ? problem : best),
    undefined,
  );
}

function codeOf(pointer: string, codes: Readonly<Record<string, string>>): ErrorCode {
  return Object.hasOwn(codes, pointer) ? (codes[pointer] as ErrorCode) : "INVALID_REQUEST";
}

function refusalOf(problem: SchemaProblem | undefined, codes: Readonly<Record<string, string>>): RestRefusal {
  if (!problem) return new RestRefusal("INVALID_REQUEST", { text: "the request is malformed" });
  const missing = problem.keyword === "required" ? `/${problem.params.missingProperty}` : "";
  const pointer = problem.instancePath + missing;
  const field = pointer.slice(1).replaceAll("/", ".");
  const sentence = sentences[problem.keyword]?.(problem.params) ?? problem.message ?? "is malformed";
  return new RestRefusal(codeOf(pointer, codes), {
    text: `${field === "" ? "the request" : field} ${sentence}`,
    ...(field === "" ? {} : { field }),
  });
}

/** Where the validator's own words would show a pattern or too little. */
const sentences: { [keyword: string]: (params: Record<string, unknown>) => string } = {
  required: () => "is missing",
  pattern: () => "is malformed",
  enum: ({ allowedValues }) => `must be one of ${(allowedValues as unknown[]).join(", ")}`,
  type: ({ type }) => `must be ${[type].flat().join(" or ")}`,
  exclusiveMinimum: ({ limit }) => `must be above ${limit}`,
  minimum: ({ limit }) => `must be at least ${limit}`,
  maximum: ({ limit }) => `must be at most ${limit}`,
  minLength: ({ limit }) => `must have at least ${limit} characters`,
  maxLength: ({ limit }) => `must have at most ${limit} characters`,
  oneOf: () => "must have one of its documented forms, not two at once",
  format: ({ format }) => `must be a ${format}`,
};

/**
 * The first field whose text holds half of a surrogate pair: such a text cannot be stored, and replacing it would make
 * two different texts equal. A list instead of recursion, because a token may be nested deeper than the stack.
 */
function illFormedText(value: unknown): string | undefined {
  const open: [path: string, part: unknown][] = [["", value]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [path, part] = next;
    if (typeof part === "string" && !part.isWellFormed()) return path;
    if (typeof part !== "object" || part === null) continue;
    for (const [name, inner] of Object.entries(part)) {
      // Only fields of the contract go further, and those lie at most three deep.
      const depth = path.split(".").length;
      if (depth <= 3) open.push([path === "" ? name : `${path}.${name}`, inner]);
    }
  }
  return undefined;
}
