import { isRefusal, type Refusal, refuse, type TokenSeen } from "../../domain/errors.ts";
import { isUid, type Participant } from "../../domain/participant.ts";
import { type Claims, type JwsProblem, type ParsedJws, peekJws, verifyParsedJws } from "../../sdk/jws.ts";
import { goodKeys, type Parties, type Party } from "./parties.ts";
import { PartyChanged } from "./partyChanged.ts";

/** All that somebody hears who has not shown that he holds a key. */
export const refusedToken = (seen: TokenSeen): Refusal =>
  refuse("AUTHORIZATION_FAILED", "Access credentials are invalid", { seen });

/** What was signed, and by which key. Apart from a refusal by its member, because claims are named by strangers. */
export type Verified = { claims: Claims; kid: string };

/** The token is not the party's, and why. */
export type NotTheirs = { notTheirs: JwsProblem };

/** Whose keys are good when, and who is told that one of them was used. */
export type Verification = { parties: Parties; now: Date; seen: (keyId: number) => void };

/** Whose order it is, and what it says. */
export async function signedByMerchant(
  jws: string,
  verification: Verification,
): Promise<(Verified & { merchant: Participant }) | Refusal> {
  const signed = await signedByNamed("sub", jws, verification);
  if (isRefusal(signed)) return signed;
  const { participant: merchant } = signed.party;
  return merchant.status === "suspended"
    ? suspendedCaller(merchant)
    : { claims: signed.claims, kid: signed.kid, merchant };
}

/** What the merchant signed whose uid is that claim of it. */
export async function signedByNamed(
  claim: "sub" | "iss",
  jws: string,
  verification: Verification,
): Promise<(Verified & { party: Party; parsed: ParsedJws }) | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem });
  const uid = parsed.claims[claim];
  const party = isUid(uid) ? await verification.parties.find({ uid }) : undefined;
  if (party?.participant.kind !== "merchant") {
    return refusedToken({ tokenProblem: "unknown_party", kid: parsed.header.kid, party: isUid(uid) ? uid : undefined });
  }
  const signed = await signedBy(party, parsed, verification);
  return isRefusal(signed) ? signed : { ...signed, parsed };
}

/** What a party hears that has shown who it is, and may do nothing for now (wire contract, section 8). */
export const suspendedCaller = ({ uid, guid }: Participant): Refusal =>
  refuse("PARTICIPANT_SUSPENDED", "the participant is suspended", {
    seen: { tokenProblem: "suspended", party: uid ?? guid },
  });

/**
 * What a bank signed beside its access token: a payment message, or a statement about a register. Throws `PartyChanged` when it
 * is not known as the version that its access token was verified against.
 */
export async function signedByBank(
  bank: Participant,
  jws: string,
  verification: Verification,
): Promise<Verified | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem, party: bank.guid });
  const party = await verification.parties.find({ guid: bank.guid });
  // Found by another name than for its access token, it may be known as another version, and so by other keys: one that was
  // withdrawn would sign, or a new one would not.
  if (party?.participant.version !== bank.version) throw new PartyChanged();
  const signed = await signedBy(party, parsed, verification);
  if (isRefusal(signed)) return signed;
  if (signed.party !== party) throw new PartyChanged();
  return { claims: signed.claims, kid: signed.kid };
}

/** What a party signed, also with a key that it has since a moment ago; and the party as it is then. */
async function signedBy(
  party: Party,
  parsed: ParsedJws,
  verification: Verification,
): Promise<(Verified & { party: Party }) | Refusal> {
  const first = await verifiedBy(party, parsed, verification);
  if (isRefusal(first)) return first;
  if (!("notTheirs" in first)) return { ...first, party };
  const changed = await verification.parties.changed(party);
  const last = changed === undefined ? first : await verifiedBy(changed, parsed, verification);
  if (isRefusal(last)) return last;
  if ("notTheirs" in last) return refusedToken(seenOf(parsed, party, last.notTheirs));
  return { ...last, party: changed ?? party };
}

/** What is under a good signature of the party. */
export async function verifiedBy(
  party: Party,
  parsed: ParsedJws,
  { now, seen }: Verification,
): Promise<Verified | Refusal | NotTheirs> {
  const verified = await verifyParsedJws(parsed, goodKeys(party, now));
  if (verified.ok) {
    seen(verified.by.id);
    return { claims: verified.claims, kid: verified.by.kid };
  }
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
