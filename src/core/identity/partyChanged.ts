/**
 * Optimistic locking: the signer was changed since its signature was verified (a key may have been withdrawn). Nothing was done;
 * the caller has to verify the signature again and decide again.
 */
export class PartyChanged extends Error {}

/** Throws the `PartyChanged` among the answers of a group as the error of its own call; other answers are returned. */
export function unlessChanged<Answer>(answer: Answer): Exclude<Answer, PartyChanged> {
  if (answer instanceof PartyChanged) throw answer;
  return answer as Exclude<Answer, PartyChanged>;
}
