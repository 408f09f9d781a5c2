import { problemWords, type SchemaProblem } from "../../gen/rest/operations.ts";

/** How something breaks the contract: a sentence that names the field, and the error code that the contract gives that field. */
export type ContractProblem = { code: string; text: string; field?: string };

/** The codes that the contract gives at the fields of a schema, by JSON pointer. */
export type FieldCodes = Readonly<Record<string, string>>;

/** The code that the contract gives at a field; `field` is its path with dots. */
export function codeOfField(field: string, codes: FieldCodes): string {
  const pointer = `/${field.replaceAll(".", "/")}`;
  return (Object.hasOwn(codes, pointer) && codes[pointer]) || "INVALID_REQUEST";
}

/** A validator's problem as a sentence for people. */
export function contractProblem(problem: SchemaProblem | undefined, codes: FieldCodes): ContractProblem {
  if (!problem) return { code: "INVALID_REQUEST", text: "the request is malformed" };
  const missing = problem.keyword === "required" ? `/${problem.params.missingProperty}` : "";
  const field = (problem.instancePath + missing).slice(1).replaceAll("/", ".");
  const sentence =
    ownSentence(problem) ?? sentences[problem.keyword]?.(problem.params) ?? problem.message ?? "is malformed";
  return {
    code: codeOfField(field, codes),
    text: `${field === "" ? "the request" : field} ${sentence}`,
    ...(field === "" ? {} : { field }),
  };
}

/** The contract's own sentence for a malformed text (except one that is only too long), or undefined. */
function ownSentence({ keyword, schemaPath }: SchemaProblem): string | undefined {
  if (keyword !== "pattern" && keyword !== "minLength") return undefined;
  const schema = schemaPath.slice(0, schemaPath.lastIndexOf("/"));
  return Object.hasOwn(problemWords, schema) ? problemWords[schema] : undefined;
}

/** Sentences for rules whose message by the validator shows a pattern, or says too little. */
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
