import { parseArgs } from "node:util";
import { kyivTime } from "../src/sandbox/samples.ts";
import { type Bench, openBench, say } from "./bench.ts";
import { allPairs, insertMarketDay } from "./market.ts";
import { measureClosing } from "./measure/closing.ts";
import { measureOrdersBeside, measureReads, measureStream, openSite } from "./measure/registers.ts";

// The promises of settlement: closing a large day costs little more than writing its rows once, reads of registers do not
// care how many payments there are, and a register of any size is answered in little memory and to nobody's harm.

const HELP = `Use: npm run bench:settlement -- [--json] [--payments N]

  --json        standard output is one line of JSON; tables go to standard error with the progress
  --payments N  payments of the large day and of the large register (1000000)`;

/** Twenty banks pay each other and themselves; merchants create the orders beside the reading. */
const castSize = { initiators: 20, recipients: 1, merchants: 4 };
const ROUNDS = 3;
const LOAD_SECONDS = 20;
/** So many times the payments of the small site are in the large one, which still has more than one page. */
const LARGER = 100;
const LEAST_PAYMENTS = 1_000;

const DAY_MS = 86_400_000;
/** Over for certain, also a minute after midnight. */
const [marketDay = "", registerDay = ""] = [2, 3].map((days) => kyivTime(new Date(Date.now() - days * DAY_MS)).date);

async function main(args: string[]): Promise<void> {
  const { values } = parseArgs({
    args,
    options: {
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      payments: { type: "string", default: "1000000" },
    },
  });
  if (values.help) return console.log(HELP);
  const payments = Number(values.payments);
  const print = values.json ? say : console.log;
  const bench = await openBench(castSize);
  try {
    say(`Inserting ${payments} payments of ${marketDay} …`);
    const loaded = "bench_loaded";
    const loadedUrl = await bench.services.createDatabase(loaded, bench.template);
    await insertMarketDay(loadedUrl, { day: marketDay, payments, pairs: allPairs(bench.cast.initiators) });
    const closeRatio = await measureClosing(bench, { loaded, day: marketDay, rounds: ROUNDS }, print);
    const { small, large } = await openSites(bench, loaded, payments);
    // First, while the gateway has answered nothing yet: what other answers left behind would hide what this one takes.
    const streamRssMb = await measureStream(large, print);
    const reads = await measureReads(small, large, print);
    const latencyRatio = await measureOrdersBeside(bench, large, { rounds: ROUNDS, seconds: LOAD_SECONDS }, print);
    const results = { closeRatio, ...reads, streamRssMb, latencyRatio };
    print(`\n${bench.services.machine}`);
    if (values.json) console.log(JSON.stringify(results));
  } finally {
    await bench.stop();
  }
}

async function openSites(bench: Bench, loaded: string, payments: number) {
  const pairs = allPairs(bench.cast.initiators);
  const few = Math.max(LEAST_PAYMENTS, Math.round(payments / LARGER));
  const smallUrl = await bench.services.createDatabase("bench_small", bench.template);
  await insertMarketDay(smallUrl, { day: marketDay, payments: few, pairs });
  const largeUrl = await bench.services.copyDatabase("bench_large", loaded);
  const days = { marketDay, registerDay };
  const small = await openSite(bench, { name: "small", databaseUrl: smallUrl, ...days, payments: few });
  const large = await openSite(bench, { name: "large", databaseUrl: largeUrl, ...days, payments });
  return { small, large };
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  say(`The benchmark failed: ${(error as Error).stack}`);
  process.exitCode = 1;
}
