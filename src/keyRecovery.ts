import { join } from "node:path";
import type { Config } from "./config.ts";
import { type RecoveredKey, recoverPlatformKeys } from "./core/platformKeyStart.ts";
import { migrate, openDatabase } from "./db/database.ts";
import { startEmbeddedPostgres } from "./db/embedded.ts";
import { masterKeysOf } from "./masterKey.ts";

/**
 * Recovery from a lost master key. It opens the database itself, because a gateway that cannot decrypt its signing keys does not
 * start.
 */
export async function recoverKeys(config: Config): Promise<{ made: RecoveredKey[]; lost: RecoveredKey[] }> {
  await using opened = new AsyncDisposableStack();
  const { current } = await masterKeysOf(config);
  const url = config.databaseUrl ?? (await startOwnDatabase(config, opened));
  await migrate(url);
  const database = await openDatabase({ url, maxConnections: 2 });
  opened.defer(() => database.close());
  return await recoverPlatformKeys(database, current, config.jwksMaxAgeSeconds);
}

async function startOwnDatabase({ dataDir }: Config, opened: AsyncDisposableStack): Promise<string> {
  const embedded = await startEmbeddedPostgres({ dataDir: join(dataDir, "postgres"), log: () => undefined });
  opened.defer(() => embedded.stop());
  return embedded.url;
}
