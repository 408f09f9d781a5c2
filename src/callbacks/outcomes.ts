/** Status codes, error codes and headers of an attempt, each brought to the closed list of outcomes by a table. */
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

/** Error codes of Node, OpenSSL and undici. What none of these rows knows is a connection that broke. */
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

/** Of several addresses that all failed, the first one's error speaks for them; undici's parser error has only a name. */
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
  // The cut can go through a character of two halves; half of one is no JSON that PostgreSQL reads.
  return safeText(text).slice(0, MAX_PROBLEM_LENGTH).toWellFormed();
}

/** Control characters but tab and line ends, line separators, and the marks that change the direction of writing. */
const UNSAFE_CHARACTERS = /[^\P{Cc}\t\r\n]|[\u2028\u2029\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu;

/** What an endpoint wrote, with nothing in it that could move a cursor, reverse a line or break a database's text type. */
export function safeText(text: string): string {
  return text.replace(UNSAFE_CHARACTERS, "\uFFFD");
}
