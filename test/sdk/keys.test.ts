import { checkPrimeSync, generateKeyPairSync, generatePrimeSync, randomBytes } from "node:crypto";
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
/** Looking for primes takes longer than any test: all of them use these two. */
const [p, q] = [generatePrimeSync(1024, { bigint: true }), generatePrimeSync(1024, { bigint: true })] as const;
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

/** As hard to factor as it looks, of exactly so many bits. */
function modulusOf(bits: number): bigint {
  let modulus = BigInt(`0x${randomBytes(bits / 8).toString("hex")}`) | (1n << BigInt(bits - 1)) | 1n;
  while (hasSmallFactor(modulus)) modulus += 2n;
  return modulus;
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

  const refused: [what: string, problem: string, jwk: () => unknown, message?: string][] = [
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
    ["an even modulus", "weak_modulus", () => withModulus(p * q * 2n), "has a small factor"],
    ["a modulus with a small factor", "weak_modulus", () => withModulus(p * q * 997n), "has a small factor"],
    ["a square", "weak_modulus", () => withModulus(p ** 2n), "is a square or nearly one"],
    ["primes side by side", "weak_modulus", () => withModulus(p * primeAfter(p)), "is a square or nearly one"],
    [
      "a modulus of a broken chip (ROCA)",
      "weak_modulus",
      () => withModulus(rocaModulus()),
      "was made by a broken chip (ROCA)",
    ],
    ["a modulus of a special form", "weak_modulus", () => withModulus(specialModulus()), "has 128 equal bits in a row"],
  ];
  test.each(refused)("%s is refused (%s)", async (_rule, problem, jwk, message) => {
    const said = message === undefined ? {} : { message: `the modulus ${message}: make a new key` };
    expect(await importPublicKey(jwk())).toMatchObject({ ok: false, problem, ...said });
  });
});

test("importPublicKey: a key may say that it verifies, be for encryption, and have any name of 128 characters", async () => {
  const saying = [
    { key_ops: ["verify"] },
    { use: "enc", key_ops: ["wrapKey"] },
    { use: "enc", key_ops: ["encrypt"] },
    { kid: "🔑".repeat(128) },
  ];
  for (const more of saying) {
    expect(await importPublicKey({ ...good, ...more })).toMatchObject({ ok: true });
  }
  expect(await importPublicKey(withModulus(p * q))).toMatchObject({ ok: true });
});

test("importPublicKey: an RSA key may have as many as 8192 bits", async () => {
  expect(await importPublicKey(withModulus(modulusOf(8192)))).toMatchObject({ ok: true });
});

test.each(ALGORITHMS)(
  "importPublicKey: a registered %s key only verifies, and cannot be taken out again",
  async (alg) => {
    const imported = await importPublicKey((await generateKeyPair(alg)).publicJwk);
    expect(imported.ok && imported.key.key).toMatchObject({ extractable: false, usages: ["verify"] });
  },
);

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

describe("importPublicKey says what is wrong", () => {
  test.each<[problem: string, message: string, jwk: () => unknown]>([
    ["not_a_jwk", "a JWK is an object", () => null],
    ["key_type", "kty must be RSA, EC or OKP", () => ({})],
    [
      "private_key",
      "the JWK contains a private key: keep it to yourself and make a new one",
      () => ({ ...good, d: "AQAB" }),
    ],
    ...(["p", "q", "k"].map((part) => [
      "private_key",
      "the JWK contains a private key: keep it to yourself and make a new one",
      () => ({ ...good, [part]: "AQAB" }),
    ]) as [string, string, () => unknown][]),
    ["algorithm", "alg must be one of RS256, PS256 for kty RSA", () => ({ ...good, alg: "none" })],
    [
      "invalid_key",
      "kid must be a string of 1 to 128 characters without control characters",
      () => ({ ...good, kid: 7 }),
    ],
    ["use", "use must be sig or enc", () => ({ ...good, use: "verify" })],
    ["use", "key_ops does not name what the key is for", () => ({ ...good, use: "enc", key_ops: ["verify"] })],
    ["invalid_key", "crv must be Ed25519 for kty OKP", () => ({ kty: "OKP", crv: "X25519", x: "AQAB" })],
    ["invalid_key", "n, e must be base64url text", () => ({ ...good, n: `${good.n}=` })],
    ["invalid_key", "n, e must be base64url text", () => ({ ...good, n: `=${good.n}` })],
    ["invalid_key", "crv, x, y must be base64url text", () => ({ kty: "EC", crv: "P-256", x: "AQAB" })],
    ["key_too_small", "an RSA key must have at least 2048 bits, this one has 1024", () => rsaJwk(1024)],
    [
      "key_too_large",
      "an RSA key may have at most 8192 bits, this one has 8200",
      () => ({ ...good, n: Buffer.alloc(1025, 0xff).toString("base64url") }),
    ],
    ["invalid_key", "n and e must not begin with a zero byte", () => ({ ...good, e: withZeroByte(good.e) })],
    [
      "exponent",
      "the exponent of an RSA key must be odd, at least 65537, and have at most 64 bits",
      () => ({ ...good, e: "AQAAAAAAAAAB" }),
    ],
    [
      "invalid_key",
      "the numbers of the JWK are not a usable public key",
      () => ({ kty: "EC", crv: "P-256", x: "AQAB", y: "AQAB" }),
    ],
  ])("%s: %s", async (problem, message, jwk) => {
    expect(await importPublicKey(jwk())).toEqual({ ok: false, problem, message });
  });

  test("each type of key has its algorithms, and one that it is for when nothing is said", async () => {
    const algOf = async (jwk: object) => {
      const imported = await importPublicKey(jwk);
      return imported.ok ? [imported.key.alg, imported.publicJwk] : imported.problem;
    };
    const [es, ed] = await Promise.all([generateKeyPair("ES256", "es"), generateKeyPair("EdDSA", "ed")]);
    const bare = ({ publicJwk: { alg: _alg, use: _use, ...jwk } }: typeof es) => jwk;
    expect(await algOf({ ...good, kid: "rs" })).toEqual(["RS256", { ...good, kid: "rs", alg: "RS256", use: "sig" }]);
    expect(await algOf({ ...good, kid: "ps", alg: "PS256", use: "enc" })).toEqual([
      "PS256",
      { ...good, kid: "ps", alg: "PS256", use: "enc" },
    ]);
    expect(await algOf(bare(es))).toEqual(["ES256", es.publicJwk]);
    expect(await algOf(bare(ed))).toEqual(["EdDSA", ed.publicJwk]);
  });

  test("the smallest exponent is 65537, the largest has 64 bits", async () => {
    for (const e of ["AQAB", "__________8"]) expect(await importPublicKey({ ...good, e })).toMatchObject({ ok: true });
    expect(await importPublicKey({ ...good, e: "__8" })).toMatchObject({ problem: "exponent" });
  });
});

describe("importKeyPair", () => {
  test("operations, use and extractability that a file names do not matter", async () => {
    const made = await generateKeyPair("ES256", "kept");
    const file = { ...made.privateJwk, key_ops: ["encrypt"], use: "enc", ext: false };
    expect((await importKeyPair(file)).publicJwk).toEqual(made.publicJwk);
  });

  test("a broken key of one's own is a broken installation and throws", async () => {
    const { publicJwk } = await generateKeyPair("ES256");
    await expect(importKeyPair({ kty: "oct" })).rejects.toThrow("The private key cannot be used: kty must be RSA");
    await expect(importKeyPair(publicJwk)).rejects.toThrow("The key has no private part");
  });
});

test.each([undefined, null, {}, { keys: "none" }, []])("importKeySet: %j holds no key", async (set) => {
  expect(await importKeySet(set)).toEqual([]);
});
