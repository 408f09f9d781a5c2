import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { promisify } from "node:util";
import pg from "pg";
import { expect, vi } from "vitest";
import { describeProcess, stopWithUs } from "../../src/db/embedded-process.ts";

const embedded = resolve(import.meta.dirname, "../../src/db/embedded.ts");

/** A process that owns a data folder as a gateway does: starts its PostgreSQL, stops it on SIGTERM. */
export type FolderOwner = {
  /** Its process id as this process sees it. */
  pid(): number;
  /** Of its database, when it serves. */
  url(): Promise<string>;
  /** What it ended with instead of serving. */
  problem(): Promise<string>;
  hasEnded(): boolean;
  kill(signal: NodeJS.Signals): Promise<void>;
  /** A start that was told to wait has come as far as its first step. */
  isWaiting(): Promise<unknown>;
  /** Lets it go on. */
  go(): void;
  /** A shell command in its container. */
  runInside(command: string): Promise<unknown>;
  /** Ends everything of it, its container included. */
  remove(): Promise<void>;
};

export type FolderOwnerOptions = {
  /** Process ids and shared memory of its own. Needs root on Linux. */
  inContainer?: boolean;
  /** Starts only after go(). */
  waits?: boolean;
  claimTimes?: Record<string, number>;
  environment?: Record<string, string>;
  /** Runs as this account. */
  account?: { uid: number; gid: number };
};

export const canMakeContainers = process.platform === "linux" && process.getuid?.() === 0;

/** The shell is the container's first process: when the gateway in it ends, what it left goes on running. */
const container = ["unshare", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc", "/bin/sh", "-c"];
const shell = '"$@"; exec sleep 600';

export function folderOwner(dataDir: string, options: FolderOwnerOptions = {}): FolderOwner {
  const { inContainer = false, waits = false, claimTimes = {}, environment, account } = options;
  const settings = { dataDir, claimTimes };
  const program = `import { once } from "node:events";
    import { startEmbeddedPostgres } from ${JSON.stringify(embedded)};
    ${waits ? 'console.log("waits"); await once(process.stdin, "data");' : ""}
    try {
      const server = await startEmbeddedPostgres({ ...${JSON.stringify(settings)}, log: console.log });
      console.log("serves " + server.url);
      process.once("SIGTERM", () => server.stop().then(() => process.exit(0)));
      setInterval(() => {}, 1000);
    } catch (error) { console.log("problem " + error.message); process.exit(1); }`;
  const node = [process.execPath, "--input-type=module-typescript", "--eval", program];
  const [command = "", ...args] = inContainer ? [...container, shell, "sh", ...node] : node;
  const child = spawn(command, args, {
    ...account,
    ...(environment && { env: environment }),
    stdio: ["pipe", "pipe", "pipe"],
  });
  const dismissWatcher = child.pid ? stopWithUs(child.pid, "KILL") : () => {};
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  }
  const says = (pattern: RegExp, timeout: number) =>
    vi.waitFor(
      () => {
        const found = output.match(pattern)?.[1];
        expect(found, `${pattern} in:\n${output.slice(-2_000)}`).toBeDefined();
        return found ?? "";
      },
      { timeout, interval: 50 },
    );
  const pid = () => (inContainer ? childOf(childOf(child.pid)) : (child.pid ?? 0));
  return {
    pid,
    url: () => says(/^serves (.*)$/m, 50_000),
    problem: () => says(/^problem (.*)$/m, 50_000),
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    async kill(signal) {
      const killed = pid();
      process.kill(killed, signal);
      if (signal === "SIGKILL" || signal === "SIGTERM")
        await vi.waitFor(async () => expect(await isRunning(killed)).toBe(false), 40_000);
    },
    isWaiting: () => says(/^(waits)$/m, 50_000),
    go: () => void child.stdin?.write("go\n"),
    runInside: (command) =>
      promisify(execFile)("nsenter", ["--pid", "--mount", `--target=${childOf(child.pid)}`, "/bin/sh", "-c", command]),
    remove: () => removed(child).finally(dismissWatcher),
  };
}

async function removed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}

/** The first child of a process that has exactly one. */
function childOf(pid: number | undefined): number {
  const found = childrenOf(pid ?? 0)[0];
  if (found === undefined) throw new Error(`process ${pid} has no child`);
  return found;
}

export function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
  return text === "" ? [] : text.split(" ").map(Number);
}

/** What has ended but was not collected by its parent does not run. */
export async function isRunning(pid: number): Promise<boolean> {
  return (await describeProcess(pid)) !== undefined;
}

/** The one answer to a query, over a connection of its own. */
export async function ask(url: string, query: string): Promise<unknown> {
  const client = new pg.Client({ connectionString: url });
  // The end of the server is told once more beside the failing query.
  client.on("error", () => {});
  await client.connect();
  try {
    const found = await client.query({ text: query, rowMode: "array" });
    return found.rows[0]?.[0];
  } finally {
    await client.end();
  }
}
