import { spawnSync } from "node:child_process";
import { accessSync, constants, globSync, realpathSync } from "node:fs";
import { basename, delimiter, dirname, join } from "node:path";

/** The server's scripts (rabbitmq-server, rabbitmqctl) on this machine, or a Docker that can run an image of it. */
export type Found = { kind: "server"; scriptsFolder: string } | { kind: "docker" };

/** Ordinary users often lack these in their PATH, and packages put the server there. */
const USUAL_FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/opt/homebrew/sbin", "/usr/local/bin"];

const NOTHING_FOUND =
  "The tests need RabbitMQ, and none was found. Do one of these: set AMQP_URL to a running broker; install " +
  "rabbitmq-server (Debian, Ubuntu: apt-get install rabbitmq-server; macOS: brew install rabbitmq); start Docker. " +
  "Tests that kill a broker need the second or the third. Without a broker: npm run test:fast.";

/** Looks in a fixed order: installed on this machine, Docker, installing it where we are allowed to. */
export async function findRabbitmq(): Promise<Found> {
  const scriptsFolder = installed();
  if (scriptsFolder) return { kind: "server", scriptsFolder };
  if (hasDocker()) return { kind: "docker" };
  if (install()) {
    const now = installed();
    if (now) return { kind: "server", scriptsFolder: now };
  }
  throw new Error(NOTHING_FOUND);
}

/** RABBITMQ_SEARCH_PATH replaces every place to look in; an empty folder there hides what is installed. */
function installed(): string | undefined {
  const given = process.env.RABBITMQ_SEARCH_PATH;
  const folders = given ? given.split(delimiter) : [...(process.env.PATH ?? "").split(delimiter), ...USUAL_FOLDERS];
  for (const folder of folders) {
    const script = realScript(join(folder, "rabbitmq-server"));
    if (script) return dirname(script);
  }
  return undefined;
}

/** Debian's command is a wrapper that switches to the system's user; the server's own script lies in the library. */
function realScript(command: string): string | undefined {
  try {
    accessSync(command, constants.X_OK);
  } catch {
    return undefined;
  }
  const script = realpathSync(command);
  if (basename(script) === "rabbitmq-server") return script;
  return globSync(join(dirname(script), "../lib/rabbitmq_server-*/sbin/rabbitmq-server"))
    .sort()
    .at(-1);
}

function hasDocker(): boolean {
  return spawnSync("docker", ["info"], { stdio: "ignore", timeout: 20_000 }).status === 0;
}

/** True when apt-get installed the package. */
function install(): boolean {
  const isRoot = process.getuid?.() === 0;
  const prefix = isRoot ? [] : ["sudo", "--non-interactive"];
  if (spawnSync("apt-get", ["--version"], { stdio: "ignore" }).status !== 0) return false;
  if (!isRoot && spawnSync("sudo", ["--non-interactive", "true"], { stdio: "ignore" }).status !== 0) return false;
  process.stderr.write(
    "Installing RabbitMQ for the tests with apt-get (package rabbitmq-server); it is not started …\n",
  );
  const aptGet = (...args: string[]) => {
    // RUNLEVEL=1 keeps the package from starting its system service: the tests run a private one.
    const command = [...prefix, "env", "RUNLEVEL=1", "DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet", ...args];
    const result = spawnSync(command[0] ?? "", command.slice(1), { encoding: "utf8" });
    if (result.status !== 0) process.stderr.write(`${command.join(" ")} failed:\n${result.stdout}${result.stderr}\n`);
    return result.status === 0;
  };
  return aptGet("update") && aptGet("install", "--yes", "--no-install-recommends", "rabbitmq-server");
}
