import { isRefusal, type Refusal, refuse, type TokenSeen } from "../../domain/errors.ts";
import { isUid, type Participant } from "../../domain/participant.ts";
import { type Claims, type JwsProblem, type ParsedJws, peekJws, verifyParsedJws } from "../../sdk/jws.ts";
import { goodKeys, type Parties, type Party } from "./parties.ts";
import { PartyChanged } from "./partyChanged.ts";

/**
 * The only refusal for a caller that has not proven to hold a key: it tells nothing about which check failed (`seen` is for the
 * log).
 */
export const refusedToken = (seen: TokenSeen): Refusal =>
  refuse("AUTHORIZATION_FAILED", "Access credentials are invalid", { seen });

/** Verified claims, and the key. Wrapped, because claims may have members of any name, those of a refusal included. */
export type Verified = { claims: Claims; kid: string };

/** The token was not signed by the party, and why. */
export type NotTheirs = { notTheirs: JwsProblem };

/** The parties, the instant at which keys must be valid, and a callback for each key that was used. */
export type Verification = { parties: Parties; now: Date; seen: (keyId: number) => void };

/** The merchant that signed an order, and its claims. */
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

/** The claims under the signature of the merchant whose uid is in that claim. */
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

/** The refusal of a party that is authenticated but suspended (wire contract, section 8). */
export const suspendedCaller = ({ uid, guid }: Participant): Refusal =>
  refuse("PARTICIPANT_SUSPENDED", "the participant is suspended", {
    seen: { tokenProblem: "suspended", party: uid ?? guid },
  });

/**
 * What a bank signed beside its access token: a payment message, or a statement about a register. Throws `PartyChanged` when the
 * bank no longer has the version that its access token was verified against.
 */
export async function signedByBank(
  bank: Participant,
  jws: string,
  verification: Verification,
): Promise<Verified | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem, party: bank.guid });
  const party = await verification.parties.find({ guid: bank.guid });
  // The access token's look-up went by another name, so it may have been cached at another version and with other keys: a withdrawn
  // one would be accepted, or a new one refused.
  if (party?.participant.version !== bank.version) throw new PartyChanged();
  const signed = await signedBy(party, parsed, verification);
  if (isRefusal(signed)) return signed;
  if (signed.party !== party) throw new PartyChanged();
  return { claims: signed.claims, kid: signed.kid };
}

/**
 * The claims that a party signed, and the party. If the cached keys do not verify them, it is looked up anew, because its key may
 * be new.
 */
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

/** The claims under a valid signature of the party. */
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
  // A claim that is named twice is refused as invalid, not as the token of another party: the signature is good.
  return member === undefined
    ? { notTheirs: problem }
    : refuse("INVALID_REQUEST", `${member} is named twice`, { field: member });
}

export const seenOf = (parsed: ParsedJws, { participant }: Party, tokenProblem: string): TokenSeen => ({
  tokenProblem,
  kid: parsed.header.kid,
  party: participant.uid ?? participant.guid,
});
