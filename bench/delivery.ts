import { parseArgs } from "node:util";
import { type Bench, openBench, say } from "./bench.ts";
import type { Gateway } from "./gateway.ts";
import { insertHistory } from "./history.ts";
import { untilSettled } from "./measure/cascade.ts";
import { explainQueries } from "./measure/explain.ts";
import { inTurn, ratio } from "./measure/rounds.ts";
import { perSecond, printTable, rounded, roundsText } from "./report.ts";
import { rssMib } from "./usage.ts";

// Two promises of the delivery engine: endpoints that hang do not slow the others down, and a large backlog costs
// neither speed nor memory.

const HELP = `Use: npm run bench:delivery -- [--json] [--rounds N] [--backlog N] [--only PART]

  --json       one last line with the two ratios as JSON
  --rounds N   measured rounds of each side (3)
  --backlog N  due callbacks of the large backlog (1000000)
  --only PART  hanging or backlog`;

/** Ten banks on each side are the twenty endpoints; the merchants hear nothing here. */
const castSize = { initiators: 10, recipients: 10, merchants: 10 };
/** Two initiators and two recipients of the twenty. */
const hanging = [0, 1, 10, 11];
const CALLBACKS = 10_000;
/** Measured between these arrivals: neither the worker's waking up nor the last stragglers count. */
const FIRST_ARRIVAL = 500;
const LAST_ARRIVAL = 9_500;
/** Of the 8 000 callbacks to endpoints that never hang. */
const LAST_HEALTHY_ARRIVAL = 7_500;
const DEADLINE_MS = 120_000;

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      rounds: { type: "string", default: "3" },
      backlog: { type: "string", default: "1000000" },
      only: { type: "string" },
    },
  });
  if (values.help) return console.log(HELP);
  const rounds = Number(values.rounds);
  const bench = await openBench(castSize);
  try {
    const wants = (part: string) => values.only === undefined || values.only === part;
    const results: { hangingRatio?: number; backlogRatio?: number } = {};
    if (wants("hanging")) results.hangingRatio = await measureHanging(bench, rounds);
    if (wants("backlog")) results.backlogRatio = await measureBacklog(bench, rounds, Number(values.backlog));
    console.log(`\n${bench.services.machine}`);
    if (values.json) console.log(JSON.stringify(results));
  } finally {
    await bench.stop();
  }
}

/** A database with a worker of its own, which stays for all rounds, as a worker in use does. */
type Site = { databaseUrl: string; worker: Gateway; payments: number; peakMib(): number };

async function openSite(bench: Bench, name: string, callbacks: number, callbackTimeoutMs: number): Promise<Site> {
  const databaseUrl = await bench.services.createDatabase(`bench_${name}`, bench.template);
  if (callbacks > 0) {
    await insertHistory(databaseUrl, bench.cast, { payments: callbacks / 2, callbacks: "due" });
    await explainQueries(databaseUrl);
  }
  const worker = await bench.startGateway({
    databaseUrl,
    amqp: { url: bench.services.amqpUrl, prefix: `bench-${name}` },
    roles: ["worker"],
    settings: { CALLBACK_TIMEOUT_MS: String(callbackTimeoutMs) },
  });
  let peakMib = 0;
  const sampling = setInterval(() => {
    peakMib = Math.max(peakMib, rssMib(worker.pid));
  }, 100);
  sampling.unref();
  return { databaseUrl, worker, payments: callbacks / 2, peakMib: () => peakMib };
}

/** Two callbacks a payment become due at once. */
async function makeDue(bench: Bench, site: Site): Promise<void> {
  const payments = CALLBACKS / 2;
  await insertHistory(site.databaseUrl, bench.cast, { payments, callbacks: "due", after: site.payments });
  site.payments += payments;
}

/** Waits for the last measured arrival and answers the rate since the first one. */
async function arrivalRate(bench: Bench, lastArrival: number): Promise<number> {
  await bench.participants.call("untilArrivals", { count: lastArrival, timeoutMs: DEADLINE_MS });
  const arrivalsMs = await bench.participants.call<number[]>("arrivals");
  const elapsedMs = (arrivalsMs[lastArrival - 1] ?? Number.NaN) - (arrivalsMs[FIRST_ARRIVAL] ?? Number.NaN);
  return ((lastArrival - FIRST_ARRIVAL) * 1_000) / elapsedMs;
}

async function measureHanging(bench: Bench, rounds: number): Promise<number> {
  // Short, so that hanging attempts end and come back with their retries within a round; the same on both sides.
  const site = await openSite(bench, "hanging", 0, 2_000);
  const sides = [
    { name: "all answer", hanging: [] as number[] },
    { name: "20 % hang", hanging },
  ];
  const plan = { rounds, count: CALLBACKS, warmUp: CALLBACKS };
  const rates = await inTurn("Hanging endpoints", sides, plan, {
    async measure(side) {
      await bench.participants.call("hang", side.hanging);
      // Both sides count the same endpoints, those that never hang.
      await bench.participants.call("resetArrivals", hanging);
      await makeDue(bench, site);
      const rate = await arrivalRate(bench, LAST_HEALTHY_ARRIVAL);
      await bench.participants.call("hang", []);
      await untilSettled(site.databaseUrl);
      return rate;
    },
  });
  await site.worker.stop();
  printTable(
    "Callbacks a second to the 16 of 20 endpoints that answer",
    ["side", "median", "rounds"],
    sides.map(({ name }) => [name, perSecond(rates[name]), roundsText(rates[name])]),
  );
  const hangingRatio = rounded(ratio(rates, "20 % hang", "all answer"));
  console.log(`20 % hang ÷ all answer ${hangingRatio} · worker's memory at most ${Math.round(site.peakMib())} MiB`);
  return hangingRatio;
}

/** Far longer than a worker is suspended, so that no attempt under way is given up because of that. */
const PATIENT_TIMEOUT_MS = 60_000;

async function measureBacklog(bench: Bench, rounds: number, backlog: number): Promise<number> {
  say(`Inserting ${backlog} due callbacks …`);
  await bench.participants.call("hang", []);
  const large = await openSite(bench, "large", backlog, PATIENT_TIMEOUT_MS);
  process.kill(large.worker.pid, "SIGSTOP");
  const small = await openSite(bench, "small", 0, PATIENT_TIMEOUT_MS);
  const sides = [
    { name: `${CALLBACKS} due`, site: small },
    { name: `${backlog} due`, site: large },
  ];
  const plan = { rounds, count: CALLBACKS, warmUp: CALLBACKS };
  const rates = await inTurn("Backlog", sides, plan, {
    async measure({ site }) {
      await bench.participants.call("resetArrivals", []);
      if (site === small) {
        await makeDue(bench, site);
        const rate = await arrivalRate(bench, LAST_ARRIVAL);
        await untilSettled(site.databaseUrl);
        return rate;
      }
      // The large backlog is worked on only while it is measured; each round takes a hundredth of it.
      process.kill(site.worker.pid, "SIGCONT");
      const rate = await arrivalRate(bench, LAST_ARRIVAL);
      process.kill(site.worker.pid, "SIGSTOP");
      return rate;
    },
  });
  process.kill(large.worker.pid, "SIGCONT");
  printTable(
    "Callbacks a second from a small and from a large backlog",
    ["side", "median", "rounds", "worker's memory at most"],
    sides.map(({ name, site }) => [
      ...[name, perSecond(rates[name]), roundsText(rates[name]), `${Math.round(site.peakMib())} MiB`],
    ]),
  );
  const backlogRatio = rounded(ratio(rates, `${backlog} due`, `${CALLBACKS} due`));
  console.log(`large ÷ small ${backlogRatio}`);
  return backlogRatio;
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  say(`The benchmark failed: ${(error as Error).stack}`);
  process.exitCode = 1;
}
