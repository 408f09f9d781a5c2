import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { platform } from "node:os";

// A lock of the kernel (flock) on an open file. It belongs to the open file itself: every process that inherited the
// descriptor holds it too, it ends with the last of them however they end, and every container of one kernel sees it.

/** Node has no name for these flags of macOS: open and lock in one step, and fail instead of waiting. */
const O_EXLOCK = 0x20;
const OPEN_FLAGS = constants.O_RDWR | constants.O_CREAT;
const OWNER_ONLY = 0o600;

/** The file, opened and locked; undefined while somebody else holds the lock. Closing it gives our part of the lock back. */
export async function tryLock(file: string): Promise<FileHandle | undefined> {
  const handle = await (platform() === "darwin" ? openLocked(file) : openThenLock(file));
  if (handle === undefined) return undefined;
  // A lock on a file that was removed or replaced meanwhile keeps nobody out.
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

/** Node cannot lock, the program `flock` can: it locks the open file that we hand it, and we keep the lock when it ends. */
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
  // 1 without a word means: somebody else has it. Every failure of another kind is explained on standard error.
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
