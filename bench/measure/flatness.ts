import { type Bench, say } from "../bench.ts";
import type { Gateway } from "../gateway.ts";
import { insertHistory } from "../history.ts";
import { perSecond, printTable, rounded, roundsText } from "../report.ts";
import { measureCascade, untilSettled } from "./cascade.ts";
import { measureIntake } from "./intake.ts";
import { type Plan, ratio } from "./rounds.ts";

export type FlatnessPlan = { rows: number; intake: Plan; cascade: Plan };
export type FlatnessResult = { intake: number; cascade: number };

const PROGRESS_ROWS = 500_000;

/** The same gateway on an empty database and on one that has millions of payments: what the past costs. */
export async function measureFlatness(bench: Bench, plan: FlatnessPlan): Promise<FlatnessResult> {
  const empty = await bench.services.createDatabase("bench_empty", bench.template);
  const full = await bench.services.createDatabase("bench_full", bench.template);
  say(`Flatness: inserting ${plan.rows} earlier payments with their callbacks and attempts …`);
  await insertHistory(full, bench.cast, {
    payments: plan.rows,
    callbacks: "delivered",
    onProgress: (done) => done % PROGRESS_ROWS === 0 && say(`  ${done} of ${plan.rows}`),
  });
  const sites = [
    { name: "empty", databaseUrl: empty, amqp: { url: bench.services.amqpUrl, prefix: "bench-empty" } },
    { name: "full", databaseUrl: full, amqp: { url: bench.services.amqpUrl, prefix: "bench-full" } },
  ];
  const open = async (roles: readonly ("rest" | "core")[] | undefined) => {
    const gateways: Gateway[] = [];
    for (const { databaseUrl, amqp } of sites) {
      gateways.push(await bench.startGateway({ databaseUrl, amqp, ...(roles && { roles }) }));
    }
    const sides = sites.map(({ name, databaseUrl }, index) => {
      const gateway = gateways[index] as Gateway;
      return { name, databaseUrl, url: gateway.restUrl, processes: [{ name: "gateway", pid: gateway.pid }] };
    });
    return { sides, stop: () => Promise.all(gateways.map((gateway) => gateway.stop())) };
  };
  const taking = await open(["rest", "core"]);
  const intake = await measureIntake(bench, taking.sides, plan.intake, "Flatness of intake");
  await taking.stop();
  const all = await open(undefined);
  for (const { databaseUrl } of sites) await untilSettled(databaseUrl, 30 * 60_000);
  const cascade = await measureCascade(bench, all.sides, plan.cascade, "Flatness of cascades");
  await all.stop();
  const result = {
    intake: rounded(ratio(intake.rates, "full", "empty")),
    cascade: rounded(ratio(cascade.rates, "full", "empty")),
  };
  printTable(
    `Flatness: full tables hold ${plan.rows} earlier payments`,
    ["what", "empty", "full", "rounds empty", "rounds full", "full ÷ empty"],
    (["intake", "cascade"] as const).map((what) => {
      const { rates } = { intake, cascade }[what];
      const cells = [perSecond(rates.empty), perSecond(rates.full), roundsText(rates.empty), roundsText(rates.full)];
      return [what, ...cells, String(result[what])];
    }),
  );
  return result;
}
