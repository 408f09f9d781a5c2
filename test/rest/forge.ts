import { createHmac, randomUUID } from "node:crypto";
import { CompactSign } from "jose";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, peekJws, signJws } from "../../src/sdk/jws.ts";
import type { KeyPair, SigningKey } from "../../src/sdk/keys.ts";
import type { Platform } from "../support/platform.ts";

/** Tokens that nobody should accept, and requests around them. */

const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");

export const forged = {
  algNone: (claims: Claims, kid: string) => `${part({ alg: "none", typ: "JWT", kid })}.${part(claims)}.`,
  /** HS256 with the text of the public key as its secret: what a library that trusts the header's alg falls for. */
  hs256: (claims: Claims, key: KeyPair) => {
    const text = `${part({ alg: "HS256", typ: "JWT", kid: key.kid })}.${part(claims)}`;
    const secret = JSON.stringify(key.publicJwk);
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`;
  },
  truncated: (token: string) => token.slice(0, -12),
  withoutSignature: (token: string) => token.slice(0, token.lastIndexOf(".") + 1),
  /** Another payload under a signature that is right for the first one. */
  payloadReplaced: (token: string, claims: Claims) => {
    const [header, , signature] = token.split(".");
    return [header, part(claims), signature].join(".");
  },
};

/** Signs JSON text as it stands, for numbers that JSON.stringify would not write. */
export function signText(text: string, key: SigningKey): Promise<string> {
  return new CompactSign(new TextEncoder().encode(text))
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: "JWT" })
    .sign(key.privateKey);
}

export function post(url: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...headers },
    body:
      typeof body === "string" || body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : JSON.stringify(body),
  });
}

export const ordersUrl = (platform: Platform) => `${platform.url()}/api/v1/merchants/order`;
export const messagesUrl = (platform: Platform, guid = platform.initiator.guid) =>
  `${platform.url()}/api/v1/counterparty/${guid}/payment-message`;

/** A fresh Cx-Authorization of the initiator bank. */
export async function access(key: SigningKey, now = new Date(), jti: string = randomUUID()) {
  return { "Cx-Authorization": await createAccessToken(key, now, jti) };
}

export function orderClaims(platform: Platform, changes: Claims = {}): Claims {
  const iat = Math.floor(Date.now() / 1000);
  return {
    sub: platform.merchant.uid,
    iat,
    exp: iat + 3600,
    amt: 21,
    cur: "UAH",
    ref: randomUUID(),
    prp: "Payment for the order",
    url: "https://shop.example/thanks",
    ...changes,
  };
}

export async function createOrder(platform: Platform, changes: Claims = {}): Promise<Response> {
  const jwt = await signJws(orderClaims(platform, changes), platform.merchant.key);
  return post(ordersUrl(platform), { jwt });
}

/** The claims of a payment message that was accepted: what every refused one is made from. */
export async function acceptedClaims(platform: Platform): Promise<Claims> {
  const guid = await platform.pays();
  const [row] = await platform.rows<{ jws: string }>(
    "select jws from payment_evidence where payment_message_guid = $1",
    guid,
  );
  const peeked = peekJws(row?.jws);
  if (!peeked.ok) throw new Error("the evidence is no token");
  return peeked.claims;
}

/** Sets "debtor.debtor_name" and the like in a copy; undefined takes the member away. */
export function withMember(claims: Claims, path: string, value: unknown): Claims {
  const copy = structuredClone(claims);
  const names = path.split(".");
  const last = names.pop() as string;
  let holder = copy;
  for (const name of names) holder = holder[name] as Claims;
  if (value === undefined) delete holder[last];
  else holder[last] = value;
  return copy;
}
