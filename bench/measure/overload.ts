import { setTimeout as sleep } from "node:timers/promises";
import { type Bench, say } from "../bench.ts";
import type { IntakeSide } from "./intake.ts";

export type OverloadResult = {
  offeredPerSecond: number;
  goodputPerSecond: number;
  /** Of the rate that the same process reached when nobody pushed. */
  goodputVsPeak: number;
  statuses: Record<string, number>;
  withoutRetryAfter: number;
  /** Until a single request was answered as fast as on a quiet platform, or Infinity. */
  recoveredAfterMs: number;
};

/** As many as fill the platform and its door, so that some wait there until they are refused. */
const CONNECTIONS = 4_500;
const RECOVERY_LIMIT_MS = 30_000;
/** Answers that a quiet platform gives within this are "as before". */
const RECOVERED_MS = 100;

/** Three times the sustainable rate: the platform must refuse what it cannot do and go on with what it can. */
export async function measureOverload(
  bench: Bench,
  side: IntakeSide & { databaseUrl: string },
  peakPerSecond: number,
  { seconds, mostRequests }: { seconds: number; mostRequests: number },
): Promise<OverloadResult> {
  const ratePerSecond = 3 * peakPerSecond;
  const count = Math.min(Math.round(ratePerSecond * seconds), mostRequests);
  say(`Overload: signing ${count} requests, then ${Math.round(ratePerSecond)} of them a second …`);
  await bench.prepare(count, [side.databaseUrl]);
  const options = { url: side.url, connections: CONNECTIONS, count, ratePerSecond };
  const result = await bench.send(side.databaseUrl, options);
  const endedAt = performance.now();
  const recoveredAfterMs = await timeRecovery(bench, side, endedAt);
  const goodputPerSecond = result.acceptedInTime / result.offeredSeconds;
  return {
    offeredPerSecond: count / result.offeredSeconds,
    goodputPerSecond,
    goodputVsPeak: goodputPerSecond / peakPerSecond,
    statuses: result.statuses,
    withoutRetryAfter: result.withoutRetryAfter,
    recoveredAfterMs,
  };
}

async function timeRecovery(bench: Bench, side: IntakeSide & { databaseUrl: string }, endedAt: number) {
  while (performance.now() - endedAt < RECOVERY_LIMIT_MS) {
    await bench.prepare(5, [side.databaseUrl]);
    const probe = await bench.send(side.databaseUrl, { url: side.url, connections: 1, count: 5 });
    if (probe.statuses[201] === 5 && probe.latencyMs.p99 < RECOVERED_MS) return performance.now() - endedAt;
    await sleep(100);
  }
  return Number.POSITIVE_INFINITY;
}
