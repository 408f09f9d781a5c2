import { callbackBodies, callbackHeaders, webhooks } from "../../gen/rest/webhooks.ts";
import { type AccessProblem, bodyDigest, checkAccessClaims } from "./access.ts";
import { type Claims, type JwsProblem, signJws, verifyJws } from "./jws.ts";
import type { SigningKey, VerificationKey } from "./keys.ts";

/** Carries the callback's guid outside the body, so that a receiver can recognise a repeat before it parses anything. */
export const CALLBACK_GUID_HEADER = callbackHeaders.CallbackGuidHeader;

/** Names the kind of callback, for receivers with one address for all; the signed claim `callback_kind` must agree with it. */
export const CALLBACK_KIND_HEADER = callbackHeaders.CallbackKindHeader;

/** Carries the platform's access token. */
export const CALLBACK_ACCESS_HEADER = callbackHeaders.CallbackAuthorizationHeader;

/** The largest token that the platform signs into a body, and that a receiver has to take. */
export const MAX_CALLBACK_TOKEN_CHARS = callbackBodies.envelope.maxChars;

export type CallbackProblem =
  | "access_missing"
  | `access_${JwsProblem | AccessProblem}`
  | `body_${JwsProblem}`
  | "body_digest"
  | "audience"
  | "expired"
  | "guid"
  | "kind";

export type IncomingCallback = {
  headers: Record<string, string | string[] | undefined>;
  /** The raw bytes: the digest of JSON that was parsed and printed again would differ. */
  rawBody: Uint8Array;
};

export type VerifiedCallback =
  | { ok: true; guid: string; form: "signed" | "open"; claims: Claims }
  | { ok: false; problem: CallbackProblem };

export type Receiver = {
  /** The receiver's own guid (bank) or uid (merchant). */
  audience: string;
  /** The platform's keys, from its JWKS address. */
  keys: readonly VerificationKey[];
};

/**
 * Verifies a callback as a receiver must: the access token, then the body. A body is either a JWS (bare, or in an envelope)
 * or open JSON whose digest the access token binds; open JSON without such a token is refused, whatever it says.
 */
export async function verifyCallback(
  incoming: IncomingCallback,
  receiver: Receiver,
  now: Date,
): Promise<VerifiedCallback> {
  const token = header(incoming, CALLBACK_ACCESS_HEADER);
  if (token === undefined) return failed("access_missing");
  const access = await verifyJws(token, receiver.keys);
  if (!access.ok) return failed(`access_${access.problem}`);
  const fresh = checkAccessClaims(access.claims, now, [receiver.audience]);
  if (!fresh.ok) return failed(`access_${fresh.problem}`);

  const jws = tokenInBody(incoming.rawBody);
  if (jws === undefined) return verifyOpenBody(incoming, access.claims, receiver, now);
  const body = await verifyJws(jws, receiver.keys, MAX_CALLBACK_TOKEN_CHARS);
  if (!body.ok) return failed(`body_${body.problem}`);
  const bound = checkBinding(body.claims, incoming, receiver, now);
  return bound.ok ? { ok: true, guid: bound.guid, form: "signed", claims: body.claims } : bound;
}

function verifyOpenBody(incoming: IncomingCallback, access: Claims, receiver: Receiver, now: Date): VerifiedCallback {
  if (access.body_sha256 !== bodyDigest(incoming.rawBody)) return failed("body_digest");
  const bound = checkBinding(access, incoming, receiver, now);
  if (!bound.ok) return bound;
  const claims = parseObject(incoming.rawBody);
  return claims ? { ok: true, guid: bound.guid, form: "open", claims } : failed("body_malformed");
}

/** The `callback_kind` of a ping, which tests the receiver's address and is about no payment. */
export const PING_KIND = webhooks.ping.word;

/**
 * The body that answers a ping and proves that the receiver's address and its keys belong together: the challenge, signed by each
 * of them. A receiver that has nothing to prove answers 200 with any body.
 */
export async function pingProof({ challenge }: Claims, keys: readonly SigningKey[]): Promise<{ jwts: string[] }> {
  return { jwts: await Promise.all(keys.map((key) => signJws({ challenge }, key))) };
}

/** Checks the claims that bind a token to this receiver, this moment and this callback. */
function checkBinding(claims: Claims, incoming: IncomingCallback, receiver: Receiver, now: Date) {
  if (claims.aud !== receiver.audience) return failed("audience");
  if (typeof claims.exp !== "number" || !(claims.exp * 1000 > now.getTime())) return failed("expired");
  if (typeof claims.jti !== "string" || claims.jti === "") return failed("guid");
  if (header(incoming, CALLBACK_GUID_HEADER) !== claims.jti) return failed("guid");
  if (claims.callback_kind !== undefined && header(incoming, CALLBACK_KIND_HEADER) !== claims.callback_kind) {
    return failed("kind");
  }
  if (typeof claims.callback_guid === "string" && claims.callback_guid !== claims.jti) return failed("guid");
  return { ok: true as const, guid: claims.jti };
}

/** The JWS in a body, or undefined when the body is open JSON. */
function tokenInBody(rawBody: Uint8Array): string | undefined {
  const text = Buffer.from(rawBody).toString("utf8").trim();
  if (!text.startsWith("{")) return text;
  const token = parseObject(rawBody)?.[callbackBodies.envelope.member];
  return typeof token === "string" ? token : undefined;
}

/** For a body that begins with a brace: if it is JSON at all, it is an object. */
function parseObject(rawBody: Uint8Array): Claims | undefined {
  try {
    return JSON.parse(Buffer.from(rawBody).toString("utf8")) as Claims;
  } catch {
    return undefined;
  }
}

/** node:http writes header names in lower case; other servers keep them as sent. */
function header(incoming: IncomingCallback, name: string): string | undefined {
  const value = incoming.headers[name.toLowerCase()] ?? incoming.headers[name];
  return Array.isArray(value) ? undefined : value;
}

function failed(problem: CallbackProblem) {
  return { ok: false as const, problem };
}
