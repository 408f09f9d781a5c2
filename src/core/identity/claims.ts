import { type ClaimsName, claims as claimsTable, type Validate } from "../../../gen/rest/operations.ts";
import { type Refusal, type RefusalReason, refuse } from "../../domain/errors.ts";
import { codeOfField, contractProblem } from "../../wire/schemaProblem.ts";

type Checked<Name extends ClaimsName> = (typeof claimsTable)[Name]["validate"] extends Validate<infer T> ? T : never;

/**
 * Validates claims against the contract's schema, which names the reason of a refusal, too. The claims are wrapped in an object of
 * their own: they may have members with any name, so they could not be told from a refusal by their members.
 */
export function validClaims<Name extends ClaimsName>(name: Name, value: unknown): { claims: Checked<Name> } | Refusal {
  const { validate, codes, texts } = claimsTable[name];
  if (!validate(value)) {
    const { code, text, field } = contractProblem(validate.errors?.[0], codes);
    return refuse(code as RefusalReason, text, field === undefined ? {} : { field });
  }
  const unstorable = unstorableText(value, texts);
  if (unstorable === undefined) return { claims: value as Checked<Name> };
  const { field, problem } = unstorable;
  return refuse(codeOfField(field, codes) as RefusalReason, `${field} ${problem}`, { field });
}

/**
 * The first field whose text PostgreSQL cannot store: half of a surrogate pair (replaced, it would make two different texts equal)
 * or a NUL. Only fields of the contract are stored as texts; other members of a token are ignored.
 */
function unstorableText(value: unknown, texts: readonly string[]): { field: string; problem: string } | undefined {
  for (const pointer of texts) {
    const path = pointer.slice(1).split("/");
    const text = path.reduce<unknown>((part, name) => memberOf(part, name), value);
    if (typeof text !== "string") continue;
    const field = path.join(".");
    if (!text.isWellFormed()) return { field, problem: "is not well-formed Unicode" };
    if (text.includes("\0")) return { field, problem: "has a NUL character" };
  }
  return undefined;
}

function memberOf(part: unknown, name: string): unknown {
  const isObject = typeof part === "object" && part !== null && Object.hasOwn(part, name);
  return isObject ? (part as Record<string, unknown>)[name] : undefined;
}
