import { webcrypto } from "node:crypto";
import { types } from "node:util";
import type { CryptoKey, JWK } from "jose";

/** The four values that only the recipient bank may read. */
export const PERSONAL_FIELDS = ["debtor_name", "debtor_id", "creditor_name", "creditor_id"] as const;
export type PersonalField = (typeof PERSONAL_FIELDS)[number];
export type PersonalData = Partial<Record<PersonalField, string>>;
/** `kid`: the recipient's key that it is encrypted for, if that key has a kid. */
export type Encryption = { nonce: string; encrypted_key: string; kid?: string };

const NONCE_BYTES = 12;
const TAG_BITS = 128;
const OAEP = { name: "RSA-OAEP", hash: "SHA-256" } as const;
const { subtle } = webcrypto;

/**
 * Encrypts the personal data of one message for the recipient bank: a fresh AES-256 key, wrapped for the bank's RSA key.
 *
 * DANGER, and why it stays: the contract has one nonce per message, so the (at most four) fields are encrypted under the
 * same key and nonce. With GCM that gives away the XOR of the fields to a reader of two of them, and lets someone who
 * knows one field forge others. A nonce per field would cure it, but no recipient could then decrypt. What bounds the
 * damage: the key is made for this one message and never used again, and the signed message around the fields, not
 * GCM's tag, is what proves who wrote them. Never reuse the key or the nonce for a second message.
 */
export async function encryptPersonalData<T extends PersonalData>(
  fields: T,
  recipientKey: JWK | CryptoKey,
): Promise<{ fields: { [name in keyof T]: string }; encryption: Encryption }> {
  const wrappingKey = isCryptoKey(recipientKey) ? recipientKey : await importEncryptionKey(recipientKey);
  const rawKey = webcrypto.getRandomValues(new Uint8Array(32));
  const nonce = webcrypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const key = await subtle.importKey("raw", rawKey, "AES-GCM", false, ["encrypt"]);
  const encrypted = await Promise.all(
    presentFields(fields).map(async ([name, text]) => {
      const sealed = await subtle.encrypt(gcm(nonce), key, Buffer.from(text));
      return [name, toBase64(sealed)] as const;
    }),
  );
  const encryptedKey = await subtle.encrypt(OAEP, wrappingKey as webcrypto.CryptoKey, rawKey);
  return {
    fields: Object.fromEntries(encrypted) as { [name in keyof T]: string },
    encryption: { nonce: toBase64(nonce), encrypted_key: toBase64(encryptedKey), ...kidOf(recipientKey) },
  };
}

/** Decrypts what `encryptPersonalData` made. The error does not say why it failed, because that would help an attacker (oracle). */
export async function decryptPersonalData<T extends PersonalData>(
  fields: T,
  encryption: Encryption,
  recipientKey: JWK | CryptoKey,
): Promise<{ ok: true; fields: { [name in keyof T]: string } } | { ok: false }> {
  try {
    const unwrappingKey = isCryptoKey(recipientKey) ? recipientKey : await importDecryptionKey(recipientKey);
    const nonce = Buffer.from(encryption.nonce, "base64");
    if (nonce.length !== NONCE_BYTES) return { ok: false };
    const wrapped = Buffer.from(encryption.encrypted_key, "base64");
    const rawKey = await subtle.decrypt(OAEP, unwrappingKey as webcrypto.CryptoKey, wrapped);
    if (rawKey.byteLength !== 32) return { ok: false };
    const key = await subtle.importKey("raw", rawKey, "AES-GCM", false, ["decrypt"]);
    const decrypted = await Promise.all(
      presentFields(fields).map(async ([name, text]) => {
        const opened = await subtle.decrypt(gcm(nonce), key, Buffer.from(text, "base64"));
        return [name, Buffer.from(opened).toString("utf8")] as const;
      }),
    );
    return { ok: true, fields: Object.fromEntries(decrypted) as { [name in keyof T]: string } };
  } catch {
    return { ok: false };
  }
}

/** Imports a recipient's public JWK once, for many messages. Its `alg` and `use` may say "signature": banks use one key for both. */
export async function importEncryptionKey(publicJwk: JWK): Promise<CryptoKey> {
  const { kty, n, e } = publicJwk;
  return subtle.importKey("jwk", rsa({ kty, n, e }), OAEP, false, ["encrypt"]);
}

/** Imports one's own private JWK once, for many messages. */
export async function importDecryptionKey(privateJwk: JWK): Promise<CryptoKey> {
  const { kty, n, e, d, p, q, dp, dq, qi } = privateJwk;
  return subtle.importKey("jwk", rsa({ kty, n, e, d, p, q, dp, dq, qi }), OAEP, false, ["decrypt"]);
}

function rsa(parts: Record<string, string | undefined>): webcrypto.JsonWebKey {
  if (parts.kty !== "RSA") throw new TypeError("Personal data can be encrypted for RSA keys only");
  return parts as webcrypto.JsonWebKey;
}

function gcm(nonce: Uint8Array) {
  return { name: "AES-GCM", iv: nonce, tagLength: TAG_BITS };
}

function presentFields(fields: PersonalData): [string, string][] {
  return Object.entries(fields).filter((entry): entry is [string, string] => typeof entry[1] === "string");
}

const kidOf = (key: JWK | CryptoKey) => (isCryptoKey(key) || key.kid === undefined ? {} : { kid: key.kid });

function isCryptoKey(key: JWK | CryptoKey): key is CryptoKey {
  return types.isCryptoKey(key);
}

function toBase64(bytes: ArrayBuffer | Uint8Array): string {
  return Buffer.from(bytes as Uint8Array).toString("base64");
}
