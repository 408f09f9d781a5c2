import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { basename, dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { type Account, clusterFolder, serverAccount, serverBinaries } from "./embedded-account.ts";
import { describeProcess, stopWithUs } from "./embedded-process.ts";

// A real PostgreSQL as a child process, for a gateway that was given no DATABASE_URL. In the data folder:
//   cluster/   PostgreSQL's own data      password   for its only role      owner   the process that uses the folder

export type EmbeddedPostgresOptions = {
  dataDir: string;
  /** Default: a free port. */
  port?: number;
  log: (line: string) => void;
  /** PostgreSQL settings by name, over the defaults below. */
  settings?: Record<string, string>;
};

export type EmbeddedPostgres = { url: string; stop(): Promise<void> };

const ROLE = "dcm";
const DATABASE = "dcm";
/** Long enough for crash recovery of a large write-ahead log after kill -9. */
const START_DEADLINE_MS = 120_000;
const STOP_DEADLINE_MS = 30_000;
const POLL_MS = 50;
const PORT_ATTEMPTS = 5;
/** Messages kept to explain a failed start. */
const KEPT_LINES = 20;

const defaultSettings: Record<string, string> = {
  listen_addresses: "127.0.0.1",
  unix_socket_directories: "",
  timezone: "UTC",
  log_timezone: "UTC",
  // Our statements are short; compiling them costs more than it saves.
  jit: "off",
  log_checkpoints: "off",
  // Statements and row details hold personal data, which belongs in no log.
  log_min_error_statement: "panic",
  log_error_verbosity: "terse",
};

/** The servers see no environment of ours: neither secrets nor a locale that changes their messages. */
const serverEnvironment = { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C", TZ: "UTC" };

/** Starts PostgreSQL on the data folder: made at the first start, found again at every other, also after kill -9. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const home = resolve(options.dataDir);
  await mkdir(home, { recursive: true });
  const account = await serverAccount(join(home, "cluster"));
  const release = await claim(home);
  try {
    const cluster = await clusterFolder(home, account, options.log);
    const binaries = await serverBinaries(account, options.log);
    const password = await keptPassword(home);
    if (!existsSync(join(cluster, "PG_VERSION"))) await initialise(binaries, cluster, password, account, options);
    await endLeftover(cluster, options.log);
    const settings = { ...defaultSettings, ...options.settings };
    const server = await launch(join(binaries, "postgres"), cluster, settings, password, account, options);
    return {
      url: server.url,
      async stop() {
        await server.stop();
        await release();
      },
    };
  } catch (error) {
    await release();
    throw error;
  }
}

/** Two gateways on one data folder would stop each other's PostgreSQL: the second one is refused. */
async function claim(home: string): Promise<() => Promise<void>> {
  const file = join(home, "owner");
  const mine = `${process.pid} ${(await describeProcess(process.pid))?.startedAt ?? ""}`;
  for (;;) {
    try {
      await writeFile(file, mine, { flag: "wx", mode: 0o600 });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    const [pid = "", ...startedAt] = (await readFile(file, "utf8").catch(() => "")).split(" ");
    const owner = Number(pid) > 0 ? await describeProcess(Number(pid)) : undefined;
    if (owner && owner.startedAt === startedAt.join(" ")) {
      throw new Error(`The data folder ${home} is in use by process ${pid}; stop it or choose another folder.`);
    }
    await rm(file, { force: true });
  }
}

async function keptPassword(home: string): Promise<string> {
  const file = join(home, "password");
  if (existsSync(file)) return (await readFile(file, "utf8")).trim();
  const password = randomBytes(24).toString("hex");
  await writeFile(file, `${password}\n`, { mode: 0o600 });
  return password;
}

/** Made beside its place and renamed when whole, so that an interrupted first start leaves no half cluster. */
async function initialise(
  binaries: string,
  cluster: string,
  password: string,
  account: Account | undefined,
  options: EmbeddedPostgresOptions,
): Promise<void> {
  const unfinished = `${cluster}.new`;
  const passwordFile = `${cluster}.password`;
  await rm(unfinished, { recursive: true, force: true });
  await mkdir(unfinished, { mode: 0o700 });
  await writeFile(passwordFile, password, { mode: 0o600 });
  if (account) {
    await chown(unfinished, account.uid, account.gid);
    await chown(passwordFile, account.uid, account.gid);
  }
  const args = [
    ...[`--pgdata=${unfinished}`, `--username=${ROLE}`, `--pwfile=${passwordFile}`, "--auth=scram-sha-256"],
    // The built-in locale sorts alike on every machine, whatever its C library.
    ...["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"],
    ...(options.settings?.fsync === "off" ? ["--no-sync"] : []),
  ];
  const tail: string[] = [];
  try {
    const child = spawn(join(binaries, "initdb"), args, { ...account, env: serverEnvironment, cwd: dirname(cluster) });
    keepLines(child, (line) => tail.push(line));
    const code = await new Promise((done, fail) => child.once("error", fail).once("close", done));
    if (code !== 0) throw new Error(`initdb failed (exit code ${code}): ${tail.slice(-KEPT_LINES).join(" | ")}`);
  } finally {
    await unlink(passwordFile);
  }
  await rename(unfinished, cluster);
  options.log(`PostgreSQL data folder made: ${cluster}`);
}

/** After kill -9 of the gateway its PostgreSQL may still be running, or only have left its lock file. */
async function endLeftover(cluster: string, log: (line: string) => void): Promise<void> {
  const lockFile = join(cluster, "postmaster.pid");
  const pid = Number((await readFile(lockFile, "utf8").catch(() => "")).split("\n")[0]);
  if (!pid) return;
  const isServer = async () => basename((await describeProcess(pid))?.name ?? "") === "postgres";
  if (await isServer()) {
    log(`Stopping the PostgreSQL (process ${pid}) that an interrupted run left behind`);
    process.kill(pid, "SIGINT");
  }
  const deadline = Date.now() + STOP_DEADLINE_MS;
  while (await isServer()) {
    if (Date.now() > deadline) throw new Error(`PostgreSQL process ${pid} of ${cluster} does not stop.`);
    await sleep(POLL_MS);
  }
  // The process id may meanwhile belong to another program, which PostgreSQL would take for itself.
  await rm(lockFile, { force: true });
}

async function launch(
  binary: string,
  cluster: string,
  settings: Record<string, string>,
  password: string,
  account: Account | undefined,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  for (let attempt = 1; ; attempt += 1) {
    const port = options.port ?? (await freePort());
    const args = ["-D", cluster, "-p", String(port), ...flags];
    // A process group of its own: Ctrl-C must reach the gateway only, which drains first and stops PostgreSQL last.
    const child = spawn(binary, args, { ...account, env: serverEnvironment, cwd: cluster, detached: true });
    const tail: string[] = [];
    keepLines(child, (line) => {
      if (tail.push(line) > KEPT_LINES) tail.shift();
      options.log(line);
    });
    const running = track(child);
    const server = (database: string) => `postgresql://${ROLE}:${password}@127.0.0.1:${port}/${database}`;
    try {
      await untilReady(server("postgres"), running);
      await createDatabase(server("postgres"));
      return { url: server(DATABASE), stop: running.stop };
    } catch (error) {
      await running.stop();
      const isPortTaken = tail.some((line) => line.includes("Address already in use"));
      if (isPortTaken && options.port === undefined && attempt < PORT_ATTEMPTS) continue;
      throw new Error(`PostgreSQL did not start on ${cluster}: ${tail.join(" | ")}`, { cause: error });
    }
  }
}

type Running = { hasEnded(): boolean; stop(): Promise<void> };

/** Nothing of the child keeps our process alive; should we end without stop(), the watcher stops PostgreSQL. */
function track(child: ChildProcess): Running {
  let hasEnded = false;
  const ended = new Promise<void>((done) => {
    const end = () => {
      hasEnded = true;
      done();
    };
    child.once("exit", end).once("error", end);
  });
  const dismissWatcher = child.pid ? stopWithUs(child.pid, "INT") : () => {};
  child.unref();
  for (const stream of [child.stdout, child.stderr]) (stream as Socket | null)?.unref();
  return {
    hasEnded: () => hasEnded,
    async stop() {
      if (!hasEnded) {
        child.ref();
        // SIGINT is PostgreSQL's "fast" shutdown: open transactions are rolled back, everything committed is kept.
        child.kill("SIGINT");
        const forced = setTimeout(() => child.kill("SIGQUIT"), STOP_DEADLINE_MS);
        await ended;
        clearTimeout(forced);
      }
      dismissWatcher();
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
      // 57P03: it is still recovering; 53300: its connections are all taken, so it is up but not ours yet.
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

function keepLines(child: ChildProcess, take: (line: string) => void): void {
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
