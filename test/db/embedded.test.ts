import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, readdir, rm, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import pg from "pg";
import { afterEach, expect, test, vi } from "vitest";
import { startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { closedFolder, serverAccount } from "../../src/db/embedded-account.ts";
import { execute, freshDatabase, startPostgres } from "../support/database.ts";
import { temporaryFolder } from "../support/services-folder.ts";

const embedded = resolve(import.meta.dirname, "../../src/db/embedded.ts");
const log = () => undefined;

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function dataFolder(): Promise<string> {
  const folder = await temporaryFolder("embedded");
  cleanups.push(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

async function count(url: string): Promise<number> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return Number((await client.query("select count(*) from kept")).rows[0].count);
  } finally {
    await client.end();
  }
}

test("startEmbeddedPostgres: what was committed is there after a stop and after kill -9 of the owner", async () => {
  const dataDir = await dataFolder();
  const first = await startEmbeddedPostgres({ dataDir, log });
  await execute(first.url, "create table kept (n int)", "insert into kept values (1)");
  await first.stop();

  const program = `import { startEmbeddedPostgres } from ${JSON.stringify(embedded)};
    await startEmbeddedPostgres({ dataDir: ${JSON.stringify(dataDir)}, log: () => {} });
    console.log("ready");
    setInterval(() => {}, 1000);`;
  const owner = spawn(process.execPath, ["--input-type=module-typescript", "--eval", program], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  await once(owner.stdout, "data");
  await expect(startEmbeddedPostgres({ dataDir, log })).rejects.toThrow(`in use by process ${owner.pid}`);
  owner.kill("SIGKILL");
  await once(owner, "exit");

  const second = await startEmbeddedPostgres({ dataDir, log });
  cleanups.push(() => second.stop());
  expect(await count(second.url)).toBe(1);
});

test("startEmbeddedPostgres: listens on the loopback address only and keeps its password from others", async () => {
  const dataDir = await dataFolder();
  const server = await startEmbeddedPostgres({ dataDir, log });
  cleanups.push(() => server.stop());
  const { hostname, password } = new URL(server.url);
  expect(hostname).toBe("127.0.0.1");
  expect(password).toHaveLength(48);
  expect((await stat(join(dataDir, "password"))).mode & 0o077).toBe(0);
  const wrong = server.url.replace(password, "wrong");
  await expect(execute(wrong, "select 1")).rejects.toThrow("password authentication failed");
});

test("startEmbeddedPostgres: a start that fails gives the data folder free again", async () => {
  const dataDir = await dataFolder();
  const wrong = { no_such_setting: "1" };
  await expect(startEmbeddedPostgres({ dataDir, log, settings: wrong })).rejects.toThrow("no_such_setting");
  const server = await startEmbeddedPostgres({ dataDir, log });
  await server.stop();
  expect(await readdir(dataDir)).toEqual(["cluster", "owner", "password"]);
});

test("startPostgres: a restart keeps the address and the rows, and ends what was connected", async () => {
  const server = await startPostgres();
  cleanups.push(() => server.stop());
  await execute(server.url, "create table kept (n int)", "insert into kept values (1), (2)");
  const connected = new pg.Client({ connectionString: server.url });
  const onError = vi.fn();
  connected.on("error", onError);
  await connected.connect();
  await server.restart();
  await vi.waitFor(() => expect(onError).toHaveBeenCalled());
  expect(await count(server.url)).toBe(2);
});

test("freshDatabase: every caller gets a migrated database of its own", async () => {
  const [one, other] = await Promise.all([freshDatabase(), freshDatabase()]);
  cleanups.push(one.drop, other.drop);
  expect(one.url).not.toBe(other.url);
  await execute(one.url, "create table kept (n int)", "select 1 from migration");
  await expect(count(other.url)).rejects.toThrow('relation "kept" does not exist');
});

test.runIf(process.getuid?.() === 0)("closedFolder: names the folder that root's stand-in cannot enter", async () => {
  const account = await serverAccount("/nowhere");
  if (!account) throw new Error("root needs an account to run PostgreSQL as");
  const folder = await dataFolder();
  await mkdir(join(folder, "inside/deep"), { recursive: true });
  await chmod(folder, 0o711);
  expect(await closedFolder(join(folder, "inside/deep"), account)).toBeUndefined();
  await chmod(join(folder, "inside"), 0o700);
  expect(await closedFolder(join(folder, "inside/deep"), account)).toBe(join(folder, "inside"));
});
