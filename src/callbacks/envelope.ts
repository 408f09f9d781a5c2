import type { ClaimedCallback } from "../core/callbacks.ts";
import type { CallbackKind } from "../domain/callback.ts";
import type { CallbackAlg, CallbackUrlName, Participant } from "../domain/participant.ts";
import { ACCESS_HEADER, bodyDigest } from "../sdk/access.ts";
import { CALLBACK_GUID_HEADER, CALLBACK_KIND_HEADER, MAX_CALLBACK_TOKEN_CHARS } from "../sdk/callbacks.ts";
import type { CallbackContent } from "./claims.ts";
import type { CallbackRequest } from "./client.ts";

/** Which registered URL a kind goes to (wire-contract section 8). */
const urlNameOf = {
  pay_in_bank: "pay_in",
  pay_in_merchant: "pay_in",
  pay_in_bank_reject: "pay_in",
  pay_in_merchant_reject: "pay_in",
  pay_out: "pay_out",
  credit: "credit",
  expiration: "expiration",
  gross_settlement: "gross_settlement",
} as const satisfies Record<CallbackKind, CallbackUrlName>;

/** What receivers read as the kind: the name of the URL, in the spelling of the wire. */
const wireKind = (kind: CallbackKind) => urlNameOf[kind].replace("_", "-");

/** What an envelope says beside its content: which callback it is, and by the database's clock when. */
export type Marked = { guid: string; kind: string; at: Date };

export const markedAs = ({ guid, kind, claimedAt }: ClaimedCallback): Marked => ({
  guid,
  kind: wireKind(kind),
  at: claimedAt,
});

/** The URL that a callback goes to, or undefined when the participant has none for it. */
export function callbackUrl(kind: CallbackKind, receiver: Participant): string | undefined {
  const { callbackUrls } = receiver;
  // Gross_Settlement is optional: a bank gets it only where it asked for it.
  return callbackUrls[urlNameOf[kind]] ?? (kind === "gross_settlement" ? undefined : callbackUrls.base);
}

/** Longer than any attempt may take, and short enough that a captured token is soon worthless. */
const tokenLifeSeconds = 300;

export type Signer = {
  issuer: string;
  /** Signs with the active key of the algorithm. */
  sign: (claims: Record<string, unknown>, alg: CallbackAlg) => Promise<string>;
};

/**
 * Signs one attempt in the envelope of wire-contract section 5. Every attempt is signed afresh, with PostgreSQL's instant
 * of the claim, so that a gateway whose own clock is wrong still signs tokens that receivers accept.
 */
export async function sealEnvelope(
  content: CallbackContent,
  marked: Marked,
  receiver: Pick<Participant, "guid" | "uid" | "callbackAlg" | "callbackBodyFormat">,
  signer: Signer,
  newGuid: () => string,
): Promise<CallbackRequest> {
  const iat = Math.floor(marked.at.getTime() / 1000);
  const sign = (claims: Record<string, unknown>) => signer.sign(claims, receiver.callbackAlg);
  const binding = {
    iss: signer.issuer,
    aud: receiver.uid ?? receiver.guid,
    iat,
    exp: iat + tokenLifeSeconds,
    jti: marked.guid,
    callback_kind: marked.kind,
  };
  if (content.form === "open") {
    const body = JSON.stringify(content.body);
    const access = await sign({ ...binding, body_sha256: bodyDigest(Buffer.from(body)) });
    return { headers: headers("application/json", access, marked), body };
  }
  const [access, jws] = await Promise.all([
    // A jti of its own: a receiver that remembers them must not take a retry for a replay.
    sign({ iat, jti: newGuid() }),
    sign({ ...content.claims, ...binding }),
  ]);
  // Receivers need not take more, and would refuse it again and again: the fault is ours.
  if (jws.length > MAX_CALLBACK_TOKEN_CHARS) throw new Error(`the token would have ${jws.length} characters`);
  return receiver.callbackBodyFormat === "text"
    ? { headers: headers("text/plain", access, marked), body: jws }
    : { headers: headers("application/json", access, marked), body: JSON.stringify({ jwt: jws }) };
}

function headers(contentType: string, access: string, { guid, kind }: Marked): Record<string, string> {
  return {
    "Content-Type": contentType,
    [ACCESS_HEADER]: access,
    [CALLBACK_GUID_HEADER]: guid,
    [CALLBACK_KIND_HEADER]: kind,
  };
}
