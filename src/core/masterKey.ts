import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";

/** Under what the platform's private keys are encrypted. */
export type MasterKey = {
  /** Its fingerprint: tells two apart, and nothing of either. */
  id: string;
  encryptionKey: Uint8Array;
  /** What every process with this master key knows and nobody else does, for what the platform tells itself. */
  secret: Uint8Array;
};

export const masterKeyBytes = 32;

/** One key a purpose, so that none of them tells another. */
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

/** Nonce, cipher text and tag. The kid is bound to it: in the row of another key it opens nothing. */
export function sealed({ encryptionKey }: MasterKey, kid: string, text: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const encrypting = createCipheriv(cipher, encryptionKey, nonce).setAAD(Buffer.from(kid));
  return Buffer.concat([nonce, encrypting.update(text, "utf8"), encrypting.final(), encrypting.getAuthTag()]);
}

/** The text; undefined for what another master key has sealed, or what was changed since. */
export function opened({ encryptionKey }: MasterKey, kid: string, bytes: Uint8Array): string | undefined {
  if (bytes.length < nonceBytes + tagBytes) return undefined;
  const decrypting = createDecipheriv(cipher, encryptionKey, bytes.subarray(0, nonceBytes), { authTagLength: tagBytes })
    .setAAD(Buffer.from(kid))
    .setAuthTag(bytes.subarray(-tagBytes));
  try {
    const text = decrypting.update(bytes.subarray(nonceBytes, -tagBytes));
    return Buffer.concat([text, decrypting.final()]).toString("utf8");
  } catch {
    return undefined;
  }
}
