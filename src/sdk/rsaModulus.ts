/** The primes below 1 000: a modulus that one of them divides was not made of two large primes. */
const SMALL_PRIMES = primesUpTo(997n);

/**
 * ROCA (CVE-2017-15361): Infineon's chips made primes of the form k·M + (65537^a mod M), where M is a product of small primes. Such
 * a modulus is a power of 65537 modulo every prime of M; of other moduli one in 2^27 is.
 */
const ROCA_POWERS = primesUpTo(167n).map((prime) => ({ prime, powers: powersOf(65_537n, prime) }));

/** Fermat's method: two primes so close to each other that this many steps find them are found by anybody. */
const FERMAT_STEPS = 100;

/** A modulus of random primes has no such long run of equal bits; one of a special form has, and is easier to factor. */
const LONGEST_RUN_BITS = 128;

/** Why an RSA modulus is known to be weak, as the rest of a sentence, or undefined. */
export function modulusProblem(modulus: bigint): string | undefined {
  if (SMALL_PRIMES.some((prime) => modulus % prime === 0n)) return "has a small factor";
  if (ROCA_POWERS.every(({ prime, powers }) => powers.has(modulus % prime))) return "was made by a broken chip (ROCA)";
  if (/0{128}|1{128}/.test(modulus.toString(2))) return `has ${LONGEST_RUN_BITS} equal bits in a row`;
  if (hasCloseFactors(modulus)) return "is a square or nearly one";
  return undefined;
}

/** For odd numbers. */
function hasCloseFactors(modulus: bigint): boolean {
  let middle = squareRoot(modulus);
  if (middle * middle < modulus) middle += 1n;
  for (let step = 0; step < FERMAT_STEPS; step++, middle++) {
    const rest = middle * middle - modulus;
    const root = squareRoot(rest);
    if (root * root === rest) return true;
  }
  return false;
}

/** The largest integer whose square is not above it. */
function squareRoot(value: bigint): bigint {
  if (value < 2n) return value;
  // Started from above the root, Newton's method decreases until it reaches it.
  let root = 1n << BigInt((value.toString(2).length + 1) >> 1);
  for (let next = (root + value / root) >> 1n; next < root; next = (root + value / root) >> 1n) root = next;
  return root;
}

function powersOf(base: bigint, prime: bigint): Set<bigint> {
  const powers = new Set<bigint>();
  for (let power = 1n; !powers.has(power); power = (power * base) % prime) powers.add(power);
  return powers;
}

function primesUpTo(limit: bigint): bigint[] {
  const primes: bigint[] = [];
  for (let number = 2n; number <= limit; number++) {
    if (primes.every((prime) => number % prime !== 0n)) primes.push(number);
  }
  return primes;
}
