import { readFile, rm } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { startEmbeddedPostgres } from "../src/db/embedded.ts";
import { startRabbitmq } from "../test/support/rabbitmq.ts";
import { temporaryFolder } from "../test/support/services-folder.ts";
import type { Metered } from "./usage.ts";

export type Services = {
  amqpUrl: string;
  folder: string;
  /** Connection URL of a database of the server. */
  databaseUrl(name: string): string;
  /** Makes a database, empty or as a copy of another one that nobody is connected to. */
  createDatabase(name: string, template?: string): Promise<string>;
  /** Copies a large database file by file, which neither fills the write-ahead log nor leaves anything of it in a cache. */
  copyDatabase(name: string, source: string): Promise<string>;
  dropDatabase(name: string): Promise<void>;
  /** What PostgreSQL and RabbitMQ spend; RabbitMQ is absent when AMQP_URL points to one that is not ours. */
  processes: Metered[];
  machine: string;
  stop(): Promise<void>;
};

/** Real services with their defaults: PostgreSQL with fsync, RabbitMQ (AMQP_URL, or one of our own). */
export async function startServices(): Promise<Services> {
  const folder = await temporaryFolder("bench");
  const postgres = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), log: () => undefined });
  const given = process.env.AMQP_URL;
  const broker = given ? undefined : await startRabbitmq();
  const pid = Number((await readFile(join(folder, "postgres/cluster/postmaster.pid"), "utf8")).split("\n")[0]);
  const brokerPid = broker && Number(/\d+/.exec(await broker.ctl("eval", "os:getpid()."))?.[0]);
  const databaseUrl = (name: string) => Object.assign(new URL(postgres.url), { pathname: `/${name}` }).href;
  return {
    amqpUrl: given ?? broker?.url ?? "",
    folder,
    databaseUrl,
    async createDatabase(name, template) {
      await query(postgres.url, `create database ${name}${template ? ` template ${template}` : ""}`);
      return databaseUrl(name);
    },
    async copyDatabase(name, source) {
      await query(postgres.url, `create database ${name} template ${source} strategy file_copy`);
      return databaseUrl(name);
    },
    async dropDatabase(name) {
      await query(postgres.url, `drop database ${name}`);
    },
    processes: [
      { name: "PostgreSQL", pid, withChildren: true },
      ...(brokerPid ? [{ name: "RabbitMQ", pid: brokerPid }] : []),
    ],
    machine: await describeMachine(postgres.url, broker && (await broker.ctl("version")).trim()),
    async stop() {
      await Promise.all([postgres.stop(), broker?.stop()]);
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

async function describeMachine(url: string, rabbitmq: string | undefined): Promise<string> {
  const [row] = await query<{ version: string; fsync: string; commit: string }>(
    url,
    `select current_setting('server_version') as version, current_setting('fsync') as fsync,
       current_setting('synchronous_commit') as commit`,
  );
  return [
    `${cpus().length} × ${cpus()[0]?.model.trim()}`,
    `Node ${process.version}`,
    `PostgreSQL ${row?.version} (fsync ${row?.fsync}, synchronous_commit ${row?.commit})`,
    `RabbitMQ ${rabbitmq ?? "at AMQP_URL"}`,
  ].join(" · ");
}

/** One statement over a connection of its own. */
export async function query<Row>(url: string, text: string, values: unknown[] = []): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text, values)).rows as Row[];
  } finally {
    await client.end();
  }
}
