import type { BankActor } from "../../domain/actor.ts";
import { isRefusal, type Refusal, type RefusalReason, refuse, type TokenSeen } from "../../domain/errors.ts";
import type { Participant } from "../../domain/participant.ts";
import { type AccessProblem, bodyDigest, checkAccessClaims } from "../../sdk/access.ts";
import { type Claims, type ParsedJws, peekJws } from "../../sdk/jws.ts";
import type { Party } from "./parties.ts";
import { type NotTheirs, refusedToken, seenOf, suspendedCaller, type Verification, verifiedBy } from "./signed.ts";

/** By which name a token may call the platform, beside its public address. */
const platformAudience = "dcm";

/** What the holder of the key hears of a token with a good signature (wire contract, section 4), and of which claim. */
const refusalOfProblem: Record<AccessProblem, Refusal> = {
  kind: refusedToken({ tokenProblem: "kind" }),
  iat: refuse("TOKEN_INCOMPLETE", "iat is missing or malformed", { field: "iat" }),
  jti: refuse("TOKEN_INCOMPLETE", "jti is missing or malformed", { field: "jti" }),
  stale: refuse("TOKEN_STALE", "the access token is too old", { field: "iat" }),
  ahead: refuse("TOKEN_NOT_YET_VALID", "the access token is from the future", { field: "iat" }),
  expired: refuse("TOKEN_EXPIRED", "the access token has expired", { field: "exp" }),
  not_yet_valid: refuse("TOKEN_NOT_YET_VALID", "the access token is not valid yet", { field: "nbf" }),
  audience: refuse("TOKEN_AUDIENCE", "the access token is for another audience", { field: "aud" }),
};

/** What a request shows of itself to be taken for its bank's. */
export type PresentedToken = {
  token: string;
  /** The bank that the path names, if it names one. */
  counterpartyGuid: string | undefined;
  /** Whether the operation changes something. */
  isChange: boolean;
  /** Whether the operation is there for a bank that is suspended as well. */
  isForSuspended: boolean;
  /** The request's body, byte by byte; empty where it has none. */
  body: Uint8Array;
  /** By which a retry is told from another request; of reads it is not looked at. */
  requestDigest: Uint8Array;
  /** Of a read that goes on: what `continuationOf` said of it when it began. */
  continuation?: string | undefined;
};

/** By what a token is judged beside its keys: an instant of the database's clock, and the platform's public address. */
export type Judgement = { asOf: Date; publicUrl: string };

/**
 * Verifies a bank's Cx-Authorization (wire contract, section 3). With a guid in the path the token must be signed by that bank;
 * a token of another registered bank is good, but not here. Whoever holds no key of the bank learns nothing but that.
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
  /** As it is known, or as it is now: it may have a key since a moment ago. */
  const examine = async (party: Party) => {
    const known = await examined({ presented, parsed, verification, judgement }, party);
    const changed = "notTheirs" in known ? await parties.changed(party) : undefined;
    return changed === undefined ? known : examined({ presented, parsed, verification, judgement }, changed);
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
  // The bank that the path names was looked at already, as it is now.
  const isExamined = signer?.participant.guid === named?.participant.guid;
  const answer = signer && !isExamined ? await examine(signer) : undefined;
  if (answer === undefined || "notTheirs" in answer) return refusedToken(seen);
  if (isRefusal(answer) || counterpartyGuid === undefined || answer.bank.guid === counterpartyGuid) return answer;
  return refuse("FORBIDDEN", "the counterparty in the path is not the caller", {
    seen: { tokenProblem: "another_party", kid, party: answer.bank.guid },
  });
}

type Examined = { presented: PresentedToken; parsed: ParsedJws; verification: Verification; judgement: Judgement };

async function examined(
  { presented, parsed, verification, judgement }: Examined,
  party: Party,
): Promise<BankActor | Refusal | NotTheirs> {
  const bank = party.participant;
  if (bank.kind !== "bank") return { notTheirs: "unknown_key" };
  const verified = await verifiedBy(party, parsed, verification);
  if (!("claims" in verified)) return verified;
  const { claims } = verified;
  const check = checkAccessClaims(claims, judgement.asOf, [platformAudience, judgement.publicUrl]);
  if (!check.ok) return { ...refusalOfProblem[check.problem], seen: seenOf(parsed, party, check.problem) };
  if (bank.status === "suspended" && !presented.isForSuspended) return suspendedCaller(bank);
  const unbound = bodyProblem(claims, bank, presented);
  if (unbound !== undefined) return { ...unbound, seen: seenOf(parsed, party, "body") };
  const issuedAt = new Date(Math.floor(check.iat * 1000));
  const { token, requestDigest } = presented;
  const access = { jti: check.jti, issuedAt, requestDigest };
  const bindsBody = claims.body_sha256 !== undefined;
  return { kind: "bank", bank, access, token, judgedAt: judgement.asOf, bindsBody };
}

/** A token that binds another body, or none where its bank wants every change to be bound. */
function bodyProblem(
  { body_sha256: bound }: Claims,
  { requiresBodySha256 }: Participant,
  { isChange, body }: PresentedToken,
): Refusal | undefined {
  const problem = (reason: RefusalReason, text: string) =>
    refuse(reason, `body_sha256 ${text}`, { field: "body_sha256" });
  if (bound !== undefined) {
    return bound === bodyDigest(body) ? undefined : problem("TOKEN_BODY_MISMATCH", "binds another body");
  }
  return requiresBodySha256 && isChange ? problem("TOKEN_INCOMPLETE", "is missing") : undefined;
}
