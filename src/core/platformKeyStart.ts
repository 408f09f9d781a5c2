import type { Database } from "../db/database.ts";
import type { Sql } from "../db/pool.ts";
import { platformActor } from "../domain/actor.ts";
import { type CallbackAlg, callbackAlgs } from "../domain/participant.ts";
import { secondsAfter, unpublishAfter } from "../domain/platformKey.ts";
import { generateKeyPair, type KeyPair } from "../sdk/keys.ts";
import { type MasterKey, opened, sealed } from "./masterKey.ts";
import {
  allPlatformKeys,
  insertPlatformKey,
  lockPlatformKeys,
  type PlatformKeyRow,
  replaceSealed,
  retirePlatformKeys,
} from "./platformKeyRows.ts";

export type MasterKeys = {
  current: MasterKey;
  /** The master key that stored keys may still be encrypted under, while it is being replaced. */
  previous?: MasterKey | undefined;
};

type Storage = Pick<Database, "transaction">;

/**
 * What the start changed: kids that it made, the kid that it imported from an older version, and how many keys it encrypted anew.
 */
export type KeysAtStart = { made: string[]; imported: string | undefined; reencrypted: number };

/**
 * Ensures that there are signing keys that this process can decrypt: makes them when a database is new, encrypts them under a new
 * master key, and throws when the master key does not fit. A lock makes processes that start together come to the same keys.
 * `older` reads the key file of an older version; it is called only where there are no keys yet.
 */
export async function ensurePlatformKeys(
  db: Storage,
  masterKeys: MasterKeys,
  { older, maxAgeSeconds }: { older: () => Promise<KeyPair | undefined>; maxAgeSeconds: number },
): Promise<KeysAtStart> {
  return db.transaction(async (sql) => {
    const now = await lockPlatformKeys(sql);
    const keys = await allPlatformKeys(sql);
    if (keys.length === 0) {
      const imported = await older();
      const made = await makeFirstKeys(sql, masterKeys.current, { imported, now, maxAgeSeconds });
      return { made, imported: imported?.kid, reencrypted: 0 };
    }
    const reencrypted = await reencrypt(sql, masterKeys, keys);
    const foreign = unopened(masterKeys.current, reencrypted.keys, now);
    if (foreign.length > 0) throw new Error(doesNotFit(masterKeys.current, foreign));
    return { made: [], imported: undefined, reencrypted: reencrypted.count };
  });
}

/**
 * The first keys sign at once, because no receiver has cached a key set. With a key imported from an older version, receivers may
 * have cached that one alone, so the others are announced first.
 */
async function makeFirstKeys(
  sql: Sql,
  masterKey: MasterKey,
  { imported, now, maxAgeSeconds }: { imported: KeyPair | undefined; now: Date; maxAgeSeconds: number },
): Promise<string[]> {
  const algs = callbackAlgs.filter((alg) => alg !== imported?.alg);
  const made = await Promise.all(algs.map((alg) => generateKeyPair(alg)));
  const since = imported === undefined ? now : secondsAfter(now, maxAgeSeconds);
  if (imported !== undefined) await insertPlatformKey(sql, platformActor, newKey(masterKey, imported, now, now));
  for (const pair of made) await insertPlatformKey(sql, platformActor, newKey(masterKey, pair, now, since));
  return made.map(({ kid }) => kid);
}

function newKey(masterKey: MasterKey, pair: KeyPair, createdAt: Date, activeFrom: Date) {
  const privateKey = sealed(masterKey, pair.kid, JSON.stringify(pair.privateJwk));
  return { pair, sealed: { privateKey, masterKeyId: masterKey.id }, createdAt, activeFrom };
}

/** Encrypts all keys that the previous master key decrypts under the current one. */
async function reencrypt(sql: Sql, { current, previous }: MasterKeys, keys: readonly PlatformKeyRow[]) {
  const found = keys.flatMap(({ kid, privateKey, masterKeyId }) => {
    const text = previous?.id === masterKeyId ? opened(previous, kid, privateKey) : undefined;
    return text === undefined || previous?.id === current.id ? [] : [{ kid, privateKey: sealed(current, kid, text) }];
  });
  if (found.length === 0) return { keys, count: 0 };
  await replaceSealed(sql, platformActor, current.id, found);
  return { keys: await allPlatformKeys(sql), count: found.length };
}

/** The keys that sign or will sign and that a master key does not decrypt. Retiring keys only verify, and need no private key. */
function unopened(masterKey: MasterKey, keys: readonly PlatformKeyRow[], now: Date): PlatformKeyRow[] {
  return keys.filter(
    ({ kid, privateKey, retireAt }) =>
      (retireAt === null || retireAt > now) && opened(masterKey, kid, privateKey) === undefined,
  );
}

function doesNotFit({ id }: MasterKey, foreign: readonly PlatformKeyRow[]): string {
  const theirs = [...new Set(foreign.map(({ masterKeyId }) => masterKeyId))];
  const kids = foreign.map(({ kid }) => kid).join(", ");
  const what =
    theirs.length === 1 && theirs[0] === id
      ? `The platform's signing keys ${kids} were changed or damaged in the database: the master key ${id} does not open them. Restore the table platform_key`
      : `The platform's signing keys are encrypted under the master key with the fingerprint ${theirs.join(", ")}, and this process has the one with the fingerprint ${id}. Give the right one as DCM_MASTER_KEY; to change it, give the one that they are encrypted under as DCM_MASTER_KEY_PREVIOUS`;
  return `${what}; if it is lost, \`npm run dcm -- keys recover\` makes new signing keys`;
}

export type RecoveredKey = { kid: string; alg: CallbackAlg; masterKeyId: string };

/**
 * Recovery from a lost master key: replaces the keys that cannot be decrypted by new ones, at once. Signatures of the old keys can
 * be verified for as long as after a rotation. Throws if every key can be decrypted.
 */
export async function recoverPlatformKeys(
  db: Storage,
  masterKey: MasterKey,
  maxAgeSeconds: number,
): Promise<{ made: RecoveredKey[]; lost: RecoveredKey[] }> {
  return db.transaction(async (sql) => {
    const now = await lockPlatformKeys(sql);
    const keys = await allPlatformKeys(sql);
    const lost = unopened(masterKey, keys, now);
    if (lost.length === 0) throw new Error("Nothing is to be recovered: this master key opens every signing key.");
    const unpublishAt = unpublishAfter(now, maxAgeSeconds);
    const ends = lost.map(({ kid, activeFrom }) =>
      // A key that was only announced has signed nothing, so it need not stay published.
      ({ kid, retireAt: now, unpublishAt: activeFrom > now ? now : unpublishAt }),
    );
    await retirePlatformKeys(sql, platformActor, ends);
    const made: RecoveredKey[] = [];
    for (const alg of new Set(lost.map((key) => key.alg))) {
      const pair = await generateKeyPair(alg);
      await insertPlatformKey(sql, platformActor, newKey(masterKey, pair, now, now));
      made.push({ kid: pair.kid, alg, masterKeyId: masterKey.id });
    }
    return { made, lost: lost.map(({ kid, alg, masterKeyId }) => ({ kid, alg, masterKeyId })) };
  });
}
