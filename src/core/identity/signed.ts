import { isRefusal, type Refusal, refuse, type TokenSeen } from "../../domain/errors.ts";
import { isUid, type Participant } from "../../domain/participant.ts";
import { type Claims, type JwsProblem, type ParsedJws, peekJws, verifyParsedJws } from "../../sdk/jws.ts";
import type { Parties, Party } from "./parties.ts";
import { PartyChanged } from "./partyChanged.ts";

/** All that somebody hears who has not shown that he holds a key. */
export const refusedToken = (seen: TokenSeen): Refusal =>
  refuse("AUTHORIZATION_FAILED", "Access credentials are invalid", { seen });

/** What was signed. Apart from a refusal by its member, because claims are named by strangers. */
export type Verified = { claims: Claims };

/** The token is not the party's, and why. */
export type NotTheirs = { notTheirs: JwsProblem };

/** Whose order it is, and what it says. */
export async function signedByMerchant(
  jws: string,
  parties: Parties,
): Promise<(Verified & { merchant: Participant }) | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem });
  const uid = parsed.claims.sub;
  const party = isUid(uid) ? await parties.find({ uid }) : undefined;
  if (party?.participant.kind !== "merchant") {
    return refusedToken({ tokenProblem: "unknown_party", kid: parsed.header.kid, party: isUid(uid) ? uid : undefined });
  }
  const signed = await signedBy(party, parsed, parties);
  return isRefusal(signed) ? signed : { merchant: party.participant, ...signed };
}

/**
 * What a bank signed beside its access token: a payment message, or a statement about a register. Throws `PartyChanged` when it
 * is not known as the version that its access token was verified against.
 */
export async function signedByBank(bank: Participant, jws: string, parties: Parties): Promise<Verified | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem, party: bank.guid });
  const party = await parties.find({ guid: bank.guid });
  // Found by another name than for its access token, it may be known as another version, and so by other keys: one that was
  // withdrawn would sign, or a new one would not.
  if (party?.participant.version !== bank.version) throw new PartyChanged();
  return signedBy(party, parsed, parties);
}

async function signedBy(party: Party, parsed: ParsedJws, parties: Parties): Promise<Verified | Refusal> {
  const first = await verifiedBy(party, parsed);
  // Only a party that publishes its keys can have changed them without telling us.
  const isFinal = !("notTheirs" in first) || party.participant.jwksUrl === null;
  const last = isFinal ? first : await verifiedBy(await parties.refreshed(party), parsed);
  return "notTheirs" in last ? refusedToken(seenOf(parsed, party, last.notTheirs)) : last;
}

/** What is under a good signature of the party. */
export async function verifiedBy({ keys }: Party, parsed: ParsedJws): Promise<Verified | Refusal | NotTheirs> {
  const verified = await verifyParsedJws(parsed, keys);
  if (verified.ok) return { claims: verified.claims };
  const { member, problem } = verified;
  // A token whose claims say two things is refused by the one who signed it, not taken for another's.
  return member === undefined
    ? { notTheirs: problem }
    : refuse("INVALID_REQUEST", `${member} is named twice`, { field: member });
}

export const seenOf = (parsed: ParsedJws, { participant }: Party, tokenProblem: string): TokenSeen => ({
  tokenProblem,
  kid: parsed.header.kid,
  party: participant.uid ?? participant.guid,
});
