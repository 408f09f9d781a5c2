import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { masterKeyBytes, masterKeyOf } from "./core/masterKey.ts";
import type { MasterKeys } from "./core/platformKeyStart.ts";
import type { KeyPair } from "./sdk/keys.ts";
import { keepSecret, readSecret } from "./secretFile.ts";

/** The bytes of a master key in base64 or base64url, or undefined. */
export function masterKeyIn(text: string): Uint8Array | undefined {
  const trimmed = text.trim();
  if (!/^[A-Za-z0-9+/_-]{43}=?$/.test(trimmed)) return undefined;
  const bytes = Buffer.from(trimmed, "base64");
  return bytes.length === masterKeyBytes ? bytes : undefined;
}

type MasterKeyConfig = {
  masterKey: Uint8Array | undefined;
  masterKeyPrevious: Uint8Array | undefined;
  databaseUrl: string | undefined;
  dataDir: string;
};

/**
 * The master keys, which encrypt the platform's signing keys. With the embedded database the master key is a file beside it, made
 * once (mode 0600).
 */
export async function masterKeysOf(config: MasterKeyConfig): Promise<MasterKeys> {
  const { masterKey, masterKeyPrevious, databaseUrl, dataDir } = config;
  if (masterKey === undefined && databaseUrl !== undefined)
    throw new Error("DCM_MASTER_KEY is missing; `openssl rand -base64 32` makes one");
  const current = masterKey ?? (await keptMasterKey(join(dataDir, "master-key")));
  return { current: masterKeyOf(current), previous: masterKeyPrevious && masterKeyOf(masterKeyPrevious) };
}

async function keptMasterKey(file: string): Promise<Uint8Array> {
  const kept = (await readSecret(file)) ?? (await makeMasterKey(file));
  const key = masterKeyIn(kept);
  if (key === undefined) throw new Error(`${file} is not a master key: base64 of ${masterKeyBytes} bytes`);
  return key;
}

async function makeMasterKey(file: string): Promise<string> {
  const made = randomBytes(masterKeyBytes).toString("base64");
  return (await keepSecret(file, `${made}\n`)) ? made : ((await readSecret(file)) ?? made);
}

/** The signing key of an older version, which kept it in a file; the first start of this version imports it. */
export async function olderKey(config: {
  platformKeyFile: string | undefined;
  dataDir: string;
}): Promise<KeyPair | undefined> {
  const file = platformKeyFileOf(config);
  const text = await readSecret(file);
  if (text === undefined) {
    if (config.platformKeyFile === undefined) return undefined;
    throw new Error(
      `PLATFORM_KEY_FILE ${file} does not exist: it is for a key that is there already, so leave it empty`,
    );
  }
  const pair = await importedKey(file, text);
  if (pair.alg !== "RS256") throw new Error(`${file} has a key for ${pair.alg}; the platform's was one for RS256`);
  return pair;
}

export const platformKeyFileOf = ({
  platformKeyFile,
  dataDir,
}: {
  platformKeyFile: string | undefined;
  dataDir: string;
}) => platformKeyFile ?? join(dataDir, "platform-key.json");

async function importedKey(file: string, text: string): Promise<KeyPair> {
  // Loaded on demand: checking the configuration uses this module too, and most processes never meet a key of that version.
  const { importKeyPair } = await import("./sdk/keys.ts");
  try {
    return await importKeyPair(JSON.parse(text));
  } catch (error) {
    // The parser's message would quote the file's content.
    const problem = error instanceof SyntaxError ? "it is no JSON" : (error as Error).message;
    throw new Error(`${file} is not a private signing key as a JWK: ${problem}`);
  }
}
