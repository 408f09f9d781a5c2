import { databaseFailure } from "../db/database.ts";

/** Whether a use-case failed because the database cannot be reached or has no room: the same call may succeed later. */
export function isUnavailable(error: unknown): boolean {
  return databaseFailure(error) === "unavailable";
}
