import { resolve } from "node:path";
import { defaultRetryPolicy, type RetryPolicy } from "./domain/callback.ts";
import { ISO_4217_CODES } from "./domain/money.ts";
import { defaultOrderLifeDays } from "./domain/order.ts";
import { daySeconds } from "./domain/platformKey.ts";
import { masterKeyIn } from "./masterKey.ts";
import { cidrProblem } from "./outbound/address.ts";

export const roles = ["rest", "core", "worker"] as const;
export type Role = (typeof roles)[number];

const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

export type Config = {
  roles: readonly Role[];
  /** Undefined: the embedded PostgreSQL under `dataDir`. */
  databaseUrl: string | undefined;
  databaseConnections: number;
  /** Undefined: the in-process queue. */
  amqpUrl: string | undefined;
  amqpPrefix: string;
  restHost: string;
  restPort: number;
  rpcHost: string;
  rpcPort: number;
  /** The credential with which this process calls the core, or the file that has it. */
  rpcToken: string | undefined;
  rpcTokenFile: string | undefined;
  /** Files of the core's certificate chain and private key; undefined: RPC without TLS. */
  rpcTls: { certFile: string; keyFile: string } | undefined;
  /** File of the certificate that vouches for the core's to those who call it. */
  rpcTlsCaFile: string | undefined;
  /** Where payers, merchants and banks reach REST; undefined: the address it listens on. */
  publicUrl: string | undefined;
  /** Undefined: metrics and health only beside REST. */
  opsPort: number | undefined;
  metricsAllowCidrs: readonly string[];
  /** Undefined: no traces. */
  otlpEndpoint: string | undefined;
  /** Undefined: the core runs in this process. */
  coreUrl: string | undefined;
  dataDir: string;
  /** Under what the platform's signing keys are encrypted; undefined: a key file in `dataDir`. */
  masterKey: Uint8Array | undefined;
  masterKeyPrevious: Uint8Array | undefined;
  platformKeyFile: string | undefined;
  jwksMaxAgeSeconds: number;
  participantsFile: string | undefined;
  logLevel: (typeof logLevels)[number];
  callbackAllowCidrs: readonly string[];
  supportedCurrencies: readonly string[];
  maxOrderLifeDays: number;
  retryPolicy: RetryPolicy;
  /** How long a published callback may stay unclaimed before the relay publishes it again. */
  republishAfterMs: number;
};

type Variable = {
  name: string;
  fallback: string;
  help: string;
  /** What is wrong with a given text, or undefined. */
  problem?: (text: string) => string | undefined;
};

const isUrl =
  (...protocols: string[]) =>
  (text: string) =>
    protocols.includes(URL.parse(text)?.protocol ?? "") ? undefined : `is not a URL with ${protocols.join(" or ")}`;

const isPort = (text: string) =>
  /^\d{1,5}$/.test(text) && Number(text) <= 65_535 ? undefined : "is not a port from 0 to 65535";

const isWholeNumber = (least: number, most: number) => (text: string) =>
  /^\d+$/.test(text) && Number(text) >= least && Number(text) <= most
    ? undefined
    : `is not a whole number from ${least} to ${most}`;

/** Says nothing of the text: it may be nearly a master key. */
const isMasterKey = (text: string) => (masterKeyIn(text) === undefined ? "is not base64 of 32 bytes" : undefined);

const list = (text: string) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** The first problem of a comma-separated list, item by item. */
const each = (problem: (item: string) => string | undefined) => (text: string) =>
  list(text)
    .map((item) => [item, problem(item)] as const)
    .flatMap(([item, found]) => (found === undefined ? [] : [`has ${JSON.stringify(item)}, which ${found}`]))[0];

/** Every environment variable: the help text, the README and the reader below are this table. */
export const variables = [
  {
    name: "DATABASE_URL",
    fallback: "",
    help: "PostgreSQL. Empty: an embedded PostgreSQL with its data in DATA_DIR.",
    problem: isUrl("postgres:", "postgresql:"),
  },
  {
    name: "DATABASE_CONNECTIONS",
    fallback: "12",
    help: "Connections of this process to PostgreSQL, at most; fewer where the server gives fewer.",
    problem: isWholeNumber(2, 500),
  },
  {
    name: "AMQP_URL",
    fallback: "",
    help: "RabbitMQ. Empty: an in-process queue with the same behaviour.",
    problem: isUrl("amqp:", "amqps:"),
  },
  {
    name: "AMQP_PREFIX",
    fallback: "dcm",
    help: "What the names of the queues begin with.",
    problem: (text) => (/^[\w.-]{1,100}$/.test(text) ? undefined : "is not 1 to 100 letters, digits, dots or dashes"),
  },
  { name: "REST_HOST", fallback: "0.0.0.0", help: "Address that REST listens on." },
  { name: "REST_PORT", fallback: "8080", help: "Port of REST; 0 takes a free one.", problem: isPort },
  { name: "RPC_HOST", fallback: "127.0.0.1", help: "Address that RPC (gRPC, Connect) listens on." },
  { name: "RPC_PORT", fallback: "8081", help: "Port of RPC; 0 takes a free one.", problem: isPort },
  {
    name: "RPC_TOKEN",
    fallback: "",
    help: "Credential with which this process calls the core: a role rest that runs apart, or the command line.",
    problem: (text) => (/^[\x21-\x7e]{16,256}$/.test(text) ? undefined : "is not 16 to 256 printable characters"),
  },
  {
    name: "RPC_TOKEN_FILE",
    fallback: "",
    help: "File with that credential instead. The command line reads DATA_DIR/operator-token when neither is given.",
  },
  { name: "RPC_TLS_CERT_FILE", fallback: "", help: "The core's certificate chain (PEM). Empty: RPC without TLS." },
  { name: "RPC_TLS_KEY_FILE", fallback: "", help: "The private key of that certificate (PEM)." },
  {
    name: "RPC_TLS_CA_FILE",
    fallback: "",
    help: "Certificate (PEM) that vouches for the core's to callers. Empty: the well-known authorities.",
  },
  {
    name: "PUBLIC_URL",
    fallback: "",
    help: "Where the world reaches REST, for links and callbacks. Empty: http://localhost:REST_PORT.",
    problem: isUrl("http:", "https:"),
  },
  {
    name: "CORE_URL",
    fallback: "",
    help: "Where the role rest finds the core's RPC. Empty: in the same process.",
    problem: isUrl("http:", "https:"),
  },
  {
    name: "DATA_DIR",
    fallback: "./data",
    help: "Folder of the embedded PostgreSQL, its master key and the operator's credential.",
  },
  {
    name: "DCM_MASTER_KEY",
    fallback: "",
    help: "Encrypts the platform's signing keys in PostgreSQL: base64 of 32 bytes. Empty, with the embedded PostgreSQL only: made once in DATA_DIR/master-key.",
    problem: isMasterKey,
  },
  {
    name: "DCM_MASTER_KEY_PREVIOUS",
    fallback: "",
    help: "Only to change it: the one before, under which the keys still are. The start encrypts them anew.",
    problem: isMasterKey,
  },
  {
    name: "PLATFORM_KEY_FILE",
    fallback: "",
    help: "Private signing key (JWK) of a version before 0.2.0, which the first start takes over. Empty: DATA_DIR/platform-key.json, if it is there.",
  },
  {
    name: "JWKS_MAX_AGE_SECONDS",
    fallback: "3600",
    help: "How long receivers may remember the platform's public keys. A new key is announced for at least this long.",
    problem: isWholeNumber(1, daySeconds),
  },
  { name: "DCM_PARTICIPANTS", fallback: "", help: "JSON file of banks and merchants to register at the start." },
  {
    name: "LOG_LEVEL",
    fallback: "info",
    help: `How much is logged: ${logLevels.join(", ")}.`,
    problem: (text) =>
      (logLevels as readonly string[]).includes(text) ? undefined : `is not one of ${logLevels.join(", ")}`,
  },
  {
    name: "CALLBACK_ALLOW_CIDRS",
    fallback: "",
    help: "Networks, comma-separated, that callbacks may reach although they are not public; http is allowed there.",
    problem: each(cidrProblem),
  },
  {
    name: "SUPPORTED_CURRENCIES",
    fallback: "UAH",
    help: "Currencies, comma-separated ISO 4217 codes. The first is that of empty registers.",
    problem: (text) =>
      list(text).length === 0
        ? "names no currency"
        : each((code) => ((ISO_4217_CODES as ReadonlySet<string>).has(code) ? undefined : "is not an ISO 4217 code"))(
            text,
          ),
  },
  {
    name: "ORDER_MAX_LIFE_DAYS",
    fallback: String(defaultOrderLifeDays),
    help: "How many days ahead an order may expire, at most.",
    // Ten years: what lives longer is a slip.
    problem: isWholeNumber(1, 3_660),
  },
  {
    name: "RETRY_DELAYS_MS",
    fallback: defaultRetryPolicy.waitsMs.join(","),
    help: "Waits before the retries of a callback, comma-separated milliseconds; the last one repeats.",
    problem: (text) => (list(text).length === 0 ? "names no wait" : each(isWholeNumber(1, 24 * 60 * 60 * 1000))(text)),
  },
  {
    name: "CALLBACK_TIMEOUT_MS",
    fallback: String(defaultRetryPolicy.attemptTimeoutMs),
    help: "Time of one callback attempt, connecting and answering together.",
    problem: isWholeNumber(100, 60_000),
  },
  {
    name: "REPUBLISH_AFTER_MS",
    fallback: "30000",
    help: "How long a published callback may stay unclaimed before it is published again.",
    problem: isWholeNumber(500, 600_000),
  },
  {
    name: "OPS_PORT",
    fallback: "",
    help: "Port of /metrics, /healthz and /readyz for processes without REST, on every address; 0 takes a free one. Empty: none.",
    problem: isPort,
  },
  {
    name: "METRICS_ALLOW_CIDRS",
    fallback: "",
    help: "Networks, comma-separated, that may read /metrics beside loopback. A proxy on this machine must not pass /metrics on.",
    problem: each(cidrProblem),
  },
  {
    name: "OTEL_EXPORTER_OTLP_ENDPOINT",
    fallback: "",
    help: "OpenTelemetry collector (OTLP over HTTP) that traces go to. Empty: no traces.",
    problem: isUrl("http:", "https:"),
  },
] as const satisfies readonly Variable[];

type VariableName = (typeof variables)[number]["name"];

export type ConfigResult = { ok: true; config: Config } | { ok: false; problems: string[] };

/** Reads the environment: the only place that does. Everything that is wrong is told at once. `fallbacks` go before the table's. */
export function readConfig(
  startedRoles: readonly Role[] = roles,
  fallbacks: Partial<Record<string, string>> = {},
  environment: Record<string, string | undefined> = process.env,
): ConfigResult {
  const problems: string[] = [];
  const values = Object.fromEntries(
    (variables as readonly Variable[]).map((variable) => {
      const given = environment[variable.name]?.trim() ?? "";
      const problem = given === "" ? undefined : variable.problem?.(given);
      if (problem !== undefined) problems.push(`${variable.name} ${problem}`);
      return [variable.name, given === "" ? (fallbacks[variable.name] ?? variable.fallback) : given];
    }),
  ) as Record<VariableName, string>;
  problems.push(...combinationProblems(startedRoles, values));
  return problems.length > 0 ? { ok: false, problems } : { ok: true, config: toConfig(startedRoles, values) };
}

function combinationProblems(started: readonly Role[], values: Record<VariableName, string>): string[] {
  const runs = (role: Role) => started.includes(role);
  const apart = started.length < roles.length;
  const problems: string[] = [];
  if (runs("rest") && !runs("core") && values.CORE_URL === "") {
    problems.push("CORE_URL is missing: the role rest runs without the core and must be told where it is");
  }
  if (apart && (runs("core") || runs("worker")) && values.DATABASE_URL === "") {
    problems.push("DATABASE_URL is missing: roles that run apart must share a PostgreSQL");
  }
  if (runs("core") !== runs("worker") && values.AMQP_URL === "") {
    problems.push("AMQP_URL is missing: core and worker that run apart must share a RabbitMQ");
  }
  if ((runs("core") || runs("worker")) && values.DATABASE_URL !== "" && values.DCM_MASTER_KEY === "") {
    problems.push(
      "DCM_MASTER_KEY is missing: the signing keys in PostgreSQL are encrypted under it, the same for every process; `openssl rand -base64 32` makes one",
    );
  }
  if (apart && started.length > 0 && values.PUBLIC_URL === "") {
    problems.push("PUBLIC_URL is missing: roles that run apart must agree on what callers see");
  }
  if ((values.RPC_TLS_CERT_FILE === "") !== (values.RPC_TLS_KEY_FILE === "")) {
    problems.push("RPC_TLS_CERT_FILE and RPC_TLS_KEY_FILE belong together: give both or none");
  }
  if (runs("rest") && !runs("core") && values.RPC_TOKEN === "" && values.RPC_TOKEN_FILE === "") {
    problems.push(
      "RPC_TOKEN or RPC_TOKEN_FILE is missing: the role rest shows the core a credential with the scope gateway, which `npm run dcm -- services add rest --scope gateway` makes",
    );
  }
  return problems;
}

const optional = (text: string) => (text === "" ? undefined : text);

function toConfig(started: readonly Role[], values: Record<VariableName, string>): Config {
  return {
    roles: started,
    databaseUrl: optional(values.DATABASE_URL),
    databaseConnections: Number(values.DATABASE_CONNECTIONS),
    amqpUrl: optional(values.AMQP_URL),
    amqpPrefix: values.AMQP_PREFIX,
    restHost: values.REST_HOST,
    restPort: Number(values.REST_PORT),
    rpcHost: values.RPC_HOST,
    rpcPort: Number(values.RPC_PORT),
    rpcToken: optional(values.RPC_TOKEN),
    rpcTokenFile: optional(values.RPC_TOKEN_FILE),
    rpcTls:
      values.RPC_TLS_CERT_FILE === ""
        ? undefined
        : { certFile: values.RPC_TLS_CERT_FILE, keyFile: values.RPC_TLS_KEY_FILE },
    rpcTlsCaFile: optional(values.RPC_TLS_CA_FILE),
    publicUrl: optional(values.PUBLIC_URL)?.replace(/\/+$/, ""),
    opsPort: values.OPS_PORT === "" ? undefined : Number(values.OPS_PORT),
    metricsAllowCidrs: list(values.METRICS_ALLOW_CIDRS),
    otlpEndpoint: optional(values.OTEL_EXPORTER_OTLP_ENDPOINT)?.replace(/\/+$/, ""),
    coreUrl: optional(values.CORE_URL),
    dataDir: resolve(values.DATA_DIR),
    masterKey: masterKeyIn(values.DCM_MASTER_KEY),
    masterKeyPrevious: masterKeyIn(values.DCM_MASTER_KEY_PREVIOUS),
    platformKeyFile: optional(values.PLATFORM_KEY_FILE),
    jwksMaxAgeSeconds: Number(values.JWKS_MAX_AGE_SECONDS),
    participantsFile: optional(values.DCM_PARTICIPANTS),
    logLevel: values.LOG_LEVEL as Config["logLevel"],
    callbackAllowCidrs: list(values.CALLBACK_ALLOW_CIDRS),
    supportedCurrencies: list(values.SUPPORTED_CURRENCIES),
    maxOrderLifeDays: Number(values.ORDER_MAX_LIFE_DAYS),
    retryPolicy: {
      ...defaultRetryPolicy,
      waitsMs: list(values.RETRY_DELAYS_MS).map(Number),
      attemptTimeoutMs: Number(values.CALLBACK_TIMEOUT_MS),
    },
    republishAfterMs: Number(values.REPUBLISH_AFTER_MS),
  };
}
