import { say } from "../bench.ts";
import { median } from "../statistics.ts";

/** `leastSeconds`: a side that would be through sooner, by its rate when warming up, gets more than `count`. */
export type Plan = { rounds: number; count: number; warmUp: number; leastSeconds?: number };

/**
 * Takes the sides in turn, each round in another order, after one shorter round that counts for nothing. Answers the
 * rate of each side in each round: figures of one round were measured within seconds of each other, so a machine that
 * is busy for a while does them all the same wrong.
 */
export async function inTurn<Side extends { name: string }>(
  title: string,
  sides: readonly Side[],
  plan: Plan,
  round: {
    prepare?(count: number): Promise<void>;
    /** Called once, between the warm-up and the first round that counts. */
    warm?(): Promise<void>;
    /** Answers how many a second. */
    measure(side: Side, count: number, counts: boolean): Promise<number>;
  },
): Promise<Record<string, number[]>> {
  const rates: Record<string, number[]> = Object.fromEntries(sides.map(({ name }) => [name, []]));
  const counts = new Map<Side, number>();
  for (let number = 0; number <= plan.rounds; number++) {
    const isWarmUp = number === 0;
    const countOf = (side: Side) => (isWarmUp ? plan.warmUp : (counts.get(side) ?? plan.count));
    if (number === 1) await round.warm?.();
    await round.prepare?.(Math.max(...sides.map(countOf)));
    const told: string[] = [];
    for (let index = 0; index < sides.length; index++) {
      const side = sides[(index + number) % sides.length] as Side;
      const rate = await round.measure(side, countOf(side), !isWarmUp);
      told.push(`${side.name} ${Math.round(rate)}/s`);
      if (!isWarmUp) rates[side.name]?.push(rate);
      else counts.set(side, Math.max(plan.count, Math.ceil(rate * (plan.leastSeconds ?? 0) * spare)));
    }
    say(`${title}, ${isWarmUp ? "warming up" : `round ${number} of ${plan.rounds}`}: ${told.join(" · ")}`);
  }
  return rates;
}

/** Rates after warming up are higher. */
const spare = 1.3;

/** The rounds' own ratios. */
export function ratios(rates: Record<string, number[]>, side: string, other: string): number[] {
  const others = rates[other] ?? [];
  return (rates[side] ?? []).map((rate, index) => rate / (others[index] ?? Number.NaN));
}

/** Their median. */
export const ratio = (rates: Record<string, number[]>, side: string, other: string): number =>
  median(ratios(rates, side, other));
