import { limits } from "../../gen/rest/limits.ts";
import { createCallbackClient } from "../callbacks/client.ts";
import { createPing } from "../callbacks/ping.ts";
import type { Config } from "../config.ts";
import type { CoreContext, DueCallback, PlatformKeys } from "../core/context.ts";
import { type Core, createCore } from "../core/core.ts";
import { createGuids } from "../core/guid.ts";
import { createOrderChanges, type OrderChange } from "../core/orderChanges.ts";
import { followDatabaseClock } from "../db/clock.ts";
import type { Database } from "../db/database.ts";
import { createNotices, listenForNotices } from "../db/notices.ts";
import type { PublicJwk } from "../domain/participant.ts";
import { masterKeysOf } from "../masterKey.ts";
import type { Logger } from "../observe/log.ts";
import { fetchKeySet, keysOf } from "../outbound/keySet.ts";
import { fetchLogo } from "../outbound/logo.ts";
import { startPlatformKeys } from "../platformKeys.ts";
import { publishDue } from "../queue/due.ts";
import { createLocalQueue } from "../queue/local.ts";
import type { CallbackQueue } from "../queue/queue.ts";
import { createRabbitmqQueue } from "../queue/rabbitmq.ts";
import { buildTopology } from "../queue/topology.ts";
import { repeat } from "../repeat.ts";
import { importPublicKey } from "../sdk/keys.ts";
import { paymentStates } from "../wire/enums.ts";
import { startDatabase } from "./database.ts";
import { publicUrlOf, type Run, signerOf } from "./run.ts";

export type LocalCore = {
  core: Core;
  queue: CallbackQueue;
  database: Database;
  platformKeys: PlatformKeys;
  newGuid: () => string;
};

/** Starts the core with its database and queue, for the roles core and worker, which have it in their own process. */
export async function startLocalCore(run: Run): Promise<LocalCore> {
  const { config, log, parts, guard, metrics, tracing, started } = run;
  const masterKeys = await masterKeysOf(config);
  const database = await startDatabase(run);
  const clock = await followDatabaseClock(database.sql);
  started.defer(() => clock.stop());
  const platformKeys = await startPlatformKeys(config, log, { database, masterKeys, now: clock.now });
  started.defer(() => platformKeys.stop());
  const queue = createQueue(config, log);
  started.defer(() => queue.close());
  metrics.watchBacklog(database, queue);
  const news = startOrderNews(run, database);
  const newGuid = parts.newGuid ?? createGuids(clock.now);
  const context: CoreContext = {
    db: database,
    onOrdersChanged: news.tell,
    orderChanges: news.changes,
    newGuid,
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
    ping: startPing(run, { platformKeys, now: clock.now, newGuid }),
    fetchLogo: (target) => fetchLogo(guard, target),
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
  return { core, queue, database, platformKeys, newGuid };
}

/** The channel that carries changes of orders between processes. */
const orderChannel = "dcm_order_changes";

/**
 * Changes of orders, told to every process and heard by those that answer for the core. One that changed in this process is heard in
 * the same way.
 */
function startOrderNews({ config, log, started, edges }: Run, database: Database) {
  const notices = createNotices(database.sql, orderChannel, (problem, orders) =>
    log.warn({ problem, orders }, "pages of orders will hear of a change late"),
  );
  started.defer(() => notices.stop());
  const changes = createOrderChanges();
  if (config.roles.includes("core")) {
    const listener = listenForNotices({
      url: database.url,
      channel: orderChannel,
      heard: (items) => changes.heard(items.filter(isOrderChange)),
      begun: changes.gap,
      failed: (problem, inARow) => {
        if (inARow === 1) log.warn({ problem }, "changes of orders are not heard; it is tried again");
      },
    });
    started.defer(() => listener.stop());
    edges.push(async () => changes.release());
  }
  return { tell: notices.tell, changes };
}

/** Whether a notice says what this version understands: a newer one may know more states. */
function isOrderChange(item: unknown): item is OrderChange {
  const { orderGuid, state } = (item ?? {}) as Partial<Record<keyof OrderChange, unknown>>;
  return typeof orderGuid === "string" && typeof state === "string" && Object.hasOwn(paymentStates, state);
}

/** The answer to a ping carries up to eight signatures, and is kept whole to verify them. */
const keptPingBytes = limits.callbackAnswerBytes;

type PingNeeds = { platformKeys: PlatformKeys; now: () => Date; newGuid: () => string };

function startPing({ config, guard, started }: Run, { platformKeys, now, newGuid }: PingNeeds) {
  const { attemptTimeoutMs } = config.retryPolicy;
  // Unlike for callbacks the body is what matters, so it may take the whole time of an attempt.
  const body = { keptAnswerBytes: keptPingBytes, bodyTimeMs: attemptTimeoutMs };
  const client = createCallbackClient({ guard, attemptTimeoutMs, ...body });
  started.defer(() => client.close());
  return createPing({ client, signer: signerOf(config, platformKeys), now, newGuid });
}

/** How often the times of last use of keys are written, and so how old they may be when operators read them. */
const seenKeysEveryMs = 60_000;

/** Writes the times of last use of keys once a minute, and once more at the stop. */
function keepSeenKeys({ identity }: Core, log: Logger, started: AsyncDisposableStack): void {
  const failed = (problem: string) => log.warn({ problem }, "when keys were used last could not be written down");
  const keeping = repeat({ everyMs: seenKeysEveryMs, round: identity.keepSeenKeys, failed, pausesFirst: true });
  started.defer(async () => {
    await keeping.stop();
    await identity.keepSeenKeys().catch((error: Error) => failed(error.message));
  });
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

/** Hands tickets to the queue after a commit. Those that the queue does not take are published later by the relay (outbox). */
function handToQueue(queue: CallbackQueue, callbacks: readonly DueCallback[], log: Logger): void {
  if (callbacks.length === 0 || !queue.isReady()) return;
  publishDue(queue, callbacks).catch((error: Error) => {
    log.warn(
      { callbacks: callbacks.length, problem: error.message },
      "the queue is not available; callbacks will be late",
    );
  });
}

/**
 * Checks and normalises a participant's key. An encryption key names an algorithm that signs nothing, so it is checked as an RSA
 * key.
 */
async function registeredKey(jwk: unknown): Promise<PublicJwk | { problem: string }> {
  const given = jwk as { use?: unknown; alg?: unknown; kty?: unknown } | null;
  // EdDSA is for the platform's own signatures; participants cannot sign with it.
  if (given?.kty === "OKP")
    return { problem: "kty must be RSA or EC: a participant's key is for RS256, PS256 or ES256" };
  const isForEncryption = given?.use === "enc";
  const checked = isForEncryption ? { ...given, alg: undefined } : jwk;
  const imported = await importPublicKey(checked);
  if (!imported.ok) return { problem: imported.message };
  const alg = isForEncryption ? "RSA-OAEP-256" : imported.key.alg;
  return { ...imported.publicJwk, alg, kid: imported.key.kid } as PublicJwk;
}
