/**
 * Whoever signed was changed since the signature was verified: a key may have been withdrawn. Nothing was done; verify again,
 * and decide again.
 */
export class PartyChanged extends Error {}

/** What a use-case decided for one of a group, or the need to verify again as the error that ends the call. */
export function unlessChanged<Answer>(answer: Answer): Exclude<Answer, PartyChanged> {
  if (answer instanceof PartyChanged) throw answer;
  return answer as Exclude<Answer, PartyChanged>;
}
