import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { Config } from "../config.ts";
import { connectionLimit, type Database, migrate, openDatabase } from "../db/database.ts";
import { startEmbeddedPostgres } from "../db/embedded.ts";
import { databaseFailure } from "../db/failure.ts";
import type { Logger } from "../observe/log.ts";
import type { Run } from "./run.ts";

/** Opens the database at DATABASE_URL or the embedded one, and migrates its schema to this version. */
export async function startDatabase({ config, log, started }: Run): Promise<Database> {
  const url = config.databaseUrl ?? (await startOwnDatabase(config, log, started));
  const limit = await whenThere(log, async () => {
    await migrate(url);
    return connectionLimit(url);
  });
  const database = await openDatabase({
    url,
    maxConnections: connectionsWithin(limit, config.databaseConnections, log),
    onProblem: (message) => log.warn({ message }, "database"),
  });
  started.defer(() => database.close());
  return database;
}

/** The configured number of connections, but not more than the server allows: further ones would be refused again and again. */
function connectionsWithin(limit: number, configured: number, log: Logger): number {
  if (configured <= limit) return configured;
  log.warn({ configured, used: limit }, "PostgreSQL allows fewer connections than DATABASE_CONNECTIONS asks for");
  return limit;
}

/** How long the start waits for a database that starts at the same time; after that its address is taken for wrong. */
const databasePatienceMs = 60_000;

async function whenThere<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + databasePatienceMs;
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await work();
    } catch (error) {
      if (databaseFailure(error) !== "unavailable" || performance.now() > deadlineMs) throw error;
      if (isFirst) log.warn({ problem: (error as Error).message }, "the database does not answer yet; waiting for it");
      await delay(1_000);
    }
  }
}

async function startOwnDatabase(config: Config, log: Logger, started: AsyncDisposableStack): Promise<string> {
  const dataDir = join(config.dataDir, "postgres");
  await mkdir(config.dataDir, { recursive: true });
  log.info({ dataDir }, "starting the embedded PostgreSQL");
  const embedded = await startEmbeddedPostgres({
    dataDir,
    log: (line) => log.debug({ line }, "embedded PostgreSQL"),
    // PostgreSQL's default is 100; the embedded server has to serve this process and a few people.
    settings: { max_connections: String(Math.max(100, config.databaseConnections + 20)) },
    // Another gateway owns the data folder now. The rejection is not handled on purpose, so that the process ends as after a bug.
    onTakenOver: (problem) =>
      setImmediate(() => {
        throw problem;
      }),
  });
  started.defer(() => embedded.stop());
  return embedded.url;
}
