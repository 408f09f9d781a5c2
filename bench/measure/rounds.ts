import { say } from "../bench.ts";
import { median } from "../statistics.ts";

export type Plan = { rounds: number; count: number; warmUp: number };

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
  for (let number = 0; number <= plan.rounds; number++) {
    const isWarmUp = number === 0;
    const count = isWarmUp ? plan.warmUp : plan.count;
    if (number === 1) await round.warm?.();
    await round.prepare?.(count);
    const told: string[] = [];
    for (let index = 0; index < sides.length; index++) {
      const side = sides[(index + number) % sides.length] as Side;
      const rate = await round.measure(side, count, !isWarmUp);
      told.push(`${side.name} ${Math.round(rate)}/s`);
      if (!isWarmUp) rates[side.name]?.push(rate);
    }
    say(`${title}, ${isWarmUp ? "warming up" : `round ${number} of ${plan.rounds}`}: ${told.join(" · ")}`);
  }
  return rates;
}

/** The median of the rounds' own ratios. */
export function ratio(rates: Record<string, number[]>, side: string, other: string): number {
  const others = rates[other] ?? [];
  return median((rates[side] ?? []).map((rate, index) => rate / (others[index] ?? Number.NaN)));
}
