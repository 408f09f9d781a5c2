import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { hostname, platform } from "node:os";
import { promisify } from "node:util";
import { describeProcess } from "./embedded-process.ts";

// What the file `owner` in the data folder says, and what follows from it. A process id says little by itself: it names
// another process in every container and after every restart of the machine.

export type Owner = {
  host: string;
  /** Random, made by the kernel at every start of the machine. */
  bootId: string;
  /** Containers number their processes separately; ids compare only inside one of these. Empty where there is just one. */
  pidNamespace: string;
  pid: number;
  startedAt: string;
  /** Random: tells this claim from every other. */
  claim: string;
};

/** An empty file belongs to nobody: the last owner stopped in order, or there was none. */
export type FoundOwner = Owner | "nobody" | "unreadable";

export type Relation =
  | "nobody"
  | "alive here"
  | "dead here"
  | "in another container"
  | "on another machine"
  | "unreadable";

/**
 * take: the folder is ours. refuse: somebody uses it. end leftover: stop the PostgreSQL that a dead owner left.
 * wait: the lock may come free in a moment. watch: take it unless somebody writes the file meanwhile.
 */
export type Verdict = "take" | "refuse" | "end leftover" | "wait" | "watch";

/**
 * What to do about an owner, by whether we have the kernel's lock. With the lock an owner of this machine is gone, and so
 * is its PostgreSQL: they would hold it. Of another machine it proves nothing, as many shared disks lock for each
 * machine alone: there a living owner shows by its heartbeat.
 */
export const verdicts: Readonly<Record<Relation, { locked: Verdict; unlocked: Verdict }>> = {
  nobody: { locked: "take", unlocked: "wait" },
  "alive here": { locked: "take", unlocked: "refuse" },
  "dead here": { locked: "take", unlocked: "end leftover" },
  "in another container": { locked: "take", unlocked: "wait" },
  "on another machine": { locked: "watch", unlocked: "wait" },
  unreadable: { locked: "watch", unlocked: "wait" },
};

/** @param isAlive whether a process with the owner's id and start time runs here; asked of owners of our namespace only. */
export function relationOf(owner: FoundOwner, here: Owner, isAlive: boolean): Relation {
  if (owner === "nobody" || owner === "unreadable") return owner;
  if (owner.bootId === "" || owner.bootId !== here.bootId) return "on another machine";
  if (owner.pidNamespace !== here.pidNamespace) return "in another container";
  return isAlive ? "alive here" : "dead here";
}

export async function isAlive(owner: FoundOwner): Promise<boolean> {
  if (owner === "nobody" || owner === "unreadable") return false;
  return (await describeProcess(owner.pid))?.startedAt === owner.startedAt;
}

const OR_ELSE = "stop it or choose another folder (DATA_DIR).";

/** One sentence for whoever started a gateway on a folder that it cannot have. */
export function refusal(home: string, relation: Relation, owner: FoundOwner): Error {
  const { host, pid } = typeof owner === "string" ? { host: "", pid: 0 } : owner;
  const users: Record<Relation, string> = {
    nobody: "a process that cannot be seen from here, perhaps in another container",
    unreadable: "a process that cannot be seen from here, perhaps in another container",
    "alive here": `process ${pid}`,
    "dead here": `something that process ${pid} left behind when it ended`,
    "in another container": `a gateway in another container of this machine (host ${host}, process ${pid} there)`,
    "on another machine": `a gateway on another machine (host ${host}, process ${pid} there)`,
  };
  return new Error(`The data folder ${home} is in use by ${users[relation]}; ${OR_ELSE}`);
}

export function ownerText(owner: Owner): string {
  return `${JSON.stringify(owner)}\n`;
}

export function readOwner(text: string): FoundOwner {
  if (text.trim() === "") return "nobody";
  try {
    const { host, bootId, pidNamespace, pid, startedAt, claim } = JSON.parse(text);
    const areTexts = [host, bootId, pidNamespace, startedAt, claim].every((value) => typeof value === "string");
    if (!areTexts || !Number.isSafeInteger(pid) || pid < 1) return "unreadable";
    return { host, bootId, pidNamespace, pid, startedAt, claim };
  } catch {
    return "unreadable";
  }
}

/** What we write when the folder is ours. */
export async function thisProcess(): Promise<Owner> {
  return {
    host: hostname(),
    bootId: await bootId().catch(() => ""),
    pidNamespace: await readlink("/proc/self/ns/pid").catch(() => ""),
    pid: process.pid,
    startedAt: (await describeProcess(process.pid))?.startedAt ?? "",
    claim: randomUUID(),
  };
}

async function bootId(): Promise<string> {
  if (platform() !== "darwin") return (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  const { stdout } = await promisify(execFile)("sysctl", ["-n", "kern.bootsessionuuid"]);
  return stdout.trim();
}
