import { isRefusal, type Refusal, refuse } from "../../domain/errors.ts";
import { isUid, type Participant } from "../../domain/participant.ts";
import { type Claims, type ParsedJws, peekJws, verifyParsedJws } from "../../sdk/jws.ts";
import type { Parties, Party } from "./parties.ts";
import { PartyChanged } from "./partyChanged.ts";

/** All that somebody hears who has not shown that he holds a key. */
export const refusedToken = (): Refusal => refuse("AUTHORIZATION_FAILED", "Access credentials are invalid");

/** Whose order it is, and what it says. */
export async function signedByMerchant(
  jws: string,
  parties: Parties,
): Promise<{ merchant: Participant; claims: Claims } | Refusal> {
  const parsed = peekJws(jws);
  if (!parsed.ok) return refusedToken();
  const uid = parsed.claims.sub;
  const party = isUid(uid) ? await parties.find({ uid }) : undefined;
  if (party?.participant.kind !== "merchant") return refusedToken();
  const claims = await verifiedClaims(parsed, party, parties);
  return isRefusal(claims) ? claims : { merchant: party.participant, claims };
}

/**
 * What a bank signed beside its access token: a payment message, or a statement about a register. Throws `PartyChanged` when it
 * is not known as the version that its access token was verified against.
 */
export async function signedByBank(bank: Participant, jws: string, parties: Parties): Promise<Claims | Refusal> {
  const parsed = peekJws(jws);
  const party = parsed.ok ? await parties.find({ guid: bank.guid }) : undefined;
  // Found by another name than for its access token, it may be known as another version, and so by other keys: one that was
  // withdrawn would sign, or a new one would not.
  if (party !== undefined && party.participant.version !== bank.version) throw new PartyChanged();
  return parsed.ok && party ? verifiedClaims(parsed, party, parties) : refusedToken();
}

async function verifiedClaims(parsed: ParsedJws, party: Party, parties: Parties): Promise<Claims | Refusal> {
  const first = await verifiedBy(party, parsed);
  // Only a party that publishes its keys can have changed them without telling us.
  if (first !== undefined || party.participant.jwksUrl === null) return first ?? refusedToken();
  return (await verifiedBy(await parties.refreshed(party), parsed)) ?? refusedToken();
}

/** The claims under a good signature of the party; undefined when it is none. */
export async function verifiedBy({ keys }: Party, parsed: ParsedJws): Promise<Claims | Refusal | undefined> {
  const verified = await verifyParsedJws(parsed, keys);
  if (verified.ok) return verified.claims;
  const { member } = verified;
  // A token whose claims say two things is refused by the one who signed it, not taken for another's.
  return member === undefined ? undefined : refuse("INVALID_REQUEST", `${member} is named twice`, { field: member });
}
