import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";

/** The master key that the platform's private keys are encrypted under. */
export type MasterKey = {
  /** Its fingerprint: tells two master keys apart and gives nothing else away. */
  id: string;
  encryptionKey: Uint8Array;
  /** A secret that is derived from it, for tokens that the platform issues to itself. */
  secret: Uint8Array;
};

export const masterKeyBytes = 32;

/** One derived key per purpose, so that none of them reveals another. */
const derived = (key: Uint8Array, purpose: string) => createHmac("sha256", key).update(`dcm ${purpose}`).digest();

export function masterKeyOf(key: Uint8Array): MasterKey {
  if (key.length !== masterKeyBytes) throw new Error(`a master key has ${masterKeyBytes} bytes`);
  return {
    id: derived(key, "master key fingerprint").toString("hex").slice(0, 16),
    encryptionKey: derived(key, "platform keys"),
    secret: derived(key, "platform secret"),
  };
}

const cipher = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

/** Nonce, cipher text and tag. The kid is authenticated as well, so the cipher text cannot be moved to the row of another key. */
export function sealed({ encryptionKey }: MasterKey, kid: string, text: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const encrypting = createCipheriv(cipher, encryptionKey, nonce).setAAD(Buffer.from(kid));
  return Buffer.concat([nonce, encrypting.update(text, "utf8"), encrypting.final(), encrypting.getAuthTag()]);
}

/** The text; undefined if it was sealed under another master key, or was altered. */
export function opened({ encryptionKey }: MasterKey, kid: string, bytes: Uint8Array): string | undefined {
  const nonce = bytes.subarray(0, nonceBytes);
  try {
    const decrypting = createDecipheriv(cipher, encryptionKey, nonce, { authTagLength: tagBytes })
      .setAAD(Buffer.from(kid))
      .setAuthTag(bytes.subarray(-tagBytes));
    const text = decrypting.update(bytes.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([text, decrypting.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
