import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { errorTexts, operationErrorTexts } from "../../gen/rest/errorTexts.ts";
import type { OperationId } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";

export type ErrorCode = components["schemas"]["ErrorCode"];
type ErrorBody = components["schemas"]["ErrorAnswer"];
type SettlementErrorBody = components["schemas"]["SettlementErrorAnswer"];
type ReasonName = Exclude<keyof typeof ErrorReason, "UNSPECIFIED">;

/** How a code is answered. Without a text, here or in the contract, the sentence of whoever refused is used. */
type Answer = { status: number; text?: string; retryAfterSeconds?: number };

/** Whatever is wrong with a token, people read the same; only the code tells more, to whoever signed it. */
const invalidCredentials = { status: 401 } as const satisfies Answer;

/** Every refusal of the REST edge: one row per documented code (wire contract, section 4). */
export const answers = {
  INVALID_DEBTOR_ACCOUNT: { status: 400 },
  INVALID_CREDITOR_ACCOUNT: { status: 400 },
  INVALID_NONCE: { status: 400 },
  INVALID_ENCRYPTED_KEY: { status: 400 },
  INVALID_DEBTOR_NAME: { status: 400 },
  INVALID_DEBTOR_ID: { status: 400 },
  INVALID_DEBTOR_PHONE: { status: 400 },
  INVALID_CREDITOR_ID: { status: 400 },
  INVALID_CREDITOR_NAME: { status: 400 },
  INVALID_CURRENCY: { status: 400 },
  UNSUPPORTED_CURRENCY: { status: 400 },
  ORDER_NOT_FOUND: { status: 400 },
  SENDER_COUNTERPARTY_NOT_FOUND: { status: 400 },
  RECEIVER_COUNTERPARTY_NOT_FOUND: { status: 400 },
  EXTERNAL_ID_IS_ALREADY_TAKEN: { status: 409 },
  ORDER_IS_EXPIRED: { status: 400 },
  INVALID_EXTERNAL_ID: { status: 400 },
  INVALID_AMOUNT: { status: 400 },
  INVALID_PURPOSE: { status: 400 },
  INVALID_CREATION_DATE: { status: 400 },
  INVALID_CREATION_TIME: { status: 400 },
  CREATION_DATE_IS_NOT_PAST: { status: 400 },
  INVALID_REQUEST: { status: 400 },
  AUTHORIZATION_FAILED: invalidCredentials,
  INTERNAL_ERROR: { status: 500, text: "internal error" },
  REF_IS_ALREADY_TAKEN: { status: 409 },
  PAYMENT_MESSAGE_EXISTS: { status: 409 },
  JTI_IS_ALREADY_TAKEN: { status: 409 },
  INVALID_EXPIRY: { status: 400 },
  INVALID_ISSUE_TIME: { status: 400 },
  PAYMENT_MESSAGE_NOT_FOUND: { status: 400 },
  REGISTER_NOT_FOUND: { status: 400 },
  wrong_data: { status: 409 },
  REGISTER_EMPTY: { status: 400 },
  REGISTER_INTERNAL: { status: 400 },
  REGISTER_NOT_INTERNAL: { status: 400 },
  REGISTER_NOT_PAID: { status: 400 },
  REGISTER_ALREADY_PAID: { status: 409 },
  PAYMENT_ID_USED: { status: 409 },
  STATUS_NOT_FINAL: { status: 400 },
  FORBIDDEN: { status: 403 },
  OVERLOADED: { status: 503, text: "the service is busy, try again", retryAfterSeconds: 1 },
  UNAVAILABLE: { status: 503, text: "the service is unavailable, try again", retryAfterSeconds: 1 },
  TIMEOUT: { status: 503, text: "the service did not answer in time, try again", retryAfterSeconds: 1 },
  ROUTE_NOT_FOUND: { status: 404, text: "there is no such path" },
  METHOD_NOT_ALLOWED: { status: 405, text: "the path does not have this method" },
  UNSUPPORTED_MEDIA_TYPE: { status: 415 },
  BODY_TOO_LARGE: { status: 413, text: "the body is larger than 64 KiB" },
  TOKEN_REPLAYED: invalidCredentials,
  TOKEN_BODY_MISMATCH: invalidCredentials,
  TOKEN_INCOMPLETE: invalidCredentials,
  TOKEN_STALE: invalidCredentials,
  TOKEN_EXPIRED: invalidCredentials,
  TOKEN_NOT_YET_VALID: invalidCredentials,
  TOKEN_AUDIENCE: invalidCredentials,
  PARTICIPANT_SUSPENDED: { status: 403 },
  RECEIVER_COUNTERPARTY_SUSPENDED: { status: 400 },
  INVALID_KEY: { status: 400 },
  ORDER_IS_BEING_PAID: { status: 409 },
} as const satisfies Record<ErrorCode, Answer>;

/** As the documents have it: it may have happened all the same, and a repeat hears 208. */
const timeoutOfWrite: Answer = { status: 408, text: answers.TIMEOUT.text };

/** Where the documents answer a refusal otherwise for one operation. */
const exceptions: { [Id in OperationId]?: { [Code in ErrorCode]?: Answer } } = {
  payGrossSettlement: { TIMEOUT: timeoutOfWrite },
  confirmGrossSettlement: { TIMEOUT: timeoutOfWrite },
  confirmInternalGrossSettlement: { TIMEOUT: timeoutOfWrite },
};

/** Reasons of the core that the documents call otherwise. Those of operators' calls cannot come here: it is a fault of ours. */
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

/** What the core's transport says when there is no reason from the core itself. */
const transportCodes: { [code in Code]?: ErrorCode } = {
  [Code.Unavailable]: "UNAVAILABLE",
  [Code.ResourceExhausted]: "OVERLOADED",
  [Code.DeadlineExceeded]: "TIMEOUT",
};

/** Fields that the core calls otherwise than the REST contract does. */
const restFields: Record<string, string> = { page_token: "cursor", page_size: "limit", jws: "jwt" };

/** An expected refusal; thrown, because it ends the request wherever it is found. */
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

/** Any error as a refusal; undefined for what nobody expected. `names`: how this caller calls fields that the core names. */
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
    // The text names the field as well, and must name it as the caller knows it.
    ...(detail.message ? { text: detail.message.replace(detail.field, () => field) } : {}),
    ...(field ? { field } : {}),
    ...(detail.paymentMessageGuid ? { paymentMessageGuid: detail.paymentMessageGuid } : {}),
  });
}

/** What the contract prints letter by letter. */
function exactText(code: ErrorCode, id: OperationId | undefined): string | undefined {
  const own: { [Id in OperationId]?: { [Code in ErrorCode]?: string } } = operationErrorTexts;
  const texts: { [Code in ErrorCode]?: string } = errorTexts;
  return (id && own[id]?.[code]) ?? texts[code];
}

export type ErrorAnswer = {
  status: number;
  headers: Record<string, string>;
  body: ErrorBody | SettlementErrorBody | Record<string, never>;
};

/** The answer to a refusal, in the family of the operation that was asked for. */
export function errorAnswer(
  refusal: RestRefusal,
  operation: { id: OperationId; errorFamily: "ErrorAnswer" | "SettlementErrorAnswer" } | undefined,
): ErrorAnswer {
  const { code, details } = refusal;
  const row: Answer = (operation && exceptions[operation.id]?.[code]) ?? answers[code];
  const headers: Record<string, string> =
    row.retryAfterSeconds === undefined ? {} : { "Retry-After": String(row.retryAfterSeconds) };
  const text = exactText(code, operation?.id) ?? row.text ?? details.text ?? code;
  // The documents answer an empty object here, and nothing else.
  if (operation?.id === "getOrderStatus" && code === "ORDER_NOT_FOUND") {
    return { status: row.status, headers, body: {} };
  }
  if (operation?.errorFamily === "SettlementErrorAnswer") {
    return { status: row.status, headers, body: { error: code, description: text } };
  }
  const body: ErrorBody = {
    error: text,
    code,
    ...(details.field ? { field: details.field } : {}),
    ...(details.paymentMessageGuid ? { payment_message_guid: details.paymentMessageGuid } : {}),
  };
  return { status: row.status, headers, body };
}
