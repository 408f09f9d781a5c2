import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { errorTexts, operationErrorTexts } from "../../gen/rest/errorTexts.ts";
import { limits } from "../../gen/rest/limits.ts";
import { constantHeaders, type OperationId, operations, type Whole } from "../../gen/rest/operations.ts";
import { type RefusalOf, refusals, usualStatuses } from "../../gen/rest/refusals.ts";
import type { components } from "../../gen/rest/types.ts";

export type ErrorCode = components["schemas"]["ErrorCode"];
type ErrorBody = Whole<components["schemas"]["ErrorAnswer"]>;
type SettlementErrorBody = Whole<components["schemas"]["SettlementErrorAnswer"]>;
type ReasonName = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** The text of a code, unless the contract prints one or the refusal brings its own. */
const texts: { readonly [Code in ErrorCode]?: string } = {
  INTERNAL_ERROR: "internal error",
  OVERLOADED: "the service is busy, try again",
  UNAVAILABLE: "the service is unavailable, try again",
  TIMEOUT: "the service did not answer in time, try again",
  ROUTE_NOT_FOUND: "there is no such path",
  METHOD_NOT_ALLOWED: "the path does not have this method",
  BODY_TOO_LARGE: `the body is larger than ${limits.requestBodyBytes / 1024} KiB`,
  REQUEST_TIMEOUT: "the request did not arrive in time",
  EXPECTATION_FAILED: "the only expectation that is met is 100-continue",
  HEADERS_TOO_LARGE: "the request line and the headers are too large",
  TOO_MANY_REQUESTS: "too many requests, try again later",
};

/** The Retry-After seconds of answers with this status. */
const retryAfterSeconds: { readonly [status: number]: number } = { 503: 1 };

/**
 * Reasons of the core that the documents name differently. Those of operators' calls cannot come here: that would be a fault of
 * ours.
 */
const otherCodes = {
  WRONG_DATA: "wrong_data",
  PARTICIPANT_NOT_FOUND: "INTERNAL_ERROR",
  PARTICIPANT_EXISTS: "INTERNAL_ERROR",
  INVALID_CALLBACK_URL: "INTERNAL_ERROR",
  CALLBACK_NOT_FOUND: "INTERNAL_ERROR",
  CALLBACK_NOT_REPLAYABLE: "INTERNAL_ERROR",
  DAY_IS_NOT_OVER: "INTERNAL_ERROR",
  CREDENTIAL_EXISTS: "INTERNAL_ERROR",
  CREDENTIAL_NOT_FOUND: "INTERNAL_ERROR",
  PARTICIPANT_CHANGED: "INTERNAL_ERROR",
  PARTICIPANT_CLOSED: "INTERNAL_ERROR",
  PARTICIPANT_NOT_SUSPENDED: "INTERNAL_ERROR",
  PARTICIPANT_IN_USE: "INTERNAL_ERROR",
  KEY_NOT_FOUND: "INTERNAL_ERROR",
  KEY_ROTATION_UNDER_WAY: "INTERNAL_ERROR",
} as const satisfies Record<Exclude<ReasonName, ErrorCode>, ErrorCode>;

/** The code for an error of the transport to the core, which carries no reason. */
const transportCodes: { [code in Code]?: ErrorCode } = {
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.ResourceExhausted]: "OVERLOADED",
  [Code.DeadlineExceeded]: "TIMEOUT",
};

/** Fields that the core names differently from the REST contract. */
const restFields: Record<string, string> = { page_token: "cursor", page_size: "limit", jws: "jwt" };

/** An expected refusal. It is thrown, because it ends the request wherever it is found. */
export class RestRefusal extends Error {
  readonly code: ErrorCode;
  readonly details: RefusalDetails;

  constructor(code: ErrorCode, details: RefusalDetails = {}) {
    super(details.text ?? code);
    this.code = code;
    this.details = details;
  }
}

export type RefusalDetails = { text?: string; field?: string; paymentMessageGuid?: string };

function detailOf(error: ConnectError) {
  const [detail] = error.findDetails(ErrorDetailSchema);
  const name = detail && reasonNames.get(detail.reason);
  return detail && name ? { detail, name } : undefined;
}

const reasonNames = new Map(
  Object.entries(ErrorReason).flatMap(([name, value]) =>
    name === "UNSPECIFIED" ? [] : [[value as number, name as ReasonName] as const],
  ),
);

/** Any error as a refusal; undefined for an unexpected one. `names`: this operation's own names for the core's fields. */
export function asRefusal(error: unknown, names: Readonly<Record<string, string>> = {}): RestRefusal | undefined {
  if (error instanceof RestRefusal) return error;
  if (!(error instanceof ConnectError)) return undefined;
  const known = detailOf(error);
  if (!known) {
    const code = transportCodes[error.code];
    return code && new RestRefusal(code);
  }
  const { detail, name } = known;
  const code = name in otherCodes ? otherCodes[name as keyof typeof otherCodes] : (name as ErrorCode);
  if (code === "INTERNAL_ERROR") return undefined;
  const field = names[detail.field] ?? restFields[detail.field] ?? detail.field;
  return new RestRefusal(code, {
    // The text names the field as well, so the name is replaced there, too.
    ...(detail.message ? { text: detail.message.replace(detail.field, () => field) } : {}),
    ...(field ? { field } : {}),
    ...(detail.paymentMessageGuid ? { paymentMessageGuid: detail.paymentMessageGuid } : {}),
  });
}

/** The text that the contract prints letter by letter, if it does. */
function exactText(code: ErrorCode, id: OperationId | undefined): string | undefined {
  const ofOperations: { [Id in OperationId]?: { [Code in RefusalOf<Id>]?: string } } = operationErrorTexts;
  const ofOperation: { [Code in ErrorCode]?: string } = (id && ofOperations[id]) ?? {};
  const usual: { [Code in ErrorCode]?: string } = errorTexts;
  return ofOperation[code] ?? usual[code];
}

export type ErrorAnswer = {
  status: number;
  headers: Record<string, string>;
  body: ErrorBody | SettlementErrorBody | Record<string, never>;
};

type ErrorFamily = (typeof operations)[OperationId]["errorFamily"];

/** The beginning of all paths of gross settlement. */
const settlementPaths = (() => {
  const paths = Object.values(operations).flatMap(({ path, errorFamily }) =>
    errorFamily === "SettlementErrorAnswer" ? [path] : [],
  );
  const [shortest = ""] = paths.toSorted((one, other) => one.length - other.length);
  return new RegExp(`^${shortest.replaceAll(/\{\w+\}/g, "[^/]+")}([/?]|$)`, "i");
})();

/** The form of the refusals below a path, even where no operation matches. */
export const errorFamilyOf = (url: string): ErrorFamily =>
  settlementPaths.test(url) ? "SettlementErrorAnswer" : "ErrorAnswer";

/** The status that the contract declares for a code at the operation, or else the code's usual one. */
function statusOf(code: ErrorCode, operation: OperationId | undefined): { status: number; isDeclared: boolean } {
  const ofOperation: { readonly [Code in ErrorCode]?: number } = operation ? refusals[operation] : usualStatuses;
  const declared = ofOperation[code];
  return { status: declared ?? usualStatuses[code], isDeclared: declared !== undefined };
}

/** Whether the contract declares this refusal at the operation; an undeclared one is a fault of ours, and is logged. */
export const isDeclaredRefusal = ({ code }: RestRefusal, operation: OperationId | undefined): boolean =>
  statusOf(code, operation).isDeclared;

/** The answer to a refusal, in the family of the path that was asked for. */
export function errorAnswer(refusal: RestRefusal, url: string, operation?: OperationId): ErrorAnswer {
  const { code, details } = refusal;
  const { status } = statusOf(code, operation);
  const seconds = retryAfterSeconds[status];
  const headers: Record<string, string> = seconds === undefined ? {} : { "Retry-After": String(seconds) };
  const text = exactText(code, operation) ?? texts[code] ?? details.text ?? code;
  // The documents print an empty object here.
  if (operation === "getOrderStatus" && code === "ORDER_NOT_FOUND") return { status, headers, body: {} };
  if (errorFamilyOf(url) === "SettlementErrorAnswer") {
    const body: SettlementErrorBody = { error: code, description: text };
    return { status, headers, body };
  }
  const body: ErrorBody = {
    error: text,
    code,
    field: details.field || undefined,
    payment_message_guid: details.paymentMessageGuid || undefined,
  };
  return { status, headers, body };
}

/** A complete refusal for places outside Express; only the request id is missing. */
export function wholeAnswer(refusal: RestRefusal, url: string) {
  const { status, headers, body } = errorAnswer(refusal, url);
  const text = JSON.stringify(body);
  const content = { "Content-Type": "application/json; charset=utf-8", "Content-Length": Buffer.byteLength(text) };
  return { status, headers: { ...headers, ...constantHeaders, ...content }, text };
}
