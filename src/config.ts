import { resolve } from "node:path";
import { list, type logLevels, type Variable, type VariableName, variables } from "./config/variables.ts";
import { defaultRetryPolicy, type RetryPolicy } from "./domain/callback.ts";
import { masterKeyIn } from "./masterKey.ts";

export const roles = ["rest", "core", "worker"] as const;
export type Role = (typeof roles)[number];

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
  /** The credential with which this process calls the core, or the file that contains it. */
  rpcToken: string | undefined;
  rpcTokenFile: string | undefined;
  /** Files of the core's certificate chain and private key; undefined: RPC without TLS. */
  rpcTls: { certFile: string; keyFile: string } | undefined;
  /** The file of the certificate authority by which callers verify the core's certificate. */
  rpcTlsCaFile: string | undefined;
  /** The address under which payers, merchants and banks reach REST; undefined: the address it listens on. */
  publicUrl: string | undefined;
  /** How many payment pages this process keeps up to date at once. */
  maxEventStreams: number;
  /** Undefined: metrics and health are served by REST only. */
  opsPort: number | undefined;
  metricsAllowCidrs: readonly string[];
  /** Undefined: no traces. */
  otlpEndpoint: string | undefined;
  /** Undefined: the core runs in this process. */
  coreUrl: string | undefined;
  dataDir: string;
  /** The master key that encrypts the platform's signing keys; undefined: a key file in `dataDir`. */
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
  /** After how many milliseconds the relay publishes an unclaimed callback again. */
  republishAfterMs: number;
};

export type ConfigResult = { ok: true; config: Config } | { ok: false; problems: string[] };

/**
 * Reads the environment, which nothing else does, and reports all problems at once. `fallbacks` take precedence over the table's
 * defaults.
 */
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
    maxEventStreams: Number(values.MAX_STREAMS),
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
