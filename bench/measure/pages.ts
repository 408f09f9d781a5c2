import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { BankRole } from "../../gen/dcm/v1/participant_pb.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { makeIban } from "../../src/sandbox/samples.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import type { Bench } from "../bench.ts";
import type { Gateway } from "../gateway.ts";
import { query } from "../services.ts";
import { percentiles } from "../statistics.ts";
import { meterCpu, rssMib } from "../usage.ts";
import { gatewayCredential } from "./roles.ts";

export type PagesPlan = {
  /** Payments that count for nothing: they warm all processes. */
  warmUp: number;
  streams: number;
  paymentsPerSecond: number;
  views: number;
};

export type PagesResult = {
  streams: number;
  /** The resident memory of the larger REST process, with half of the streams open. */
  rssMb: number;
  /** From the instant of a change, by the database's clock, until a page has heard of it. */
  p99NotifyMs: number;
  maxNotifyMs: number;
  /** Processor time of a gateway in one process for a page, be it with 13 banks or with a code. */
  cpuMsPerPage: number;
  /** The same of REST and core together, each in a process of its own. */
  cpuMsPerPageApart: number;
};

const banks = 13;
const openedAtOnce = 32;
const viewers = 4;

/** Pages of orders, live: two REST processes before one core, a payment for every order that somebody watches. */
export async function measurePages(bench: Bench, plan: PagesPlan): Promise<PagesResult> {
  const databaseUrl = await bench.services.createDatabase("bench_pages", bench.template);
  const common = { databaseUrl, amqp: { url: bench.services.amqpUrl, prefix: "bench-pages" } };
  const core = await bench.startGateway({ ...common, roles: ["core", "worker"] });
  await registerBanks(core);
  const secret = await gatewayCredential(core);
  const settings = { CORE_URL: core.rpcUrl, RPC_TOKEN: secret };
  const rests = [
    await bench.startGateway({ ...common, roles: ["rest"], settings }),
    await bench.startGateway({ ...common, roles: ["rest"], settings }),
  ];
  const [first, second] = rests as [Gateway, Gateway];
  const pay = (count: number) =>
    bench.send(databaseUrl, { url: first.restUrl, connections: 16, count, ratePerSecond: plan.paymentsPerSecond });
  await bench.prepare(plan.warmUp, [databaseUrl]);
  await pay(plan.warmUp);
  const watched = await bench.prepare(plan.streams, [databaseUrl]);
  const seen: Seen[] = [];
  const watching: Promise<void>[] = [];
  // Payers come one after the other, not a thousand at once.
  for (const [place, guid] of watched.orderGuids.entries()) {
    watching.push(watch(place % 2 === 0 ? first : second, guid, seen));
    while (watching.length - seen.length > openedAtOnce) await sleep(1);
  }
  while (seen.length < plan.streams) await sleep(20);
  const rssMb = Math.max(...rests.map(({ pid }) => rssMib(pid)));
  await pay(plan.streams);
  await Promise.all(watching);
  const delays = await delaysOf(databaseUrl, seen);
  if (delays.length !== 2 * plan.streams) throw new Error(`${delays.length} changes were seen of ${2 * plan.streams}`);

  const viewed = await bench.prepare(plan.views, [databaseUrl]);
  const cpuMsPerPageApart = await cpuMsOfPages(first, [core, ...rests], viewed.orderGuids);
  await Promise.all(rests.map((rest) => rest.stop()));
  await core.stop();
  const whole = await bench.startGateway(common);
  const cpuMsPerPage = await cpuMsOfPages(whole, [whole], viewed.orderGuids);
  await whole.stop();
  return {
    streams: plan.streams,
    rssMb: Math.round(rssMb),
    p99NotifyMs: Math.round(percentiles(delays).p99),
    maxNotifyMs: Math.round(Math.max(...delays)),
    cpuMsPerPage,
    cpuMsPerPageApart,
  };
}

/** Registers the banks of a list of links. */
async function registerBanks({ rpcUrl, operatorToken }: Gateway): Promise<void> {
  const transport = remoteTransport(rpcUrl, operatorToken);
  const { participants } = createClients(transport);
  for (let place = 0; place < banks; place++) await registerBank(participants, String(310_000 + place));
  transport.close();
}

async function registerBank(participants: CoreClients["participants"], bic: string): Promise<void> {
  const { publicJwk } = await generateKeyPair("RS256", bic);
  await participants.registerBank({
    bank: {
      name: `Bank ${bic}`,
      taxCode: `10${bic}`,
      bic,
      roles: [BankRole.INITIATOR],
      iban: makeIban(bic, 1),
      callbackUrls: { base: "http://127.0.0.1:9/callbacks" },
      signingJwks: [JSON.stringify(publicJwk)],
      email: "duty@bank.example",
      deepLinkPrefix: `bank${bic}://pay/`,
    },
  });
}

type Seen = { orderGuid: string; state: string; atMs: number };

const agent = new Agent({ connections: null, bodyTimeout: 0 });

/** Follows an order to its end, and notes when each state came. */
async function watch({ restUrl }: Gateway, orderGuid: string, seen: Seen[]): Promise<void> {
  const answer = await request(`${restUrl}/api/v1/merchants/order/events?id=${orderGuid}`, { dispatcher: agent });
  if (answer.statusCode !== 200) throw new Error(`a stream was answered ${answer.statusCode}`);
  for await (const piece of answer.body) {
    const atMs = Date.now();
    for (const [, state = ""] of String(piece).matchAll(/"state":"(\w+)"/g)) seen.push({ orderGuid, state, atMs });
  }
}

/** How long after each change its page heard of it, in milliseconds. */
async function delaysOf(databaseUrl: string, seen: readonly Seen[]): Promise<number[]> {
  const rows = await query<{ guid: string; processing: number; paid: number }>(
    databaseUrl,
    `select order_guid as guid, extract(epoch from received_at)::float8 * 1000 as processing,
       extract(epoch from decided_at)::float8 * 1000 as paid from payment_message`,
  );
  const changedAt = new Map(rows.map(({ guid, ...at }) => [guid, at]));
  return seen.flatMap(({ orderGuid, state, atMs }) => {
    const at = changedAt.get(orderGuid)?.[state as "processing" | "paid"];
    return at === undefined ? [] : [Math.max(0, atMs - at)];
  });
}

/** Processor time of these processes for each of the two views of an order, in milliseconds, when they are opened again. */
async function cpuMsOfPages(from: Gateway, of: readonly Gateway[], orderGuids: readonly string[]): Promise<number> {
  const addresses = orderGuids.flatMap((guid) =>
    [0, 1].map((mobile) => `${from.restUrl}/api/v1/merchants/order?id=${guid}&mobile=${mobile}`),
  );
  // The code and the signature of an order are made at its first view.
  await view(addresses);
  const spent = meterCpu(of.map(({ pid }) => ({ name: String(pid), pid })));
  await view(addresses);
  const cpuMs = Object.values(spent()).reduce((sum, ms) => sum + ms, 0);
  return cpuMs / addresses.length;
}

/** Opens each page, a few at a time. */
async function view(addresses: readonly string[]): Promise<void> {
  const headers = { "Accept-Encoding": "gzip", Accept: "text/html" };
  const left = addresses.values();
  const viewer = async () => {
    for (const address of left) {
      const answer = await request(address, { dispatcher: agent, headers });
      await answer.body.arrayBuffer();
      if (answer.statusCode !== 200) throw new Error(`a page was answered ${answer.statusCode}`);
    }
  };
  await Promise.all(Array.from({ length: viewers }, viewer));
}
