import { availableParallelism } from "node:os";
import { type Bench, openBench, say } from "./bench.ts";
import { usualCast } from "./cast.ts";
import type { Child } from "./child.ts";
import type { Gateway } from "./gateway.ts";
import { measureBurst } from "./measure/burst.ts";
import { type CascadeSide, measureCascade, measureLatency, type StoringSide, untilSettled } from "./measure/cascade.ts";
import { checkResults } from "./measure/check.ts";
import { measureFlatness } from "./measure/flatness.ts";
import { type IntakeSide, measureIntake, measureQuietIntake } from "./measure/intake.ts";
import { measureOverload } from "./measure/overload.ts";
import { measurePages } from "./measure/pages.ts";
import { measureRoles } from "./measure/roles.ts";
import { ratio, ratios } from "./measure/rounds.ts";
import { measureSoak } from "./measure/soak.ts";
import { HELP, type Options, type Part, parseOptions } from "./options.ts";
import { cpuText, latencyText, perSecond, printTable, rounded, roundsText, withWorst } from "./report.ts";
import { median, type Percentiles } from "./statistics.ts";

// The benchmark: every figure is a ratio of sides that were measured in turn on the same machine in the same run.

type Results = Record<string, number>;

/** The one database and the one set of queues that everything but flatness and roles apart goes through. */
type Run = { bench: Bench; options: Options; databaseUrl: string; amqp: { url: string; prefix: string } };

const quick = {
  intake: { count: 2_000, warmUp: 2_000, leastSeconds: 0 },
  quietCount: 200,
  overload: { seconds: 2, mostRequests: 16_000 },
  cascade: { count: 500, warmUp: 300, leastSeconds: 0 },
  latencySeconds: 5,
  burstRounds: 1,
};
const full: typeof quick = {
  intake: { count: 10_000, warmUp: 4_000, leastSeconds: 5 },
  quietCount: 1_000,
  overload: { seconds: 8, mostRequests: 60_000 },
  cascade: { count: 1_000, warmUp: 1_000, leastSeconds: 5 },
  latencySeconds: 20,
  burstRounds: 4,
};
/** What a shop sends in a rush, to endpoints that answer so fast. */
const burst = { payments: 1_000, delaysMs: [5, 50, 200] };
/** Of the rate of cascades that was measured. */
const steadyLoads = [0.25, 0.5, 0.75];

async function main(args: string[]): Promise<number> {
  const options = parseOptions(args);
  if (options === undefined) {
    console.log(HELP);
    return 0;
  }
  const bench = await openBench(usualCast);
  try {
    const results: Results = {};
    const databaseUrl = await bench.services.createDatabase("bench_gateway", bench.template);
    const run: Run = { bench, options, databaseUrl, amqp: { url: bench.services.amqpUrl, prefix: "bench" } };
    const wants = (part: Part) => options.parts.has(part);
    const problems: string[] = [];
    const measured: readonly Part[] = ["intake", "overload", "cascade", "burst", "soak"];
    if (wants("intake") || wants("overload")) await intakePart(run, results);
    if (measured.some(wants)) problems.push(...(await deliveryPart(run, results)));
    if (wants("roles")) problems.push(...(await measureRoles(bench, sizeOf(options).cascade.count)));
    if (wants("pages")) await pagesPart(run, results);
    if (wants("flatness")) await flatnessPart(run, results);
    console.log(`\n${bench.services.machine}`);
    for (const problem of problems) say(`FAILED: ${problem}`);
    if (options.json) console.log(JSON.stringify(results));
    return problems.length === 0 ? 0 : 1;
  } finally {
    await bench.stop();
  }
}

const sizeOf = (options: Options) => (options.isQuick ? quick : full);

/** Intake and overload run without a worker: callbacks pile up in RabbitMQ and are delivered afterwards. */
async function intakePart({ bench, options, databaseUrl, amqp }: Run, results: Results): Promise<void> {
  const size = sizeOf(options);
  const gateway = await bench.startGateway({ databaseUrl, amqp, roles: ["rest", "core"] });
  const gatewaySide = {
    name: "gateway",
    url: gateway.restUrl,
    databaseUrl,
    processes: [{ name: "gateway", pid: gateway.pid }],
  };
  const plan = { rounds: options.rounds, ...size.intake };
  const sides: IntakeSide[] = [gatewaySide, await intakeCeiling(bench), await intakePeer(bench)];
  const { rates, latencyMs, cpuMs } = await measureIntake(bench, sides, plan);
  results.intakeVsCeiling = rounded(ratio(rates, "gateway", "ceiling"));
  results.intakeVsPeer = rounded(ratio(rates, "gateway", "peer"));
  const quiet = await measureQuietIntake(bench, gatewaySide, size.quietCount);
  printTable(
    `Intake: payment messages accepted, 64 connections (one connection: ${latencyText(quiet)})`,
    ["side", "median", "rounds", "p50 / p95 / p99", "CPU ms a request"],
    sides.map(({ name }) => [
      name,
      perSecond(rates[name]),
      roundsText(rates[name]),
      latencyText(latencyMs[name] ?? { p50: 0, p95: 0, p99: 0 }),
      cpuText(cpuMs[name]),
    ]),
  );
  const against = (other: string) => `gateway ÷ ${other} ${withWorst(ratios(rates, "gateway", other))}`;
  console.log(`${against("ceiling")} · ${against("peer")}; in brackets the worst round`);
  if (options.parts.has("overload")) {
    const overload = await measureOverload(bench, gatewaySide, median(rates.gateway ?? []), size.overload);
    if (!options.isQuick) results.overloadGoodput = rounded(overload.goodputVsPeak);
    const shown = Object.entries(overload).map(([name, value]) => [
      name,
      typeof value === "number" ? String(rounded(value)) : JSON.stringify(value),
    ]);
    printTable("Overload: three times the sustainable rate", ["", ""], shown);
  }
  await gateway.stop();
}

async function intakeCeiling(bench: Bench): Promise<IntakeSide> {
  const child = bench.startChild("ceiling/intake.ts");
  const url = await child.call<string>("start", bench.cast);
  return { name: "ceiling", url, processes: [{ name: "ceiling", pid: child.pid }] };
}

async function intakePeer(bench: Bench): Promise<IntakeSide> {
  const databaseUrl = await bench.services.createDatabase("bench_peer_intake", bench.template);
  const child = bench.startChild("peer/intake.ts");
  const url = await child.call<string>("start", { databaseUrl, cast: bench.cast });
  return { name: "peer", url, databaseUrl, processes: [{ name: "peer", pid: child.pid }] };
}

/** Delivers what intake left, measures cascades, and checks all that this gateway accepted. */
async function deliveryPart(run: Run, results: Results): Promise<string[]> {
  const { bench, options, databaseUrl, amqp } = run;
  const gateway = await bench.startGateway({ databaseUrl, amqp });
  const left = bench.accepted.get(databaseUrl)?.length ?? 0;
  if (left > 0) {
    say(`Delivering the callbacks of the ${left} payments that intake accepted …`);
    const startedAt = performance.now();
    await untilSettled(databaseUrl, 30 * 60_000);
    say(`delivered: ${Math.round((left * 1_000) / (performance.now() - startedAt))} cascades a second`);
  }
  const problems: string[] = [];
  const sides = new Set<Part>(["cascade", "burst"]).isDisjointFrom(options.parts)
    ? undefined
    : await openSides(run, gateway);
  if (sides !== undefined) {
    if (options.parts.has("cascade")) await cascadePart(run, sides, results);
    if (options.parts.has("burst")) await burstPart(run, sides, results);
    problems.push(...(await sides.close()));
  }
  if (options.parts.has("soak")) {
    const load = { ratePerSecond: SOAK_RATE, minutes: options.soakMinutes };
    const processes = [{ name: "gateway", pid: gateway.pid }];
    const slopes = await measureSoak(bench, { url: gateway.restUrl, databaseUrl }, processes, load);
    results.soakMibPerMinute = rounded(slopes.gateway ?? 0);
  }
  problems.push(...(await checkResults(bench, databaseUrl, gateway)));
  await gateway.stop();
  return problems;
}

/** Payments a second of the soak: a busy day on a small machine. */
const SOAK_RATE = 100;

type Sides = {
  gateway: CascadeSide & StoringSide;
  embedded: CascadeSide & StoringSide;
  es256: CascadeSide;
  ceiling: CascadeSide & { loop: Child };
  peer: CascadeSide;
  /** Stops the further gateways; answers what is wrong with their results. */
  close(): Promise<string[]>;
};

/** All that the gateway is measured against, and the gateway with the embedded queue, and with receivers that want ES256. */
async function openSides({ bench, databaseUrl, amqp }: Run, gateway: Gateway): Promise<Sides> {
  const further = async (name: string, template: string, queue?: typeof amqp) => {
    const url = await bench.services.createDatabase(name, template);
    return { url, gateway: await bench.startGateway({ databaseUrl: url, amqp: queue }) };
  };
  const embedded = await further("bench_embedded_queue", bench.template);
  const es256 = await further(
    "bench_es256",
    await bench.makeTemplate("bench_es256_template", { callbackAlg: "CALLBACK_ALG_ES256" }),
    { ...amqp, prefix: "bench-es256" },
  );
  return {
    gateway: cascadeSide("gateway", gateway, databaseUrl),
    embedded: cascadeSide("embedded queue", embedded.gateway, embedded.url),
    es256: cascadeSide("ES256 receivers", es256.gateway, es256.url),
    ceiling: cascadeCeiling(bench),
    peer: await cascadePeer(bench),
    async close() {
      const problems: string[] = [];
      for (const { url, gateway: one } of [embedded, es256]) {
        problems.push(...(await checkResults(bench, url, one)));
        await one.stop();
      }
      return problems;
    },
  };
}

async function cascadePart({ bench, options }: Run, sides: Sides, results: Results): Promise<void> {
  const size = sizeOf(options);
  const all = [sides.gateway, sides.embedded, sides.es256, sides.ceiling, sides.peer];
  const { rates, cpuMs } = await measureCascade(bench, all, { rounds: options.rounds, ...size.cascade });
  const rate = median(rates.gateway ?? []);
  const of = (side: CascadeSide, other: CascadeSide) => ratios(rates, side.name, other.name);
  const vsCeiling = of(sides.gateway, sides.ceiling);
  const vsPeer = of(sides.gateway, sides.peer);
  const es256VsCeiling = of(sides.es256, sides.ceiling);
  const embeddedVsRabbitmq = of(sides.embedded, sides.gateway);
  results.cascadeVsCeiling = rounded(median(vsCeiling));
  results.cascadeWorstVsCeiling = rounded(Math.min(...vsCeiling));
  results.cascadeVsPeer = rounded(median(vsPeer));
  results.cascadeWorstVsPeer = rounded(Math.min(...vsPeer));
  results.es256VsCeiling = rounded(median(es256VsCeiling));
  results.cascadesPerVcpu = rounded(rate / availableParallelism(), 1);
  if (!options.isQuick) results.embeddedVsRabbitmq = rounded(median(embeddedVsRabbitmq));
  printTable(
    "Cascade: payments with all four callbacks delivered and recorded",
    ["side", "median", "rounds", "CPU ms a payment"],
    all.map(({ name }) => [name, perSecond(rates[name]), roundsText(rates[name]), cpuText(cpuMs[name])]),
  );
  console.log(
    `gateway ÷ ceiling ${withWorst(vsCeiling)} · gateway ÷ peer ${withWorst(vsPeer)} · ` +
      `ES256 receivers ÷ ceiling ${withWorst(es256VsCeiling)} · embedded queue ÷ RabbitMQ ` +
      `${withWorst(embeddedVsRabbitmq)}; in brackets the worst round · ${results.cascadesPerVcpu} cascades/s per vCPU`,
  );
  await latencyPart(bench, sides.gateway, { rate, seconds: size.latencySeconds }, results);
}

async function latencyPart(
  bench: Bench,
  side: StoringSide,
  { rate, seconds }: { rate: number; seconds: number },
  results: Results,
): Promise<void> {
  const rows: string[][] = [];
  for (const share of steadyLoads) {
    const ratePerSecond = rate * share;
    const { success, begun } = await measureLatency(bench, side, { ratePerSecond, seconds });
    if (share === 0.5) Object.assign(results, { p99Ms: rounded(success.p99, 1), p999Ms: rounded(success.p999, 1) });
    const row = (what: string, { p50, p99, p999, max }: Percentiles) =>
      rows.push([`${Math.round(ratePerSecond)}/s: ${what}`, ...[p50, p99, p999, max].map((ms) => ms.toFixed(1))]);
    row("POST to success", success);
    for (const [kind, waited] of Object.entries(begun)) row(`${kind}, due to begun`, waited);
  }
  printTable(
    "Latency at a quarter, a half and three quarters of the rate, ms",
    ["", "p50", "p99", "p99.9", "max"],
    rows,
  );
}

async function burstPart({ bench, options }: Run, { gateway, embedded, ceiling }: Sides, results: Results) {
  const rounds = sizeOf(options).burstRounds;
  const measured = await measureBurst(bench, [embedded, gateway, ceiling], { ...burst, rounds });
  const vsLoop = (side: CascadeSide, which: "rates" | "successRates") =>
    measured.map((one) => ratios(one[which], side.name, ceiling.name));
  const least = (all: number[][]) => rounded(Math.min(...all.map(median)));
  results.burstRatio = least(vsLoop(embedded, "rates"));
  results.burstSuccessRatio = least(vsLoop(embedded, "successRates"));
  results.burstRabbitmqRatio = least(vsLoop(gateway, "rates"));
  const seconds = (rates: readonly number[] | undefined) => `${rounded(burst.payments / median(rates ?? []))} s`;
  printTable(
    `Burst of ${burst.payments} payments for one merchant: last callback (last success)`,
    [
      "answers in",
      "bare loop",
      "embedded queue",
      "RabbitMQ",
      "embedded ÷ loop",
      "RabbitMQ ÷ loop",
      "tickets put aside",
    ],
    measured.map(({ delayMs, rates, successRates, parked }, index) => [
      `${delayMs} ms`,
      ...[ceiling, embedded, gateway].map(({ name }) => `${seconds(rates[name])} (${seconds(successRates[name])})`),
      ...[embedded, gateway].map(
        (side) =>
          `${withWorst(vsLoop(side, "rates")[index] ?? [])}, ${withWorst(vsLoop(side, "successRates")[index] ?? [])}`,
      ),
      `${parked[embedded.name]}, ${parked[gateway.name]}`,
    ]),
  );
}

/** The same for a quick run: fewer pages would cost more each, because nothing is warm yet. */
const pagesPlan = { warmUp: 300, streams: 1_000, paymentsPerSecond: 50, views: 1_000 };

async function pagesPart({ bench }: Run, results: Results): Promise<void> {
  const pages = await measurePages(bench, pagesPlan);
  printTable(
    "Pages: two REST processes before one core, every watched order paid",
    ["streams", "memory", "change heard, p99 / most", "CPU a page", "core apart"],
    [
      [
        String(pages.streams),
        `${pages.rssMb} MiB`,
        `${pages.p99NotifyMs} / ${pages.maxNotifyMs} ms`,
        `${rounded(pages.cpuMsPerPage)} ms`,
        `${rounded(pages.cpuMsPerPageApart)} ms`,
      ],
    ],
  );
  Object.assign(results, {
    ...pages,
    cpuMsPerPage: rounded(pages.cpuMsPerPage),
    cpuMsPerPageApart: rounded(pages.cpuMsPerPageApart),
  });
}

async function flatnessPart({ bench, options }: Run, results: Results): Promise<void> {
  const { intake, cascade } = sizeOf(options);
  const { rows, rounds } = options;
  const flatness = await measureFlatness(bench, {
    rows,
    intake: { rounds, ...intake },
    cascade: { rounds, ...cascade },
  });
  results.flatnessIntake = flatness.intake;
  results.flatnessCascade = flatness.cascade;
}

function cascadeSide(name: string, gateway: Gateway, databaseUrl: string) {
  return { name, url: gateway.restUrl, databaseUrl, processes: [{ name: "gateway", pid: gateway.pid }] };
}

function cascadeCeiling(bench: Bench) {
  const loop = bench.startChild("ceiling/cascade.ts");
  return { name: "ceiling", loop, processes: [{ name: "ceiling", pid: loop.pid }] };
}

async function cascadePeer(bench: Bench): Promise<CascadeSide> {
  const databaseUrl = await bench.services.createDatabase("bench_peer_cascade", bench.template);
  const child = bench.startChild("peer/cascade.ts");
  const url = await child.call<string>("start", { databaseUrl, cast: bench.cast });
  return { name: "peer", url, databaseUrl, processes: [{ name: "peer", pid: child.pid }] };
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  say(`The benchmark failed: ${(error as Error).stack}`);
  process.exitCode = 1;
}
