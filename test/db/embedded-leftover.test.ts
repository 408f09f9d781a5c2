import { spawn } from "node:child_process";
import { copyFile, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { serverAccount, serverBinaries } from "../../src/db/embedded-account.ts";
import type { ClaimTimes } from "../../src/db/embedded-claim.ts";
import { killAtOnce, leftoverStopper, serversOn } from "../../src/db/embedded-leftover.ts";
import { tryLock } from "../../src/db/embedded-lock.ts";
import { describeProcess } from "../../src/db/embedded-process.ts";
import { execute } from "../support/database.ts";
import {
  ask,
  canMakeContainers,
  childrenOf,
  type FolderOwnerOptions,
  folderOwner,
  isRunning,
} from "../support/folderOwner.ts";
import { freePorts, temporaryFolder } from "../support/services-folder.ts";

// What an owner leaves behind when it is killed, and what looks like it but is somebody else's.

const log = () => undefined;
const howMany = "select count(*)::int from kept";
const isLinux = process.platform === "linux";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A folder with one row in it that nobody uses; `keptLockFile` is what PostgreSQL's lock file said while it ran. */
async function usedFolder() {
  const dataDir = await temporaryFolder("leftover");
  cleanups.push(() => rm(dataDir, { recursive: true, force: true, maxRetries: 10 }));
  const lockFile = join(dataDir, "cluster/postmaster.pid");
  const server = await startEmbeddedPostgres({ dataDir, log });
  await execute(server.url, "create table kept (n int)", "insert into kept values (1)");
  const keptLockFile = await readFile(lockFile, "utf8");
  await server.stop();
  return { dataDir, lockFile, keptLockFile };
}

async function start(dataDir: string, claimTimes: Partial<ClaimTimes> = {}) {
  const server = await startEmbeddedPostgres({ dataDir, log, claimTimes });
  cleanups.push(() => server.stop());
  return server;
}

async function lockFilePid(lockFile: string): Promise<number> {
  return Number.parseInt(await readFile(lockFile, "utf8"), 10);
}

/** An owner that serves, and how to kill -9 it together with the shell that would stop its PostgreSQL. */
async function servingOwner(dataDir: string, options?: FolderOwnerOptions) {
  const owner = folderOwner(dataDir, options);
  cleanups.push(owner.remove);
  const url = await owner.url();
  const postmaster = await lockFilePid(join(dataDir, "cluster/postmaster.pid"));
  cleanups.push(async () => {
    for (const { pid } of await serversOn(join(dataDir, "cluster"))) process.kill(pid, "SIGKILL");
  });
  return {
    ...{ owner, url, postmaster },
    async killWithWatcher() {
      process.kill(await childNamed(owner.pid(), "sh"), "SIGKILL");
      await owner.kill("SIGKILL");
    },
  };
}

async function childNamed(parent: number, name: string): Promise<number> {
  for (const pid of childrenOf(parent)) if ((await describeProcess(pid))?.name === name) return pid;
  throw new Error(`no ${name} among the children of ${parent}`);
}

/** A backend in the middle of a statement. */
async function busyBackend(url: string): Promise<number> {
  const asked = ask(url, "select pg_sleep(600)").catch(() => undefined);
  cleanups.push(() => asked);
  return vi.waitFor(async () => {
    const pid = await ask(url, "select pid from pg_stat_activity where query like 'select pg_sleep%' limit 1");
    expect(pid).toBeGreaterThan(0);
    return Number(pid);
  });
}

test.runIf(isLinux)(
  "PostgreSQL keeps the folder locked when its gateway is killed, and the next start stops it",
  async () => {
    const { dataDir } = await usedFolder();
    const { postmaster, killWithWatcher, url } = await servingOwner(dataDir);
    await killWithWatcher();
    expect(await tryLock(join(dataDir, "owner"))).toBeUndefined();
    expect(await ask(url, howMany)).toBe(1);
    const later = await start(dataDir);
    expect(await isRunning(postmaster)).toBe(false);
    expect(await ask(later.url, howMany)).toBe(1);
  },
);

const ends = [
  // PostgreSQL that tidies up after a crash does not hear SIGINT.
  { what: "with a backend killed", signal: "SIGKILL", inContainer: false, quitAfterMs: 500 },
  { what: "with a backend that does not react", signal: "SIGSTOP", inContainer: false, quitAfterMs: 2_000 },
  {
    what: "in another container, with a backend that does not react",
    signal: "SIGSTOP",
    inContainer: true,
    quitAfterMs: 10_000,
  },
] as const;

test.runIf(canMakeContainers).each(ends)(
  "a gateway killed $what is followed within 30 s, with its data",
  async ({ signal, inContainer, quitAfterMs }) => {
    const { dataDir } = await usedFolder();
    const { owner, url, killWithWatcher } = await servingOwner(dataDir, { inContainer });
    await execute(url, "insert into kept values (2)");
    const backend = await busyBackend(url);
    // A container's process ids are not ours: there the shell finds the backend.
    if (inContainer) await owner.runInside(`kill -s ${signal.slice(3)} ${backend}`);
    else process.kill(backend, signal);
    // Nobody but the container's own shell can stop what is left in there; here the next start has to.
    await (inContainer ? owner.kill("SIGKILL") : killWithWatcher());
    const left = await serversOn(join(dataDir, "cluster"));
    expect(left).not.toEqual([]);
    const startedAtMs = performance.now();
    const later = await start(dataDir, { quitAfterMs });
    expect(performance.now() - startedAtMs).toBeLessThan(30_000);
    expect(await Promise.all(left.map(({ pid }) => isRunning(pid)))).not.toContain(true);
    expect(await ask(later.url, howMany)).toBe(2);
  },
);

test.runIf(isLinux)("backends that survived their postmaster are ended too", async () => {
  const { dataDir } = await usedFolder();
  const { url, postmaster, killWithWatcher } = await servingOwner(dataDir);
  const busy = ask(url, "select count(*) from generate_series(1, 1000000000000)").catch(() => undefined);
  cleanups.push(() => busy);
  await vi.waitFor(async () => {
    const query =
      "select count(*)::int from pg_stat_activity where state = 'active' and query like '%generate_series%'";
    expect(await ask(url, query)).toBe(2);
  });
  await killWithWatcher();
  process.kill(postmaster, "SIGKILL");
  const later = await start(dataDir);
  expect(await ask(later.url, howMany)).toBe(1);
});

test("a PostgreSQL of whoever took the folder over meanwhile is no leftover", async () => {
  const { dataDir } = await usedFolder();
  const server = await start(dataDir);
  const step = leftoverStopper(join(dataDir, "cluster"), log, 0);
  await step(async () => false);
  await step(async () => false);
  expect(await ask(server.url, howMany)).toBe(1);
});

test("who has to leave a folder at once kills its own PostgreSQL only", async () => {
  const { dataDir } = await usedFolder();
  const theirs = await start(dataDir);
  const ours = spawn("sleep", ["600"], { stdio: "ignore" });
  const ended = new Promise((done) => ours.once("exit", done));
  await killAtOnce(ours, join(dataDir, "cluster"));
  await ended;
  expect(await ask(theirs.url, howMany)).toBe(1);
});

test.runIf(isLinux)("an initdb that outlives its gateway keeps the folder locked", async () => {
  const dataDir = await temporaryFolder("leftover");
  cleanups.push(() => rm(dataDir, { recursive: true, force: true, maxRetries: 10 }));
  const owner = folderOwner(dataDir);
  cleanups.push(owner.remove);
  const initdb = await vi.waitFor(() => childNamed(owner.pid(), "initdb"), { timeout: 10_000, interval: 10 });
  process.kill(initdb, "SIGSTOP");
  await owner.kill("SIGKILL");
  const expected = `in use by something that process ${owner.pid()} left behind`;
  await expect(start(dataDir, { patienceMs: 300 })).rejects.toThrow(expected);
  process.kill(initdb, "SIGCONT");
  await start(dataDir);
});

test.runIf(isLinux)("after a PostgreSQL that ended by itself no shell waits to stop whoever gets its id", async () => {
  const { dataDir } = await usedFolder();
  const { owner, postmaster } = await servingOwner(dataDir);
  await childNamed(owner.pid(), "sh");
  process.kill(postmaster, "SIGQUIT");
  await vi.waitFor(() => expect(childNamed(owner.pid(), "sh")).rejects.toThrow("no sh"), 5_000);
});

test("a stale lock file of PostgreSQL that names another folder's PostgreSQL: that one serves on, ours starts", async () => {
  const other = await usedFolder();
  const otherServer = await start(other.dataDir);
  const { dataDir, lockFile, keptLockFile } = await usedFolder();
  const postmaster = await lockFilePid(other.lockFile);
  await writeFile(lockFile, keptLockFile.replace(/^\d+/, String(postmaster)));
  const server = await start(dataDir);
  expect(await ask(server.url, howMany)).toBe(1);
  expect(await lockFilePid(lockFile)).not.toBe(postmaster);
  expect(await ask(otherServer.url, howMany)).toBe(1);
  expect(await lockFilePid(other.lockFile)).toBe(postmaster);
});

test("a stale lock file of PostgreSQL that names any living process of the same user: it lives on, ours starts", async () => {
  const { dataDir, lockFile, keptLockFile } = await usedFolder();
  const { uid, gid } = await stat(join(dataDir, "cluster"));
  const stranger = spawn("sleep", ["600"], { uid, gid, stdio: "ignore" });
  cleanups.push(async () => stranger.kill("SIGKILL"));
  await writeFile(lockFile, keptLockFile.replace(/^\d+/, String(stranger.pid)));
  const server = await start(dataDir);
  expect(await ask(server.url, howMany)).toBe(1);
  expect(await isRunning(stranger.pid ?? 0)).toBe(true);
});

test("a PostgreSQL that somebody else started on the folder is named and not touched", async () => {
  const { dataDir, lockFile } = await usedFolder();
  const cluster = join(dataDir, "cluster");
  const account = await serverAccount(cluster);
  const binary = join(await serverBinaries(account, log), "postgres");
  const [port = 0] = await freePorts(1);
  const args = ["-D", cluster, "-p", String(port), "-c", "unix_socket_directories="];
  const byHand = spawn(binary, args, { ...account, stdio: "ignore", env: {} });
  const ended = new Promise((done) => byHand.once("exit", done));
  cleanups.push(() => {
    byHand.kill("SIGINT");
    return ended;
  });
  await vi.waitFor(async () => expect(await readFile(lockFile, "utf8")).toMatch(/ready/));
  const expected = `PostgreSQL (process ${byHand.pid}) already runs on ${cluster}, and not for a gateway`;
  await expect(start(dataDir)).rejects.toThrow(expected);
  expect(await lockFilePid(lockFile)).toBe(byHand.pid);
  byHand.kill("SIGINT");
  await ended;
  expect(await ask((await start(dataDir)).url, howMany)).toBe(1);
});

test("a lock file of PostgreSQL without a process id is left for a person to judge", async () => {
  const { dataDir, lockFile } = await usedFolder();
  await copyFile("/dev/null", lockFile);
  await expect(start(dataDir)).rejects.toThrow("remove it if no PostgreSQL uses this folder");
  expect((await stat(lockFile)).size).toBe(0);
});
