import { limits } from "../../gen/rest/limits.ts";
import { memberNamedTwice } from "./json.ts";
import { type Algorithm, isAlgorithm, isKeyId, type SigningKey, type VerificationKey } from "./keys.ts";

export type Claims = Record<string, unknown>;
export type JwsHeader = { alg: string; kid?: string; typ?: string } & Record<string, unknown>;

export type JwsProblem =
  | "malformed"
  | "unknown_key"
  | "algorithm"
  | "signature"
  | "critical"
  | "too_large"
  | "named_twice";
export type VerifiedJws<Key extends VerificationKey = VerificationKey> =
  | { ok: true; claims: Claims; header: JwsHeader; by: Key }
  /** `member`: the claim that the token names twice under a valid signature. */
  | { ok: false; problem: JwsProblem; member?: string };

/** The default for the largest token that is accepted: the largest body that the contract allows a bank. */
export const MAX_TOKEN_CHARS = limits.requestBodyBytes;

/** How many of the party's keys a token without kid is tried against: the old and the new one during a rotation. */
export const MAX_KEYS_TRIED = 2;

/** Three base64url parts. Only the signature may be empty, so that an unsigned token is refused for its algorithm. */
const COMPACT = /^[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*$/;

/** The parameters of WebCrypto for each algorithm (RFC 7518, sections 3.3 to 3.5, and RFC 8037). */
const signatureParameters = {
  RS256: { name: "RSASSA-PKCS1-v1_5" },
  PS256: { name: "RSA-PSS", saltLength: 32 },
  ES256: { name: "ECDSA", hash: "SHA-256" },
  EdDSA: { name: "Ed25519" },
} as const satisfies Record<Algorithm, object>;

const decoder = new TextDecoder("utf-8", { fatal: true });

/** Signs claims as a compact JWS. `typ: null` leaves the header member out. */
export async function signJws(claims: Claims, key: SigningKey, options: { typ?: string | null } = {}): Promise<string> {
  const typ = options.typ === undefined ? "JWT" : options.typ;
  const header = { alg: key.alg, kid: key.kid, ...(typ === null ? {} : { typ }) };
  const signed = `${encodeObject(header)}.${encodeObject(claims)}`;
  // WebCrypto runs on the thread pool and leaves the event loop free. jose is bypassed, because its conversions cost a tenth of the
  // platform's throughput.
  const signature = await crypto.subtle.sign(signatureParameters[key.alg], key.privateKey, Buffer.from(signed));
  return `${signed}.${Buffer.from(signature).toString("base64url")}`;
}

/**
 * Verifies a compact JWS against the keys of one party. The caller chooses the party first, so a kid can only ever name
 * one of that party's keys. Key material or addresses inside the header (jwk, jku, x5c, x5u) are never looked at.
 */
export async function verifyJws<Key extends VerificationKey>(
  token: unknown,
  keys: readonly Key[],
  maxChars: number = MAX_TOKEN_CHARS,
): Promise<VerifiedJws<Key>> {
  const parsed = parseJws(token, maxChars);
  return parsed.ok ? verifyParsedJws(parsed, keys) : parsed;
}

/** `verifyJws` for a token that `peekJws` has parsed. */
export async function verifyParsedJws<Key extends VerificationKey>(
  parsed: ParsedJws,
  keys: readonly Key[],
): Promise<VerifiedJws<Key>> {
  const { token, header, claims, claimsText } = parsed;
  // No critical extension is supported (`crit`), and an unencoded payload (`b64`) is no compact JWS.
  if (Object.hasOwn(header, "crit") || Object.hasOwn(header, "b64")) return failed("critical");
  if (!isAlgorithm(header.alg)) return failed("algorithm");

  const named = header.kid === undefined ? keys : keys.filter((key) => key.kid === header.kid);
  if (named.length === 0) return failed("unknown_key");
  // The registered key determines the algorithm; the token's header may only agree (against algorithm confusion).
  const candidates = named.filter((key) => key.alg === header.alg).slice(0, MAX_KEYS_TRIED);
  if (candidates.length === 0) return failed("algorithm");

  for (const candidate of candidates) {
    if (!(await isSignedBy(token, candidate))) continue;
    // A member named twice is refused: what is stored as evidence must mean the same to every parser.
    const member = memberNamedTwice(claimsText, claims);
    return member === undefined
      ? { ok: true, claims, header, by: candidate }
      : { ok: false, problem: "named_twice", member };
  }
  return failed("signature");
}

/** A token that was parsed but not verified. */
export type ParsedJws = { ok: true; token: string; header: JwsHeader; claims: Claims; claimsText: string };

/** Reads a token without verifying it: only to find out whose keys to verify it with. Never act on these claims. */
export function peekJws(token: unknown): ParsedJws | { ok: false; problem: JwsProblem } {
  return parseJws(token, MAX_TOKEN_CHARS);
}

async function isSignedBy(token: string, { key, alg }: VerificationKey): Promise<boolean> {
  const end = token.lastIndexOf(".");
  const signature = Buffer.from(token.slice(end + 1), "base64url");
  return await crypto.subtle.verify(signatureParameters[alg], key, signature, Buffer.from(token.slice(0, end)));
}

function parseJws(token: unknown, maxChars: number): ParsedJws | { ok: false; problem: JwsProblem } {
  if (typeof token !== "string") return failed("malformed");
  if (token.length > maxChars) return failed("too_large");
  if (!COMPACT.test(token)) return failed("malformed");
  const [first, second, third] = token.split(".") as [string, string, string];
  // Non-canonical base64url is refused: otherwise the same token could come again in another spelling (replay).
  if (![first, second, third].every(isCanonical)) return failed("malformed");
  const header = decodeObject(first);
  const claims = decodeObject(second);
  if (!header || !claims || typeof header.value.alg !== "string") return failed("malformed");
  if (header.value.kid !== undefined && !isKeyId(header.value.kid)) return failed("malformed");
  if (memberNamedTwice(header.text, header.value) !== undefined) return failed("malformed");
  return { ok: true, token, header: header.value as JwsHeader, claims: claims.value, claimsText: claims.text };
}

function isCanonical(part: string): boolean {
  return Buffer.from(part, "base64url").toString("base64url") === part;
}

function encodeObject(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function decodeObject(part: string): { text: string; value: Claims } | undefined {
  try {
    const text = decoder.decode(Buffer.from(part, "base64url"));
    const value: unknown = JSON.parse(text);
    const isObject = typeof value === "object" && value !== null && !Array.isArray(value);
    return isObject ? { text, value: value as Claims } : undefined;
  } catch {
    return undefined;
  }
}

function failed(problem: JwsProblem) {
  return { ok: false as const, problem };
}
