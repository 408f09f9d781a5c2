import { type Logger, pino } from "pino";

export type { Logger } from "pino";

/**
 * Members that are removed from log lines and from objects in them, as a precaution. One level deep only: more would double the
 * cost of every line.
 */
const secretMembers = [
  "jwt",
  "jws",
  "token",
  "authorization",
  "cx-authorization",
  "debtor_name",
  "debtor_id",
  "debtor_phone",
  "creditor_name",
  "creditor_id",
  "debtorName",
  "debtorTaxNumber",
  "debtorPhone",
  "creditorName",
  "creditorTaxNumber",
  "password",
  "privateKey",
];

/** A structured logger: one JSON line per event on standard error, because standard output is for the program's result. */
export function createLog(level: string): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: secretMembers.flatMap((member) => pathsOf(member)), censor: "[redacted]" },
      serializers: { err: errorWithoutRows },
    },
    pino.destination({ fd: 2, sync: false }),
  );
}

const pathsOf = (member: string) => {
  const key = member.includes("-") ? `["${member}"]` : member;
  return [key, member.includes("-") ? `*${key}` : `*.${key}`];
};

/** PostgreSQL quotes rows in `detail` and `where`, which may hold personal data; only what identifies the fault is kept. */
function errorWithoutRows(error: unknown) {
  if (!(error instanceof Error)) return { message: String(error) };
  const { code, constraint } = error as Error & { code?: unknown; constraint?: unknown };
  return { type: error.name, message: error.message, code, constraint, stack: error.stack };
}
