import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { createFifo } from "../../src/queue/delayLine.ts";
import { ACCESS_HEADER, createAccessToken } from "../../src/sdk/access.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { importKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import type { Cast } from "../cast.ts";
import { serveCommands } from "../child.ts";
import { type Batch, orderClaims, paymentClaims, type Sealed, seal, sidesOf } from "../payments.ts";
import { type Percentiles, percentiles } from "../statistics.ts";

// The load: signed requests are made before the clock starts, so that sending them costs little of the machine.

/** `orderGuid`: of the order that is paid; an order that is created has none yet. */
type Prepared = { orderGuid: string; path: string; headers: Record<string, string>; body: string };

export type LoadOptions = {
  url: string;
  connections: number;
  /** Absent: every connection sends its next request when the last one is answered. */
  ratePerSecond?: number;
  /** Only a part of the prepared batch: the requests are used up in order. */
  count: number;
};

export type LoadResult = {
  seconds: number;
  /** Answers by status, and requests without an answer by the error that the connection ended with. */
  statuses: Record<string, number>;
  /** Accepted until the last request was sent: what came through while the load lasted. */
  acceptedInTime: number;
  offeredSeconds: number;
  /** Refusals for overload that did not say when to come back. */
  withoutRetryAfter: number;
  latencyMs: Percentiles;
  /** Accepted orders with the instant (epoch) at which each request was due to be sent. */
  accepted: { orderGuid: string; sentAtMs: number }[];
};

let cast: Cast;
let keys: Map<string, KeyPair>;
let sealed: Map<string, Sealed>;
let prepared: Prepared[] = [];

async function join(given: Cast): Promise<void> {
  cast = given;
  const pairs = cast.initiators.map(async (bank) => [bank.guid, await importKeyPair(bank.privateJwk)] as const);
  keys = new Map(await Promise.all(pairs));
  sealed = new Map(await Promise.all(cast.recipients.map(async (bank) => [bank.guid, await seal(bank)] as const)));
}

/** As many signatures at a time as keep the thread pool busy. */
const SIGNED_AT_ONCE = 16;

async function prepare(batch: Batch): Promise<void> {
  prepared = await signAll(batch.orderGuids.length, (index) => signOne(batch, index));
}

/** Requests that create orders, of all merchants in turn. */
async function prepareOrders(count: number): Promise<void> {
  const merchants = await Promise.all(
    cast.merchants.map(async (merchant) => ({ merchant, key: await importKeyPair(merchant.privateJwk) })),
  );
  prepared = await signAll(count, async (index) => {
    const { merchant, key } = merchants[index % merchants.length] as (typeof merchants)[number];
    const jwt = await signJws(orderClaims(merchant, randomUUID()), key);
    const headers = { "Content-Type": "application/json" };
    return { orderGuid: "", path: "/api/v1/merchants/order", headers, body: JSON.stringify({ jwt }) };
  });
}

async function signAll(count: number, sign: (index: number) => Promise<Prepared>): Promise<Prepared[]> {
  const made: Prepared[] = new Array(count);
  let next = 0;
  async function signNext() {
    for (let index = next++; index < made.length; index = next++) made[index] = await sign(index);
  }
  await Promise.all(Array.from({ length: SIGNED_AT_ONCE }, signNext));
  return made;
}

async function signOne(batch: Batch, index: number): Promise<Prepared> {
  const number = batch.firstNumber + index * batch.step;
  const orderGuid = batch.orderGuids[index] as string;
  const { initiator, recipient } = sidesOf(cast, number);
  const key = keys.get(initiator.guid) as KeyPair;
  const [access, jwt] = await Promise.all([
    createAccessToken(key, new Date(), randomUUID()),
    signJws(paymentClaims(cast, number, orderGuid, sealed.get(recipient.guid) as Sealed), key),
  ]);
  return {
    orderGuid,
    path: `/api/v1/counterparty/${initiator.guid}/payment-message`,
    headers: { "Content-Type": "application/json", [ACCESS_HEADER]: access },
    body: JSON.stringify({ jwt }),
  };
}

/** Sends the next requests; `keep` leaves them prepared for the next side of the same round. */
async function run(options: LoadOptions & { keep?: boolean }): Promise<LoadResult> {
  const requests = options.keep ? prepared.slice(0, options.count) : prepared.splice(0, options.count);
  if (requests.length < options.count) throw new Error(`${options.count} requests wanted, ${requests.length} prepared`);
  const connections = openConnections(options.url, options.connections);
  const tally = newTally();
  const startedAt = performance.now();
  try {
    if (options.ratePerSecond === undefined) await sendInTurn(connections, requests, options.connections, tally);
    else await sendAtRate(connections, requests, options.ratePerSecond, tally);
    return resultOf(tally, startedAt);
  } finally {
    await connections.close();
  }
}

/** Connections with one request each; undici's own pool looks through all of them for every request, which is a load. */
function openConnections(url: string, count: number) {
  const all = Array.from({ length: count }, () => new Client(url, { pipelining: 1, headersTimeout: 30_000 }));
  const free = [...all];
  const waiting = createFifo<(client: Client) => void>();
  return {
    take: async (): Promise<Client> => free.pop() ?? (await new Promise<Client>((resolve) => waiting.push(resolve))),
    release(client: Client): void {
      const next = waiting.shift();
      if (next) next(client);
      else free.push(client);
    },
    close: () => Promise.all(all.map((client) => client.close())),
  };
}
type Connections = ReturnType<typeof openConnections>;

const newTally = () => ({
  statuses: {} as Record<string, number>,
  latenciesMs: [] as number[],
  accepted: [] as { orderGuid: string; sentAtMs: number }[],
  acceptedAt: [] as number[],
  withoutRetryAfter: 0,
  lastSentAt: 0,
});
type Tally = ReturnType<typeof newTally>;

function resultOf(tally: Tally, startedAt: number): LoadResult {
  return {
    seconds: (performance.now() - startedAt) / 1000,
    statuses: tally.statuses,
    acceptedInTime: tally.acceptedAt.filter((at) => at <= tally.lastSentAt).length,
    offeredSeconds: (tally.lastSentAt - startedAt) / 1000,
    withoutRetryAfter: tally.withoutRetryAfter,
    latencyMs: percentiles(tally.latenciesMs),
    accepted: tally.accepted,
  };
}

async function sendInTurn(
  connections: Connections,
  requests: readonly Prepared[],
  atOnce: number,
  tally: Tally,
): Promise<void> {
  let next = 0;
  async function sendNext() {
    for (let index = next++; index < requests.length; index = next++) {
      await send(connections, requests[index] as Prepared, performance.now(), tally);
    }
  }
  await Promise.all(Array.from({ length: atOnce }, sendNext));
}

/** Late requests count from the instant they were due, so that a stall is not hidden by the pause that it causes. */
async function sendAtRate(
  connections: Connections,
  requests: readonly Prepared[],
  ratePerSecond: number,
  tally: Tally,
) {
  const startedAt = performance.now();
  const dueAt = (index: number) => startedAt + (index * 1_000) / ratePerSecond;
  const sent: Promise<void>[] = [];
  for (let index = 0; index < requests.length; ) {
    for (; index < requests.length && dueAt(index) <= performance.now(); index++) {
      sent.push(send(connections, requests[index] as Prepared, dueAt(index), tally));
    }
    await sleep(2);
  }
  await Promise.all(sent);
}

async function send(connections: Connections, request: Prepared, dueAt: number, tally: Tally): Promise<void> {
  tally.lastSentAt = performance.now();
  let status: number | string;
  let retryAfter: unknown;
  const client = await connections.take();
  try {
    const { path, headers, body } = request;
    const answer = await client.request({ method: "POST", path, headers, body });
    await answer.body.dump();
    status = answer.statusCode;
    retryAfter = answer.headers["retry-after"];
  } catch (error) {
    // What became of the request is seen in the database.
    status = (error as { code?: string }).code ?? (error as Error).name;
  } finally {
    connections.release(client);
  }
  const now = performance.now();
  tally.statuses[status] = (tally.statuses[status] ?? 0) + 1;
  if (status === 503 && retryAfter === undefined) tally.withoutRetryAfter += 1;
  if (status !== 201) return;
  tally.latenciesMs.push(now - dueAt);
  tally.acceptedAt.push(now);
  tally.accepted.push({ orderGuid: request.orderGuid, sentAtMs: performance.timeOrigin + dueAt });
}

serveCommands({ join, prepare, prepareOrders, run });
