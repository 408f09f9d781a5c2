import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chown, mkdir, readFile, rename, rm, unlink, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { type Account, clusterFolder, serverAccount, serverBinaries } from "./embedded-account.ts";
import { type Claim, type ClaimTimes, claimFolder, claimTimes } from "./embedded-claim.ts";
import { withAdvice } from "./embedded-disk.ts";
import { staleLockFilePid } from "./embedded-leftover.ts";
import { KEPT_LINES, keepLines, launch, ROLE, serverEnvironment } from "./embedded-server.ts";

// A real PostgreSQL as a child process, for a gateway that was given no DATABASE_URL. In the data folder:
//   cluster/   PostgreSQL's own data      password   for its only role      owner   who uses the folder (embedded-claim.ts)

export type EmbeddedPostgresOptions = {
  dataDir: string;
  /** Default: a free port. */
  port?: number;
  log: (line: string) => void;
  /** PostgreSQL settings by name, over the defaults of embedded-server.ts. */
  settings?: Record<string, string>;
  /**
   * Called when another machine took the data folder over, because this one seemed dead. PostgreSQL is being killed; its user has
   * to stop.
   */
  onTakenOver?: (problem: Error) => void;
  /** For tests. */
  claimTimes?: Partial<ClaimTimes>;
};

export type EmbeddedPostgres = { url: string; stop(): Promise<void> };

/** Starts PostgreSQL on the data folder. The first start creates the cluster, every other finds it, also after kill -9. */
export async function startEmbeddedPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  const home = resolve(options.dataDir);
  try {
    await mkdir(home, { recursive: true });
    const account = await serverAccount(join(home, "cluster"));
    const claim = await claimFolder(home, options.log, { ...claimTimes, ...options.claimTimes });
    claim.lost.addEventListener("abort", () => options.onTakenOver?.(claim.lost.reason), { once: true });
    try {
      return await startOn(home, account, claim, options);
    } catch (error) {
      await claim.release();
      throw error;
    }
  } catch (error) {
    throw withAdvice(error, home);
  }
}

async function startOn(
  home: string,
  account: Account | undefined,
  claim: Claim,
  options: EmbeddedPostgresOptions,
): Promise<EmbeddedPostgres> {
  const { port, settings, log } = options;
  const cluster = await clusterFolder(home, account, log);
  const binaries = await serverBinaries(account, log);
  const password = await keptPassword(home);
  if (!existsSync(join(cluster, "PG_VERSION"))) await initialise(binaries, cluster, password, account, claim, options);
  const stale = await staleLockFilePid(cluster);
  const server = await launch({
    ...{ binaries, cluster, password, account, claim, port, settings, log },
    staleLockFilePid: stale,
  });
  return {
    url: server.url,
    async stop() {
      await server.stop();
      await claim.release();
    },
  };
}

/** Written under another name and renamed when complete, because on a full disk an empty file may be left. */
async function keptPassword(home: string): Promise<string> {
  const file = join(home, "password");
  if (existsSync(file)) return (await readFile(file, "utf8")).trim();
  const password = randomBytes(24).toString("hex");
  const unfinished = `${file}.new`;
  try {
    await writeFile(unfinished, `${password}\n`, { mode: 0o600 });
    await rename(unfinished, file);
  } finally {
    await rm(unfinished, { force: true });
  }
  return password;
}

/** Created under another name and renamed when complete, so that an interrupted first start leaves no partial cluster. */
async function initialise(
  binaries: string,
  cluster: string,
  password: string,
  account: Account | undefined,
  claim: Claim,
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
    const child = spawn(join(binaries, "initdb"), args, {
      ...{ ...account, env: serverEnvironment, cwd: dirname(cluster) },
      // initdb inherits the lock, because it may outlive us: until it has ended nobody else may begin on the same folder.
      stdio: ["ignore", "pipe", "pipe", claim.descriptor],
    });
    keepLines(child, (line) => tail.push(line));
    const code = await new Promise((done, fail) => child.once("error", fail).once("close", done));
    if (code !== 0) throw new Error(`initdb failed (exit code ${code}): ${tail.slice(-KEPT_LINES).join(" | ")}`);
  } finally {
    await unlink(passwordFile);
  }
  await rename(unfinished, cluster);
  options.log(`PostgreSQL data folder made: ${cluster}`);
}
