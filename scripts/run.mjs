// Starts a program of this repository on the pinned Node 24, on a machine that may have only an older Node and npm.
// Plain JavaScript without dependencies, because it runs before anything is installed.
// Use: node scripts/run.mjs <program> [arguments]; for example: node scripts/run.mjs src/main.ts start

import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { constants, tmpdir, userInfo } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const modules = join(root, "node_modules");
const binaries = join(modules, ".bin");
const pinnedNode = join(binaries, "node");
const stampFile = join(modules, ".installed-lock-hash");
const LOCK_POLL_MS = 200;
const FORWARDED_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"];

function say(line) {
  process.stderr.write(`${line}\n`);
}

function lockHash() {
  return createHash("sha256")
    .update(readFileSync(join(root, "package-lock.json")))
    .digest("hex");
}

function readOr(file, fallback) {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return fallback;
  }
}

/** What npm itself noted about the last installation: true when every package of the lock file is there in that version. */
function matchesLockFile() {
  const noted = JSON.parse(readOr(join(modules, ".package-lock.json"), '{"packages":{}}')).packages;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    const found = noted[path];
    if (path === "" || (!found && entry.optional)) return true;
    return found?.version === entry.version && found?.integrity === entry.integrity;
  });
}

function isInstalled() {
  if (!existsSync(pinnedNode)) return false;
  if (readOr(stampFile, "") === lockHash()) return true;
  if (!matchesLockFile()) return false;
  writeFileSync(stampFile, lockHash());
  return true;
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** One installation at a time: a folder is made atomically, and a lock whose owner has died is taken over. */
async function withInstallLock(work) {
  const name = createHash("sha256").update(`${root}:${userInfo().uid}`).digest("hex").slice(0, 16);
  const lock = join(tmpdir(), `dcm-gateway-install-${name}`);
  let isWaiting = false;
  for (;;) {
    try {
      mkdirSync(lock);
      break;
    } catch (error) {
      if (error.code !== "EEXIST") throw error;
    }
    const owner = Number(readOr(join(lock, "pid"), "0"));
    // An owner writes its id right after making the folder; a folder that stays without one for 5 s has no owner.
    const ageMs = Date.now() - (statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (owner ? !isAlive(owner) : ageMs > 5_000) rmSync(lock, { recursive: true, force: true });
    if (!isWaiting) say("Another process is installing the packages; waiting for it …");
    isWaiting = true;
    await new Promise((done) => setTimeout(done, LOCK_POLL_MS));
  }
  writeFileSync(join(lock, "pid"), String(process.pid));
  try {
    return await work();
  } finally {
    rmSync(lock, { recursive: true, force: true });
  }
}

/** The installation deletes node_modules, so it must not run on the Node and npm that live there. */
function systemPath() {
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders.filter((folder) => !folder.includes("node_modules")).join(delimiter);
}

function waitFor(child) {
  return new Promise((done, fail) => {
    child.once("error", fail);
    child.once("exit", (code, signal) => done({ code, signal }));
  });
}

async function install() {
  say(
    "Installing the packages of package-lock.json into node_modules (npm ci); the first time takes a minute or two …",
  );
  const startedAt = Date.now();
  // EBADENGINE warnings are silenced: the packages run on the pinned Node, not on the one that installs them.
  const npm = spawn("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"], {
    cwd: root,
    env: { ...process.env, PATH: systemPath(), npm_config_update_notifier: "false" },
    // Standard output belongs to the program (it may be JSON), so npm talks on standard error.
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  const { code, signal } = await waitFor(npm);
  if (code !== 0) {
    say(`npm ci failed (${signal ?? `exit code ${code}`}). It needs npm 10 or newer and access to the npm registry.`);
    return false;
  }
  if (!existsSync(pinnedNode)) {
    say("npm ci did not install the pinned Node: allow install scripts (npm config get ignore-scripts) and run again.");
    return false;
  }
  writeFileSync(stampFile, lockHash());
  say(`Installed in ${Math.round((Date.now() - startedAt) / 1000)} s.`);
  return true;
}

async function start(args) {
  const child = spawn(pinnedNode, args, {
    cwd: root,
    // What V8 made of a module is kept for the next start, which else spends most of its time on compiling the same again.
    env: {
      NODE_COMPILE_CACHE: join(modules, ".cache", "compiled"),
      ...process.env,
      PATH: `${binaries}${delimiter}${process.env.PATH ?? ""}`,
    },
    stdio: "inherit",
  });
  for (const signal of FORWARDED_SIGNALS) {
    // A terminal sends Ctrl-C to the whole process group: passing it on as well would count as a second one.
    process.on(signal, () => (signal === "SIGINT" && process.stdin.isTTY ? undefined : child.kill(signal)));
  }
  const { code, signal } = await waitFor(child);
  process.exitCode = signal ? 128 + (constants.signals[signal] ?? 0) : (code ?? 1);
}

const args = process.argv.slice(2);
if (args.length === 0) {
  say("Use: node scripts/run.mjs <program> [arguments]");
  process.exitCode = 2;
} else if (isInstalled() || (await withInstallLock(async () => isInstalled() || (await install())))) {
  await start(args);
} else {
  process.exitCode = 1;
}
