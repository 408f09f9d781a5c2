import { generateKeyPairSync } from "node:crypto";
import { calculateJwkThumbprint } from "jose";
import { describe, expect, test } from "vitest";
import { signJws, verifyJws } from "../../src/sdk/jws.ts";
import { ALGORITHMS, generateKeyPair, importKeyPair, importKeySet, importPublicKey } from "../../src/sdk/keys.ts";

const rsaJwk = (bits: number) =>
  generateKeyPairSync("rsa", { modulusLength: bits }).publicKey.export({ format: "jwk" });

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
    ["an endless kid", "invalid_key", () => ({ ...rsaJwk(2048), kid: "k".repeat(129) })],
  ];
  test.each(refused)("%s is refused (%s)", async (_rule, problem, jwk) => {
    expect(await importPublicKey(jwk())).toMatchObject({ ok: false, problem });
  });
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
