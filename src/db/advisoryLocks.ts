/**
 * The numbers of PostgreSQL's advisory locks, each for something that one process does at a time. They are arbitrary, but must be
 * the same in every process and differ from each other: a change of participants must not wait for a closing.
 */
export const advisoryLocks = {
  migrating: 7_203_041,
  closing: 7_203_042,
  participants: 7_203_043,
  platformKeys: 7_203_044,
} as const;
