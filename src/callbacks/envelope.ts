import type { components } from "../../gen/rest/types.ts";
import { callbackBodies, callbackHeaders, webhookOf, webhooks } from "../../gen/rest/webhooks.ts";
import type { ClaimedCallback } from "../core/delivery.ts";
import { type CallbackKind, callbackTokenLifeSeconds } from "../domain/callback.ts";
import type { CallbackAlg, CallbackBodyFormat, CallbackUrlName, Participant } from "../domain/participant.ts";
import { bodyDigest } from "../sdk/access.ts";
import type { CallbackContent } from "../wire/callbackClaims.ts";
import type { CallbackRequest } from "./client.ts";

type Schemas = components["schemas"];

/** How the token of a signed body is written in each format that a receiver can choose at registration. */
const bodyOfFormat = {
  json: {
    type: callbackBodies.envelope.type,
    write: (jws) => JSON.stringify({ [callbackBodies.envelope.member]: jws }),
  },
  text: { type: callbackBodies.bare.type, write: (jws) => jws },
} as const satisfies Record<CallbackBodyFormat, { type: string; write: (jws: string) => string }>;

/** What the envelope adds to the content: the callback's guid and kind, and the instant by the database's clock. */
export type Marked = { guid: string; kind: Schemas["CallbackKind"]; at: Date };

export const markedAs = ({ guid, kind, claimedAt }: ClaimedCallback): Marked => ({
  guid,
  kind: webhooks[webhookOf[kind]].word,
  at: claimedAt,
});

/** The URL for a kind of callback, or undefined if the participant has none for it. */
export function callbackUrl(kind: CallbackKind, { callbackUrls }: Participant): string | undefined {
  const names: readonly CallbackUrlName[] = webhooks[webhookOf[kind]].urls;
  return names.map((name) => callbackUrls[name]).find((url) => url !== undefined);
}

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
    exp: iat + callbackTokenLifeSeconds,
    jti: marked.guid,
    callback_kind: marked.kind,
  } satisfies Required<Schemas["CallbackClaims"]>;
  if (content.form === "open") {
    const body = JSON.stringify(content.body);
    const access = await sign({ ...binding, body_sha256: bodyDigest(Buffer.from(body)) });
    return { headers: headers(callbackBodies.open.type, access, marked), body };
  }
  const [access, jws] = await Promise.all([
    // Each attempt has its own `jti`: a receiver that remembers them must not take a retry for a replay.
    sign({ iat, jti: newGuid() }),
    sign({ ...content.claims, ...binding }),
  ]);
  const { type, write } = bodyOfFormat[receiver.callbackBodyFormat];
  // Receivers need not accept a longer token, so sending it would fail every time; that is our own fault.
  if (jws.length > callbackBodies.envelope.maxChars) throw new Error(`the token would have ${jws.length} characters`);
  return { headers: headers(type, access, marked), body: write(jws) };
}

function headers(contentType: string, access: string, { guid, kind }: Marked): Record<string, string> {
  // The contract's headers by name; one that is added to the contract and missing here does not compile.
  const values = {
    CallbackAuthorizationHeader: access,
    CallbackGuidHeader: guid,
    CallbackKindHeader: kind,
  } satisfies Record<keyof typeof callbackHeaders, string>;
  const named = Object.entries(values).map(([name, value]) => [callbackHeaders[name as keyof typeof values], value]);
  return { "Content-Type": contentType, ...Object.fromEntries(named) };
}
