import { execFile } from "node:child_process";
import { chmod, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";
import { startEmbeddedPostgres } from "../../src/db/embedded.ts";
import { type Account, closedFolder, serverAccount } from "../../src/db/embedded-account.ts";
import { withAdvice } from "../../src/db/embedded-disk.ts";
import { ownerText, thisProcess } from "../../src/db/embedded-owner.ts";
import { execute } from "../support/database.ts";
import { ask, canMakeContainers, folderOwner } from "../support/folderOwner.ts";
import { temporaryFolder } from "../support/services-folder.ts";

// Disks that refuse: one sentence that says what to do, nothing damaged, and the next start works.

const log = () => undefined;
const run = promisify(execFile);

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(): Promise<string> {
  const dataDir = await temporaryFolder("disk");
  cleanups.push(() => rm(dataDir, { recursive: true, force: true, maxRetries: 10 }));
  return dataDir;
}

/** A disk of its own in memory, as large as one new PostgreSQL and a half. */
async function smallDisk(): Promise<string> {
  const dataDir = await folder();
  await run("mount", ["-t", "tmpfs", "-o", "size=72m,mode=711", "tmpfs", dataDir]);
  cleanups.push(() => run("umount", [dataDir]));
  return dataDir;
}

async function fill(dataDir: string): Promise<() => Promise<void>> {
  const filler = join(dataDir, "filler");
  await run("dd", ["if=/dev/zero", `of=${filler}`, "bs=4k"]).catch(() => undefined);
  return () => rm(filler);
}

/** What a process of this machine wrote that has ended. */
const deadOwner = async () => ownerText({ ...(await thisProcess()), startedAt: "1" });

const start = (dataDir: string) => startEmbeddedPostgres({ dataDir, log });

test.runIf(canMakeContainers)(
  "a disk that is full at the first start: said in one sentence, and the next start works",
  async () => {
    const dataDir = await smallDisk();
    const free = await fill(dataDir);
    await expect(start(dataDir)).rejects.toThrow(
      `The disk of the data folder ${dataDir} is full; free some space and start again`,
    );
    await free();
    // A line over an old one needs no room: the password is the first that finds none.
    await writeFile(join(dataDir, "owner"), await deadOwner());
    const freeAgain = await fill(dataDir);
    await expect(start(dataDir)).rejects.toThrow(`The disk of the data folder ${dataDir} is full`);
    expect((await readdir(dataDir)).sort()).toEqual(["filler", "owner"]);
    await freeAgain();
    // Room for the small files, but not for a PostgreSQL.
    await writeFile(join(dataDir, "large"), Buffer.alloc(50 * 2 ** 20));
    await expect(start(dataDir)).rejects.toThrow(`The disk of the data folder ${dataDir} is full`);
    await rm(join(dataDir, "large"));
    const server = await start(dataDir);
    expect(await ask(server.url, "select 1")).toBe(1);
    await server.stop();
  },
);

test.runIf(canMakeContainers)(
  "a disk that is full or read-only later: the data is whole when there is room again",
  async () => {
    const dataDir = await smallDisk();
    const first = await start(dataDir);
    await execute(first.url, "create table kept (n int)", "insert into kept values (1)");
    await first.stop();
    // A line over an old one needs no room: then it is PostgreSQL that finds none.
    for (const line of ["", await deadOwner()]) {
      await writeFile(join(dataDir, "owner"), line);
      const free = await fill(dataDir);
      await expect(start(dataDir)).rejects.toThrow(`The disk of the data folder ${dataDir} is full`);
      await free();
    }
    await run("mount", ["-o", "remount,ro", dataDir]);
    await expect(start(dataDir)).rejects.toThrow(`The data folder ${dataDir} is on a read-only file system`);
    await run("mount", ["-o", "remount,rw", dataDir]);
    const server = await start(dataDir);
    expect(await ask(server.url, "select count(*)::int from kept")).toBe(1);
    await server.stop();
  },
);

/** Somebody who is not root: ourselves, or the account that stands in for root if it can reach this program. */
const ordinary: Account | undefined = await serverAccount("/nowhere");
const reaches = async (path: string) => ordinary === undefined || (await closedFolder(path, ordinary)) === undefined;
const canBeOrdinary = (await reaches(process.execPath)) && (await reaches(resolve(import.meta.dirname, "../../src")));

test.runIf(canBeOrdinary)("an owner file of somebody else is named, and works when it was given back", async () => {
  const dataDir = await folder();
  const file = join(dataDir, "owner");
  await writeFile(file, "", { mode: 0o600 });
  await chmod(dataDir, 0o777);
  await chmod(file, 0o000);
  const refused = folderOwner(dataDir, { ...(ordinary && { account: ordinary }) });
  cleanups.push(refused.remove);
  expect(await refused.problem()).toMatch(
    /^\S+ may not use everything in the data folder \S+; give it to that user \(chown -R .*EACCES/,
  );
  expect((await stat(file)).size).toBe(0);
  await chmod(file, 0o666);
  const served = folderOwner(dataDir, { ...(ordinary && { account: ordinary }) });
  cleanups.push(served.remove);
  await served.url();
  expect(await readFile(file, "utf8")).toContain(`"pid":${served.pid()}`);
  await served.kill("SIGTERM");
});

test.each([
  {
    error: { code: "EDQUOT", message: "EDQUOT: disk quota exceeded, write" },
    says: "The disk quota for the data folder /d is used up",
  },
  {
    error: { message: "initdb failed: Disk quota exceeded" },
    says: "The disk quota for the data folder /d is used up",
  },
  {
    error: { code: "EPERM", message: "EPERM: operation not permitted, open '/d/owner'" },
    says: "may not use everything in the data folder /d",
  },
  // The program, not the data: giving the data folder away would not help.
  { error: { code: "EACCES", message: "EACCES: permission denied, open '/programs/postgres'" }, says: "EACCES" },
])("withAdvice: $error.message", ({ error, says }) => {
  expect((withAdvice(error, "/d") as Error).message).toMatch(new RegExp(`^\\S*\\s?${says}`));
});
