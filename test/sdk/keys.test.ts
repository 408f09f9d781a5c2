import { checkPrimeSync, generateKeyPairSync, generatePrimeSync } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { describe, expect, test } from "vitest";
import { signJws, verifyJws } from "../../src/sdk/jws.ts";
import { ALGORITHMS, generateKeyPair, importKeyPair, importKeySet, importPublicKey } from "../../src/sdk/keys.ts";

const rsaJwk = (bits: number) =>
  generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "jwk" });

const good = rsaJwk(2048) as { kty: string; n: string; e: string };

const bytesOf = (number: bigint) => {
  const hex = number.toString(16);
  return Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
};
const withModulus = (modulus: bigint) => ({ ...good, n: bytesOf(modulus).toString("base64url") });
const withZeroByte = (text: string) =>
  Buffer.concat([Buffer.of(0), Buffer.from(text, "base64url")]).toString("base64url");
const prime = () => generatePrimeSync(1024, { bigint: true });
const hasSmallFactor = (number: bigint) =>
  Array.from({ length: 500 }, (_, n) => BigInt(n) * 2n + 3n).some((odd) => number % odd === 0n);

function primeAfter(number: bigint): bigint {
  let next = number + 2n;
  while (!checkPrimeSync(next)) next += 2n;
  return next;
}

/** As the broken chips made their primes: a power of 65537 for every small prime. */
function rocaModulus(): bigint {
  const primes = [
    2n,
    3n,
    5n,
    7n,
    11n,
    13n,
    17n,
    19n,
    23n,
    29n,
    31n,
    37n,
    41n,
    43n,
    47n,
    53n,
    59n,
    61n,
    67n,
    71n,
    73n,
    79n,
    83n,
  ];
  const product = [
    ...primes,
    89n,
    97n,
    101n,
    103n,
    107n,
    109n,
    113n,
    127n,
    131n,
    137n,
    139n,
    149n,
    151n,
    157n,
    163n,
    167n,
  ].reduce((all, one) => all * one, 1n);
  for (let factor = generatePrimeSync(2048, { bigint: true }) / product; ; factor += 1n) {
    const modulus = factor * product + (65_537n ** 5n % product);
    if (!hasSmallFactor(modulus)) return modulus;
  }
}

/** Of 2048 bits, with a long run of zeros, as numbers of a special form have. */
function specialModulus(): bigint {
  for (let low = generatePrimeSync(1024, { bigint: true }); ; low += 2n) {
    const modulus = (1n << 2047n) + low;
    if (!hasSmallFactor(modulus)) return modulus;
  }
}

describe("importPublicKey", () => {
  test("a key without a name is named by its RFC 7638 thumbprint", async () => {
    const jwk = rsaJwk(2048);
    const thumbprint = await calculateJwkThumbprint(jwk as never);
    expect(await importPublicKey(jwk)).toMatchObject({ ok: true, key: { kid: thumbprint, alg: "RS256" } });
  });

  test("only the public members are kept of what was registered", async () => {
    const result = await importPublicKey({ ...rsaJwk(2048), kid: "a", x5u: "http://127.0.0.1/", extra: 1 });
    expect(result.ok && Object.keys(result.publicJwk).sort()).toEqual(["alg", "e", "kid", "kty", "n", "use"]);
  });

  const refused: [string, string, () => unknown][] = [
    ["nothing", "not_a_jwk", () => undefined],
    ["a list", "not_a_jwk", () => []],
    ["a text", "not_a_jwk", () => "-----BEGIN PUBLIC KEY-----"],
    ["a shared secret", "key_type", () => ({ kty: "oct", k: "c2VjcmV0" })],
    ["a key type from the object prototype", "key_type", () => ({ kty: "constructor" })],
    [
      "a private key",
      "private_key",
      () => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey.export({ format: "jwk" }),
    ],
    ["RSA with 1024 bits", "key_too_small", () => rsaJwk(1024)],
    ["an RSA key for HS256", "algorithm", () => ({ ...rsaJwk(2048), alg: "HS256" })],
    ["an RSA key for ES256", "algorithm", () => ({ ...rsaJwk(2048), alg: "ES256" })],
    ["a key without its numbers", "invalid_key", () => ({ kty: "RSA" })],
    ["numbers that are no base64url", "invalid_key", () => ({ kty: "RSA", n: {}, e: "AQAB" })],
    [
      "another curve",
      "invalid_key",
      () => generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" }),
    ],
    ["an RSA key for which anybody can sign", "exponent", () => ({ ...rsaJwk(2048), e: "AQ" })],
    ["an even exponent", "exponent", () => ({ ...rsaJwk(2048), e: "AQAC" })],
    ["an exponent as long as the modulus", "exponent", () => ({ ...rsaJwk(2048), e: rsaJwk(2048).n })],
    ["a use that nobody knows", "use", () => ({ ...rsaJwk(2048), use: { sig: true } })],
    ["an endless kid", "invalid_key", () => ({ ...good, kid: "k".repeat(129) })],
    ["an empty kid", "invalid_key", () => ({ ...good, kid: "" })],
    ["a kid with a line break", "invalid_key", () => ({ ...good, kid: "a\nb" })],
    ["a kid with a zero byte", "invalid_key", () => ({ ...good, kid: "a\0" })],
    ["a kid with a C1 character", "invalid_key", () => ({ ...good, kid: "a\u0085" })],
    ["a kid that is half a character", "invalid_key", () => ({ ...good, kid: "\ud83d" })],
    ["the exponent 3", "exponent", () => ({ ...good, e: "Aw" })],
    ["a key that is to encrypt", "use", () => ({ ...good, key_ops: ["encrypt"] })],
    ["key_ops that are no list", "use", () => ({ ...good, key_ops: "verify" })],
    ["no key_ops", "use", () => ({ ...good, key_ops: [] })],
    ["a modulus with a leading zero byte", "invalid_key", () => ({ ...good, n: withZeroByte(good.n) })],
    ["an exponent with a leading zero byte", "invalid_key", () => ({ ...good, e: withZeroByte(good.e) })],
    ["an even modulus", "weak_modulus", () => withModulus(prime() * prime() * 2n)],
    ["a modulus with a small factor", "weak_modulus", () => withModulus(prime() * prime() * 997n)],
    ["a square", "weak_modulus", () => withModulus(prime() ** 2n)],
    ["primes side by side", "weak_modulus", () => ((p) => withModulus(p * primeAfter(p)))(prime())],
    ["a modulus of a broken chip (ROCA)", "weak_modulus", () => withModulus(rocaModulus())],
    ["a modulus of a special form", "weak_modulus", () => withModulus(specialModulus())],
  ];
  test.each(refused)("%s is refused (%s)", async (_rule, problem, jwk) => {
    expect(await importPublicKey(jwk())).toMatchObject({ ok: false, problem });
  });
});

test("importPublicKey: a key may say that it verifies, be for encryption, and have any name of 128 characters", async () => {
  for (const more of [{ key_ops: ["verify"] }, { use: "enc", key_ops: ["wrapKey"] }, { kid: "🔑".repeat(128) }]) {
    expect(await importPublicKey({ ...good, ...more })).toMatchObject({ ok: true });
  }
  expect(await importPublicKey(withModulus(prime() * prime()))).toMatchObject({ ok: true });
});

test.each(ALGORITHMS)("importKeyPair: a %s pair that was kept signs as before", async (alg) => {
  const made = await generateKeyPair(alg);
  const kept = await importKeyPair(JSON.parse(JSON.stringify(made.privateJwk)));
  expect(kept.publicJwk).toEqual(made.publicJwk);
  const verified = await verifyJws(await signJws({}, kept), [{ kid: made.kid, alg, key: made.publicKey }]);
  expect(verified.ok).toBe(true);
});

test("importKeySet: keys that cannot verify are left out", async () => {
  const signing = { ...rsaJwk(2048), kid: "signing" };
  const set = { keys: [signing, { ...rsaJwk(2048), use: "enc" }, { kty: "oct", k: "AA" }, null, "text"] };
  expect((await importKeySet(set)).map((key) => key.kid)).toEqual(["signing"]);
});
