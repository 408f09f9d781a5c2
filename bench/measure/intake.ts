import { type Bench, expectAllAccepted } from "../bench.ts";
import { query } from "../services.ts";
import { median, type Percentiles } from "../statistics.ts";
import { type Metered, meterCpu } from "../usage.ts";
import { inTurn, type Plan } from "./rounds.ts";

export type IntakeSide = {
  name: string;
  url: string;
  /** Absent for a side that stores nothing. */
  databaseUrl?: string;
  processes: Metered[];
};

export type IntakeResult = {
  rates: Record<string, number[]>;
  latencyMs: Record<string, Pick<Percentiles, "p50" | "p95" | "p99">>;
  /** Processor milliseconds a request, by side and process. */
  cpuMs: Record<string, Record<string, number>>;
};

export const CONNECTIONS = 64;

/** Payment messages accepted a second, over 64 connections of which each waits for its answer. */
export async function measureIntake(
  bench: Bench,
  sides: readonly IntakeSide[],
  plan: Plan,
  title = "Intake",
): Promise<IntakeResult> {
  const latencies: Record<string, Percentiles[]> = {};
  const cpu: Record<string, Record<string, number>> = {};
  const databases = sides.flatMap(({ databaseUrl }) => databaseUrl ?? []);
  const rates = await inTurn(title, sides, plan, {
    async prepare(count) {
      await bench.prepare(count, databases);
    },
    warm: () => settleTables(databases),
    async measure(side, count, counts) {
      const spent = meterCpu([...side.processes, ...bench.services.processes, ...bench.loadProcesses]);
      const options = { url: side.url, connections: CONNECTIONS, count, keep: true };
      const result = await bench.send(side.databaseUrl, options);
      expectAllAccepted(side.name, result, count);
      if (counts) {
        latencies[side.name] = [...(latencies[side.name] ?? []), result.latencyMs];
        cpu[side.name] = addShares(cpu[side.name], spent(), count * plan.rounds);
      }
      return count / result.seconds;
    },
  });
  const latencyMs = Object.fromEntries(
    Object.entries(latencies).map(([name, rounds]) => [
      name,
      {
        p50: median(rounds.map(({ p50 }) => p50)),
        p95: median(rounds.map(({ p95 }) => p95)),
        p99: median(rounds.map(({ p99 }) => p99)),
      },
    ]),
  );
  return { rates, latencyMs, cpuMs: cpu };
}

/**
 * What autovacuum does within minutes, done for all sides before the rounds that count: peers and the queue libraries
 * that they use plan badly on tables that were never analyzed, and winning by that would be no merit.
 */
export async function settleTables(databaseUrls: readonly string[]): Promise<void> {
  for (const url of databaseUrls) await query(url, "vacuum analyze");
}

export function addShares(sum: Record<string, number> | undefined, spent: Record<string, number>, among: number) {
  const total = { ...sum };
  for (const [name, ms] of Object.entries(spent)) total[name] = (total[name] ?? 0) + ms / among;
  return total;
}

/** One caller who waits for each answer: what a bank feels on a quiet platform. */
export async function measureQuietIntake(bench: Bench, side: IntakeSide, count: number): Promise<Percentiles> {
  await bench.prepare(count, side.databaseUrl === undefined ? [] : [side.databaseUrl]);
  const result = await bench.send(side.databaseUrl, { url: side.url, connections: 1, count });
  expectAllAccepted(side.name, result, count);
  return result.latencyMs;
}
