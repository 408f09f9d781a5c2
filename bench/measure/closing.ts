import { setTimeout as sleep } from "node:timers/promises";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { type Bench, say } from "../bench.ts";
import type { Gateway } from "../gateway.ts";
import { type Print, printTable, rounded } from "../report.ts";
import { query } from "../services.ts";
import { median } from "../statistics.ts";
import { type Metered, meterCpu, rssMib } from "../usage.ts";
import { ratio } from "./rounds.ts";

/** Longer than any closing takes. */
const CLOSING_DEADLINE_MS = 600_000;

/** Closes a day through the gateway's own RPC; answers how many registers it made. */
export async function closeDay(gateway: Gateway, day: string): Promise<number> {
  const transport = remoteTransport(gateway.rpcUrl, gateway.operatorToken);
  try {
    const { settlements } = createClients(transport);
    const { registers } = await settlements.closeRegisters({ day }, { timeoutMs: CLOSING_DEADLINE_MS });
    return registers.length;
  } finally {
    transport.close();
  }
}

/** The highest resident memory of a process from now on, beside what it is now. */
export function watchMemory(pid: number) {
  const idleMib = rssMib(pid);
  let peakMib = idleMib;
  const sampling = setInterval(() => {
    peakMib = Math.max(peakMib, rssMib(pid));
  }, 20);
  return () => {
    clearInterval(sampling);
    return { idleMib, peakMib };
  };
}

/**
 * What a closing cannot do without, and nothing else: the same rows get a register and a fee. One register for all and one
 * rate are the cheapest that there is, one statement needs one commit, and the table is read once from end to end.
 */
const bareText = `
  update payment_message set register_id = 'bare', fee_minor = (amount_minor * 25 + 5000) / 10000
  where status = 'success' and register_id is null`;

/** `loaded`: the name of a database that has the payments of `day`, and nobody connected to it. */
export type ClosingPlan = { loaded: string; day: string; rounds: number };

type Side = "bare" | "closing";
type Round = { tookMs: number; cpuMs: number };

/**
 * Both sides of a round work on copies of one loaded database, file by file the same: neither meets the dead rows, the torn
 * indexes or the warm caches of the other. A checkpoint before each one gives both the same way to the next, and sides take
 * turns at being first. Answers closing ÷ bare update.
 */
export async function measureClosing(bench: Bench, plan: ClosingPlan, print: Print): Promise<number> {
  const rounds: Record<Side, Round[]> = { bare: [], closing: [] };
  const growthMib: number[] = [];
  const measure: Record<Side, (databaseUrl: string) => Promise<Round>> = {
    bare: (databaseUrl) => measureBareUpdate(bench, databaseUrl),
    closing: (databaseUrl) => measureOneClosing(bench, databaseUrl, plan.day, (mib) => growthMib.push(mib)),
  };
  for (let number = 1; number <= plan.rounds; number++) {
    for (const side of number % 2 === 1 ? (["bare", "closing"] as const) : (["closing", "bare"] as const)) {
      const databaseUrl = await bench.services.copyDatabase("bench_closing", plan.loaded);
      const round = await measure[side](databaseUrl);
      await bench.services.dropDatabase("bench_closing");
      rounds[side].push(round);
      say(`Closing, round ${number} of ${plan.rounds}: ${side} ${seconds(round.tookMs)}`);
    }
  }
  const times = { bare: rounds.bare.map(tookMsOf), closing: rounds.closing.map(tookMsOf) };
  const closeRatio = rounded(ratio(times, "closing", "bare"));
  printTable(
    "Closing of a day beside one bare update of the same rows",
    ["side", "median", "rounds", "CPU"],
    (["bare", "closing"] as const).map((side) => [
      ...[side, seconds(median(times[side])), times[side].map(seconds).join(" ")],
      seconds(median(rounds[side].map(({ cpuMs }) => cpuMs))),
    ]),
    print,
  );
  print(
    `closing ÷ bare ${closeRatio} · memory of the closing process grew by ${growthMib.map(Math.round).join(", ")} MiB`,
  );
  return closeRatio;
}

const tookMsOf = ({ tookMs }: Round) => tookMs;
const seconds = (ms: number) => `${(ms / 1_000).toFixed(1)} s`;

/** Processor time tells what a busy machine hides: how much work there was. */
async function timed(bench: Bench, processes: readonly Metered[], work: () => Promise<unknown>): Promise<Round> {
  const spent = meterCpu([...bench.services.processes, ...processes]);
  const startedAt = performance.now();
  await work();
  const tookMs = performance.now() - startedAt;
  return { tookMs, cpuMs: Object.values(spent()).reduce((sum, ms) => sum + ms, 0) };
}

async function measureBareUpdate(bench: Bench, databaseUrl: string): Promise<Round> {
  await query(databaseUrl, "checkpoint");
  return timed(bench, [], () => query(databaseUrl, bareText));
}

async function measureOneClosing(
  bench: Bench,
  databaseUrl: string,
  day: string,
  grewBy: (mib: number) => void,
): Promise<Round> {
  // Without a worker, which would close the day by itself as soon as it starts.
  const amqp = { url: bench.services.amqpUrl, prefix: "bench-closing" };
  const gateway = await bench.startGateway({ databaseUrl, amqp, roles: ["core"] });
  // What starting took is let go before the memory at rest is read.
  await sleep(SETTLING_MS);
  await query(databaseUrl, "checkpoint");
  const memory = watchMemory(gateway.pid);
  let registers = 0;
  const round = await timed(bench, [{ name: "gateway", pid: gateway.pid }], async () => {
    registers = await closeDay(gateway, day);
  });
  const { idleMib, peakMib } = memory();
  grewBy(peakMib - idleMib);
  await gateway.stop();
  const [left] = await query<{ unsettled: number; registers: number }>(databaseUrl, leftText);
  if (left?.unsettled !== 0 || left.registers !== registers) {
    throw new Error(`The closing left ${JSON.stringify(left)} and answered ${registers} registers`);
  }
  return round;
}

const SETTLING_MS = 2_000;

const leftText = `
  select (select count(*)::int from payment_message where register_id is null) as unsettled,
    (select count(*)::int from settlement_register where payment_count > 0) as registers`;
