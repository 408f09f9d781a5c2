import { expect, test } from "vitest";
import { modulusProblem } from "../../src/sdk/rsaModulus.ts";

const hasSmallFactor = (number: bigint) =>
  Array.from({ length: 500 }, (_, n) => BigInt(n) * 2n + 3n).some((odd) => number % odd === 0n);

/**
 * The product of two numbers at the same distance from a middle, which lies so many steps above the product's root: Fermat's method
 * begins at the root and finds them at the middle.
 */
function foundAfter(steps: number): bigint {
  const middle = 7n ** 100n;
  // The root is this many steps below the middle if the distance squared is between 2·steps and 2·(steps + 1) middles.
  const distances = Math.sqrt((2 * steps + 1) * Number(middle));
  for (let distance = 2n * BigInt(Math.floor(distances / 2)); ; distance += 2n) {
    const product = (middle - distance) * (middle + distance);
    if (!hasSmallFactor(product)) return product;
  }
}

test.each([
  [0, "is a square or nearly one"],
  [1, "is a square or nearly one"],
  [99, "is a square or nearly one"],
  [100, undefined],
])("factors that %i steps of Fermat's method lead to: %s", (steps, problem) => {
  expect(modulusProblem(foundAfter(steps))).toBe(problem);
});
