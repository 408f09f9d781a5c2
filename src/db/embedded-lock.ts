import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { platform } from "node:os";

// A kernel lock (flock) on an open file. It belongs to the open file description: every process that inherits the descriptor holds
// it, it ends with the last of them however they end, and all containers on one kernel see it.

/** A flag of macOS's open() that Node has no name for: lock exclusively; with O_NONBLOCK it fails instead of waiting. */
const O_EXLOCK = 0x20;
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT;
const OWNER_ONLY = 0o600;

/** Opens and locks the file; undefined while someone else holds the lock. Closing the handle releases our share of the lock. */
export async function tryLock(file: string): Promise<FileHandle | undefined> {
  const handle = await (platform() === "darwin" ? openLocked(file) : openThenLock(file));
  if (handle === undefined) return undefined;
  // A lock on a file that was removed or replaced meanwhile would lock nobody out.
  const [locked, there] = [await handle.stat(), await stat(file).catch(() => undefined)];
  if (locked.ino === there?.ino && locked.dev === there.dev) return handle;
  await handle.close();
  return undefined;
}

async function openLocked(file: string): Promise<FileHandle | undefined> {
  try {
    return await open(file, OPEN_FLAGS | O_EXLOCK | constants.O_NONBLOCK, OWNER_ONLY);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "EAGAIN") return undefined;
    if (code === "ENOTSUP" || code === "EOPNOTSUPP") throw withoutLocks(file, message);
    throw error;
  }
}

async function openThenLock(file: string): Promise<FileHandle | undefined> {
  const handle = await open(file, OPEN_FLAGS, OWNER_ONLY);
  try {
    if (await flock(handle.fd, file)) return handle;
  } catch (error) {
    await handle.close();
    throw error;
  }
  await handle.close();
  return undefined;
}

/** Node has no flock(), so the program `flock` locks the file that it inherits from us, and we keep the lock when it ends. */
async function flock(descriptor: number, file: string): Promise<boolean> {
  const child = spawn("flock", ["-n", "-x", "3"], { stdio: ["ignore", "ignore", "pipe", descriptor] });
  let complaint = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    complaint += text;
  });
  const code = await new Promise((done, fail) => child.once("error", fail).once("close", done)).catch((error) => {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    throw isMissing ? new Error(MISSING_PROGRAM, { cause: error }) : error;
  });
  if (code === 0) return true;
  // Exit code 1 without a message means that someone else holds the lock; other failures write to standard error.
  if (code === 1 && complaint === "") return false;
  throw withoutLocks(file, complaint.trim() || `flock ended with ${code}`);
}

const MISSING_PROGRAM =
  "The embedded PostgreSQL needs the program flock, which keeps a second gateway off its data; " +
  "install the package util-linux, or set DATABASE_URL.";

function withoutLocks(file: string, reason: string): Error {
  return new Error(
    `The file system of ${file} gives no locks (${reason}), so nothing would keep a second gateway off the data; ` +
      "choose a folder on a local disk (DATA_DIR), or set DATABASE_URL.",
  );
}
