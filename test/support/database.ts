import { randomBytes } from "node:crypto";
import { rm } from "node:fs/promises";
import pg from "pg";
import { inject } from "vitest";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { temporaryFolder } from "./services-folder.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** The server of this run; its own database is used for administration only. */
    databaseUrl: string;
    /** A database with every migration applied and no rows. */
    templateDatabase: string;
  }
}

/** Runs statements on a database over one connection of their own. */
export async function execute(url: string, ...statements: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const statement of statements) await client.query(statement);
  } finally {
    await client.end();
  }
}

export function withDatabase(url: string, database: string): string {
  const changed = new URL(url);
  changed.pathname = `/${database}`;
  return changed.href;
}

/** An empty, migrated database that belongs to the calling test file alone. */
export async function freshDatabase(): Promise<{ url: string; drop(): Promise<void> }> {
  const server = inject("databaseUrl");
  const template = inject("templateDatabase");
  const name = `${template}_${randomBytes(4).toString("hex")}`;
  await execute(server, `create database ${name} template ${template}`);
  return {
    url: withDatabase(server, name),
    drop: () => execute(server, `drop database if exists ${name} with (force)`),
  };
}

export type PostgresOptions = {
  /** Default: a temporary folder, removed by stop(). */
  dataDir?: string;
  port?: number;
  /** Default true; false only where a test is about speed and not about what survives. */
  fsync?: boolean;
};

export type Postgres = {
  /** Stays the same over restarts. */
  url: string;
  stop(): Promise<void>;
  restart(): Promise<void>;
};

/** A PostgreSQL of the test's own, for tests that stop it. Its database is empty: call migrate(url). */
export async function startPostgres(options: PostgresOptions = {}): Promise<Postgres> {
  const temporary = options.dataDir === undefined ? await temporaryFolder("postgres") : undefined;
  const dataDir = options.dataDir ?? temporary ?? "";
  const settings = { max_connections: "300", ...(options.fsync === false ? { fsync: "off" } : {}) };
  const start = (port: number | undefined) =>
    startEmbeddedPostgres({ dataDir, settings, log: () => {}, ...(port === undefined ? {} : { port }) });
  let server: EmbeddedPostgres = await start(options.port);
  const { url } = server;
  return {
    url,
    async stop() {
      await server.stop();
      if (temporary) await rm(temporary, { recursive: true, force: true });
    },
    async restart() {
      await server.stop();
      server = await start(Number(new URL(url).port));
    },
  };
}
