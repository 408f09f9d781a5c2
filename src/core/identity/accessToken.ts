import { type Refusal, type RefusalReason, refuse } from "../../domain/errors.ts";
import type { Participant } from "../../domain/participant.ts";
import { type AccessCheck, type AccessProblem, bodyDigest, checkAccessClaims } from "../../sdk/access.ts";
import type { Claims, ParsedJws } from "../../sdk/jws.ts";
import type { Party } from "./parties.ts";
import { refusedToken, seenOf, suspendedCaller, type Verified } from "./signed.ts";

// The claims that the Cx-Authorization of a bank and of a merchant have in common (wire contract, section 3).

/** The audience (`aud`) that a token may name instead of the platform's public address. */
const platformAudience = "dcm";

/** The refusal of a token whose signature is good but one of whose claims is not (wire contract, section 4). */
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

/** What a request brings to be authenticated as that of a bank or merchant. */
export type PresentedToken = {
  token: string;
  /** The bank that the path names, if it names one. */
  counterpartyGuid: string | undefined;
  /** Whether the operation changes something. */
  isChange: boolean;
  /** Whether a suspended party may call the operation, too. */
  isForSuspended: boolean;
  /** The request's body, byte by byte; empty where it has none. */
  body: Uint8Array;
  /** Tells a retry from a replay: the token may come again with the same request only. Not used for reads. */
  requestDigest: Uint8Array;
  /** Of a read that goes on: what `continuationOf` returned when it began. */
  continuation?: string | undefined;
};

/** What a token is judged by apart from its keys: an instant of the database's clock, and the platform's public address. */
export type Judgement = { asOf: Date; publicUrl: string };

/** A token whose signature is good, the request that it came with, and what it is judged by. */
export type Examined = { presented: Omit<PresentedToken, "counterpartyGuid">; parsed: ParsedJws; judgement: Judgement };

/** The claims of a token whose signature is good, or why it is refused. */
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

/** Refuses a token that binds another body, or none although its bank requires that every change binds its body. */
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
