import { availableParallelism } from "node:os";
import { type Bench, openBench, say } from "./bench.ts";
import { usualCast } from "./cast.ts";
import type { Gateway } from "./gateway.ts";
import { type CascadeSide, measureCascade, measureLatency, untilSettled } from "./measure/cascade.ts";
import { checkResults } from "./measure/check.ts";
import { measureFlatness } from "./measure/flatness.ts";
import { type IntakeSide, measureIntake, measureQuietIntake } from "./measure/intake.ts";
import { measureOverload } from "./measure/overload.ts";
import { measurePages } from "./measure/pages.ts";
import { measureRoles } from "./measure/roles.ts";
import { ratio } from "./measure/rounds.ts";
import { measureSoak } from "./measure/soak.ts";
import { HELP, type Options, type Part, parseOptions } from "./options.ts";
import { cpuText, latencyText, perSecond, printTable, rounded, roundsText } from "./report.ts";
import { median } from "./statistics.ts";

// The benchmark: every figure is a ratio of sides that were measured in turn on the same machine in the same run.

type Results = Record<string, number>;

/** The one database and the one set of queues that everything but flatness and roles apart goes through. */
type Run = { bench: Bench; options: Options; databaseUrl: string; amqp: { url: string; prefix: string } };

const quick = {
  intake: { count: 2_000, warmUp: 2_000 },
  quietCount: 200,
  overload: { seconds: 2, mostRequests: 16_000 },
  cascade: { count: 500, warmUp: 300 },
  latencySeconds: 5,
};
const full: typeof quick = {
  intake: { count: 10_000, warmUp: 4_000 },
  quietCount: 1_000,
  overload: { seconds: 8, mostRequests: 60_000 },
  cascade: { count: 2_500, warmUp: 1_000 },
  latencySeconds: 20,
};

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
    const measured: readonly Part[] = ["intake", "overload", "cascade", "soak"];
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
  console.log(`gateway ÷ ceiling ${results.intakeVsCeiling} · gateway ÷ peer ${results.intakeVsPeer}`);
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
  const problems = options.parts.has("cascade") ? await cascadePart(run, gateway, results) : [];
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

async function cascadePart({ bench, options, databaseUrl }: Run, gateway: Gateway, results: Results) {
  const size = sizeOf(options);
  const embeddedUrl = await bench.services.createDatabase("bench_embedded_queue", bench.template);
  const embedded = await bench.startGateway({ databaseUrl: embeddedUrl });
  const sides = [
    cascadeSide("gateway", gateway, databaseUrl),
    cascadeSide("embedded queue", embedded, embeddedUrl),
    await cascadeCeiling(bench),
    await cascadePeer(bench),
  ];
  const { rates, cpuMs } = await measureCascade(bench, sides, { rounds: options.rounds, ...size.cascade });
  const rate = median(rates.gateway ?? []);
  results.cascadeVsCeiling = rounded(ratio(rates, "gateway", "ceiling"));
  results.cascadeVsPeer = rounded(ratio(rates, "gateway", "peer"));
  results.cascadesPerVcpu = rounded(rate / availableParallelism(), 1);
  const load = { ratePerSecond: rate / 2, seconds: size.latencySeconds };
  const latency = await measureLatency(bench, { url: gateway.restUrl, databaseUrl }, load);
  results.p99Ms = rounded(latency.p99, 1);
  const half = `POST to success at ${Math.round(load.ratePerSecond)}/s: ${latencyText(latency)}`;
  printTable(
    `Cascade: payments with all four callbacks delivered and recorded (${half})`,
    ["side", "median", "rounds", "CPU ms a payment"],
    sides.map(({ name }) => [name, perSecond(rates[name]), roundsText(rates[name]), cpuText(cpuMs[name])]),
  );
  const embeddedRatio = rounded(ratio(rates, "embedded queue", "gateway"));
  if (!options.isQuick) results.embeddedVsRabbitmq = embeddedRatio;
  console.log(
    `gateway ÷ ceiling ${results.cascadeVsCeiling} · gateway ÷ peer ${results.cascadeVsPeer} · ` +
      `${results.cascadesPerVcpu} cascades/s per vCPU · embedded queue ÷ RabbitMQ ${embeddedRatio}`,
  );
  const problems = await checkResults(bench, embeddedUrl, embedded);
  await embedded.stop();
  return problems;
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

function cascadeSide(name: string, gateway: Gateway, databaseUrl: string): CascadeSide {
  return { name, url: gateway.restUrl, databaseUrl, processes: [{ name: "gateway", pid: gateway.pid }] };
}

async function cascadeCeiling(bench: Bench): Promise<CascadeSide> {
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
