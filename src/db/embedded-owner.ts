import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFile, readlink } from "node:fs/promises";
import { hostname, platform } from "node:os";
import { promisify } from "node:util";
import { describeProcess } from "./embedded-process.ts";

// The content of the file `owner` in the data folder, and what follows from it. A process id alone identifies nothing: it means
// another process in every container and after every restart of the machine.

export type Owner = {
  host: string;
  /** Chosen at random by the kernel at every boot. */
  bootId: string;
  /**
   * Containers number their processes separately, so ids can be compared only within one namespace. Empty where there are no
   * namespaces.
   */
  pidNamespace: string;
  pid: number;
  startedAt: string;
  /** Random; tells this claim from every other. */
  claim: string;
};

/** "nobody": the file is empty, because the last owner stopped in order or there was none. */
export type FoundOwner = Owner | "nobody" | "unreadable";

export type Relation =
  | "nobody"
  | "alive here"
  | "dead here"
  | "in another container"
  | "on another machine"
  | "unreadable";

/**
 * take: the folder is ours. refuse: someone else uses it. end leftover: stop the PostgreSQL that a dead owner left.
 * wait: the lock may become free soon. watch: take it unless someone writes the file meanwhile.
 */
export type Verdict = "take" | "refuse" | "end leftover" | "wait" | "watch";

/**
 * What to do about an owner, depending on whether we hold the kernel's lock. If we do, an owner on this machine is gone, and its
 * PostgreSQL with it, because both would hold the lock. About another machine it says nothing, as many shared disks lock per
 * machine only; a living owner there shows itself by its heartbeat.
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

/** The error for a gateway that was started on a folder in use: one sentence. */
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

/** This process, as it is written into the file `owner`. */
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
