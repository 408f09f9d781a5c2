import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Role } from "../src/config.ts";
import { operatorTokenFile, readToken } from "../src/operatorToken.ts";
import { freePorts } from "../test/support/services-folder.ts";

export type Gateway = {
  pid: number;
  restUrl: string;
  rpcUrl: string;
  /** What the first start has left in its data folder. */
  operatorToken: string | undefined;
  stop(): Promise<void>;
};

export type GatewayOptions = {
  databaseUrl: string;
  /** Absent: the embedded queue. */
  amqp?: { url: string; prefix: string } | undefined;
  roles?: readonly Role[];
  dataDir: string;
  /** The folder of the program; another version of it, for a comparison. */
  root?: string | undefined;
  settings?: Record<string, string>;
};

/** The same for every process of a benchmark, also where one goes on with the database of another. */
const masterKey = Buffer.alloc(32, "bench").toString("base64");

const READY_DEADLINE_MS = 60_000;

/** The flags of `npm start`, and further ones, for example --cpu-prof to see where the time goes. */
const nodeFlags = [
  ...startFlags(),
  ...(process.env.BENCH_GATEWAY_FLAGS ?? "").split(" ").filter((flag) => flag !== ""),
];

function startFlags(): string[] {
  const { scripts } = JSON.parse(readFileSync(join(import.meta.dirname, "../package.json"), "utf8"));
  return (scripts.start as string).split(" ").filter((word) => word.startsWith("--"));
}

/** Starts the gateway as users do, as a process of its own, and waits until it is ready. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const [restPort = 0, rpcPort = 0] = await freePorts(2);
  const { roles = [], amqp } = options;
  const rest = `http://127.0.0.1:${restPort}`;
  const main = join(options.root ?? join(import.meta.dirname, ".."), "src/main.ts");
  const child = spawn(process.execPath, [...nodeFlags, main, "start", ...roles.flatMap((role) => ["--role", role])], {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      PATH: process.env.PATH,
      NODE_ENV: "production",
      DATABASE_URL: options.databaseUrl,
      ...(amqp && { AMQP_URL: amqp.url, AMQP_PREFIX: amqp.prefix }),
      DATA_DIR: options.dataDir,
      DCM_MASTER_KEY: masterKey,
      PUBLIC_URL: "http://gateway.example",
      REST_HOST: "127.0.0.1",
      REST_PORT: String(restPort),
      RPC_PORT: String(rpcPort),
      CALLBACK_ALLOW_CIDRS: "127.0.0.0/8",
      LOG_LEVEL: "error",
      ...options.settings,
    },
  });
  let ended: string | undefined;
  const end = new Promise<void>((resolve) => {
    child.once("exit", (code, signal) => {
      ended = `${signal ?? `exit code ${code}`}`;
      resolve();
    });
  });
  const gateway: Gateway = {
    pid: child.pid ?? 0,
    restUrl: rest,
    rpcUrl: `http://127.0.0.1:${rpcPort}`,
    operatorToken: undefined,
    async stop() {
      if (ended === undefined) child.kill("SIGTERM");
      await end;
    },
  };
  const runs = (role: Role) => roles.length === 0 || roles.includes(role);
  if (runs("core"))
    await until(
      () => isOpen(rpcPort),
      () => ended,
    );
  if (runs("rest"))
    await until(
      () => isReady(rest),
      () => ended,
    );
  return { ...gateway, operatorToken: await readToken(operatorTokenFile(options.dataDir)) };
}

async function until(condition: () => Promise<boolean>, whyEnded: () => string | undefined): Promise<void> {
  const deadline = Date.now() + READY_DEADLINE_MS;
  while (!(await condition())) {
    if (whyEnded() !== undefined) throw new Error(`The gateway ended while starting: ${whyEnded()}`);
    if (Date.now() > deadline) throw new Error(`The gateway was not ready within ${READY_DEADLINE_MS} ms`);
    await sleep(50);
  }
}

async function isReady(url: string): Promise<boolean> {
  const answer = await fetch(`${url}/readyz`).catch(() => undefined);
  await answer?.body?.cancel();
  return answer?.ok ?? false;
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}
