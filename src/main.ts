import { parseArgs } from "node:util";
import { type App, startApp } from "./app.ts";
import { type Config, type Role, readConfig, roles, variables } from "./config.ts";
import { migrate } from "./db/database.ts";
import { recoverKeys } from "./keyRecovery.ts";
import { createLog, type Logger } from "./log.ts";
import type { GroupName } from "./operator/operator.ts";
import { callersCa, operatorsToken } from "./operatorToken.ts";

/** Every command, for the dispatcher and for the help text. */
const commands = {
  start: {
    usage: "start [--role rest|core|worker]…",
    help: "Run the gateway: all roles, or only those that are named. Ends cleanly on SIGTERM and SIGINT.",
    run: start,
  },
  sandbox: {
    usage: "sandbox [--once --payments N --json …]",
    help: "Run a platform with two banks and a merchant to look at; `sandbox --help` tells more.",
    run: sandbox,
  },
  participants: {
    usage: "participants list|get|register-bank|register-merchant|update …",
    help: "Look at banks and merchants of a running gateway, register and change them; `participants --help` tells more.",
    run: operator("participants"),
  },
  orders: {
    usage: "orders list …",
    help: "List orders by merchant, bank, status and day; `orders --help` tells more.",
    run: operator("orders"),
  },
  payments: {
    usage: "payments list …",
    help: "List payment messages by party, status and day; `payments --help` tells more.",
    run: operator("payments"),
  },
  callbacks: {
    usage: "callbacks list|show|replay|replay-all|resolve …",
    help: "Look at callbacks, deliver them again, close reviews; `callbacks --help` tells more.",
    run: operator("callbacks"),
  },
  registers: {
    usage: "registers close|list|show|export|reopen …",
    help: "Close days into gross settlement registers, look at them, write them to files; `registers --help` tells more.",
    run: operator("registers"),
  },
  services: {
    usage: "services add|list|revoke …",
    help: "Make, list and revoke the credentials of services that call the core; `services --help` tells more.",
    run: operator("services"),
  },
  keys: {
    usage: "keys list|rotate|recover …",
    help: "Look at the platform's signing keys, rotate them, replace them when the master key is lost; `keys --help` tells more.",
    run: operator("keys"),
  },
  audit: {
    usage: "audit [--actor NAME] [--act ACT] [--object ID] [--since TIME] [--until TIME] [--limit N]",
    help: "Who changed what, and when, newest first; `audit --help` tells more.",
    run: operator("audit"),
  },
  reconcile: {
    usage: "reconcile [--days N]",
    help: "Compare registers with their payments and acts; ends with 1 when something does not add up.",
    run: operator("reconcile"),
  },
  redrive: {
    usage: "redrive [--limit N]",
    help: "After a fault of the platform: let dead callbacks and the tickets of the dead-letter queue go on.",
    run: operator("redrive"),
  },
  migrate: {
    usage: "migrate",
    help: "Bring the schema of DATABASE_URL up to date and end. `start` does the same by itself.",
    run: migrateOnly,
  },
} as const satisfies Record<string, { usage: string; help: string; run: (args: string[]) => Promise<number> }>;

/** Commands that start no role need nothing of what roles need. */
const noRoles: readonly Role[] = [];

/** What a shell expects of a program that was called wrongly. */
const exitUsage = 2;

/** Of a command that has no more to tell than the program. */
function ownHelp(): number {
  console.log(helpText());
  return 0;
}

function helpText(): string {
  const commandLines = Object.values(commands).map(({ usage, help }) => `  ${usage}\n      ${help}`);
  const variableLines = variables.map(
    ({ name, fallback, help }) => `  ${name.padEnd(28)} ${help}${fallback === "" ? "" : ` Default: ${fallback}.`}`,
  );
  return [
    "DCM gateway: signed orders, payment messages, callbacks and gross settlement registers.",
    "",
    "Usage: npm run dcm -- COMMAND [OPTIONS]",
    "",
    "Commands:",
    ...commandLines,
    "",
    "Environment:",
    ...variableLines,
    "",
    "The README tells how the parts work together.",
  ].join("\n");
}

async function start(args: string[]): Promise<number> {
  const options = { role: { type: "string", multiple: true }, help: { type: "boolean" } } as const;
  const { values } = parseArgs({ args, options });
  if (values.help) return ownHelp();
  const unknown = (values.role ?? []).filter((role) => !(roles as readonly string[]).includes(role));
  if (unknown.length > 0) return wrongCall([`--role ${unknown.join(", ")} is not one of ${roles.join(", ")}`]);
  const started = values.role ? roles.filter((role) => values.role?.includes(role)) : roles;
  const config = configOr(started);
  if (config === undefined) return exitUsage;
  const log = createLog(config.logLevel);
  guardProcess(log);
  const stop = stopSignal();
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

async function sandbox(args: string[]): Promise<number> {
  // Loaded on demand: a gateway in production must not carry the sandbox in its memory.
  const { parseSandboxArgs, SANDBOX_HELP, SANDBOX_MASTER_KEY } = await import("./sandbox/options.ts");
  const { runSandbox } = await import("./sandbox/sandbox.ts");
  if (args.includes("--help")) {
    console.log(SANDBOX_HELP);
    return 0;
  }
  const parsed = parseSandboxArgs(args);
  if (!parsed.ok) return wrongCall(parsed.problems);
  const config = configOr(roles, { LOG_LEVEL: "warn", DCM_MASTER_KEY: SANDBOX_MASTER_KEY });
  if (config === undefined) return exitUsage;
  const log = createLog(config.logLevel);
  guardProcess(log);
  return runSandbox(parsed.options, async ({ retryDelaysMs, ...wishes }) => {
    const retryPolicy = { ...config.retryPolicy, ...(retryDelaysMs && { waitsMs: retryDelaysMs }) };
    const app = await startApp({ ...config, ...wishes, rpcTls: undefined, restHost: "127.0.0.1", retryPolicy }, log);
    const operatorToken = await operatorsToken({ ...config, ...wishes });
    if (operatorToken !== undefined) return { ...app, operatorToken };
    await app.stop();
    throw new Error("The database has its operator already: give the credential with RPC_TOKEN or RPC_TOKEN_FILE");
  });
}

/** A command of the operators: it speaks to the core of a gateway that runs elsewhere. */
function operator(name: GroupName) {
  return async (args: string[]): Promise<number> => {
    const config = configOr(noRoles);
    if (config === undefined) return exitUsage;
    const { runOperator } = await import("./operator/operator.ts");
    const { createClients, remoteTransport } = await import("./rpc/clients.ts");
    const coreUrl = config.coreUrl ?? rpcUrlOf(config);
    const transport = remoteTransport(coreUrl, await operatorsToken(config), undefined, await callersCa(config));
    try {
      const clients = createClients(transport);
      return await runOperator(name, args, {
        clients,
        coreUrl,
        print: console.log,
        complain: console.error,
        recoverKeys: () => recoverKeys(config),
      });
    } finally {
      transport.close();
    }
  };
}

/** Whoever listens on every address is reached on loopback. */
function rpcUrlOf({ rpcHost, rpcPort, rpcTls }: Config): string {
  const host = ["0.0.0.0", "::"].includes(rpcHost) ? "127.0.0.1" : rpcHost;
  return `${rpcTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${rpcPort}`;
}

async function migrateOnly(args: string[]): Promise<number> {
  if (parseArgs({ args, options: { help: { type: "boolean" } } }).values.help) return ownHelp();
  const config = configOr(noRoles);
  if (config === undefined) return exitUsage;
  if (config.databaseUrl === undefined) {
    return wrongCall(["DATABASE_URL is missing; the embedded PostgreSQL is brought up to date at every start"]);
  }
  await migrate(config.databaseUrl);
  console.log("The schema is up to date.");
  return 0;
}

/** The configuration, or undefined after every problem of it was printed. */
function configOr(started: readonly Role[], fallbacks: Record<string, string> = {}): Config | undefined {
  const read = readConfig(started, fallbacks);
  if (read.ok) return read.config;
  console.error("The configuration cannot be used:");
  for (const problem of read.problems) console.error(`  ${problem}`);
  console.error("Set the environment variables right and start again; `npm run dcm -- --help` lists them.");
  return undefined;
}

function wrongCall(problems: readonly string[]): number {
  for (const problem of problems) console.error(problem);
  console.error("`npm run dcm -- --help` lists every command and option.");
  return exitUsage;
}

/** The first SIGTERM or SIGINT drains, a second one ends at once. */
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

/** A bug that nobody caught leaves the process in an unknown state: say it and end; the next start loses nothing. */
function guardProcess(log: Logger): void {
  const end = (err: unknown) => {
    log.fatal({ err }, "an error that nobody handled; the process ends");
    setTimeout(() => process.exit(1), 100);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
}

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "help" || name === "--help" || name === "-h") {
    console.log(helpText());
    return name === undefined ? exitUsage : 0;
  }
  if (!Object.hasOwn(commands, name)) return wrongCall([`${name} is not a command`]);
  try {
    return await commands[name as keyof typeof commands].run(rest);
  } catch (error) {
    console.error(`${name} failed: ${(error as Error).message}`);
    if ((error as { code?: unknown }).code === "ERR_PARSE_ARGS_UNKNOWN_OPTION") return wrongCall([]);
    return 1;
  }
}

const code = await main(process.argv.slice(2));
// A pipe with a slow reader still holds what was printed, and an exit would drop it. A reader that left misses nothing.
process.stdout.on("error", () => undefined);
await new Promise((resolve) => process.stdout.write("", resolve));
// Handles of libraries must not keep a finished program alive.
process.exit(code);
