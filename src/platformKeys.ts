import { followPlatformKeys, type KeyRing } from "./core/platformKeyRing.ts";
import { ensurePlatformKeys, type MasterKeys } from "./core/platformKeyStart.ts";
import type { Database } from "./db/database.ts";
import { olderKey, platformKeyFileOf } from "./masterKey.ts";
import type { Logger } from "./observe/log.ts";

type KeysConfig = { platformKeyFile: string | undefined; dataDir: string; jwksMaxAgeSeconds: number };
type Around = { database: Database; masterKeys: MasterKeys; now: () => Date };

/** Provides the platform's signing keys from the database, and logs what the start has changed about them. */
export async function startPlatformKeys(
  config: KeysConfig,
  log: Logger,
  { database, masterKeys, now }: Around,
): Promise<KeyRing> {
  const { current: masterKey } = masterKeys;
  const { made, imported, reencrypted } = await ensurePlatformKeys(database, masterKeys, {
    older: () => olderKey(config),
    maxAgeSeconds: config.jwksMaxAgeSeconds,
  });
  if (made.length > 0) log.info({ kids: made, masterKey: masterKey.id }, "the platform's signing keys are made");
  if (imported !== undefined) {
    const fields = { file: platformKeyFileOf(config), kid: imported };
    log.info(
      fields,
      "the signing key of this file is in the database; the file is not used any more and may be deleted",
    );
  }
  if (reencrypted > 0) {
    const fields = { keys: reencrypted, masterKey: masterKey.id };
    log.info(fields, "the signing keys are under the new master key; DCM_MASTER_KEY_PREVIOUS is not needed any more");
  }
  return followPlatformKeys({ sql: database.sql, now, masterKey, log });
}
