/**
 * The acts of the audit trail: every change apart from the ordinary course of a payment. Each act has an object: the guid of a
 * participant or of a callback, the name of a credential, the id of a register, a day, or the kid of a key. The two acts about dead
 * letters have a number of tickets instead (the most that were asked for, and how many were moved), and re-encryption has the
 * fingerprint of the new master key.
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

/** Acts that create a row, so that there is no digest of it before; the other acts about a row change one that was there. */
export const makingActs = [
  "participant_registered",
  "participant_key_added",
  "credential_added",
  "day_closed",
  "platform_key_announced",
] as const satisfies readonly AuditAct[];

/**
 * Acts without digests, because no row changes its content: tickets lie in the queue, and a key stays the same under another master
 * key.
 */
export const actsWithoutDigests = [
  "redrive_asked",
  "redrive_done",
  "platform_keys_reencrypted",
] as const satisfies readonly AuditAct[];
