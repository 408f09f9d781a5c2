import { type ClaimsName, claims as claimsTable, type Validate } from "../../../gen/rest/operations.ts";
import { type Refusal, type RefusalReason, refuse } from "../../domain/errors.ts";
import { codeOfField, contractProblem } from "../../wire/schemaProblem.ts";

type Checked<Name extends ClaimsName> = (typeof claimsTable)[Name]["validate"] extends Validate<infer T> ? T : never;

/**
 * What somebody stated, as the contract describes it; the reason of a refusal comes from the contract as well. A member that the
 * contract does not know may have any name, so claims are never told from a refusal by their members.
 */
export function validClaims<Name extends ClaimsName>(name: Name, value: unknown): { claims: Checked<Name> } | Refusal {
  const { validate, codes } = claimsTable[name];
  if (!validate(value)) {
    const { code, text, field } = contractProblem(validate.errors?.[0], codes);
    return refuse(code as RefusalReason, text, field === undefined ? {} : { field });
  }
  const unstorable = unstorableText(value);
  if (unstorable === undefined) return { claims: value as Checked<Name> };
  const { field, problem } = unstorable;
  return refuse(codeOfField(field, codes) as RefusalReason, `${field} ${problem}`, { field });
}

/**
 * The first field whose text PostgreSQL cannot store: half of a surrogate pair, whose replacing would make two different texts
 * equal, or a NUL. A list instead of recursion, because a token may be nested deeper than the stack.
 */
function unstorableText(value: unknown): { field: string; problem: string } | undefined {
  const open: [path: string, part: unknown][] = [["", value]];
  for (let next = open.pop(); next; next = open.pop()) {
    const [field, part] = next;
    if (typeof part === "string") {
      if (!part.isWellFormed()) return { field, problem: "is not well-formed Unicode" };
      if (part.includes("\0")) return { field, problem: "has a NUL character" };
    }
    if (typeof part !== "object" || part === null) continue;
    for (const [name, inner] of Object.entries(part)) {
      // Only fields of the contract go further, and those lie at most three deep.
      const depth = field.split(".").length;
      if (depth <= 3) open.push([field === "" ? name : `${field}.${name}`, inner]);
    }
  }
  return undefined;
}
