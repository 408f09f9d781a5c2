import { type Refusal, type RefusalReason, refuse } from "../../domain/errors.ts";
import type { Participant } from "../../domain/participant.ts";
import { type AccessCheck, type AccessProblem, bodyDigest, checkAccessClaims } from "../../sdk/access.ts";
import type { Claims, ParsedJws } from "../../sdk/jws.ts";
import type { Party } from "./parties.ts";
import { refusedToken, seenOf, suspendedCaller, type Verified } from "./signed.ts";

// What a Cx-Authorization must say beside whose it is, alike of a bank and of a merchant (wire contract, section 3).

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

/** What a request shows of itself to be taken for that of a bank or merchant. */
export type PresentedToken = {
  token: string;
  /** The bank that the path names, if it names one. */
  counterpartyGuid: string | undefined;
  /** Whether the operation changes something. */
  isChange: boolean;
  /** Whether the operation is there for who is suspended as well. */
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

/** What a token with a good signature of a party came with, and by what it is judged. */
export type Examined = { presented: Omit<PresentedToken, "counterpartyGuid">; parsed: ParsedJws; judgement: Judgement };

/** The claims of a token with a good signature of the party that it is accepted with, or what is wrong with it. */
export function acceptedAccess(
  { presented, parsed, judgement }: Examined,
  party: Party,
  { claims }: Verified,
): Extract<AccessCheck, { ok: true }> | Refusal {
  const { participant } = party;
  const check = checkAccessClaims(claims, judgement.asOf, [platformAudience, judgement.publicUrl]);
  if (!check.ok) return { ...refusalOfProblem[check.problem], seen: seenOf(parsed, party, check.problem) };
  if (participant.status === "suspended" && !presented.isForSuspended) return suspendedCaller(participant);
  const unbound = bodyProblem(claims, participant, presented);
  return unbound === undefined ? check : { ...unbound, seen: seenOf(parsed, party, "body") };
}

/** A token that binds another body, or none where its bank wants every change to be bound. */
function bodyProblem(
  { body_sha256: bound }: Claims,
  { requiresBodySha256 }: Participant,
  { isChange, body }: Examined["presented"],
): Refusal | undefined {
  const problem = (reason: RefusalReason, text: string) =>
    refuse(reason, `body_sha256 ${text}`, { field: "body_sha256" });
  if (bound !== undefined) {
    return bound === bodyDigest(body) ? undefined : problem("TOKEN_BODY_MISMATCH", "binds another body");
  }
  return requiresBodySha256 && isChange ? problem("TOKEN_INCOMPLETE", "is missing") : undefined;
}
