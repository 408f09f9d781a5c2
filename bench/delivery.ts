import { parseArgs } from "node:util";
import { type Bench, openBench, say } from "./bench.ts";
import { insertHistory } from "./history.ts";
import { explainQueries } from "./measure/explain.ts";
import { inTurn, ratio } from "./measure/rounds.ts";
import { perSecond, printTable, rounded, roundsText } from "./report.ts";
import { cpuMs, rssMib } from "./usage.ts";

// Two promises of the delivery engine: endpoints that hang do not slow the others down, and a large backlog costs
// neither speed nor memory.

const HELP = `Use: npm run bench:delivery -- [--json] [--rounds N] [--backlog N]

  --json       one last line with the two ratios as JSON
  --rounds N   measured rounds of each side (3)
  --backlog N  due callbacks of the large backlog (1000000)`;

/** Ten banks on each side are the twenty endpoints; the merchants hear nothing here. */
const castSize = { initiators: 10, recipients: 10, merchants: 10 };
/** Two initiators and two recipients of the twenty. */
const hanging = [0, 1, 10, 11];
const CALLBACKS = 10_000;
/** Measured between these arrivals: neither the start of the worker nor the last stragglers count. */
const FIRST_ARRIVAL = 500;
/** Of the 8 000 callbacks to endpoints that never hang. */
const LAST_HEALTHY_ARRIVAL = 7_500;
const LAST_ARRIVAL = 9_500;
/** The same on both sides, and short, so that hanging endpoints come back with their retries within a round. */
const CALLBACK_TIMEOUT_MS = "2000";
const DEADLINE_MS = 120_000;

type Side = { name: string; hangs: boolean; databaseUrl(): Promise<string>; prefix(): string; lastArrival: number };

let made = 0;

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      rounds: { type: "string", default: "3" },
      backlog: { type: "string", default: "1000000" },
    },
  });
  if (values.help) return console.log(HELP);
  const rounds = Number(values.rounds);
  const bench = await openBench(castSize);
  try {
    const small = await bench.services.createDatabase("bench_due", bench.template);
    await insertHistory(small, bench.cast, { payments: CALLBACKS / 2, callbacks: "due" });
    const hangingRatio = await measureHanging(bench, rounds);
    const backlogRatio = await measureBacklog(bench, rounds, Number(values.backlog));
    console.log(`\n${bench.services.machine}`);
    if (values.json) console.log(JSON.stringify({ hangingRatio, backlogRatio }));
  } finally {
    await bench.stop();
  }
}

/** Every round starts from the same 10 000 due callbacks, in a database and in queues of its own. */
function freshSide(bench: Bench, name: string, hangs: boolean, lastArrival: number): Side {
  return {
    ...{ name, hangs, lastArrival },
    databaseUrl: () => bench.services.createDatabase(`bench_due_${++made}`, "bench_due"),
    prefix: () => `bench-due-${made}`,
  };
}

async function measureHanging(bench: Bench, rounds: number): Promise<number> {
  const sides = [
    freshSide(bench, "all answer", false, LAST_HEALTHY_ARRIVAL),
    freshSide(bench, "20 % hang", true, LAST_HEALTHY_ARRIVAL),
  ];
  const peaks: Record<string, number> = {};
  const rates = await inTurn(
    "Hanging endpoints",
    sides,
    { rounds, count: CALLBACKS, warmUp: CALLBACKS },
    {
      prepare: async () => {},
      measure: (side) => deliver(bench, side, peaks),
    },
  );
  const hangingRatio = rounded(ratio(rates, "20 % hang", "all answer"));
  show("Callbacks a second to the 16 endpoints that answer", sides, rates, peaks);
  console.log(`20 % hang ÷ all answer ${hangingRatio}`);
  return hangingRatio;
}

async function measureBacklog(bench: Bench, rounds: number, backlog: number): Promise<number> {
  const databaseUrl = await bench.services.createDatabase("bench_backlog", bench.template);
  say(`Inserting ${backlog} due callbacks …`);
  await insertHistory(databaseUrl, bench.cast, { payments: backlog / 2, callbacks: "due" });
  await explainQueries(databaseUrl);
  const sides: Side[] = [
    freshSide(bench, "10 000 due", false, LAST_ARRIVAL),
    {
      ...{ name: `${backlog} due`, hangs: false, lastArrival: LAST_ARRIVAL },
      // The same backlog in every round: a round takes a hundredth of it.
      databaseUrl: async () => databaseUrl,
      prefix: () => "bench-backlog",
    },
  ];
  const peaks: Record<string, number> = {};
  const rates = await inTurn(
    "Backlog",
    sides,
    { rounds, count: CALLBACKS, warmUp: CALLBACKS },
    {
      prepare: async () => {},
      measure: (side) => deliver(bench, side, peaks),
    },
  );
  const backlogRatio = rounded(ratio(rates, `${backlog} due`, "10 000 due"));
  show("Callbacks a second from a small and a large backlog", sides, rates, peaks);
  console.log(`large ÷ small ${backlogRatio}`);
  return backlogRatio;
}

/** Starts a worker, lets it deliver, stops it; answers the rate between the measured arrivals at endpoints that answer. */
async function deliver(bench: Bench, side: Side, peaks: Record<string, number>): Promise<number> {
  const { participants } = bench;
  await participants.call("hang", side.hangs ? hanging : []);
  // Both sides of the comparison count the same endpoints, those that never hang.
  const ignored = side.lastArrival === LAST_HEALTHY_ARRIVAL ? hanging : [];
  await participants.call("resetArrivals", ignored);
  const worker = await bench.startGateway({
    databaseUrl: await side.databaseUrl(),
    amqp: { url: bench.services.amqpUrl, prefix: side.prefix() },
    roles: ["worker"],
    settings: { CALLBACK_TIMEOUT_MS },
  });
  const memory = setInterval(() => {
    peaks[side.name] = Math.max(peaks[side.name] ?? 0, rssMib(worker.pid));
  }, 100);
  try {
    const cpuBefore = cpuMs(worker.pid);
    await participants.call("untilArrivals", { count: side.lastArrival, timeoutMs: DEADLINE_MS });
    const arrivalsMs = await participants.call<number[]>("arrivals");
    const first = arrivalsMs[FIRST_ARRIVAL] ?? Number.NaN;
    const last = arrivalsMs[side.lastArrival - 1] ?? Number.NaN;
    const cpuEach = (cpuMs(worker.pid) - cpuBefore) / side.lastArrival;
    say(`  ${side.name}: ${cpuEach.toFixed(2)} ms of the worker's processor time a callback`);
    return ((side.lastArrival - FIRST_ARRIVAL) * 1_000) / (last - first);
  } finally {
    clearInterval(memory);
    await worker.stop();
  }
}

function show(
  title: string,
  sides: readonly Side[],
  rates: Record<string, number[]>,
  peaks: Record<string, number>,
): void {
  printTable(
    title,
    ["side", "median", "rounds", "worker's memory at most"],
    sides.map(({ name }) => [
      name,
      perSecond(rates[name]),
      roundsText(rates[name]),
      `${Math.round(peaks[name] ?? 0)} MiB`,
    ]),
  );
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  say(`The benchmark failed: ${(error as Error).stack}`);
  process.exitCode = 1;
}
