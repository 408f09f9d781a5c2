import { type Participant, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { isUid } from "../domain/participant.ts";
import { type AccessProblem, checkAccessClaims } from "../sdk/access.ts";
import { type Claims, peekJws, type VerifiedJws, verifyJws } from "../sdk/jws.ts";
import type { Caller } from "./context.ts";
import { type ErrorCode, RestRefusal } from "./errors.ts";
import type { Parties, Party } from "./parties.ts";

/** By which names a token may call the platform, beside its public address. */
const PLATFORM_AUDIENCE = "dcm";

/** What the holder of the key hears of a token with a good signature (wire contract, section 4), and of which claim. */
const codeOfProblem: Record<AccessProblem, { code: ErrorCode; field?: string }> = {
  kind: { code: "AUTHORIZATION_FAILED" },
  iat: { code: "TOKEN_INCOMPLETE", field: "iat" },
  jti: { code: "TOKEN_INCOMPLETE", field: "jti" },
  stale: { code: "TOKEN_STALE", field: "iat" },
  ahead: { code: "TOKEN_NOT_YET_VALID", field: "iat" },
  expired: { code: "TOKEN_EXPIRED", field: "exp" },
  not_yet_valid: { code: "TOKEN_NOT_YET_VALID", field: "nbf" },
  audience: { code: "TOKEN_AUDIENCE", field: "aud" },
};

const refused = () => new RestRefusal("AUTHORIZATION_FAILED");

/** What a request shows of itself to be taken for its bank's. */
export type Presented = {
  token: string | undefined;
  /** The bank that the path names. */
  pathGuid: string | undefined;
  /** Whether the operation changes something. */
  isChange: boolean;
  bodySha256: string;
  requestDigest: Uint8Array;
  /** The platform's public address. */
  publicUrl: string;
};

/**
 * Verifies a bank's Cx-Authorization. With a guid in the path the token must be signed by that bank; a token of another
 * registered bank is good, but not here.
 */
export async function authenticateBank(presented: Presented, parties: Parties, now: Date): Promise<Caller> {
  const { token, pathGuid } = presented;
  const peeked = peekJws(token);
  if (token === undefined || !peeked.ok) throw refused();
  const signed = { ...presented, token };
  const { kid } = peeked.header;
  if (pathGuid !== undefined) {
    const named = await parties.find({ case: "guid", value: pathGuid.toLowerCase() });
    const caller = named && (await verifiedCaller(signed, named, now));
    if (caller) return caller;
  }
  if (kid === undefined) throw refused();
  const signer = await parties.find({ case: "kid", value: kid });
  const caller = signer && (await verifiedCaller(signed, signer, now));
  if (!caller) throw refused();
  if (pathGuid !== undefined && caller.bank.guid !== pathGuid.toLowerCase()) {
    throw new RestRefusal("FORBIDDEN", { text: "the counterparty in the path is not the caller" });
  }
  return caller;
}

async function verifiedCaller(
  presented: Presented & { token: string },
  party: Party,
  now: Date,
): Promise<Caller | undefined> {
  const bank = party.participant;
  if (bank.kind !== ParticipantKind.BANK) return undefined;
  const verified = await verifyJws(presented.token, party.keys);
  if (!verified.ok) {
    refuseNamedTwice(verified);
    return undefined;
  }
  const check = checkAccessClaims(verified.claims, now, [PLATFORM_AUDIENCE, presented.publicUrl]);
  if (!check.ok) {
    const { code, ...details } = codeOfProblem[check.problem];
    throw new RestRefusal(code, details);
  }
  checkBody(verified.claims, bank, presented);
  const issuedAt = new Date(Math.floor(check.iat * 1000));
  const { token, requestDigest } = presented;
  return { bank, access: { token, jti: check.jti, issuedAt, requestDigest } };
}

/** A token whose claims say two things is refused by the one who signed it, not taken for another's. */
function refuseNamedTwice({ member }: Extract<VerifiedJws, { ok: false }>): void {
  if (member === undefined) return;
  throw new RestRefusal("INVALID_REQUEST", { text: `${member} is named twice`, field: member });
}

/** Refuses a token that binds another body, or none where its bank wants every change to be bound. */
function checkBody({ body_sha256: bound }: Claims, bank: Participant, { isChange, bodySha256 }: Presented): void {
  const field = "body_sha256";
  if (bound === undefined) {
    if (bank.requiresBodySha256 && isChange) throw new RestRefusal("TOKEN_INCOMPLETE", { field });
  } else if (bound !== bodySha256) throw new RestRefusal("TOKEN_BODY_MISMATCH", { field });
}

/** Verifies an order's token with the keys of the merchant that it names. */
export async function verifyOrder(token: string, parties: Parties): Promise<{ merchant: Participant; claims: Claims }> {
  const peeked = peekJws(token);
  if (!peeked.ok) throw refused();
  const uid = peeked.claims.sub;
  if (!isUid(uid)) throw refused();
  const party = await parties.find({ case: "uid", value: uid });
  if (party?.participant.kind !== ParticipantKind.MERCHANT) throw refused();
  return { merchant: party.participant, claims: await verifiedClaims(token, party, parties) };
}

/** Verifies what the calling bank signed beside its access token: a payment message, or a statement about a register. */
export async function verifySignedBy(bank: Participant, token: string, parties: Parties): Promise<Claims> {
  const party = await parties.find({ case: "guid", value: bank.guid });
  if (!party) throw refused();
  return verifiedClaims(token, party, parties);
}

async function verifiedClaims(token: string, party: Party, parties: Parties): Promise<Claims> {
  const first = await verifyJws(token, party.keys);
  if (first.ok) return first.claims;
  refuseNamedTwice(first);
  // Only a party that publishes its keys can have changed them without telling us.
  if (party.participant.jwksUrl === "") throw refused();
  const second = await verifyJws(token, (await parties.refreshed(party)).keys);
  if (second.ok) return second.claims;
  refuseNamedTwice(second);
  throw refused();
}
