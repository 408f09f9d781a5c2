import { link, mkdir, readFile, unlink, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { generateKeyPair, importKeyPair, type KeyPair } from "./sdk/keys.ts";

/**
 * The platform's signing key: read from the file, or made there once (mode 0600). Two processes that start together end
 * up with the same key, because only one of them can link the finished file into place.
 */
export async function platformKey(file: string): Promise<KeyPair> {
  const kept = await readKey(file);
  if (kept !== undefined) return kept;
  const made = await generateKeyPair("RS256");
  await mkdir(dirname(file), { recursive: true });
  const draft = `${file}.${process.pid}`;
  await writeFile(draft, `${JSON.stringify(made.privateJwk, null, 2)}\n`, { mode: 0o600 });
  try {
    await link(draft, file);
    return made;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    return (await readKey(file)) ?? made;
  } finally {
    await unlink(draft);
  }
}

async function readKey(file: string): Promise<KeyPair | undefined> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return await importKeyPair(JSON.parse(text));
  } catch (error) {
    throw new Error(`${file} is not a private signing key as a JWK: ${(error as Error).message}`);
  }
}
