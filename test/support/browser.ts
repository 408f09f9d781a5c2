import { type ExecFileSyncOptions, execFileSync, spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { type Browser, chromium } from "playwright-core";

/** Where distributions install Chromium, and where people say it is. */
const places = () => [process.env.CHROMIUM_PATH ?? "", "/usr/bin/chromium", "/usr/bin/chromium-browser"];

const nothingFound =
  "The browser tests need Chromium, which is not here and could not be installed. Do one of these: `apt-get install chromium " +
  "fonts-liberation` (Debian), or name its program in CHROMIUM_PATH.";

const found = () => places().find((path) => path !== "" && existsSync(path));

/** A real browser. It is installed where it is missing, or the tests fail and say how to get one. */
export async function startBrowser(): Promise<Browser> {
  const executablePath = found() ?? (installed() ? found() : undefined);
  if (executablePath === undefined) throw new Error(nothingFound);
  // Root may start Chromium only without its sandbox; all pages here are our own.
  const args = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath, args });
}

const installTimeMs = 8 * 60_000;

function installed(): boolean {
  if (process.platform !== "linux" || spawnSync("apt-get", ["--version"]).status !== 0) return false;
  process.stderr.write("Installing Chromium for the browser tests …\n");
  const options: ExecFileSyncOptions = {
    stdio: ["ignore", "ignore", "inherit"],
    timeout: installTimeMs,
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
  };
  try {
    execFileSync("apt-get", ["update", "-qq"], options);
    execFileSync(
      "apt-get",
      ["install", "-y", "-qq", "--no-install-recommends", "chromium", "fonts-liberation"],
      options,
    );
    return true;
  } catch {
    return false;
  }
}
