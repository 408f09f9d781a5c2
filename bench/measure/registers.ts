import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Client } from "undici";
import { ACCESS_HEADER, createAccessToken } from "../../src/sdk/access.ts";
import { importKeyPair } from "../../src/sdk/keys.ts";
import { type Bench, expectAllAccepted, say } from "../bench.ts";
import type { CastBank } from "../cast.ts";
import type { Gateway } from "../gateway.ts";
import { insertMarketDay } from "../market.ts";
import { type Print, printTable, rounded } from "../report.ts";
import { query } from "../services.ts";
import { median } from "../statistics.ts";
import { closeDay, watchMemory } from "./closing.ts";
import { CONNECTIONS } from "./intake.ts";
import { ratio } from "./rounds.ts";

/** A gateway on a database whose days are closed; one register has `payments` of its own, beside as many of all pairs. */
export type Site = { payments: number; gateway: Gateway; reader: CastBank; registerId: string };

export type SitePlan = {
  name: string;
  /** A database with `payments` of the market day. */
  databaseUrl: string;
  marketDay: string;
  /** The day of the one large register. */
  registerDay: string;
  payments: number;
};

export async function openSite(bench: Bench, plan: SitePlan): Promise<Site> {
  const { name, databaseUrl, payments } = plan;
  const [reader, creditor] = bench.cast.initiators as [CastBank, CastBank];
  say(`Inserting and closing a register of ${payments} payments beside ${payments} others …`);
  await insertMarketDay(databaseUrl, { day: plan.registerDay, payments, pairs: [[reader, creditor]] });
  const amqp = { url: bench.services.amqpUrl, prefix: `bench-${name}` };
  const closing = await bench.startGateway({ databaseUrl, amqp, roles: ["core"] });
  for (const day of [plan.marketDay, plan.registerDay]) await closeDay(closing, day);
  await closing.stop();
  // As autovacuum leaves the tables within minutes.
  for (const text of ["vacuum analyze", "checkpoint"]) await query(databaseUrl, text);
  const [register] = await query<{ id: string }>(
    databaseUrl,
    "select id from settlement_register where payment_count = $1 and debtor_agent_guid = $2",
    [payments, reader.guid],
  );
  if (register === undefined) throw new Error(`No register has all ${payments} payments`);
  const gateway = await bench.startGateway({ databaseUrl, amqp });
  return { payments, gateway, reader, registerId: register.id };
}

const listPath = ({ reader }: Site) => `/api/v1/counterparty/${reader.guid}/gross-settlement`;
const wholePath = (site: Site) => `${listPath(site)}/${site.registerId}`;
const pagePath = (site: Site) => `${wholePath(site)}?payments_limit=500`;

/** A token is good for one request. */
async function accessHeaders({ reader }: Site): Promise<Record<string, string>> {
  const key = await importKeyPair(reader.privateJwk);
  return { [ACCESS_HEADER]: await createAccessToken(key, new Date(), randomUUID()) };
}

const READS = 300;
const WARM_READS = 30;

export type ReadRatios = { listRatio: number; byIdRatio: number };

/** Median times of the same reads on both sites, request by request in turn: how much the number of payments matters. */
export async function measureReads(small: Site, large: Site, print: Print): Promise<ReadRatios> {
  const list = await readTimes([small, large], listPath);
  const page = await readTimes([small, large], pagePath);
  printTable(
    "Reads of registers, median of one request at a time",
    ["read", `beside ${small.payments}`, `beside ${large.payments}`, "large ÷ small"],
    (
      [
        ["list of registers", list],
        ["first 500 payments of a register", page],
      ] as const
    ).map(([name, [few = 0, many = 0]]) => [name, milliseconds(few), milliseconds(many), String(rounded(many / few))]),
    print,
  );
  const quotient = ([few = Number.NaN, many = Number.NaN]: number[]) => rounded(many / few);
  return { listRatio: quotient(list), byIdRatio: quotient(page) };
}

const milliseconds = (ms: number) => `${ms.toFixed(1)} ms`;

/** The median of each site. */
async function readTimes(sites: readonly Site[], pathOf: (site: Site) => string): Promise<number[]> {
  const sides = sites.map((site) => ({ site, client: new Client(site.gateway.restUrl), tookMs: [] as number[] }));
  for (let number = 0; number < WARM_READS + READS; number++) {
    for (const { site, client, tookMs } of number % 2 === 0 ? sides : sides.toReversed()) {
      const headers = await accessHeaders(site);
      const startedAt = performance.now();
      const answer = await client.request({ method: "GET", path: pathOf(site), headers });
      const text = await answer.body.text();
      if (number >= WARM_READS) tookMs.push(performance.now() - startedAt);
      if (answer.statusCode !== 200) throw new Error(`${pathOf(site)}: ${answer.statusCode} ${text}`);
    }
  }
  await Promise.all(sides.map(({ client }) => client.close()));
  return sides.map(({ tookMs }) => median(tookMs));
}

/** What starting took is let go before the memory at rest is read. */
const SETTLING_MS = 3_000;

/** MiB that the gateway's memory grows by while it answers a whole register. It has answered nothing before. */
export async function measureStream(site: Site, print: Print): Promise<number> {
  await sleep(SETTLING_MS);
  const memory = watchMemory(site.gateway.pid);
  const startedAt = performance.now();
  const { payments, bytes } = await readWhole(site);
  const took = (performance.now() - startedAt) / 1_000;
  const { idleMib, peakMib } = memory();
  if (payments !== site.payments) throw new Error(`The register of ${site.payments} was answered with ${payments}`);
  print(
    `\nA register of ${payments} payments, ${Math.round(bytes / 2 ** 20)} MiB, answered in ${took.toFixed(1)} s: ` +
      `${Math.round(idleMib)} MiB at rest, ${Math.round(peakMib)} MiB at most`,
  );
  return Math.round(peakMib - idleMib);
}

/** Stands once in each payment of the answer. */
const MARK = Buffer.from('"payment_message_guid"');

async function readWhole(site: Site, signal?: AbortSignal): Promise<{ payments: number; bytes: number }> {
  const client = new Client(site.gateway.restUrl, { bodyTimeout: 0, headersTimeout: 0 });
  const request = { method: "GET", path: wholePath(site), headers: await accessHeaders(site) } as const;
  const answer = await client.request(signal === undefined ? request : { ...request, signal });
  if (answer.statusCode !== 200) throw new Error(`${request.path}: ${answer.statusCode} ${await answer.body.text()}`);
  let [payments, bytes, tail] = [0, 0, Buffer.alloc(0)];
  for await (const chunk of answer.body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    // A mark may be cut in two by the ends of chunks.
    const text = Buffer.concat([tail, chunk]);
    for (let at = text.indexOf(MARK); at !== -1; at = text.indexOf(MARK, at + 1)) payments += 1;
    tail = text.subarray(-(MARK.length - 1));
  }
  await client.close();
  return { payments, bytes };
}

const ORDERS_A_SECOND = 50;

export type LatencyPlan = { rounds: number; seconds: number };

/** p99 of new orders while the whole register is read again and again ÷ alone, the median of the rounds' own ratios. */
export async function measureOrdersBeside(bench: Bench, site: Site, plan: LatencyPlan, print: Print): Promise<number> {
  const count = ORDERS_A_SECOND * plan.seconds;
  const p99Ms: Record<"alone" | "beside", number[]> = { alone: [], beside: [] };
  const p50Ms: typeof p99Ms = { alone: [], beside: [] };
  async function orders(side: keyof typeof p99Ms): Promise<void> {
    await bench.generator.call("prepareOrders", count);
    const reading = side === "beside" ? keepReading(site) : undefined;
    const load = { url: site.gateway.restUrl, connections: CONNECTIONS, count, ratePerSecond: ORDERS_A_SECOND };
    const result = await bench.send(undefined, load).finally(() => reading?.stop());
    expectAllAccepted(`orders ${side}`, result, count);
    p99Ms[side].push(result.latencyMs.p99);
    p50Ms[side].push(result.latencyMs.p50);
    say(`Orders ${side}: p50 ${milliseconds(result.latencyMs.p50)}, p99 ${milliseconds(result.latencyMs.p99)}`);
  }
  // The first orders of a process are slow whatever stands beside them.
  await orders("alone");
  for (const side of ["alone", "beside"] as const) [p99Ms[side], p50Ms[side]] = [[], []];
  for (let number = 1; number <= plan.rounds; number++) {
    for (const side of number % 2 === 1 ? (["alone", "beside"] as const) : (["beside", "alone"] as const)) {
      await orders(side);
    }
  }
  printTable(
    `New orders, ${ORDERS_A_SECOND} a second, while a register of ${site.payments} payments is read`,
    ["side", "p50", "p99", "rounds p99"],
    (["alone", "beside"] as const).map((side) => [
      ...[side, milliseconds(median(p50Ms[side])), milliseconds(median(p99Ms[side]))],
      p99Ms[side].map(milliseconds).join(" "),
    ]),
    print,
  );
  return rounded(ratio(p99Ms, "beside", "alone"));
}

/** Reads the whole register, one time after the other, until it is stopped. */
function keepReading(site: Site): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const reading = (async () => {
    while (!stopping.signal.aborted) await readWhole(site, stopping.signal);
  })();
  const ended = reading.catch((error: Error) => {
    if (!stopping.signal.aborted) throw error;
  });
  // Told where it is awaited.
  ended.catch(() => undefined);
  return {
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}
