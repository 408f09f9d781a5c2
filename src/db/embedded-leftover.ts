import { type ChildProcess, execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describeProcess } from "./embedded-process.ts";

// PostgreSQL processes that are on our data although we did not start them. PostgreSQL's lock file postmaster.pid names
// one by its process id only, which may belong to any program by now, another PostgreSQL included: what counts is the
// folder that a process works in. The lock file itself is PostgreSQL's: nobody else writes or removes it.

type Server = { pid: number; startedAt: string; parentPid: number };

/** A process that ends gives its lock back an instant before it leaves its folder. */
const LEAVING_MS = 2_000;
const POLL_MS = 50;

/** Stops what a dead owner left: to be called again and again, each call does what is due. */
export function leftoverEnd(cluster: string, log: (line: string) => void, quitAfterMs: number) {
  // First politely, as an ordinary stop does; then at once, and the next start replays PostgreSQL's log.
  const signals = [
    { signal: "SIGINT", afterMs: 0 },
    { signal: "SIGQUIT", afterMs: quitAfterMs },
  ] as const;
  const startedAtMs = performance.now();
  let next = 0;
  return async (isStillLeft: () => Promise<boolean>): Promise<void> => {
    const due = signals[next];
    if (due === undefined || performance.now() - startedAtMs < due.afterMs) return;
    next += 1;
    const servers = await serversOn(cluster);
    const named = await lockFilePid(cluster);
    const postmaster = servers.filter(({ pid }) => pid === named);
    // Whoever takes the folder over writes so before it starts a PostgreSQL. While the file still names the dead owner,
    // what was found a moment ago is no new PostgreSQL of somebody else.
    if (!(await isStillLeft())) return;
    // The postmaster ends its processes itself; without one they are told one by one.
    for (const server of postmaster.length > 0 ? postmaster : servers) {
      log(`${due.signal} to PostgreSQL (process ${server.pid}), which an interrupted run left behind`);
      await signalServer(server, due.signal);
    }
  };
}

/**
 * For a folder that is no longer ours: nothing of our PostgreSQL may write to it or tidy up in it any more. Any other way to
 * end, SIGQUIT too, removes the lock file, which is the new owner's by now. Whose PostgreSQL works there beside is not ours.
 */
export async function killAtOnce(postmaster: ChildProcess, cluster: string): Promise<void> {
  // Looked for first: without their postmaster they are nobody's children. Those that are missed end when they notice.
  const servers = await serversOn(cluster).catch(() => []);
  postmaster.kill("SIGKILL");
  for (const server of servers) if (server.parentPid === postmaster.pid) await signalServer(server, "SIGKILL");
}

/**
 * Asked by the owner of the folder before it starts PostgreSQL. The process id that PostgreSQL's lock file still names
 * belongs to no PostgreSQL of this folder; PostgreSQL has to be told so, because it believes any living process of that id.
 */
export async function staleLockFilePid(cluster: string): Promise<number | undefined> {
  const deadlineMs = performance.now() + LEAVING_MS;
  for (;;) {
    const [server] = await serversOn(cluster);
    if (server === undefined) break;
    if (performance.now() > deadlineMs) {
      throw new Error(
        `PostgreSQL (process ${server.pid}) already runs on ${cluster}, and not for a gateway; ` +
          `stop it (kill -INT ${server.pid}) and start again, or choose another folder (DATA_DIR).`,
      );
    }
    await sleep(POLL_MS);
  }
  if (!existsSync(lockFile(cluster))) return undefined;
  const pid = await lockFilePid(cluster);
  if (pid !== undefined) return pid;
  throw new Error(
    `${lockFile(cluster)} names no process, and PostgreSQL does not start over such a file; ` +
      "remove it if no PostgreSQL uses this folder, then start again.",
  );
}

/** Every PostgreSQL process that provably works on this cluster. Elsewhere than on Linux only its first one can be proven. */
export async function serversOn(cluster: string): Promise<Server[]> {
  const isLinux = existsSync("/proc/self/stat");
  const named = await lockFilePid(cluster);
  const candidates = isLinux ? (await readdir("/proc")).map(Number).filter((pid) => pid > 0) : [named ?? 0];
  const proves = isLinux ? worksIn : wasStartedOn;
  const found: Server[] = [];
  for (const pid of candidates) {
    const process = await describeProcess(pid);
    if (process === undefined || basename(process.name) !== "postgres") continue;
    if (await proves(pid, cluster)) found.push({ pid, startedAt: process.startedAt, parentPid: process.parentPid });
  }
  return found;
}

/** PostgreSQL makes its data folder its working directory. Compared as a folder: its name may differ in a container. */
async function worksIn(pid: number, cluster: string): Promise<boolean> {
  const [folder, ours] = await Promise.all([folderIdentity(`/proc/${pid}/cwd`), folderIdentity(cluster)]);
  return ours !== undefined && folder === ours;
}

async function folderIdentity(path: string): Promise<string | undefined> {
  const found = await stat(path, { bigint: true }).catch(() => undefined);
  return found && `${found.dev}:${found.ino}`;
}

async function wasStartedOn(pid: number, cluster: string): Promise<boolean> {
  const { stdout } = await promisify(execFile)("ps", ["-ww", "-o", "args=", "-p", String(pid)]).catch(() => ({
    stdout: "",
  }));
  const names = [cluster, await realpath(cluster).catch(() => cluster)];
  return names.some((name) => `${stdout.trim()} `.includes(` -D ${name} `));
}

function lockFile(cluster: string): string {
  return join(cluster, "postmaster.pid");
}

async function lockFilePid(cluster: string): Promise<number | undefined> {
  const text = await readFile(lockFile(cluster), "utf8").catch(() => "");
  // A PostgreSQL without a postmaster, as started for repairs, writes its id with a minus.
  const pid = Math.abs(Number.parseInt(text, 10));
  return pid > 0 ? pid : undefined;
}

async function signalServer({ pid, startedAt }: Server, signal: NodeJS.Signals): Promise<void> {
  if ((await describeProcess(pid))?.startedAt !== startedAt) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has ended by itself in this instant.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
