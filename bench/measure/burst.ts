import { type Bench, expectAllAccepted } from "../bench.ts";
import type { Child } from "../child.ts";
import { CALLBACKS_A_PAYMENT, loopTask, type StoringSide, untilSettled } from "./cascade.ts";
import { settleTables } from "./intake.ts";
import { inTurn } from "./rounds.ts";

/** A side that stores has a gateway, whose parked tickets are counted; the other one is the bare loop. */
export type BurstSide = { name: string } & ({ loop: Child } | StoringSide);

export type BurstPlan = { payments: number; delaysMs: readonly number[]; rounds: number };

/** Payments a second until the last of all callbacks is answered, and until the last payment has succeeded, by side and round. */
export type BurstResult = {
  delayMs: number;
  rates: Record<string, number[]>;
  successRates: Record<string, number[]>;
  /** Tickets that were put aside, by side: of endpoints that answer there should be none. */
  parked: Record<string, number>;
};

const DEADLINE_MS = 180_000;
/** As many payments are sent at a time; the others wait for an answer, as they would for a place in the gateway. */
const AT_ONCE = 256;

/** Many payments at once for one merchant, whose endpoint, as those of both banks, answers after a time. */
export async function measureBurst(bench: Bench, sides: readonly BurstSide[], plan: BurstPlan): Promise<BurstResult[]> {
  const results: BurstResult[] = [];
  for (const delayMs of plan.delaysMs) results.push(await burstAt(bench, sides, plan, delayMs));
  await bench.participants.call("answerAfter", 0);
  return results;
}

async function burstAt(bench: Bench, sides: readonly BurstSide[], plan: BurstPlan, delayMs: number) {
  const databases = sides.flatMap((side) => ("databaseUrl" in side ? side.databaseUrl : []));
  const successRates: Record<string, number[]> = Object.fromEntries(sides.map(({ name }) => [name, []]));
  await bench.participants.call("answerAfter", delayMs);
  const before = await parkedOf(sides);
  const { payments, rounds } = plan;
  let batch: Awaited<ReturnType<Bench["prepare"]>>;
  const rates = await inTurn(
    `Burst, ${delayMs} ms`,
    sides,
    { count: payments, warmUp: payments, rounds },
    {
      async prepare(count) {
        batch = await bench.prepare(count, databases, bench.cast.merchants.length * bench.cast.initiators.length);
      },
      warm: () => settleTables(databases),
      async measure(side, count, counts) {
        const startedAtMs = Date.now();
        if ("loop" in side) {
          await side.loop.call("run", { ...loopTask(bench, batch, count), concurrency: count, connections: count });
        } else {
          const goal = { total: (await bench.participants.call<number>("total")) + count * CALLBACKS_A_PAYMENT };
          const result = await bench.send(side.databaseUrl, {
            url: side.url,
            connections: AT_ONCE,
            count,
            keep: true,
          });
          expectAllAccepted(side.name, result, count);
          await bench.participants.call("untilTotal", { ...goal, timeoutMs: DEADLINE_MS });
        }
        const endedAtMs = Date.now();
        const successAtMs = await bench.participants.call<number>("lastSuccessAtMs");
        if ("databaseUrl" in side) await untilSettled(side.databaseUrl);
        if (counts) successRates[side.name]?.push((count * 1_000) / (successAtMs - startedAtMs));
        return (count * 1_000) / (endedAtMs - startedAtMs);
      },
    },
  );
  const after = await parkedOf(sides);
  const parked = Object.fromEntries(Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)]));
  return { delayMs, rates, successRates, parked };
}

async function parkedOf(sides: readonly BurstSide[]): Promise<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const side of sides) {
    if (!("url" in side)) continue;
    const metrics = await (await fetch(`${side.url}/metrics`)).text();
    counts[side.name] = Number(/^dcm_callback_parked_total (\d+)$/m.exec(metrics)?.[1] ?? Number.NaN);
  }
  return counts;
}
