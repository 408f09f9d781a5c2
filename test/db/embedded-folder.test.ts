import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { type EmbeddedPostgresOptions, startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { execute } from "../support/database.ts";
import {
  ask,
  canMakeContainers,
  type FolderOwner,
  type FolderOwnerOptions,
  folderOwner,
  isRunning,
} from "../support/folderOwner.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { temporaryFolder } from "../support/services-folder.ts";

// One folder, one gateway: who may use a data folder, with real processes and a real PostgreSQL.

const log = () => undefined;
const howMany = "select count(*)::int from kept";

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function dataFolder(): Promise<string> {
  const folder = await temporaryFolder("folder");
  cleanups.push(() => rm(folder, { recursive: true, force: true, maxRetries: 10 }));
  return folder;
}

function owner(dataDir: string, options?: FolderOwnerOptions): FolderOwner {
  const started = folderOwner(dataDir, options);
  cleanups.push(started.remove);
  return started;
}

async function start(dataDir: string, options: Partial<EmbeddedPostgresOptions> = {}) {
  const server = await startEmbeddedPostgres({ dataDir, log, ...options });
  cleanups.push(() => server.stop());
  return server;
}

/** A folder with one row in it that nobody uses any more. */
async function usedFolder(): Promise<string> {
  const dataDir = await dataFolder();
  const server = await startEmbeddedPostgres({ dataDir, log });
  await execute(server.url, "create table kept (n int)", "insert into kept values (1)");
  await server.stop();
  return dataDir;
}

const ofAnotherMachine = (changes: object = {}) =>
  JSON.stringify({
    ...{ host: "elsewhere", bootId: "other", pidNamespace: "pid:[1]", pid: 1, startedAt: "1", claim: "theirs" },
    ...changes,
  });

test.runIf(canMakeContainers)(
  "a second gateway on the folder, in another container, is refused in one sentence and the first serves on",
  async () => {
    const dataDir = await usedFolder();
    const first = owner(dataDir, { inContainer: true });
    const url = await first.url();
    for (const inContainer of [true, false]) {
      const second = owner(dataDir, { inContainer, claimTimes: { patienceMs: 1_500 } });
      expect(await second.problem()).toMatch(
        /^The data folder \S+ is in use by a gateway in another container of this machine \(host \S+, process \d+ there\); stop it or choose another folder \(DATA_DIR\)\.$/,
      );
      await execute(url, "insert into kept values (2)");
    }
    await first.kill("SIGTERM");
    const { url: later } = await start(dataDir);
    expect(await ask(later, howMany)).toBe(3);
  },
);

test.runIf(canMakeContainers).each([
  { what: "is killed", containerEnds: false },
  { what: "ends with its whole container", containerEnds: true },
])("an owner in another container that $what is followed within 30 s, with its data", async ({ containerEnds }) => {
  const dataDir = await usedFolder();
  const first = owner(dataDir, { inContainer: true });
  await execute(await first.url(), "insert into kept values (2)");
  await (containerEnds ? first.remove() : first.kill("SIGKILL"));
  const startedAtMs = performance.now();
  const { url } = await start(dataDir);
  expect(performance.now() - startedAtMs).toBeLessThan(30_000);
  expect(await ask(url, howMany)).toBe(2);
});

test("of eight starts at once on the folder of a dead owner exactly one serves", async () => {
  const dataDir = await usedFolder();
  for (let round = 1; round <= 3; round += 1) {
    const dead = owner(dataDir);
    await dead.url();
    await dead.kill("SIGKILL");
    const starts = Array.from({ length: 8 }, () => owner(dataDir, { waits: true }));
    await Promise.all(starts.map((each) => each.isWaiting()));
    for (const each of starts) each.go();
    const ends = await Promise.all(starts.map((each) => Promise.race([each.url(), each.problem()])));
    const [url = "", ...others] = ends.filter((end) => end.startsWith("postgresql:"));
    expect(others).toEqual([]);
    expect(ends.filter((end) => /is in use by process \d+; stop it/.test(end))).toHaveLength(7);
    expect(await ask(url, howMany)).toBe(1);
    await Promise.all(starts.map((each) => each.remove()));
  }
});

test("a gateway that is stopped in its tracks (SIGSTOP) keeps its folder", async () => {
  const dataDir = await usedFolder();
  const first = owner(dataDir);
  const url = await first.url();
  await first.kill("SIGSTOP");
  await expect(start(dataDir)).rejects.toThrow(`in use by process ${first.pid()}; stop it or choose another folder`);
  expect(await ask(url, howMany)).toBe(1);
});

test("the folder of another machine that gives no sign is taken over within 30 s", async () => {
  const dataDir = await usedFolder();
  await writeFile(join(dataDir, "owner"), ofAnotherMachine());
  const startedAtMs = performance.now();
  const { url } = await start(dataDir);
  const tookMs = performance.now() - startedAtMs;
  expect(tookMs).toBeGreaterThan(15_000);
  expect(tookMs).toBeLessThan(30_000);
  expect(await ask(url, howMany)).toBe(1);
});

test("a gateway whose folder another machine took over stops PostgreSQL at once and leaves the file alone", async () => {
  const dataDir = await usedFolder();
  const onTakenOver = vi.fn<(problem: Error) => void>();
  const server = await start(dataDir, { onTakenOver, claimTimes: { beatMs: 50 } });
  const checkpointer = "select pid from pg_stat_activity where backend_type = 'checkpointer'";
  const child = Number(await ask(server.url, checkpointer));
  await writeFile(join(dataDir, "cluster/postmaster.pid"), "the other one's");
  await writeFile(join(dataDir, "owner"), ofAnotherMachine());
  await vi.waitFor(() => expect(onTakenOver).toHaveBeenCalledOnce());
  expect(onTakenOver.mock.calls[0]?.[0].message).toContain("(host elsewhere, process 1 there) took it over");
  await vi.waitFor(() => expect(ask(server.url, howMany)).rejects.toThrow("ECONNREFUSED"));
  await vi.waitFor(async () => expect(await isRunning(child)).toBe(false));
  await server.stop();
  expect(await readFile(join(dataDir, "owner"), "utf8")).toBe(ofAnotherMachine());
  expect(await readFile(join(dataDir, "cluster/postmaster.pid"), "utf8")).toBe("the other one's");
});

test("npm start: the process ends when another machine took its folder over", async () => {
  const dataDir = await dataFolder();
  const ports = { REST_PORT: "0", RPC_PORT: "0" };
  await using gateway = runGatewayProcess(["start"], { DATA_DIR: dataDir, ...ports });
  await gateway.says(/the gateway runs/);
  await writeFile(join(dataDir, "postgres/owner"), ofAnotherMachine());
  expect(await gateway.ended).toBe(1);
  expect(gateway.output()).toContain("is no longer ours and PostgreSQL is stopped");
});

test("an owner file that is replaced while it is being locked is locked anew", async () => {
  const [dataDir, programs] = [await usedFolder(), await dataFolder()];
  const file = join(dataDir, "owner");
  const replaceOnce = `[ -e ${programs}/done ] || { >${programs}/done; rm ${file}; >${file}; }`;
  await writeFile(join(programs, "flock"), `#!/bin/sh\n${replaceOnce}\nexec /usr/bin/flock "$@"\n`, { mode: 0o755 });
  const started = owner(dataDir, { environment: { PATH: `${programs}:/usr/bin:/bin` } });
  await started.url();
  expect(await readFile(file, "utf8")).toContain(`"pid":${started.pid()},`);
});

test("without the program flock the start says which package to install", async () => {
  const second = owner(await dataFolder(), { environment: { PATH: "/nowhere" } });
  expect(await second.problem()).toContain("install the package util-linux, or set DATABASE_URL");
});
