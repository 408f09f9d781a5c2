import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";

/** The start time tells a process from a later one with the same id. */
export type ProcessDescription = { name: string; startedAt: string; parentPid: number };

/** The process that runs under this id now; undefined if there is none. */
export async function describeProcess(pid: number): Promise<ProcessDescription | undefined> {
  try {
    if (existsSync("/proc/self/stat")) {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      // The name stands in brackets and may hold any character; after it come the state and 18 more fields before the start time.
      const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (fields[0] === "Z") return undefined;
      const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
      return { name, startedAt: fields[19] ?? "", parentPid: Number(fields[1]) };
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "ppid=,lstart=,comm=", "-p", String(pid)]);
    // lstart is five words: weekday, month, day, time, year.
    const [parentPid, ...words] = stdout.trim().split(/\s+/);
    return { name: words.slice(5).join(" "), startedAt: words.slice(0, 5).join(" "), parentPid: Number(parentPid) };
  } catch {
    return undefined;
  }
}

/**
 * Stops that process (a negative id: its whole group) when ours ends in any way, kill -9 included: a shell waits on a pipe that only we hold open.
 * With `patienceSeconds` a process that is still there after that time gets SIGQUIT.
 * Returns how to dismiss the shell. Do so as soon as the process has ended, because its id may then be given to another.
 */
export function stopWithUs(pid: number, signal: "INT" | "TERM" | "KILL", patienceSeconds?: number): () => void {
  const tell = `kill -s ${signal} -- "$0" || exit`;
  // Checks every second, so that a later process with the same id is not hit.
  const look = 'sleep 1; kill -s 0 -- "$0" || exit';
  const quit = patienceSeconds === undefined ? [] : [...Array(patienceSeconds).fill(look), 'kill -s QUIT -- "$0"'];
  const script = ["exec 2>/dev/null", "read -r _", tell, ...quit].join("\n");
  const watcher = spawn("/bin/sh", ["-c", script, String(pid)], {
    stdio: ["pipe", "ignore", "ignore"],
    detached: true,
  });
  watcher.on("error", () => {});
  watcher.stdin.on("error", () => {});
  watcher.unref();
  (watcher.stdin as typeof watcher.stdin & { unref(): void }).unref();
  return () => {
    watcher.kill("SIGKILL");
  };
}
