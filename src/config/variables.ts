import { defaultRetryPolicy } from "../domain/callback.ts";
import { ISO_4217_CODES } from "../domain/money.ts";
import { defaultOrderLifeDays } from "../domain/order.ts";
import { daySeconds } from "../domain/platformKey.ts";
import { masterKeyIn } from "../masterKey.ts";
import { cidrProblem } from "../outbound/address.ts";

export const logLevels = ["fatal", "error", "warn", "info", "debug", "trace", "silent"] as const;

export type Variable = {
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

/** The message does not quote the value, which may be almost a master key. */
const isMasterKey = (text: string) => (masterKeyIn(text) === undefined ? "is not base64 of 32 bytes" : undefined);

export const list = (text: string) =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** The first problem of a comma-separated list, item by item. */
const each = (problem: (item: string) => string | undefined) => (text: string) =>
  list(text)
    .map((item) => [item, problem(item)] as const)
    .flatMap(([item, found]) => (found === undefined ? [] : [`has ${JSON.stringify(item)}, which ${found}`]))[0];

/** Every environment variable; the help, the table in the documentation, and `readConfig` all use this table. */
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
    // The limit is ten years; more is a slip of the pen.
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
    name: "MAX_STREAMS",
    fallback: "5000",
    help: "How many payment pages this process keeps up to date at once; further ones ask every few seconds instead.",
    problem: isWholeNumber(0, 100_000),
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

export type VariableName = (typeof variables)[number]["name"];
