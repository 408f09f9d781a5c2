import { type ChildProcess, execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { describeProcess } from "./embedded-process.ts";

// PostgreSQL processes on our data that we did not start. The lock file postmaster.pid names one only by its process id, which any
// program may have by now, even another PostgreSQL; the working directory of a process tells whether it works on this cluster. The
// lock file belongs to PostgreSQL: nothing else writes or removes it.

type Server = { pid: number; startedAt: string; parentPid: number };

/** How long to wait for an ending process, which releases its lock shortly before it leaves its folder. */
const LEAVING_MS = 2_000;
const POLL_MS = 50;

/** Stops the PostgreSQL that a dead owner left. The returned function is called repeatedly, and does what is due at the time. */
export function leftoverStopper(cluster: string, log: (line: string) => void, quitAfterMs: number) {
  // First an ordinary (fast) shutdown; later an immediate one, after which the next start replays the write-ahead log.
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
    // A new owner writes the file before it starts its PostgreSQL. As long as the file still names the dead owner, the processes
    // found a moment ago are not those of a new owner.
    if (!(await isStillLeft())) return;
    // The postmaster ends its children itself; without one they are signalled one by one.
    for (const server of postmaster.length > 0 ? postmaster : servers) {
      log(`${due.signal} to PostgreSQL (process ${server.pid}), which an interrupted run left behind`);
      await signalServer(server, due.signal);
    }
  };
}

/**
 * Kills our PostgreSQL when the folder has been taken over: it must not write there any more, nor clean up. Every other way to end
 * it, SIGQUIT included, removes the lock file, which belongs to the new owner by now. The new owner's PostgreSQL is left alone.
 */
export async function killAtOnce(postmaster: ChildProcess, cluster: string): Promise<void> {
  // Searched first: once the postmaster is dead its children cannot be attributed to us. Those that are missed end when they
  // notice.
  const servers = await serversOn(cluster).catch(() => []);
  postmaster.kill("SIGKILL");
  for (const server of servers) if (server.parentPid === postmaster.pid) await signalServer(server, "SIGKILL");
}

/**
 * The process id in PostgreSQL's lock file, if it belongs to no PostgreSQL of this folder any more; for the folder's owner, before
 * the start. PostgreSQL has to be told, because it takes any living process of that id for a running server.
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

/** Every PostgreSQL process that provably works on this cluster; except on Linux only the postmaster can be proven. */
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

/**
 * Whether a process works in the folder (PostgreSQL's working directory is its data folder). Compares inodes: a container may see
 * another path.
 */
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
  // A single-user PostgreSQL, as started for repairs, writes its id as a negative number.
  const pid = Math.abs(Number.parseInt(text, 10));
  return pid > 0 ? pid : undefined;
}

async function signalServer({ pid, startedAt }: Server, signal: NodeJS.Signals): Promise<void> {
  if ((await describeProcess(pid))?.startedAt !== startedAt) return;
  try {
    process.kill(pid, signal);
  } catch (error) {
    // It has just ended by itself.
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
