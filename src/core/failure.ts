import { databaseFailure } from "../db/failure.ts";

/** Whether a use-case failed because the database cannot be reached, has no room or was held up: the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  const failure = databaseFailure(error);
  return failure === "unavailable" || failure === "held_up";
}
