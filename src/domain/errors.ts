/**
 * Why a request is refused: the closed list of the wire contract, sections 4 and 7, and the reasons that our own operations add.
 * The names are those of `dcm.v1.ErrorReason` without its prefix; a test keeps the two lists equal.
 */
export const refusalReasons = [
  "INVALID_DEBTOR_ACCOUNT",
  "INVALID_CREDITOR_ACCOUNT",
  "INVALID_NONCE",
  "INVALID_ENCRYPTED_KEY",
  "INVALID_DEBTOR_NAME",
  "INVALID_DEBTOR_ID",
  "INVALID_DEBTOR_PHONE",
  "INVALID_CREDITOR_ID",
  "INVALID_CREDITOR_NAME",
  "INVALID_CURRENCY",
  "UNSUPPORTED_CURRENCY",
  "ORDER_NOT_FOUND",
  "SENDER_COUNTERPARTY_NOT_FOUND",
  "RECEIVER_COUNTERPARTY_NOT_FOUND",
  "EXTERNAL_ID_IS_ALREADY_TAKEN",
  "ORDER_IS_EXPIRED",
  "INVALID_EXTERNAL_ID",
  "INVALID_AMOUNT",
  "INVALID_PURPOSE",
  "INVALID_CREATION_DATE",
  "INVALID_CREATION_TIME",
  "CREATION_DATE_IS_NOT_PAST",
  "INVALID_REQUEST",
  "AUTHORIZATION_FAILED",
  "INTERNAL_ERROR",
  "REF_IS_ALREADY_TAKEN",
  "PAYMENT_MESSAGE_EXISTS",
  "JTI_IS_ALREADY_TAKEN",
  "INVALID_EXPIRY",
  "INVALID_ISSUE_TIME",
  "PARTICIPANT_NOT_FOUND",
  "PARTICIPANT_EXISTS",
  "INVALID_KEY",
  "INVALID_CALLBACK_URL",
  "PAYMENT_MESSAGE_NOT_FOUND",
  "CALLBACK_NOT_FOUND",
  "CALLBACK_NOT_REPLAYABLE",
  "REGISTER_NOT_FOUND",
  "DAY_IS_NOT_OVER",
  "FORBIDDEN",
  "OVERLOADED",
  "TOKEN_REPLAYED",
  "TOKEN_STALE",
  "CREDENTIAL_EXISTS",
  "CREDENTIAL_NOT_FOUND",
  "TOKEN_NOT_YET_VALID",
  "TOKEN_EXPIRED",
  "TOKEN_AUDIENCE",
  "TOKEN_INCOMPLETE",
  "TOKEN_BODY_MISMATCH",
  "WRONG_DATA",
  "REGISTER_EMPTY",
  "REGISTER_INTERNAL",
  "REGISTER_NOT_INTERNAL",
  "REGISTER_NOT_PAID",
  "REGISTER_ALREADY_PAID",
  "PAYMENT_ID_USED",
  "STATUS_NOT_FINAL",
  "PARTICIPANT_SUSPENDED",
  "RECEIVER_COUNTERPARTY_SUSPENDED",
  "PARTICIPANT_CHANGED",
  "PARTICIPANT_CLOSED",
  "PARTICIPANT_NOT_SUSPENDED",
  "PARTICIPANT_IN_USE",
  "KEY_NOT_FOUND",
  "KEY_ROTATION_UNDER_WAY",
  "LOGO_NOT_FOUND",
  "ORDER_IS_BEING_PAID",
] as const;

export type RefusalReason = (typeof refusalReasons)[number];

/** An expected failure as a value. `field` is the name in the documents, for example "debtor.debtor_account". */
export type Refusal = {
  refused: RefusalReason;
  message: string;
  field?: string;
  /** Every such name, where several things differ from what is stored; `field` is the first of them. */
  fields?: readonly string[];
  /** The request itself is right; what the party publishes elsewhere is not: its key set, or the DNS records of its hosts. */
  elsewhere?: true;
  /** The payment message that exists already, for the reasons that say so. */
  paymentMessageGuid?: string;
  /** For the log alone; the caller is not told. */
  seen?: TokenSeen;
};

/** What may be logged of a refused token: which party it claims to be of, and what is wrong with it. */
export type TokenSeen = { tokenProblem: string; kid?: string | undefined; party?: string | undefined };

export function refuse(refused: RefusalReason, message: string, details: Omit<Refusal, "refused" | "message"> = {}) {
  return { refused, message, ...details } satisfies Refusal;
}

export function isRefusal(value: unknown): value is Refusal {
  return typeof value === "object" && value !== null && "refused" in value;
}
