/** The SQLSTATE of a write on a read-only server: a standby, or a primary that was demoted. */
export const readOnlyServer = "25006";

/**
 * What a failed statement means for its caller.
 *
 * `lost_race`: somebody else was first; the caller decides again.
 * `held_up`: the statement waited for somebody's lock, or ran, longer than it may. In a group one member can be the reason.
 * `unavailable`: the database cannot be reached, has no room or takes no writes; the same call may succeed later.
 * `other`: a bug.
 */
export type DatabaseFailure = "lost_race" | "held_up" | "unavailable" | "other";

/** From the most specific to the most general: SQLSTATEs, their classes, and Node's error codes. */
const failures: ReadonlyArray<[code: RegExp, failure: DatabaseFailure]> = [
  // unique_violation, serialization_failure, deadlock_detected
  [/^(23505|40001|40P01)$/, "lost_race"],
  // lock_not_available, query_canceled
  [/^(55P03|57014)$/, "held_up"],
  [new RegExp(`^${readOnlyServer}$`), "unavailable"],
  // connection exception, insufficient resources, operator intervention
  [/^(08|53|57)...$/, "unavailable"],
  // EAI_AGAIN and ENETUNREACH: DNS or network are not up yet, as during the boot of a machine.
  [/^(ECONN\w+|EPIPE|ENOTFOUND|EAI_AGAIN|ETIMEDOUT|EHOSTUNREACH|EHOSTDOWN|ENETUNREACH|ENETDOWN)$/, "unavailable"],
];

/** Messages of errors without a code that mean that a connection is lost or cannot be had. */
const lostConnection =
  /connection terminated|timeout exceeded when trying to connect|Client was closed|not queryable|PostgreSQL gave no answer/i;

export function databaseFailure(error: unknown): DatabaseFailure {
  const { code, message = "" } = (error ?? {}) as { code?: unknown; message?: string };
  const known = failures.find(([pattern]) => typeof code === "string" && pattern.test(code));
  if (known) return known[1];
  // A host name with several addresses fails with one error for each of them.
  if (error instanceof AggregateError && error.errors.length > 0) return databaseFailure(error.errors[0]);
  return lostConnection.test(message) ? "unavailable" : "other";
}
