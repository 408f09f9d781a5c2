// What participants publish at addresses of their own (key sets, logos) is read by chores, and in the same way.

/** The lease of a reading: longer than one takes. After a process died in the middle, another one reads when it has lapsed. */
export const readingLeaseMs = 60_000;

/** The wait after the first failure; doubled each time, up to an hour. */
const firstRetryMs = 30_000;
const lastRetryMs = 60 * 60_000;

/** How long to wait after so many failures in a row, at least one. */
export const waitAfterFailures = (failures: number) => Math.min(firstRetryMs * 2 ** (failures - 1), lastRetryMs);
