import { type ChildProcess, spawn } from "node:child_process";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import type { Account } from "./embedded-account.ts";
import type { Claim } from "./embedded-claim.ts";
import { killAtOnce } from "./embedded-leftover.ts";
import { stopWithUs } from "./embedded-process.ts";

// One run of the program `postgres` on a cluster that exists and belongs to us.

export const ROLE = "dcm";
const DATABASE = "dcm";
/** Long enough for crash recovery of a large write-ahead log after kill -9. */
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 30_000;
/** How long PostgreSQL may take for its shutdown after this process died; the next gateway may be waiting for the folder. */
const ORPHAN_STOP_SECONDS = 10;
const POLL_MS = 50;
const PORT_ATTEMPTS = 5;
/** The last messages, kept to explain a failed start. */
export const KEPT_LINES = 20;

const defaultSettings: Record<string, string> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  timezone: "UTC",
  log_timezone: "UTC",
  // Our statements are short; JIT compilation costs more than it saves.
  jit: "off",
  log_checkpoints: "off",
  // Statements and row details contain personal data, which must not be logged.
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
};

/** PostgreSQL does not inherit our environment: neither secrets, nor a locale that changes its messages. */
export const serverEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

export type ServerOptions = {
  binaries: string;
  cluster: string;
  password: string;
  account: Account | undefined;
  claim: Claim;
  /** A process id from PostgreSQL's lock file that is known not to be a PostgreSQL of this cluster. */
  staleLockFilePid: number | undefined;
  port: number | undefined;
  settings: Record<string, string> | undefined;
  log: (line: string) => void;
};

export type Server = { url: string; stop(): Promise<void> };

export async function launch(options: ServerOptions): Promise<Server> {
  const { cluster, password, claim } = options;
  for (let attempt = 1; ; attempt += 1) {
    claim.lost.throwIfAborted();
    const port = options.port ?? (await freePort());
    const child = spawnServer(options, port);
    const tail: string[] = [];
    keepLines(child, (line) => {
      if (tail.push(line) > KEPT_LINES) tail.shift();
      options.log(line);
    });
    const running = track(child, claim.lost, cluster);
    const server = (database: string) => `postgresql://${ROLE}:${password}@127.0.0.1:${port}/${database}`;
    try {
      await untilReady(server("postgres"), running);
      await createDatabase(server("postgres"));
      return { url: server(DATABASE), stop: running.stop };
    } catch (error) {
      await running.stop();
      claim.lost.throwIfAborted();
      const isPortTaken = tail.some((line) => line.includes("Address already in use"));
      if (isPortTaken && options.port === undefined && attempt < PORT_ATTEMPTS) continue;
      throw new Error(`PostgreSQL did not start on ${cluster}: ${tail.join(" | ")}`, { cause: error });
    }
  }
}

function spawnServer(options: ServerOptions, port: number): ChildProcess {
  const { binaries, cluster, account, claim, staleLockFilePid } = options;
  const settings = Object.entries({ ...defaultSettings, ...options.settings });
  const flags = settings.flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  // PostgreSQL refuses to start if the process in a stale lock file seems to live. It ignores the process that called pg_ctl, which
  // it reads from this variable; it still checks whether shared memory is in use.
  const overlooked = staleLockFilePid === undefined ? {} : { PG_GRANDPARENT_PID: String(staleLockFilePid) };
  return spawn(join(binaries, "postgres"), ["-D", cluster, "-p", String(port), ...flags], {
    ...account,
    env: { ...serverEnvironment, ...overlooked },
    cwd: cluster,
    // A process group of its own, so that Ctrl-C reaches only the gateway, which drains first and stops PostgreSQL last.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", claim.descriptor],
  });
}

type Running = { hasEnded(): boolean; stop(): Promise<void> };

/** Follows the server process without keeping ours alive. If we end without `stop`, the watcher stops PostgreSQL. */
function track(child: ChildProcess, folderLost: AbortSignal, cluster: string): Running {
  let hasEnded = false;
  const dismissWatcher = child.pid ? stopWithUs(child.pid, "INT", ORPHAN_STOP_SECONDS) : () => {};
  const ended = new Promise<void>((done) => {
    const end = () => {
      hasEnded = true;
      // From now on the process id may be reused, so the watcher must not signal it any more.
      dismissWatcher();
      done();
    };
    child.once("exit", end).once("error", end);
  });
  const kill = () => void killAtOnce(child, cluster).catch(() => {});
  folderLost.addEventListener("abort", kill, { once: true });
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as Socket | null)?.unref();
  return {
    hasEnded: () => hasEnded,
    async stop() {
      if (hasEnded) return;
      child.ref();
      // SIGINT is PostgreSQL's "fast" shutdown: open transactions are rolled back, everything committed is kept.
      child.kill("SIGINT");
      const forced = setTimeout(() => child.kill("SIGQUIT"), STOP_DEADLINE_MS);
      await ended;
      clearTimeout(forced);
    },
  };
}

async function untilReady(url: string, server: Running): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS;
  for (;;) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
    client.on("error", () => {});
    try {
      await client.connect();
      await client.end();
      return;
    } catch (error) {
      const code = (error as { code?: string }).code;
      // 57P03: it is still recovering. 53300: it runs, but all connections are taken.
      const isStarting = code === "ECONNREFUSED" || code === "ECONNRESET" || code === "57P03" || code === "53300";
      if (server.hasEnded() || !isStarting || Date.now() > deadline) throw error;
    }
    await sleep(POLL_MS);
  }
}

async function createDatabase(url: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const found = await client.query("select 1 from pg_database where datname = $1", [DATABASE]);
    if (found.rowCount === 0) await client.query(`create database ${DATABASE}`);
  } finally {
    await client.end();
  }
}

export function keepLines(child: ChildProcess, take: (line: string) => void): void {
  for (const stream of [child.stdout, child.stderr]) {
    let rest = "";
    stream?.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) if (line.trim() !== "") take(line.trim());
    });
  }
}

function freePort(): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once("error", fail);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => (address && typeof address === "object" ? done(address.port) : fail(new Error("no port"))));
    });
  });
}
