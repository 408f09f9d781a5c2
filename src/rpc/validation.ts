import {
  create,
  type DescField,
  type DescMessage,
  type DescService,
  getOption,
  type MessageShape,
} from "@bufbuild/protobuf";
import type { Path } from "@bufbuild/protobuf/reflect";
import { createValidator, type Violation } from "@bufbuild/protovalidate";
import type { Interceptor } from "@connectrpc/connect";
import { ErrorReason, reason as reasonOption } from "../../gen/dcm/v1/error_pb.ts";
import { ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import { type RefusalReason, refuse } from "../domain/errors.ts";
import { codeOfReason, toConnectError } from "./errors.ts";

// The constraints on requests are declared in proto/, at each field; here they are only applied.

const validator = createValidator({ failFast: true });

/** Refuses a request that breaks the constraints of the contract. */
export const validateRequests: Interceptor = (next) => async (request) => {
  if (!request.stream) assertConstraints(request.method.input, request.message);
  return next(request);
};

/** Applies the constraints to a message that is no request, for example one read from a file. */
export function assertConstraints<Schema extends DescMessage>(schema: Schema, message: MessageShape<Schema>): void {
  const { kind, violations, error } = validator.validate(schema, message);
  // A constraint that cannot be evaluated is a fault of ours.
  if (kind === "error") throw error;
  const [violation] = violations ?? [];
  if (violation === undefined) return;
  const field = fieldName(violation.field);
  throw toConnectError(refuse(reasonOf(violation.field), `${field} ${sentenceOf(violation)}`, { field }));
}

/** Compiles all constraints at the start; otherwise the first call would pay a tenth of a second for it. */
export function compileConstraints(services: readonly DescService[]): void {
  for (const { methods } of services) for (const { input } of methods) validator.validate(input, create(input));
}

/**
 * The field's name as in the documents: without list indexes, and for a participant's fields without the path inside the request,
 * because the domain names them so as well.
 */
function fieldName(path: Path): string {
  const names: string[] = [];
  for (const part of path) {
    if (part.kind !== "field" && part.kind !== "oneof") continue;
    if (part.kind === "field" && part.parent.typeName === ParticipantSchema.typeName) names.length = 0;
    names.push(part.name);
  }
  return names.join(".");
}

function reasonOf(path: Path): RefusalReason {
  const field = path.findLast((part): part is DescField => part.kind === "field");
  const wanted = field && getOption(field, reasonOption);
  const names = Object.keys(codeOfReason) as RefusalReason[];
  return names.find((name) => ErrorReason[name] === wanted) ?? "INVALID_REQUEST";
}

/** The sentence for each standard rule; `first` and `second` are its limits. Rules of our own bring their sentence along. */
const sentences: Readonly<Record<string, (first: string, second: string) => string>> = {
  required: () => "is missing",
  "string.min_len": () => "is missing",
  "string.uuid_empty": () => "is missing",
  "repeated.min_items": () => "is missing",
  "enum.not_in": () => "is missing",
  "string.uuid": () => "is not a UUID",
  "string.max_len": (most) => `has more than ${most} characters`,
  "string.max_bytes": (most) => `has more than ${most} bytes`,
  "bytes.max_len": (most) => `has more than ${most} bytes`,
  "repeated.max_items": (most) => `has more than ${most} entries`,
  "enum.defined_only": () => "has an unknown value",
  "int32.gte": () => "is negative",
  "int64.gte": () => "is negative",
  "int32.gte_lte": (least, most) => `is not between ${least} and ${most}`,
  "timestamp.gte_lte": () => "is out of range",
};

function sentenceOf({ ruleId, message, field }: Violation): string {
  const last = field.at(-1);
  if (last?.kind === "oneof") return `is missing: ${last.fields.map(({ name }) => name).join(" or ")}`;
  const [first = "", second = ""] = message.match(/\d+/g) ?? [];
  return sentences[ruleId]?.(first, second) ?? message;
}
