import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { beforeEach, expect, inject, vi } from "vitest";
import type { AppParts } from "../../src/app/run.ts";
import { type App, startApp } from "../../src/app.ts";
import { roles as allRoles, type Role, readConfig } from "../../src/config.ts";
import { createLog } from "../../src/observe/log.ts";
import { operatorTokenFile, readToken } from "../../src/operatorToken.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import type { Call } from "../../src/sandbox/inbox.ts";
import { registerBank, registerMerchant } from "../../src/sandbox/onboarding.ts";
import { type SandboxBank, type SandboxMerchant, startBank, startMerchant } from "../../src/sandbox/participants.ts";
import { kyivTime } from "../../src/sandbox/samples.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import { freshDatabase } from "./database.ts";
import { type GatewayProcess, runGatewayProcess } from "./gatewayProcess.ts";
import { brokenRules, type Rows, unfinished } from "./invariants.ts";
import { tellWhyFailed } from "./whyFailed.ts";

export type QueueKind = "local" | "rabbitmq";

export type PlatformOptions = {
  /** Default local. */
  queue?: QueueKind;
  /** A broker of the test's own instead of the one that test files share. */
  amqpUrl?: string;
  /** A server of the test's own, already migrated or not, instead of a fresh database. */
  databaseUrl?: string;
  /** Variables of the table in config.ts that differ from what tests usually want. */
  environment?: Readonly<Record<string, string>>;
  /** Roles of this process; the test starts the others itself with `environment` of the platform. */
  roles?: readonly Role[];
  parts?: AppParts;
  /** Runs the gateway as a process of its own, as its users do; what it writes is in `output()`. */
  asProcess?: boolean;
};

/** Ten retries within half a second, so that a series that is used up takes about as long as one request. */
const FAST_RETRIES_MS = "20,50";

/** Of every platform of tests. */
const testMasterKey = Buffer.alloc(32, "tests").toString("base64");

/** Making RSA keys takes longer than a test; the platforms of one file share them. */
const keyPairs = new Map<string, Promise<KeyPair>>();
function keyPairOf(name: string): Promise<KeyPair> {
  const made = keyPairs.get(name) ?? generateKeyPair("RS256", name);
  keyPairs.set(name, made);
  return made;
}

/** What the gateways of this test file have logged as errors since the test began. */
const loggedErrors: string[] = [];
beforeEach(() => {
  loggedErrors.splice(0);
  tellWhyFailed(loggedErrors);
});

export type Platform = Awaited<ReturnType<typeof startPlatform>>;

/** A whole gateway with two banks and a merchant that are registered and listen: `await using platform = await startPlatform()`. */
export async function startPlatform(options: PlatformOptions = {}) {
  await using cleanup = new AsyncDisposableStack();
  const dataDir = await mkdtemp(join(tmpdir(), "dcm-test-platform-"));
  cleanup.defer(() => rm(dataDir, { recursive: true, force: true }));
  const databaseUrl = options.databaseUrl ?? (await ownDatabase(cleanup));
  const environment = environmentOf(options, databaseUrl, dataDir);
  const gateway = options.asProcess ? runGatewayApart(environment) : runGatewayHere(options, environment);
  cleanup.defer(gateway.stop);
  await gateway.start();

  const operatorToken = await readToken(operatorTokenFile(dataDir));
  const operators = operatorsOf(gateway, operatorToken);
  cleanup.defer(async () => operators.close());
  const rows = openRows(databaseUrl, cleanup);
  const inboxes: (SandboxBank | SandboxMerchant)[] = [];
  cleanup.defer(async () => void (await Promise.all(inboxes.map((participant) => participant.stop()))));

  const onboarding = () => ({ participants: operators.clients().participants, restUrl: gateway.url() });
  async function newBank(wish: Parameters<typeof startBank>[0], details: Parameters<typeof registerBank>[2] = {}) {
    const bank = await startBank(wish);
    inboxes.push(bank);
    await registerBank(onboarding(), bank, details);
    return bank;
  }
  async function newMerchant(
    wish: Parameters<typeof startMerchant>[0],
    details: Parameters<typeof registerMerchant>[2] = {},
  ) {
    const merchant = await startMerchant(wish);
    inboxes.push(merchant);
    await registerMerchant(onboarding(), merchant, details);
    return merchant;
  }

  const [initiatorKey, recipientKey, merchantKey] = await Promise.all(
    ["initiator", "recipient", "merchant"].map(keyPairOf) as [Promise<KeyPair>, Promise<KeyPair>, Promise<KeyPair>],
  );
  const initiator = await newBank({ name: "Dnipro Bank", roles: ["initiator"], key: initiatorKey });
  const recipient = await newBank({ name: "Kobzar Bank", roles: ["recipient"], key: recipientKey });
  const merchant = await newMerchant({ name: "Kyiv Books", bank: recipient, key: merchantKey });

  const stack = cleanup.move();
  return {
    initiator,
    recipient,
    merchant,
    newBank,
    newMerchant,
    environment,
    databaseUrl,
    rows,
    url: gateway.url,
    rpcUrl: gateway.rpcUrl,
    /** What the first start has left for the command line. */
    operatorToken,
    /** What a gateway that runs as a process of its own has written. */
    output: gateway.output,
    /** What operators call. */
    operators: operators.clients,
    /** Stops the gateway as SIGTERM does; `start` starts it again on the same data. */
    stop: gateway.stop,
    async start() {
      await gateway.start();
      for (const participant of inboxes) participant.joins({ url: gateway.url() });
    },
    /** Creates an order and pays it; answers the payment message's guid. */
    pays: async (wish: Parameters<SandboxMerchant["order"]>[0] = {}) => initiator.pays(await merchant.order(wish)),
    /** Waits until every callback has come to an end, and checks everything that then must hold. */
    async endsAllCallbacks(timeoutMs = 30_000) {
      await vi.waitFor(async () => expect(await unfinished(rows)).toEqual([]), { timeout: timeoutMs, interval: 50 });
      await expectConsistent(rows, inboxes);
    },
    /** Closes the day as it stands; answers the register that a payment is in. */
    async registerOf(messageGuid: string): Promise<string> {
      const { settlements } = operators.clients();
      await settlements.closeRegisters({ day: kyivTime(new Date()).date, allowOpenDay: true });
      const found = await rows<{ id: string }>(
        "select register_id as id from payment_message where guid = $1",
        messageGuid,
      );
      return found[0]?.id ?? "";
    },
    /** What holds at any moment. */
    isConsistent: () => expectConsistent(rows, inboxes),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

async function ownDatabase(cleanup: AsyncDisposableStack): Promise<string> {
  const { url, drop } = await freshDatabase();
  cleanup.defer(drop);
  return url;
}

function environmentOf(options: PlatformOptions, databaseUrl: string, dataDir: string): Record<string, string> {
  const amqpUrl = options.amqpUrl ?? (options.queue === "rabbitmq" ? inject("amqpUrl") : "");
  return {
    DATABASE_URL: databaseUrl,
    AMQP_URL: amqpUrl,
    AMQP_PREFIX: `test-${randomUUID().slice(0, 8)}`,
    REST_HOST: "127.0.0.1",
    REST_PORT: "0",
    RPC_PORT: "0",
    DATA_DIR: dataDir,
    DCM_MASTER_KEY: testMasterKey,
    // Roles that run apart must agree on it, whatever port the system chooses.
    ...(options.roles && { PUBLIC_URL: "http://dcm.example" }),
    CALLBACK_ALLOW_CIDRS: "127.0.0.0/8",
    RETRY_DELAYS_MS: FAST_RETRIES_MS,
    CALLBACK_TIMEOUT_MS: "3000",
    REPUBLISH_AFTER_MS: "2000",
    LOG_LEVEL: process.env.TEST_LOG_LEVEL ?? "silent",
    ...options.environment,
  };
}

type Gateway = {
  start(): Promise<void>;
  stop(): Promise<void>;
  url(): string;
  rpcUrl(): string;
  output(): string;
};

/** The gateway in this process, to be stopped and started again. */
function runGatewayHere(options: PlatformOptions, environment: Record<string, string>): Gateway {
  let app: App | undefined;
  const urls = () => running(app).urls;
  return {
    async start() {
      const read = readConfig(options.roles ?? allRoles, {}, environment);
      if (!read.ok) throw new Error(read.problems.join("; "));
      const { logLevel } = read.config;
      const kept = { write: (line: string) => void loggedErrors.push(line) };
      const log = logLevel === "silent" ? pino({ level: "error" }, kept) : createLog(logLevel);
      app = await startApp(read.config, log, options.parts);
    },
    async stop() {
      const stopping = app;
      app = undefined;
      await stopping?.stop();
    },
    url: () => loopback(urls().rest),
    rpcUrl: () => urls().rpc,
    output: () => "",
  };
}

function runGatewayApart(environment: Record<string, string>): Gateway {
  let child: { process: GatewayProcess; rest: string; rpc: string } | undefined;
  let written = "";
  return {
    async start() {
      const process = runGatewayProcess(["start"], environment);
      const [, rest = "", rpc = ""] = await process.says(/"rest":"([^"]+)","rpc":"([^"]+)"/);
      child = { process, rest, rpc };
    },
    async stop() {
      const stopping = child?.process;
      await stopping?.kill("SIGTERM");
      written += stopping?.output() ?? "";
      child = undefined;
    },
    url: () => loopback(running(child).rest),
    rpcUrl: () => running(child).rpc,
    output: () => written + (child?.process.output() ?? ""),
  };
}

function running<T>(gateway: T | undefined): T {
  if (gateway === undefined) throw new Error("the gateway is stopped");
  return gateway;
}

const loopback = (url: string) => url.replace("localhost", "127.0.0.1");

/** RPC clients of the gateway that runs now; a new start listens elsewhere. */
function operatorsOf(gateway: Gateway, token: string | undefined) {
  let open: { url: string; transport: ReturnType<typeof remoteTransport>; clients: CoreClients } | undefined;
  return {
    clients(): CoreClients {
      const url = gateway.rpcUrl();
      if (open?.url !== url) {
        open?.transport.close();
        const transport = remoteTransport(url, token);
        open = { url, transport, clients: createClients(transport) };
      }
      return open.clients;
    },
    close: () => open?.transport.close(),
  };
}

function openRows(databaseUrl: string, cleanup: AsyncDisposableStack): Rows {
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  // A test may restart the server; the next query opens a new connection.
  pool.on("error", () => undefined);
  cleanup.defer(() => pool.end());
  return async <Row>(text: string, ...values: unknown[]) => (await pool.query(text, values)).rows as Row[];
}

async function expectConsistent(rows: Rows, inboxes: readonly (SandboxBank | SandboxMerchant)[]): Promise<void> {
  expect(await brokenRules(rows)).toEqual([]);
  const calls = inboxes.flatMap((participant) => callsOf(participant));
  expect(calls.filter((call) => call.problem !== undefined).map((call) => call.problem)).toEqual([]);
  const counted = new Map(
    (await rows<{ guid: string; made: number }>(countedAttempts)).map((row) => [row.guid, Number(row.made)]),
  );
  for (const [guid, made] of Map.groupBy(calls, (call) => call.callbackGuid ?? "")) {
    expect(made.length, `calls with callback guid ${guid}`).toBeLessThanOrEqual(counted.get(guid) ?? 0);
  }
}

/** Attempts of the current series, and of those before it. */
const countedAttempts = `
  select c.guid, c.attempts + (
    select count(*) from callback_attempt a where a.callback_guid = c.guid and a.series < c.series
  ) as made from callback c`;

/** Everything that came to a participant, whatever its kind. */
export function callsOf(participant: SandboxBank | SandboxMerchant): Call[] {
  const kinds = ["pay-in", "pay-out", "credit", "expiration", "gross-settlement", "base"] as const;
  return kinds
    .flatMap((kind) => participant.calls(kind))
    .sort((first, second) => first.at.getTime() - second.at.getTime());
}
