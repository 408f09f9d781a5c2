import type { BankActor } from "../../domain/actor.ts";
import { isRefusal, type Refusal, refuse, type TokenSeen } from "../../domain/errors.ts";
import { peekJws } from "../../sdk/jws.ts";
import { acceptedAccess, type Examined, type Judgement, type PresentedToken } from "./accessToken.ts";
import type { Party } from "./parties.ts";
import { type NotTheirs, refusedToken, seenOf, type Verification, verifiedBy } from "./signed.ts";

/**
 * Verifies a bank's Cx-Authorization (wire contract, section 3). With a guid in the path the token must be signed by that bank; one
 * of another registered bank is authentic, but forbidden here. A caller without a key of the bank only learns that the token is
 * refused.
 */
export async function bankOfToken(
  presented: PresentedToken,
  verification: Verification,
  judgement: Judgement,
): Promise<BankActor | Refusal> {
  const { parties } = verification;
  const counterpartyGuid = presented.counterpartyGuid?.toLowerCase();
  const parsed = peekJws(presented.token);
  if (!parsed.ok) return refusedToken({ tokenProblem: parsed.problem, party: counterpartyGuid });
  const shown = { presented, parsed, judgement };
  /** First with the cached party, then with the party as it is now, which may have a new key. */
  const examine = async (party: Party) => {
    const known = await examined(shown, verification, party);
    const changed = "notTheirs" in known ? await parties.changed(party) : undefined;
    return changed === undefined ? known : examined(shown, verification, changed);
  };
  const { kid } = parsed.header;
  let seen: TokenSeen = { tokenProblem: kid === undefined ? "no_kid" : "unknown_party", kid, party: counterpartyGuid };
  const named = counterpartyGuid === undefined ? undefined : await parties.find({ guid: counterpartyGuid });
  if (named !== undefined) {
    const answer = await examine(named);
    if (!("notTheirs" in answer)) return answer;
    seen = seenOf(parsed, named, answer.notTheirs);
  }
  const signer = kid === undefined ? undefined : await parties.find({ kid });
  // The signer is the bank that the path names, which has been looked up anew already.
  const isExamined = signer?.participant.guid === named?.participant.guid;
  const answer = signer && !isExamined ? await examine(signer) : undefined;
  if (answer === undefined || "notTheirs" in answer) return refusedToken(seen);
  if (isRefusal(answer) || counterpartyGuid === undefined || answer.bank.guid === counterpartyGuid) return answer;
  return refuse("FORBIDDEN", "the counterparty in the path is not the caller", {
    seen: { tokenProblem: "another_party", kid, party: answer.bank.guid },
  });
}

async function examined(
  shown: Examined,
  verification: Verification,
  party: Party,
): Promise<BankActor | Refusal | NotTheirs> {
  const bank = party.participant;
  if (bank.kind !== "bank") return { notTheirs: "unknown_key" };
  const verified = await verifiedBy(party, shown.parsed, verification);
  if (!("claims" in verified)) return verified;
  const accepted = acceptedAccess(shown, party, verified);
  if (isRefusal(accepted)) return accepted;
  const issuedAt = new Date(Math.floor(accepted.iat * 1000));
  const { token, requestDigest } = shown.presented;
  const access = { jti: accepted.jti, issuedAt, requestDigest };
  const bindsBody = verified.claims.body_sha256 !== undefined;
  return { kind: "bank", bank, access, token, judgedAt: shown.judgement.asOf, bindsBody };
}
