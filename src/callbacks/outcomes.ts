/** Tables that map status codes, error codes and headers of an attempt to the closed list of outcomes. */
import type { Outcome } from "../domain/callback.ts";
import { ADDRESS_REFUSED_CODE, DNS_FAILURE_CODE } from "../outbound/address.ts";
import { INTERIM_REFUSED_CODE } from "../outbound/interim.ts";

const statusOutcomes: Readonly<Record<number, Outcome>> = {
  408: "request_timeout",
  425: "too_early",
  429: "throttled",
};

const statusClassOutcomes: Readonly<Record<number, Outcome>> = { 2: "accepted", 3: "redirected", 4: "refused" };

export function statusOutcome(status: number): Outcome {
  return statusOutcomes[status] ?? statusClassOutcomes[Math.floor(status / 100)] ?? "server_error";
}

/** Error codes of Node, OpenSSL and undici. A code that no row knows counts as a broken connection. */
const failureOutcomes: readonly (readonly [code: RegExp, outcome: Outcome])[] = [
  [new RegExp(`^${ADDRESS_REFUSED_CODE}$`), "address_refused"],
  [new RegExp(`^(${DNS_FAILURE_CODE}|ENOTFOUND|EAI_\\w+)$`), "dns_failure"],
  [/^(ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ENETDOWN|EADDRNOTAVAIL|EACCES|EPERM)$/, "connect_refused"],
  [/^(ETIMEDOUT|UND_ERR_CONNECT_TIMEOUT|UND_ERR_HEADERS_TIMEOUT)$/, "timeout"],
  [/^(HTTPParserError|HPE_\w+|UND_ERR_HEADERS_OVERFLOW|UND_ERR_NOT_SUPPORTED)$/, "malformed_http"],
  [new RegExp(`^${INTERIM_REFUSED_CODE}$`), "malformed_http"],
  [/^(ERR_TLS_\w+|ERR_SSL_\w+|EPROTO|CERT_\w+|CRL_\w+|\w*SELF_SIGNED\w*|UNABLE_TO_\w+)$/, "tls_failure"],
  [/^(HOSTNAME_MISMATCH|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH_EXCEEDED|ERROR_IN_CERT_\w+)$/, "tls_failure"],
  [/^(ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_ABORTED)$/, "connection_reset"],
];

/**
 * What came of an attempt without a status line and headers. The deadline comes first: aborting makes errors of its own, and all
 * of them mean that time was up.
 */
export function failureOutcome(error: unknown, isPastDeadline: boolean): Outcome {
  if (isPastDeadline) return "timeout";
  const code = errorCode(error);
  return failureOutcomes.find(([pattern]) => pattern.test(code))?.[1] ?? "connection_reset";
}

/**
 * The code of an error. If all addresses of a host failed, the first one's error counts; undici's parser errors only have a name.
 */
function errorCode(error: unknown): string {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ("code" in cause && typeof cause.code === "string") return cause.code;
    if (cause instanceof AggregateError) return errorCode(cause.errors[0]);
  }
  return error instanceof Error ? error.name : "";
}

const MAX_PROBLEM_LENGTH = 300;

export function describeFailure(error: unknown): string {
  const text = error instanceof Error ? `${errorCode(error)}: ${error.message}` : String(error);
  // The cut may halve a surrogate pair, and PostgreSQL reads no JSON with half of one.
  return safeText(text).slice(0, MAX_PROBLEM_LENGTH).toWellFormed();
}

/** Control characters except tab and line ends, line separators, and marks that change the writing direction. */
const UNSAFE_CHARACTERS = /[^\P{Cc}\t\r\n]|[\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/** A stranger's text without anything that could move a cursor, reverse a line or break a database's text type. */
export function safeText(text: string): string {
  return text.replace(UNSAFE_CHARACTERS, "\uFFFD");
}
