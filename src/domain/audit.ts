/**
 * Every change that is not a payment's own course, as the audit trail calls it. What the act was done to is its object: the
 * guid of a participant or of a callback, the name of a credential, the id of a register, a day, the kid of a key. Of the two
 * about dead letters it is a number of tickets: how many were asked for at most, and how many were moved; of an encryption
 * anew it is the fingerprint of the new master key.
 */
export const auditActs = [
  "participant_registered",
  "participant_updated",
  "credential_added",
  "credential_revoked",
  "callback_replayed",
  "callback_resolved",
  "redrive_asked",
  "redrive_done",
  "register_reopened",
  "day_closed",
  "participant_suspended",
  "participant_resumed",
  "participant_closed",
  "participant_key_added",
  "participant_key_retired",
  "platform_key_announced",
  "platform_key_retired",
  "platform_keys_reencrypted",
] as const;

export type AuditAct = (typeof auditActs)[number];

/** Acts that make what was not there; the others about a row change one that was. */
export const makingActs = [
  "participant_registered",
  "participant_key_added",
  "credential_added",
  "day_closed",
  "platform_key_announced",
] as const satisfies readonly AuditAct[];

/** Acts that change no content of the database: tickets lie in the queue, and a key stays the same under another master key. */
export const actsWithoutDigests = [
  "redrive_asked",
  "redrive_done",
  "platform_keys_reencrypted",
] as const satisfies readonly AuditAct[];
