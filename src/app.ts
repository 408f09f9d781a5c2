import { mkdir, readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { Code, type Transport } from "@connectrpc/connect";
import { v7 as uuidV7 } from "uuid";
import { limits } from "../gen/rest/limits.ts";
import { createAddressGuard } from "./callbacks/address.ts";
import { createCallbackClient } from "./callbacks/client.ts";
import { fetchKeySet, keysOf } from "./callbacks/keySet.ts";
import { createPing } from "./callbacks/ping.ts";
import { publishDue } from "./callbacks/relay.ts";
import { attemptsAtOnce, startWorker } from "./callbacks/worker.ts";
import type { Config, Role } from "./config.ts";
import type { CoreContext, DueCallback, PlatformKeys } from "./core/context.ts";
import { type Core, createCore } from "./core/core.ts";
import { createGuids } from "./core/guid.ts";
import { followDatabaseClock } from "./db/clock.ts";
import { connectionLimit, type Database, migrate, openDatabase } from "./db/database.ts";
import { startEmbeddedPostgres } from "./db/embedded.ts";
import { databaseFailure } from "./db/failure.ts";
import type { PublicJwk } from "./domain/participant.ts";
import type { Logger } from "./log.ts";
import { masterKeysOf } from "./masterKey.ts";
import { createMetrics, type Metrics, metricsReaders } from "./metrics.ts";
import { callersCa, callersToken, ensureOperatorToken } from "./operatorToken.ts";
import { startOpsServer } from "./opsServer.ts";
import { loadParticipants } from "./participantsFile.ts";
import { startPlatformKeys } from "./platformKeys.ts";
import { createLocalQueue } from "./queue/local.ts";
import type { CallbackQueue } from "./queue/queue.ts";
import { createRabbitmqQueue } from "./queue/rabbitmq.ts";
import { buildTopology } from "./queue/topology.ts";
import type { DependencyState } from "./rest/context.ts";
import { createRestServer } from "./rest/httpServer.ts";
import { createRestApp } from "./rest/server.ts";
import { type CoreClients, createClients, remoteTransport } from "./rpc/clients.ts";
import { inProcessTransport } from "./rpc/inProcess.ts";
import { startRpcServer } from "./rpc/server.ts";
import { importPublicKey } from "./sdk/keys.ts";
import { startTracing, type Tracing } from "./tracing.ts";

export type App = {
  urls: { rest: string; rpc: string; ops: string };
  /** Drains: accepted work finishes, or is safely left in the database for the next start. */
  stop(): Promise<void>;
};

/** What tests replace; everything else is real. */
export type AppParts = { newGuid?: () => string };

/** The composition root: starts the roles of this process. `main` and the tests both call it. */
export async function startApp(config: Config, log: Logger, parts: AppParts = {}): Promise<App> {
  // What was started is stopped in the opposite order, also when the start fails half-way.
  const started = new AsyncDisposableStack();
  try {
    const urls = await startRoles(config, log, parts, started);
    let stopping: Promise<void> | undefined;
    return {
      urls,
      stop() {
        stopping ??= started.disposeAsync();
        return stopping;
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

/** What every part of this process shares; whoever starts something hands its end to `started`. */
type Run = {
  config: Config;
  log: Logger;
  parts: AppParts;
  guard: ReturnType<typeof createAddressGuard>;
  metrics: Metrics;
  tracing: Tracing;
  started: AsyncDisposableStack;
  /** Ends of what takes work in. They drain side by side, before anything that the work needs is stopped. */
  edges: (() => Promise<void>)[];
  /** Where the parts of this process listen, once they do. */
  urls: App["urls"];
};

async function startRoles(config: Config, log: Logger, parts: AppParts, started: AsyncDisposableStack) {
  const runs = (role: Role) => config.roles.includes(role);
  const tracing = await startTracing(config.otlpEndpoint, "dcm-gateway");
  started.defer(() => tracing.stop());
  const guard = createAddressGuard({ allowCidrs: [...config.callbackAllowCidrs] });
  const urls = { rest: "", rpc: config.coreUrl ?? "", ops: "" };
  const run: Run = { config, log, parts, guard, metrics: createMetrics(), tracing, started, edges: [], urls };
  const local = runs("core") || runs("worker") ? await startLocalCore(run) : undefined;
  started.defer(async () => void (await Promise.all(run.edges.map((end) => end()))));
  const clients = createClients(await transportTo(run, local));
  const ready = () => readiness(local, clients);
  if (runs("core") && local !== undefined) urls.rpc = await startRpc(run, local, ready);
  if (runs("worker") && local !== undefined) await startDelivery(run, local);
  // A REST that runs apart has no database to ask; the core judges its clock's mistakes.
  const clock = local?.clock ?? (() => new Date());
  if (runs("rest")) urls.rest = await startRest(run, { clients, ready, clock });
  if (config.opsPort !== undefined) urls.ops = await startOps(run, config.opsPort, ready);
  return urls;
}

async function startRpc(
  { config, log, tracing, edges }: Run,
  { core }: LocalCore,
  ready: () => Promise<DependencyState[]>,
): Promise<string> {
  const { rpcHost: host, rpcPort: port } = config;
  const file = await ensureOperatorToken(core, config.dataDir, new Date());
  if (file !== undefined) log.info({ file }, "the operator's credential is here; the command line reads it");
  const tls = config.rpcTls && {
    cert: await readFile(config.rpcTls.certFile, "utf8"),
    key: await readFile(config.rpcTls.keyFile, "utf8"),
  };
  const rpc = await startRpcServer({
    core,
    host,
    port,
    tls,
    log,
    tracing,
    isReady: async () => (await ready()).every(({ ok }) => ok),
  });
  edges.push(() => rpc.close());
  await loadParticipants(core, config.participantsFile, log);
  return rpc.url;
}

async function startDelivery(run: Run, { core, queue, platformKeys }: LocalCore): Promise<void> {
  const { config, log, parts, guard, metrics, tracing, edges } = run;
  const { attemptTimeoutMs } = config.retryPolicy;
  const client = createCallbackClient({ guard, attemptTimeoutMs, connectionsPerOrigin: attemptsAtOnce });
  const worker = await startWorker({
    core,
    queue,
    client,
    signer: signerOf(config, platformKeys),
    publicUrl: () => publicUrlOf(run),
    newGuid: parts.newGuid ?? uuidV7,
    republishAfterMs: config.republishAfterMs,
    log,
    observer: metrics.delivery,
    reconciled: metrics.reconciled,
    tracing,
  });
  edges.push(async () => {
    await worker.stop();
    await client.close();
  });
  metrics.watchInFlight(worker.inFlight);
}

const signerOf = (config: Config, { sign }: PlatformKeys) => ({ issuer: configuredUrlOf(config), sign });

/** A test is answered with up to eight signatures, which are kept whole. */
const keptPingBytes = limits.callbackAnswerBytes;

function startPing({ config, guard, parts, started }: Run, platformKeys: PlatformKeys, now: () => Date) {
  const { attemptTimeoutMs } = config.retryPolicy;
  // Here the body is what was asked for, so it has the whole time of an attempt.
  const body = { keptAnswerBytes: keptPingBytes, bodyTimeMs: attemptTimeoutMs };
  const client = createCallbackClient({ guard, attemptTimeoutMs, ...body });
  started.defer(() => client.close());
  return createPing({ client, signer: signerOf(config, platformKeys), now, newGuid: parts.newGuid ?? uuidV7 });
}

async function startOps({ config, metrics, started }: Run, port: number, ready: () => Promise<DependencyState[]>) {
  const mayReadMetrics = metricsReaders(config.metricsAllowCidrs);
  const ops = await startOpsServer({ port, metricsText: metrics.text, mayReadMetrics, readiness: ready });
  started.defer(() => ops.close());
  return `http://localhost:${ops.port}`;
}

type LocalCore = {
  core: Core;
  queue: CallbackQueue;
  database: Database;
  clock: () => Date;
  platformKeys: PlatformKeys;
};

async function startLocalCore(run: Run): Promise<LocalCore> {
  const { config, log, parts, guard, metrics, tracing, started } = run;
  const masterKeys = await masterKeysOf(config);
  const url = config.databaseUrl ?? (await startOwnDatabase(config, log, started));
  const limit = await whenThere(log, async () => {
    await migrate(url);
    return connectionLimit(url);
  });
  const database = await openDatabase({
    url,
    maxConnections: connectionsWithin(limit, config.databaseConnections, log),
    onProblem: (message) => log.warn({ message }, "database"),
  });
  started.defer(() => database.close());
  const clock = await followDatabaseClock(database.sql);
  started.defer(() => clock.stop());
  const platformKeys = await startPlatformKeys(config, log, { database, masterKeys, now: clock.now });
  started.defer(() => platformKeys.stop());
  const queue = createQueue(config, log);
  started.defer(() => queue.close());
  metrics.watchBacklog(database, queue);
  const context: CoreContext = {
    db: database,
    newGuid: parts.newGuid ?? createGuids(clock.now),
    supportedCurrencies: config.supportedCurrencies,
    maxOrderLifeDays: config.maxOrderLifeDays,
    retryPolicy: config.retryPolicy,
    republishAfterMs: config.republishAfterMs,
    onCallbacksDue: (callbacks) => handToQueue(queue, callbacks, log),
    redriveDeadLetters: (limit) => queue.redriveDead(limit),
    observer: metrics.core,
    now: clock.now,
    publicUrl: () => publicUrlOf(run),
    platformKeys,
    jwksMaxAgeSeconds: config.jwksMaxAgeSeconds,
    currentTrace: tracing.current,
    callbackUrlProblem: async (target) => {
      const check = await guard.check(target);
      return check.ok ? undefined : check.problem;
    },
    publicKey: registeredKey,
    ping: startPing(run, platformKeys, clock.now),
    fetchJwks: async (target) => {
      try {
        return keysOf(await fetchKeySet(guard, target));
      } catch (error) {
        return { problem: (error as Error).message };
      }
    },
  };
  const core = createCore(context);
  started.defer(() => core.drain());
  keepSeenKeys(core, log, started);
  return { core, queue, database, clock: clock.now, platformKeys };
}

/** So old may be what operators read of when a key was used last. */
const seenKeysEveryMs = 60_000;

/** What was noted in the last minute is written down at the stop as well. */
function keepSeenKeys({ identity }: Core, log: Logger, started: AsyncDisposableStack): void {
  const keep = () =>
    identity.keepSeenKeys().catch((error: Error) => {
      log.warn({ problem: error.message }, "when keys were used last could not be written down");
    });
  const timer = setInterval(keep, seenKeysEveryMs).unref();
  started.defer(async () => {
    clearInterval(timer);
    await keep();
  });
}

/** What is configured, but never more than the server gives: the pools would be refused the rest again and again. */
function connectionsWithin(limit: number, configured: number, log: Logger): number {
  if (configured <= limit) return configured;
  log.warn({ configured, used: limit }, "PostgreSQL allows fewer connections than DATABASE_CONNECTIONS asks for");
  return limit;
}

/** A database that starts at the same time as the gateway is waited for; one that is not there then is a wrong address. */
const databasePatienceMs = 60_000;

async function whenThere<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + databasePatienceMs;
  for (let isFirst = true; ; isFirst = false) {
    try {
      return await work();
    } catch (error) {
      if (databaseFailure(error) !== "unavailable" || performance.now() > deadlineMs) throw error;
      if (isFirst) log.warn({ problem: (error as Error).message }, "the database does not answer yet; waiting for it");
      await delay(1_000);
    }
  }
}

async function startOwnDatabase(config: Config, log: Logger, started: AsyncDisposableStack): Promise<string> {
  const dataDir = join(config.dataDir, "postgres");
  await mkdir(config.dataDir, { recursive: true });
  log.info({ dataDir }, "starting the embedded PostgreSQL");
  const embedded = await startEmbeddedPostgres({
    dataDir,
    log: (line) => log.debug({ line }, "embedded PostgreSQL"),
    // Its own default is 100; this server is here for this process and a few people.
    settings: { max_connections: String(Math.max(100, config.databaseConnections + 20)) },
    // Its database is another gateway's now. Nobody awaits this: the process ends as after any error that nobody handles.
    onTakenOver: (problem) =>
      setImmediate(() => {
        throw problem;
      }),
  });
  started.defer(() => embedded.stop());
  return embedded.url;
}

function createQueue(config: Config, log: Logger): CallbackQueue {
  const rungDelaysMs = [...new Set(config.retryPolicy.waitsMs)];
  if (config.amqpUrl === undefined) return createLocalQueue({ log, rungDelaysMs });
  return createRabbitmqQueue({
    url: config.amqpUrl,
    topology: buildTopology({ prefix: config.amqpPrefix, rungDelaysMs }),
    log,
  });
}

/** After a commit: whatever the queue does not take, the relay finds again in the database. */
function handToQueue(queue: CallbackQueue, callbacks: readonly DueCallback[], log: Logger): void {
  if (callbacks.length === 0 || !queue.isReady()) return;
  publishDue(queue, callbacks).catch((error: Error) => {
    log.warn(
      { callbacks: callbacks.length, problem: error.message },
      "the queue is not available; callbacks will be late",
    );
  });
}

/** A separate encryption key names an algorithm that signs nothing; it is checked as the RSA key that it is. */
async function registeredKey(jwk: unknown): Promise<PublicJwk | { problem: string }> {
  const given = jwk as { use?: unknown; alg?: unknown; kty?: unknown } | null;
  // EdDSA is for what the platform signs; nothing that a participant signs is verified with it.
  if (given?.kty === "OKP")
    return { problem: "kty must be RSA or EC: a participant's key is for RS256, PS256 or ES256" };
  const isForEncryption = given?.use === "enc";
  const checked = isForEncryption ? { ...given, alg: undefined } : jwk;
  const imported = await importPublicKey(checked);
  if (!imported.ok) return { problem: imported.message };
  const alg = isForEncryption ? "RSA-OAEP-256" : imported.key.alg;
  return { ...imported.publicJwk, alg, kid: imported.key.kid } as PublicJwk;
}

function configuredUrlOf(config: Config): string {
  return config.publicUrl ?? `http://localhost:${config.restPort}`;
}

/** Where this deployment is reached; of a port that the system chose only once the server listens. */
function publicUrlOf({ config, urls }: Pick<Run, "config" | "urls">): string {
  return config.publicUrl ?? (urls.rest || configuredUrlOf(config));
}

/** The core of this process, or the one at CORE_URL. */
async function transportTo({ config, log, tracing, started }: Run, local: LocalCore | undefined): Promise<Transport> {
  if (config.coreUrl === undefined && local !== undefined) return inProcessTransport(local.core, log, tracing);
  const remote = remoteTransport(config.coreUrl ?? "", await callersToken(config), tracing, await callersCa(config));
  started.defer(async () => remote.close());
  return remote;
}

/** Linux keeps no more; with fewer a burst of new connections has some of them reset. */
const connectionBacklog = 4_096;

type RestNeeds = { clients: CoreClients; ready: () => Promise<DependencyState[]>; clock: () => Date };

async function startRest(run: Run, { clients, ready, clock }: RestNeeds): Promise<string> {
  const { config, log, metrics, tracing, edges } = run;
  let url = "";
  const app = createRestApp({
    clients,
    // Asked per request: the port may be known only once the server listens.
    get publicUrl() {
      return config.publicUrl ?? url;
    },
    log,
    clock,
    readiness: ready,
    metricsText: metrics.text,
    mayReadMetrics: metricsReaders(config.metricsAllowCidrs),
    requestDone: metrics.requestDone,
    tracing,
    openapi: {
      yaml: join(import.meta.dirname, "../openapi/dcm.v1.yaml"),
      json: join(import.meta.dirname, "../gen/rest/openapi.json"),
    },
  });
  const server = createRestServer(app, log);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: config.restPort, host: config.restHost, backlog: connectionBacklog }, () => resolve());
  });
  url = `http://localhost:${(server.address() as AddressInfo).port}`;
  edges.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        // A caller that keeps its request open longer than any of ours takes is not waited for.
        setTimeout(() => server.closeAllConnections(), 15_000).unref();
      }),
  );
  return url;
}

const probeTimeoutMs = 2_000;

/** What this process needs, and whether it is there; a missing queue delays callbacks but stops nothing. */
async function readiness(local: LocalCore | undefined, clients: CoreClients): Promise<DependencyState[]> {
  if (local === undefined) {
    return [await probe("core", clients.participants.listParticipants({ pageSize: 1 }, { timeoutMs: probeTimeoutMs }))];
  }
  const { database, queue } = local;
  return [
    await probe("database", database.ping(probeTimeoutMs)),
    queue.isReady()
      ? { dependency: "queue", ok: true }
      : { dependency: "queue", ok: false, problem: "not connected; callbacks wait in the database" },
  ];
}

async function probe(dependency: string, answer: Promise<unknown>): Promise<DependencyState> {
  try {
    await answer;
    return { dependency, ok: true };
  } catch (error) {
    // Addresses and credentials can stand in such messages; the code says enough.
    const code = (error as { code?: unknown }).code;
    if (code === Code.Unauthenticated || code === Code.PermissionDenied) {
      return { dependency, ok: false, problem: "does not take this process's credential (RPC_TOKEN)" };
    }
    return { dependency, ok: false, problem: typeof code === "string" ? code : "no answer" };
  }
}
