import { mkdir, readFile, rename, rm, rmdir, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test, vi } from "vitest";
import { type ClaimTimes, claimFolder, claimTimes } from "../../src/db/embedded-claim.ts";
import {
  type Owner,
  ownerText,
  type Relation,
  readOwner,
  relationOf,
  thisProcess,
  type Verdict,
  verdicts,
} from "../../src/db/embedded-owner.ts";
import { temporaryFolder } from "../support/services-folder.ts";

// What the file `owner` says and what follows from it, without a PostgreSQL.

const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function folder(text?: string) {
  const home = await temporaryFolder("owner");
  cleanups.push(() => rm(home, { recursive: true, force: true }));
  const file = join(home, "owner");
  if (text !== undefined) await writeFile(file, text);
  return { home, file, says: () => readFile(file, "utf8") };
}

const quick: ClaimTimes = { ...claimTimes, watchMs: 600, confirmMs: 100, patienceMs: 1_000, pollMs: 20 };

async function claim(home: string, times: Partial<ClaimTimes> = {}, log: (line: string) => void = () => undefined) {
  const claimed = await claimFolder(home, log, { ...quick, ...times });
  cleanups.push(() => claimed.release().catch(() => undefined));
  return claimed;
}

async function beats(file: string, count: number): Promise<void> {
  for (let beat = 1; beat <= count; beat += 1) {
    const { mtimeMs } = await stat(file);
    await vi.waitFor(async () => expect((await stat(file)).mtimeMs).toBeGreaterThan(mtimeMs), { interval: 5 });
  }
}

const here: Owner = { host: "me", bootId: "b", pidNamespace: "n", pid: 7, startedAt: "9", claim: "mine" };

const rows: {
  owner: Owner | "nobody" | "unreadable";
  isAlive?: boolean;
  is: Relation;
  locked: Verdict;
  unlocked: Verdict;
}[] = [
  { owner: "nobody", is: "nobody", locked: "take", unlocked: "wait" },
  { owner: "unreadable", is: "unreadable", locked: "watch", unlocked: "wait" },
  { owner: here, isAlive: true, is: "alive here", locked: "take", unlocked: "refuse" },
  { owner: here, isAlive: false, is: "dead here", locked: "take", unlocked: "end leftover" },
  // The id may live here as well: it is another process.
  {
    owner: { ...here, pidNamespace: "o" },
    isAlive: true,
    is: "in another container",
    locked: "take",
    unlocked: "wait",
  },
  { owner: { ...here, bootId: "o" }, isAlive: true, is: "on another machine", locked: "watch", unlocked: "wait" },
  { owner: { ...here, bootId: "" }, isAlive: true, is: "on another machine", locked: "watch", unlocked: "wait" },
];

test.each(rows)("an owner that is $is (alive: $isAlive): locked $locked, unlocked $unlocked", (row) => {
  const relation = relationOf(row.owner, here, row.isAlive ?? false);
  expect(relation).toBe(row.is);
  expect(verdicts[relation]).toEqual({ locked: row.locked, unlocked: row.unlocked });
});

test("an owner whose machine knows no boot id counts as another machine's, even on one that knows none either", () => {
  expect(relationOf({ ...here, bootId: "" }, { ...here, bootId: "" }, true)).toBe("on another machine");
});

test.each([
  { what: "nothing", text: "", is: "nobody" },
  { what: "white space", text: " \n", is: "nobody" },
  { what: "an earlier version's text", text: "4711 123456", is: "unreadable" },
  { what: "half a line", text: ownerText(here).slice(0, 40), is: "unreadable" },
  { what: "zeros, as after a power cut", text: "\0".repeat(80), is: "unreadable" },
  { what: "other JSON", text: '{"pid":7}', is: "unreadable" },
  { what: "an id of no process", text: JSON.stringify({ ...here, pid: -1 }), is: "unreadable" },
])("an owner file with $what reads as $is", ({ text, is }) => {
  expect(readOwner(text)).toBe(is);
});

test("the owner's line names this process beyond its id, and is only the owner's to read", async () => {
  const { home, file, says } = await folder();
  const claimed = await claim(home);
  const { claim: _, ...mine } = await thisProcess();
  expect(readOwner(await says())).toEqual({ ...mine, claim: expect.stringMatching(/^[0-9a-f-]{36}$/) });
  expect(mine.bootId).not.toBe("");
  expect((await stat(file)).mode & 0o077).toBe(0);
  const { ino } = await stat(file);
  await claimed.release();
  expect(await says()).toBe("");
  expect((await stat(file)).ino).toBe(ino);
});

test.each([
  { what: "an unreadable line", text: "4711 123456" },
  { what: "half a line", text: ownerText(here).slice(0, 40) },
  { what: "another machine", text: ownerText(here) },
  { what: "another machine at length", text: ownerText({ ...here, host: "h".repeat(250) }) },
])("a file that names $what is taken over only after it rested, in one logged line", async ({ text }) => {
  const { home, says } = await folder(text);
  const lines: string[] = [];
  const startedAtMs = performance.now();
  await claim(home, {}, (line) => lines.push(line));
  expect(performance.now() - startedAtMs).toBeGreaterThan(quick.watchMs + quick.confirmMs);
  expect(lines).toEqual([expect.stringContaining("gave no sign")]);
  expect(readOwner(await says())).toMatchObject({ pid: process.pid });
});

test("a dead owner of this machine is followed at once, whatever its id means now", async () => {
  const me = await thisProcess();
  for (const dead of [
    { ...me, startedAt: "1" },
    { ...me, pidNamespace: "pid:[1]" },
  ]) {
    const { home } = await folder(ownerText(dead));
    const startedAtMs = performance.now();
    await (await claim(home)).release();
    expect(performance.now() - startedAtMs).toBeLessThan(quick.watchMs);
  }
});

test("an owner on another machine whose heart beats is refused with its name, whatever its clock says", async () => {
  const { home, file, says } = await folder(ownerText(here));
  // Its clock is years behind ours: only that the time changes counts.
  let second = 0;
  const heart = setInterval(() => void utimes(file, ++second, second), 50);
  cleanups.push(async () => clearInterval(heart));
  await expect(claim(home)).rejects.toThrow(
    "in use by a gateway on another machine (host me, process 7 there); stop it",
  );
  expect(await says()).toBe(ownerText(here));
});

test("a file that changed while the lock was waited for has to rest from then on", async () => {
  const { home, file } = await folder();
  const holder = await claim(home, { beatMs: 60_000 });
  await writeFile(file, ownerText({ ...here, host: "earlier" }));
  const next = claim(home, { patienceMs: 10_000 });
  const clock = await folder();
  await claim(clock.home, { beatMs: 20 });
  await beats(clock.file, 10);
  await writeFile(file, ownerText(here));
  const changedAtMs = performance.now();
  await holder.release();
  await next;
  expect(performance.now() - changedAtMs).toBeGreaterThan(quick.watchMs);
});

test("of two machines that both watched, the one that wrote first steps back", async () => {
  const { home, file, says } = await folder(ownerText(here));
  const first = claim(home, { confirmMs: 500 });
  first.catch(() => undefined);
  await vi.waitFor(async () => expect(await says()).not.toBe(ownerText(here)), 5_000);
  const other = ownerText({ ...here, host: "quicker" });
  await writeFile(file, other);
  await expect(first).rejects.toThrow("on another machine (host quicker");
  expect(await says()).toBe(other);
});

test("a lock without a name is waited for, and then refused", async () => {
  const { home, file } = await folder();
  const holder = await claim(home);
  await writeFile(file, "");
  await expect(claim(home)).rejects.toThrow("in use by a process that cannot be seen from here");
  const next = claim(home, { patienceMs: 10_000 });
  await holder.release();
  await next;
});

test("the owner's heart beats", async () => {
  const { home, file } = await folder();
  await claim(home, { beatMs: 20 });
  await beats(file, 3);
});

test("a file that was removed under its owner ends the claim", async () => {
  const { home, file } = await folder();
  const { lost } = await claim(home, { beatMs: 20 });
  await rm(file);
  await vi.waitFor(() => expect(lost.aborted).toBe(true));
  expect((lost.reason as Error).message).toContain("was removed or changed");
});

test("a heartbeat that fails is logged once for each outage and ends nothing", async () => {
  const { home, file, says } = await folder();
  const lines: string[] = [];
  const { lost } = await claim(home, { beatMs: 20 }, (line) => lines.push(line));
  // Tells the time: a heart that beats as often.
  const other = await folder();
  await claim(other.home, { beatMs: 20 });
  for (const outage of [1, 2]) {
    // Something that cannot be read stands in its place: put there and taken away in one step each.
    await mkdir(`${file}.folder`);
    await rename(file, `${file}.aside`).then(() => rename(`${file}.folder`, file));
    await vi.waitFor(() => expect(lines).toHaveLength(outage));
    await beats(other.file, 5);
    await rmdir(file).then(() => rename(`${file}.aside`, file));
    await beats(file, 1);
  }
  expect(lines).toEqual(Array(2).fill(expect.stringContaining("The heartbeat in")));
  expect(lost.aborted).toBe(false);
  expect(await says()).not.toBe("");
});
