/**
 * What happens once at a time, whatever the number of processes. The numbers mean nothing; they are the same in every process, and
 * each is another one: a change of participants must not wait for a closing.
 */
export const advisoryLocks = {
  migrating: 7_203_041,
  closing: 7_203_042,
  participants: 7_203_043,
  platformKeys: 7_203_044,
} as const;
