import type { CryptoKey, JWK } from "jose";
import { calculateJwkThumbprint, exportJWK, generateKeyPair as generateJoseKeyPair, importJWK } from "jose";
import { modulusProblem } from "./rsaModulus.ts";

/**
 * The only algorithms of the contract. RS256 is the default; PS256 and ES256 are for parties that registered such a key, ES256 and
 * EdDSA for what the platform signs for participants that chose them.
 */
export const ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA"] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** The minimum size of an RSA key; a smaller one could be factored, and is refused at registration. */
export const MIN_RSA_BITS = 2048;

/** The maximum size of an RSA key: verifying signatures of larger ones would slow everybody down. */
export const MAX_RSA_BITS = 8192;

export type SigningKey = { kid: string; alg: Algorithm; privateKey: CryptoKey };
export type VerificationKey = { kid: string; alg: Algorithm; key: CryptoKey };
export type KeyPair = SigningKey & { publicKey: CryptoKey; publicJwk: JWK; privateJwk: JWK };

export type KeyProblem =
  | "not_a_jwk"
  | "private_key"
  | "key_type"
  | "algorithm"
  | "key_too_small"
  | "key_too_large"
  | "exponent"
  | "weak_modulus"
  | "use"
  | "invalid_key";
export type ImportedKey =
  | { ok: true; key: VerificationKey; publicJwk: JWK }
  | { ok: false; problem: KeyProblem; message: string };

/** A row per key type: which members are public, and which algorithms may be used with it. */
const KEY_TYPES = {
  RSA: { members: ["n", "e"], algorithms: ["RS256", "PS256"], fallback: "RS256" },
  EC: { members: ["crv", "x", "y"], algorithms: ["ES256"], fallback: "ES256" },
  OKP: { members: ["crv", "x"], algorithms: ["EdDSA"], fallback: "EdDSA" },
} as const satisfies Record<
  string,
  { members: readonly (keyof JWK)[]; algorithms: readonly Algorithm[]; fallback: Algorithm }
>;

/** The characters of base64url, which curve names and key types consist of, too. */
const BASE64URL = /^[A-Za-z0-9_-]+$/;

/** Whether a value can be a kid: 1 to 128 characters, none of them a control character or half of a surrogate pair. */
export function isKeyId(value: unknown): value is string {
  return typeof value === "string" && /^[^\p{Cc}\p{Cs}]{1,128}$/u.test(value);
}

export function isAlgorithm(value: unknown): value is Algorithm {
  return ALGORITHMS.includes(value as Algorithm);
}

/** Makes a key pair; without a given kid it gets its RFC 7638 thumbprint. */
export async function generateKeyPair(alg: Algorithm = "RS256", kid?: string): Promise<KeyPair> {
  // Extractable, because the platform stores its keys (encrypted), and a bank decrypts with the key that it signs with.
  const { privateKey, publicKey } = await generateJoseKeyPair(alg, { modulusLength: MIN_RSA_BITS, extractable: true });
  return describeKeyPair(privateKey, publicKey, alg, kid);
}

async function describeKeyPair(privateKey: CryptoKey, publicKey: CryptoKey, alg: Algorithm, name?: string) {
  const bare = await exportJWK(publicKey);
  const kid = name ?? (await calculateJwkThumbprint(bare));
  const naming = { kid, alg, use: "sig" };
  const privateJwk = { ...(await exportJWK(privateKey)), ...naming };
  return { kid, alg, privateKey, publicKey, publicJwk: { ...bare, ...naming }, privateJwk };
}

/** Imports a pair from a private JWK. Throws, because a broken key of one's own is a broken installation. */
export async function importKeyPair(privateJwk: JWK): Promise<KeyPair> {
  // `key_ops`, `use` and `ext` of the file are ignored: they must not restrict what the key is used for here.
  const { key_ops: _operations, use: _use, ext: _extractable, ...parts } = privateJwk;
  const open = withoutPrivateParts(parts);
  const imported = await importPublicKey(open);
  if (!imported.ok) throw new Error(`The private key cannot be used: ${imported.message}`);
  const { kid, alg } = imported.key;
  const privateKey = await importKey(parts, alg, true);
  if (privateKey.type !== "private") throw new Error("The key has no private part");
  return describeKeyPair(privateKey, await importKey(open, alg, true), alg, kid);
}

/** Turns a registered JWK into a key that verifies signatures. Import once and keep the result: importing costs more than verifying. */
export async function importPublicKey(jwk: unknown): Promise<ImportedKey> {
  if (typeof jwk !== "object" || jwk === null || Array.isArray(jwk)) return refused("not_a_jwk", "a JWK is an object");
  const given = jwk as JWK;
  const type = Object.hasOwn(KEY_TYPES, String(given.kty)) ? KEY_TYPES[given.kty as keyof typeof KEY_TYPES] : undefined;
  if (!type) return refused("key_type", "kty must be RSA, EC or OKP");
  if (["d", "p", "q", "k"].some((part) => Object.hasOwn(given, part))) {
    return refused("private_key", "the JWK contains a private key: keep it to yourself and make a new one");
  }
  const alg = (type.algorithms as readonly Algorithm[]).find((name) => name === (given.alg ?? type.fallback));
  if (!alg) return refused("algorithm", `alg must be one of ${type.algorithms.join(", ")} for kty ${given.kty}`);
  if (given.kid !== undefined && !isKeyId(given.kid)) {
    return refused("invalid_key", "kid must be a string of 1 to 128 characters without control characters");
  }
  if (given.use !== undefined && given.use !== "sig" && given.use !== "enc") {
    return refused("use", "use must be sig or enc");
  }
  if (given.key_ops !== undefined && !isFor(given.key_ops, given.use === "enc" ? ENCRYPTING : ["verify"])) {
    return refused("use", "key_ops does not name what the key is for");
  }
  const parts = publicParts(given, type.members);
  if (given.kty === "OKP" && given.crv !== "Ed25519") return refused("invalid_key", "crv must be Ed25519 for kty OKP");
  // Checked here, because decoders skip characters that do not belong and would read another key than was meant.
  if (!Object.values(parts).every((part) => typeof part === "string" && BASE64URL.test(part))) {
    return refused("invalid_key", `${type.members.join(", ")} must be base64url text`);
  }
  try {
    const key = await importKey(parts, alg, false);
    const bits = (key.algorithm as { modulusLength?: number }).modulusLength;
    if (bits !== undefined) {
      if (bits < MIN_RSA_BITS) {
        return refused("key_too_small", `an RSA key must have at least ${MIN_RSA_BITS} bits, this one has ${bits}`);
      }
      if (bits > MAX_RSA_BITS) {
        return refused("key_too_large", `an RSA key may have at most ${MAX_RSA_BITS} bits, this one has ${bits}`);
      }
      const [n, e] = [bytesOf(given.n), bytesOf(given.e)];
      if (n[0] === 0 || e[0] === 0) return refused("invalid_key", "n and e must not begin with a zero byte");
      const [modulus, exponent] = [integerOf(n), integerOf(e)];
      if (!isSafeExponent(exponent)) {
        return refused("exponent", "the exponent of an RSA key must be odd, at least 65537, and have at most 64 bits");
      }
      const problem = modulusProblem(modulus);
      if (problem !== undefined) return refused("weak_modulus", `the modulus ${problem}: make a new key`);
    }
    const kid = given.kid ?? (await calculateJwkThumbprint(parts));
    return { ok: true, key: { kid, alg, key }, publicJwk: { ...parts, kid, alg, use: given.use ?? "sig" } };
  } catch {
    return refused("invalid_key", "the numbers of the JWK are not a usable public key");
  }
}

const ENCRYPTING = ["encrypt", "wrapKey"];

const isFor = (operations: unknown, purposes: readonly string[]) =>
  Array.isArray(operations) && operations.some((operation) => purposes.includes(operation));

const bytesOf = (part: unknown) => Buffer.from(part as string, "base64url");

const integerOf = (bytes: Buffer) => BigInt(`0x0${bytes.toString("hex")}`);

/** With exponent 1 anybody can sign, with 3 there were forgeries, an even one fits no private key, and a huge one is slow. */
const isSafeExponent = (exponent: bigint) =>
  exponent >= 65_537n && exponent % 2n === 1n && BigInt.asUintN(64, exponent) === exponent;

/** Reads a JWK set; keys that cannot verify anything here (encryption keys, foreign types) are left out. */
export async function importKeySet(set: unknown): Promise<VerificationKey[]> {
  const listed = (set as { keys?: unknown } | null)?.keys;
  if (!Array.isArray(listed)) return [];
  const imported = await Promise.all(listed.filter((jwk) => jwk?.use !== "enc").map(importPublicKey));
  return imported.flatMap((result) => (result.ok ? [result.key] : []));
}

async function importKey(parts: JWK, alg: Algorithm, extractable: boolean): Promise<CryptoKey> {
  return (await importJWK({ ...parts, alg }, alg, { extractable })) as CryptoKey;
}

function publicParts(jwk: JWK, members: readonly (keyof JWK)[]): JWK {
  return Object.fromEntries(["kty" as const, ...members].map((name) => [name, jwk[name]])) as JWK;
}

function withoutPrivateParts(jwk: JWK): JWK {
  const { d: _d, p: _p, q: _q, dp: _dp, dq: _dq, qi: _qi, oth: _oth, k: _k, ...open } = jwk;
  return open;
}

function refused(problem: KeyProblem, message: string): ImportedKey {
  return { ok: false, problem, message };
}
