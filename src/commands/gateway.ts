import type { App } from "../app.ts";
import type { Given } from "../commandLine.ts";
import { type Role, roles } from "../config.ts";
import { createLog, type Logger } from "../observe/log.ts";
import { operatorsToken } from "../operatorToken.ts";
import { SANDBOX_MASTER_KEY, type SandboxOptions } from "../sandbox/options.ts";
import { configOf } from "./configuration.ts";

// The gateway itself is loaded only after its configuration has been checked, so that a problem is reported at once.

/** Runs the gateway until it is told to stop. */
export async function start(given: Given): Promise<number> {
  const named = given.texts("role");
  const started = named.length === 0 ? roles : roles.filter((role) => named.includes(role));
  const config = configOf(started);
  const log = createLog(config.logLevel);
  guardProcess(log);
  const stop = stopSignal();
  const { startApp } = await import("../app.ts");
  const app = await startApp(config, log);
  log.info({ roles: started, ...urlsOf(app, started) }, "the gateway runs");
  log.info({ signal: await stop }, "stopping: accepted work finishes first");
  await app.stop();
  log.info("stopped");
  return 0;
}

const urlsOf = (app: App, started: readonly Role[]) => ({
  ...(started.includes("rest") && { rest: app.urls.rest }),
  ...(started.includes("core") && { rpc: app.urls.rpc }),
  ...(app.urls.ops !== "" && { ops: app.urls.ops }),
});

/** Runs a gateway and its sandbox. */
export async function sandbox(options: SandboxOptions): Promise<number> {
  const config = configOf(roles, { LOG_LEVEL: "warn", DCM_MASTER_KEY: SANDBOX_MASTER_KEY });
  const log = createLog(config.logLevel);
  guardProcess(log);
  const { startApp } = await import("../app.ts");
  const { runSandbox } = await import("../sandbox/sandbox.ts");
  return runSandbox(options, async ({ retryDelaysMs, ...wishes }) => {
    const retryPolicy = { ...config.retryPolicy, ...(retryDelaysMs && { waitsMs: retryDelaysMs }) };
    const app = await startApp({ ...config, ...wishes, rpcTls: undefined, restHost: "127.0.0.1", retryPolicy }, log);
    const operatorToken = await operatorsToken({ ...config, ...wishes });
    if (operatorToken !== undefined) return { ...app, operatorToken };
    await app.stop();
    throw new Error("The database has its operator already: give the credential with RPC_TOKEN or RPC_TOKEN_FILE");
  });
}

/** The first SIGTERM or SIGINT starts draining; a second one ends the process at once. */
function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.once(signal, () => {
        resolve(signal);
        process.once(signal, () => process.exit(130));
      });
    }
  });
}

/** After an error that nothing caught the state of the process is unknown: log it and end. The next start loses nothing. */
function guardProcess(log: Logger): void {
  const end = (err: unknown) => {
    log.fatal({ err }, "an error that nobody handled; the process ends");
    setTimeout(() => process.exit(1), 100);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}
