import { createHash } from "node:crypto";
import { generateKeyPair, importKeyPair, type KeyPair } from "./sdk/keys.ts";
import { keepSecret, readSecret } from "./secretFile.ts";

/**
 * The platform's signing key: read from the file, or made there once (mode 0600). Two processes that start together end
 * up with the same key, because only one of them can link the finished file into place.
 */
export async function platformKey(file: string): Promise<KeyPair> {
  const kept = await readKey(file);
  if (kept !== undefined) return kept;
  const made = await generateKeyPair("RS256");
  const isKept = await keepSecret(file, `${JSON.stringify(made.privateJwk, null, 2)}\n`);
  return isKept ? made : ((await readKey(file)) ?? made);
}

/** A secret that every process with this key knows, and that does not tell the key. */
export function platformSecret({ privateJwk }: KeyPair): Uint8Array {
  return createHash("sha256").update(`dcm platform secret ${privateJwk.d}`).digest();
}

async function readKey(file: string): Promise<KeyPair | undefined> {
  const text = await readSecret(file);
  if (text === undefined) return undefined;
  try {
    return await importKeyPair(JSON.parse(text));
  } catch (error) {
    throw new Error(`${file} is not a private signing key as a JWK: ${(error as Error).message}`);
  }
}
