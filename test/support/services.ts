import { randomBytes } from "node:crypto";
import type { TestProject } from "vitest/node";
import { execute, startPostgres, withDatabase } from "./database.ts";

// Global setup of every project: one PostgreSQL for the whole run (DATABASE_URL, or an embedded one) and in it one
// migrated template that each test file clones.

type Prepared = { url: string; template: string; close(): Promise<void> };

/** Each project loads this file as a module of its own; what is shared in one run hangs on the process. */
const shared = globalThis as { dcmTestPostgres?: { prepared: Promise<Prepared>; users: number } };

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  shared.dcmTestPostgres ??= { prepared: prepare(), users: 0 };
  const entry = shared.dcmTestPostgres;
  entry.users += 1;
  const { url, template, close } = await entry.prepared;
  project.provide("databaseUrl", url);
  project.provide("templateDatabase", template);
  return async () => {
    entry.users -= 1;
    if (entry.users > 0) return;
    delete shared.dcmTestPostgres;
    await close();
  };
}

async function prepare(): Promise<Prepared> {
  const given = process.env.DATABASE_URL;
  // Nobody kills this one, and half of the time of a new database and of its end is the disk's. Tests that kill start their own.
  const server = given ? undefined : await startPostgres({ fsync: process.env.TEST_POSTGRES_FSYNC === "on" });
  const url = given ?? server?.url ?? "";
  const template = `dcm_test_${randomBytes(4).toString("hex")}`;
  try {
    await execute(url, `create database ${template}`);
    const { migrate } = await import("../../src/db/database.ts");
    await migrate(withDatabase(url, template));
  } catch (error) {
    await server?.stop();
    throw new Error(`PostgreSQL for the tests (${given ? "DATABASE_URL" : "embedded"}) is not usable`, {
      cause: error,
    });
  }
  return {
    url,
    template,
    async close() {
      if (server) await server.stop();
      else await dropAll(url, template);
    },
  };
}

/** On a server that stays, the template and what test files may have left of its clones go away. */
async function dropAll(url: string, template: string): Promise<void> {
  const { default: pg } = await import("pg");
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query<{ datname: string }>("select datname from pg_database where datname like $1", [
      `${template}%`,
    ]);
    for (const { datname } of found.rows) await client.query(`drop database if exists ${datname} with (force)`);
  } finally {
    await client.end();
  }
}
