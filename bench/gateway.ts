import { spawn } from "node:child_process";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Role } from "../src/config.ts";
import { freePorts } from "../test/support/services-folder.ts";

export type Gateway = { pid: number; restUrl: string; rpcUrl: string; stop(): Promise<void> };

export type GatewayOptions = {
  databaseUrl: string;
  /** Absent: the embedded queue. */
  amqp?: { url: string; prefix: string } | undefined;
  roles?: readonly Role[];
  dataDir: string;
  settings?: Record<string, string>;
};

const READY_DEADLINE_MS = 60_000;

/** Flags for the gateway's own process, for example --cpu-prof to see where the time goes. */
const nodeFlags = (process.env.BENCH_GATEWAY_FLAGS ?? "").split(" ").filter((flag) => flag !== "");

/** Starts the gateway as users do, as a process of its own, and waits until it is ready. */
export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const [restPort = 0, rpcPort = 0] = await freePorts(2);
  const { roles = [], amqp } = options;
  const rest = `http://127.0.0.1:${restPort}`;
  const main = join(import.meta.dirname, "../src/main.ts");
  const child = spawn(process.execPath, [...nodeFlags, main, "start", ...roles.flatMap((role) => ["--role", role])], {
    stdio: ["ignore", "inherit", "inherit"],
    env: {
      PATH: process.env.PATH,
      NODE_ENV: "production",
      DATABASE_URL: options.databaseUrl,
      ...(amqp && { AMQP_URL: amqp.url, AMQP_PREFIX: amqp.prefix }),
      DATA_DIR: options.dataDir,
      PLATFORM_KEY_FILE: join(options.dataDir, "platform-key.json"),
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
    async stop() {
      if (ended === undefined) child.kill("SIGTERM");
      await end;
    },
  };
  if (roles.length === 0 || roles.includes("rest")) await untilReady(rest, () => ended);
  return gateway;
}

async function untilReady(url: string, whyEnded: () => string | undefined): Promise<void> {
  const deadline = Date.now() + READY_DEADLINE_MS;
  for (;;) {
    const answer = await fetch(`${url}/readyz`).catch(() => undefined);
    await answer?.body?.cancel();
    if (answer?.ok) return;
    if (whyEnded() !== undefined) throw new Error(`The gateway ended while starting: ${whyEnded()}`);
    if (Date.now() > deadline) throw new Error(`The gateway was not ready within ${READY_DEADLINE_MS} ms`);
    await sleep(50);
  }
}
