import { databaseFailure } from "../db/failure.ts";

/** Whether a use-case failed because the database cannot be reached, is full or was blocked: the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  const failure = databaseFailure(error);
  return failure === "unavailable" || failure === "held_up";
}
