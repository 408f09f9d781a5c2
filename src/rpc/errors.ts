import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorDetailSchema, ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { ErrorInfoSchema, RetryInfoSchema } from "../../gen/google/rpc/error_details_pb.ts";
import { isUnavailable } from "../core/failure.ts";
import { PartyChanged } from "../core/identity/partyChanged.ts";
import { isRefusal, type Refusal, type RefusalReason, refuse } from "../domain/errors.ts";

/** The one table from a refusal's reason to the code of Connect and gRPC; the reason itself travels as a detail. */
export const codeOfReason = {
  INVALID_DEBTOR_ACCOUNT: Code.InvalidArgument,
  INVALID_CREDITOR_ACCOUNT: Code.InvalidArgument,
  INVALID_NONCE: Code.InvalidArgument,
  INVALID_ENCRYPTED_KEY: Code.InvalidArgument,
  INVALID_DEBTOR_NAME: Code.InvalidArgument,
  INVALID_DEBTOR_ID: Code.InvalidArgument,
  INVALID_DEBTOR_PHONE: Code.InvalidArgument,
  INVALID_CREDITOR_ID: Code.InvalidArgument,
  INVALID_CREDITOR_NAME: Code.InvalidArgument,
  INVALID_CURRENCY: Code.InvalidArgument,
  UNSUPPORTED_CURRENCY: Code.InvalidArgument,
  ORDER_NOT_FOUND: Code.NotFound,
  SENDER_COUNTERPARTY_NOT_FOUND: Code.NotFound,
  RECEIVER_COUNTERPARTY_NOT_FOUND: Code.NotFound,
  EXTERNAL_ID_IS_ALREADY_TAKEN: Code.AlreadyExists,
  ORDER_IS_EXPIRED: Code.FailedPrecondition,
  INVALID_EXTERNAL_ID: Code.InvalidArgument,
  INVALID_AMOUNT: Code.InvalidArgument,
  INVALID_PURPOSE: Code.InvalidArgument,
  INVALID_CREATION_DATE: Code.InvalidArgument,
  INVALID_CREATION_TIME: Code.InvalidArgument,
  CREATION_DATE_IS_NOT_PAST: Code.InvalidArgument,
  INVALID_REQUEST: Code.InvalidArgument,
  AUTHORIZATION_FAILED: Code.Unauthenticated,
  INTERNAL_ERROR: Code.Internal,
  REF_IS_ALREADY_TAKEN: Code.AlreadyExists,
  PAYMENT_MESSAGE_EXISTS: Code.AlreadyExists,
  JTI_IS_ALREADY_TAKEN: Code.AlreadyExists,
  INVALID_EXPIRY: Code.InvalidArgument,
  INVALID_ISSUE_TIME: Code.InvalidArgument,
  PARTICIPANT_NOT_FOUND: Code.NotFound,
  PARTICIPANT_EXISTS: Code.AlreadyExists,
  INVALID_KEY: Code.InvalidArgument,
  INVALID_CALLBACK_URL: Code.InvalidArgument,
  PAYMENT_MESSAGE_NOT_FOUND: Code.NotFound,
  CALLBACK_NOT_FOUND: Code.NotFound,
  CALLBACK_NOT_REPLAYABLE: Code.FailedPrecondition,
  REGISTER_NOT_FOUND: Code.NotFound,
  DAY_IS_NOT_OVER: Code.FailedPrecondition,
  FORBIDDEN: Code.PermissionDenied,
  OVERLOADED: Code.ResourceExhausted,
  TOKEN_REPLAYED: Code.Unauthenticated,
  TOKEN_STALE: Code.Unauthenticated,
  CREDENTIAL_EXISTS: Code.AlreadyExists,
  CREDENTIAL_NOT_FOUND: Code.NotFound,
  TOKEN_NOT_YET_VALID: Code.Unauthenticated,
  TOKEN_EXPIRED: Code.Unauthenticated,
  TOKEN_AUDIENCE: Code.Unauthenticated,
  TOKEN_INCOMPLETE: Code.Unauthenticated,
  TOKEN_BODY_MISMATCH: Code.Unauthenticated,
  WRONG_DATA: Code.FailedPrecondition,
  REGISTER_EMPTY: Code.FailedPrecondition,
  REGISTER_INTERNAL: Code.FailedPrecondition,
  REGISTER_NOT_INTERNAL: Code.FailedPrecondition,
  REGISTER_NOT_PAID: Code.FailedPrecondition,
  REGISTER_ALREADY_PAID: Code.FailedPrecondition,
  PAYMENT_ID_USED: Code.AlreadyExists,
  STATUS_NOT_FINAL: Code.InvalidArgument,
  PARTICIPANT_SUSPENDED: Code.PermissionDenied,
  RECEIVER_COUNTERPARTY_SUSPENDED: Code.FailedPrecondition,
  PARTICIPANT_CHANGED: Code.Aborted,
  PARTICIPANT_CLOSED: Code.FailedPrecondition,
  PARTICIPANT_NOT_SUSPENDED: Code.FailedPrecondition,
  PARTICIPANT_IN_USE: Code.FailedPrecondition,
  KEY_NOT_FOUND: Code.NotFound,
  KEY_ROTATION_UNDER_WAY: Code.FailedPrecondition,
  LOGO_NOT_FOUND: Code.NotFound,
  ORDER_IS_BEING_PAID: Code.FailedPrecondition,
} as const satisfies Record<RefusalReason, Code>;

/**
 * The most of a message that is sent: refusals travel in trailers, and a call whose trailers exceed a frame ends without an answer.
 */
const maxQuotedChars = 1_000;

/** Messages may quote what strangers sent. Half a surrogate pair in them would end the call without an answer, too. */
const quotable = (text: string) => text.slice(0, maxQuotedChars).toWellFormed();

/** The domain of `google.rpc.ErrorInfo`: one name for all deployments. */
const errorDomain = "dcm";

/** Reasons that pass by themselves, and the seconds after which a retry makes sense. */
const retryAfterSeconds: { [Reason in RefusalReason]?: number } = { OVERLOADED: 1 };

export function toConnectError(refusal: Refusal, code: Code = codeOfReason[refusal.refused]): ConnectError {
  const { refused, paymentMessageGuid = "" } = refusal;
  const message = quotable(refusal.message);
  const field = quotable(refusal.field ?? "");
  const detail = create(ErrorDetailSchema, { reason: ErrorReason[refused], field, message, paymentMessageGuid });
  // The same facts once more in `google.rpc.ErrorInfo`, for clients and proxies that know only gRPC's standard details.
  const metadata = {
    ...(field !== "" && { field }),
    ...(paymentMessageGuid !== "" && { payment_message_guid: paymentMessageGuid }),
  };
  const info = create(ErrorInfoSchema, { reason: refused, domain: errorDomain, metadata });
  const seconds = retryAfterSeconds[refused];
  // The cause stays in this process, for the log.
  const error = new ConnectError(message, code, undefined, undefined, refusal.seen);
  error.details = [
    { desc: ErrorDetailSchema, value: detail },
    { desc: ErrorInfoSchema, value: info },
    ...(seconds === undefined ? [] : [{ desc: RetryInfoSchema, value: { retryDelay: { seconds: BigInt(seconds) } } }]),
  ];
  return error;
}

/** A request that cannot be translated; `field` is the name in the documents. */
export function invalidRequest(field: string, problem: string): ConnectError {
  return toConnectError(refuse("INVALID_REQUEST", `${field} ${problem}`, { field }));
}

/** Throws a use-case's refusal as the error that ends the call; other answers are returned. */
export function unlessRefused<Value>(answer: Value): Exclude<Value, Refusal> {
  if (isRefusal(answer)) throw toConnectError(answer);
  return answer as Exclude<Value, Refusal>;
}

/**
 * The error that the caller gets for anything that a handler throws. Errors made for the caller pass; a lost database is
 * UNAVAILABLE, so that the caller retries; of every other fault nothing is disclosed.
 */
export function errorForCaller(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (error instanceof PartyChanged) {
    return toConnectError(refuse("OVERLOADED", "whoever signed is being changed by others; try again"));
  }
  if (isUnavailable(error)) {
    return toConnectError(refuse("OVERLOADED", "the platform cannot reach its database; try again"), Code.Unavailable);
  }
  return toConnectError(refuse("INTERNAL_ERROR", "internal error"));
}
