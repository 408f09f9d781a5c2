import { type ChildProcess, execFile, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";
import { stopWithUs } from "../../src/db/embedded-process.ts";
import type { Broker } from "./rabbitmq.ts";
import { freePorts, temporaryFolder } from "./services-folder.ts";
import { untilAccepting } from "./services-rabbitmq-ready.ts";

/** Small on purpose: several brokers may run at once on a machine with little memory. */
const configuration = (port: number) => `listeners.tcp.1 = 127.0.0.1:${port}
vm_memory_high_watermark.absolute = 400MB
disk_free_limit.absolute = 20MB
raft.wal_max_size_bytes = 8388608
log.console = false
log.file.level = warning
`;

/** A RabbitMQ that shares nothing with one that the machine may run: ports, data, cookie, name server are its own. */
export async function privateBroker(scriptsFolder: string): Promise<Broker> {
  const folder = await temporaryFolder("rabbitmq");
  const [port = 0, distributionPort = 0, epmdPort = 0] = await freePorts(3);
  const environment = await prepare(folder, port, distributionPort, epmdPort);
  const url = `amqp://guest:guest@127.0.0.1:${port}`;
  const epmd = start("epmd", ["-port", String(epmdPort), "-address", "127.0.0.1"], environment);
  let server: Started | undefined;
  return {
    url,
    async start() {
      const started = start(join(scriptsFolder, "rabbitmq-server"), [], environment);
      server = started;
      await untilAccepting(url, () => started.whyEnded());
    },
    async kill() {
      await server?.kill();
    },
    async stop() {
      await server?.kill();
      await epmd.kill();
      await rm(folder, { recursive: true, force: true, maxRetries: 5 });
    },
    async ctl(...args) {
      const options = { env: environment, timeout: 60_000 };
      const { stdout } = await promisify(execFile)(join(scriptsFolder, "rabbitmqctl"), args, options);
      return stdout;
    },
  };
}

async function prepare(folder: string, port: number, distributionPort: number, epmdPort: number) {
  await mkdir(join(folder, "home"));
  await writeFile(join(folder, "rabbitmq.conf"), configuration(port));
  await writeFile(join(folder, "enabled_plugins"), "[].\n");
  await writeFile(join(folder, "rabbitmq-env.conf"), "");
  return {
    PATH: [process.env.PATH, "/usr/local/bin", "/usr/bin", "/bin", "/opt/homebrew/bin"].join(delimiter),
    // The cookie lies in HOME: every broker makes its own there.
    HOME: join(folder, "home"),
    LANG: "C.UTF-8",
    ERL_EPMD_PORT: String(epmdPort),
    ERL_EPMD_ADDRESS: "127.0.0.1",
    RABBITMQ_NODENAME: `dcm-${randomBytes(4).toString("hex")}@localhost`,
    RABBITMQ_NODE_PORT: String(port),
    RABBITMQ_NODE_IP_ADDRESS: "127.0.0.1",
    RABBITMQ_DIST_PORT: String(distributionPort),
    RABBITMQ_MNESIA_BASE: join(folder, "data"),
    RABBITMQ_LOG_BASE: join(folder, "log"),
    RABBITMQ_PID_FILE: join(folder, "pid"),
    RABBITMQ_CONF_ENV_FILE: join(folder, "rabbitmq-env.conf"),
    RABBITMQ_CONFIG_FILE: join(folder, "rabbitmq.conf"),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, "enabled_plugins"),
    // One scheduler, and none of the busy waiting that Erlang likes: the tests need the processors more.
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    RABBITMQ_CTL_ERL_ARGS: "+S 1:1 +sbwt none",
  };
}

type Started = { whyEnded(): string | undefined; kill(): Promise<void> };

/** A process group of its own, so that kill -9 reaches the Erlang machine behind the start script as well. */
function start(command: string, args: string[], env: Record<string, string>): Started {
  const child: ChildProcess = spawn(command, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let ended: string | undefined;
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding("utf8").on("data", (text: string) => {
      output = (output + text).slice(-2_000);
    });
  }
  const end = new Promise<void>((done) => {
    child.once("error", (error) => {
      ended = error.message;
      done();
    });
    child.once("close", (code, signal) => {
      ended ??= `${signal ?? `exit code ${code}`}: ${output.trim()}`;
      done();
    });
  });
  // A negative id means the whole group.
  const dismissWatcher = child.pid ? stopWithUs(-child.pid, "KILL") : () => {};
  return {
    whyEnded: () => ended,
    async kill() {
      if (ended === undefined && child.pid) process.kill(-child.pid, "SIGKILL");
      await end;
      dismissWatcher();
    },
  };
}
