import { createHmac, createPublicKey, webcrypto } from "node:crypto";
import { CompactSign, compactVerify } from "jose";
import { beforeAll, describe, expect, test } from "vitest";
import { MAX_TOKEN_CHARS, peekJws, signJws, verifyJws } from "../../src/sdk/jws.ts";
import {
  ALGORITHMS,
  generateKeyPair,
  importPublicKey,
  type KeyPair,
  type VerificationKey,
} from "../../src/sdk/keys.ts";

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
const latin1 = (text: string) => Buffer.from(text, "latin1").toString("base64url");
const part = (token: string, index: number) => token.split(".")[index] as string;

let own: KeyPair;
let second: KeyPair;
let third: KeyPair;
let foreign: KeyPair;
let ellipticKey: KeyPair;

const verifying = (pair: KeyPair): VerificationKey => ({ kid: pair.kid, alg: pair.alg, key: pair.publicKey });

/** Signs any header at all, the way an attacker who holds a valid key could. */
async function signRaw(header: object, claims: unknown, pair: KeyPair) {
  const input = `${encode(header)}.${encode(claims)}`;
  const key = pair.privateKey as webcrypto.CryptoKey;
  const signature = await webcrypto.subtle.sign("RSASSA-PKCS1-v1_5", key, Buffer.from(input));
  return `${input}.${Buffer.from(signature).toString("base64url")}`;
}

beforeAll(async () => {
  [own, second, third, foreign, ellipticKey] = await Promise.all([
    generateKeyPair(),
    generateKeyPair(),
    generateKeyPair(),
    generateKeyPair(),
    generateKeyPair("ES256"),
  ]);
});

describe.each(ALGORITHMS)("%s, with jose at the other end", (alg) => {
  const claims = { amount: 21, purpose: "оплата" };

  test("it reads what we sign, and we read what it signs", async () => {
    const pair = await generateKeyPair(alg);
    const { payload, protectedHeader } = await compactVerify(await signJws(claims, pair), pair.publicKey);
    expect(JSON.parse(Buffer.from(payload).toString())).toEqual(claims);
    expect(protectedHeader).toEqual({ alg, kid: pair.kid, typ: "JWT" });
    const theirs = new CompactSign(Buffer.from(JSON.stringify(claims))).setProtectedHeader({ alg, kid: pair.kid });
    expect(await verifyJws(await theirs.sign(pair.privateKey), [verifying(pair)])).toMatchObject({ ok: true, claims });
  });

  test("a signature that is cut, long, empty or of zeros is refused and not an error", async () => {
    const pair = await generateKeyPair(alg);
    const token = await signJws(claims, pair);
    const signed = token.slice(0, token.lastIndexOf("."));
    const signature = Buffer.from(part(token, 2), "base64url");
    const bad = [signature.subarray(1), Buffer.concat([signature, signature]), Buffer.alloc(0), signature.fill(0)];
    for (const bytes of bad) {
      const forged = `${signed}.${bytes.toString("base64url")}`;
      expect(await verifyJws(forged, [verifying(pair)])).toEqual({ ok: false, problem: "signature" });
    }
  });
});

test.each([
  ["says JWT unless it is told otherwise", {}, { typ: "JWT" }],
  ["says another type that it is given", { typ: "dcm" }, { typ: "dcm" }],
  ["says no type where it is to say none", { typ: null }, {}],
])("signJws: the header %s", async (_rule, options, typ) => {
  expect(peekJws(await signJws({}, own, options))).toHaveProperty("header", { alg: "RS256", kid: own.kid, ...typ });
});

describe("verifyJws accepts", () => {
  test.each(ALGORITHMS)("a token of a registered %s key", async (alg) => {
    const pair = await generateKeyPair(alg);
    const token = await signJws({ amount: 21, purpose: "оплата" }, pair);
    const registered = await importPublicKey(pair.publicJwk);
    if (!registered.ok) throw new Error(registered.message);
    expect(await verifyJws(token, [registered.key])).toEqual({
      ok: true,
      claims: { amount: 21, purpose: "оплата" },
      header: { alg, kid: pair.kid, typ: "JWT" },
      by: registered.key,
    });
  });

  const accepted: [string, () => Promise<string>][] = [
    ["a token without kid, by the first key", () => signRaw({ alg: "RS256" }, {}, own)],
    ["a token without kid, by the second key", () => signRaw({ alg: "RS256" }, {}, second)],
    ["a token without typ", () => signJws({}, own, { typ: null })],
    ["a token whose jku is ignored", () => signRaw({ alg: "RS256", kid: own.kid, jku: "http://127.0.0.1/" }, {}, own)],
    ["a token whose x5u is ignored", () => signRaw({ alg: "RS256", kid: own.kid, x5u: "http://127.0.0.1/" }, {}, own)],
  ];
  test.each(accepted)("%s", async (_rule, token) => {
    expect(await verifyJws(await token(), [own, second].map(verifying))).toMatchObject({ ok: true });
  });
});

describe("verifyJws refuses", () => {
  const signature = () => "A".repeat(342);
  const rejected: [string, string, () => unknown][] = [
    ["nothing", "malformed", () => undefined],
    ["an object", "malformed", () => ({ toString: () => "a.b.c" })],
    ["an empty string", "malformed", () => ""],
    ["two parts", "malformed", () => "e30.e30"],
    ["five parts", "malformed", () => "e30.e30.e30.e30.e30"],
    [
      "a token with more parts behind its signature",
      "malformed",
      () => `${encode({ alg: "RS256" })}.${encode({})}.AAAA.AAAA`,
    ],
    ["base64 that is not base64url", "malformed", () => "e30=.e30=.e30="],
    ["a header that is not JSON", "malformed", () => `bm9wZQ.${encode({})}.${signature()}`],
    ["a header that is a list", "malformed", () => `${encode([])}.${encode({})}.${signature()}`],
    ["a header that is not UTF-8", "malformed", () => `__8.${encode({})}.${signature()}`],
    [
      "a header with a text that is not UTF-8",
      "malformed",
      () => `${latin1('{"alg":"RS256","a":"\xff"}')}.${encode({})}.${signature()}`,
    ],
    [
      "claims with a text that is not UTF-8",
      "malformed",
      () => `${encode({ alg: "RS256" })}.${latin1('{"a":"\xff"}')}.${signature()}`,
    ],
    ["a header without alg", "malformed", () => `${encode({ kid: own.kid })}.${encode({})}.${signature()}`],
    ["a kid that is no string", "malformed", () => `${encode({ alg: "RS256", kid: 1 })}.${encode({})}.${signature()}`],
    ["claims that are a list", "malformed", () => signRaw({ alg: "RS256", kid: own.kid }, [1], own)],
    ["claims that are null", "malformed", () => signRaw({ alg: "RS256", kid: own.kid }, null, own)],
    ["claims that are a number", "malformed", () => signRaw({ alg: "RS256", kid: own.kid }, 7, own)],
    ["claims that are a text", "malformed", () => signRaw({ alg: "RS256", kid: own.kid }, "text", own)],
    ["alg none", "algorithm", () => `${encode({ alg: "none" })}.${encode({})}.`],
    ["alg None with a signature", "algorithm", () => `${encode({ alg: "None" })}.${encode({})}.${signature()}`],
    ["an alg from the object prototype", "algorithm", () => `${encode({ alg: "toString" })}.${encode({})}.`],
    [
      "alg none before it is asked whose key is named",
      "algorithm",
      () => `${encode({ alg: "none", kid: foreign.kid })}.${encode({})}.`,
    ],
    ["a truncated signature", "signature", async () => (await signJws({}, own)).slice(0, -10)],
    ["an empty signature", "signature", async () => (await signJws({}, own)).replace(/[^.]+$/, "")],
    [
      "a token that misses its signature part",
      "malformed",
      async () => (await signJws({}, own)).replace(/\.[^.]+$/, ""),
    ],
    ["another party's kid", "unknown_key", () => signJws({}, foreign)],
    ["an own kid over a foreign signature", "signature", () => signRaw({ alg: "RS256", kid: own.kid }, {}, foreign)],
    ["a foreign signature without kid", "signature", () => signRaw({ alg: "RS256" }, {}, foreign)],
    ["an empty kid", "malformed", () => signRaw({ alg: "RS256", kid: "" }, {}, own)],
    ["another algorithm than the key's", "algorithm", () => signRaw({ alg: "PS256", kid: own.kid }, {}, own)],
    ["an unknown extension", "critical", () => signRaw({ alg: "RS256", kid: own.kid, crit: ["exp"] }, {}, own)],
    ["an empty crit", "critical", () => signRaw({ alg: "RS256", kid: own.kid, crit: [] }, {}, own)],
    ["an unencoded payload", "critical", () => signRaw({ alg: "RS256", kid: own.kid, b64: false }, {}, own)],
    ["b64 that says the usual", "critical", () => signRaw({ alg: "RS256", kid: own.kid, b64: true }, {}, own)],
    ["a huge token", "too_large", () => `${encode({ alg: "RS256" })}.${"A".repeat(MAX_TOKEN_CHARS)}.AAAA`],
    ["a key inside the header", "signature", () => signRaw({ alg: "RS256", jwk: foreign.publicJwk }, {}, foreign)],
    [
      "a key inside the header under its own kid",
      "unknown_key",
      () => signRaw({ alg: "RS256", kid: foreign.kid, jwk: foreign.publicJwk }, {}, foreign),
    ],
    [
      "another party's key set behind jku",
      "unknown_key",
      () => signRaw({ alg: "RS256", kid: foreign.kid, jku: "http://127.0.0.1/jwks.json" }, {}, foreign),
    ],
    [
      "changed claims",
      "signature",
      async () => {
        const token = await signJws({ amount: 1 }, own);
        return [part(token, 0), encode({ amount: 100 }), part(token, 2)].join(".");
      },
    ],
    [
      "HS256 with the public key as the secret",
      "algorithm",
      () => {
        const pem = createPublicKey({ key: own.publicJwk, format: "jwk" }).export({ type: "spki", format: "pem" });
        const input = `${encode({ alg: "HS256", kid: own.kid })}.${encode({})}`;
        return `${input}.${createHmac("sha256", pem).update(input).digest("base64url")}`;
      },
    ],
    [
      "a second spelling of the same signature",
      "malformed",
      async () => {
        // 256 bytes leave four unused bits in the last character: A and B then mean the same bytes.
        const token = await signJws({}, own);
        const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        return token.slice(0, -1) + alphabet[alphabet.indexOf(token.slice(-1)) + 1];
      },
    ],
  ];
  test.each(rejected)("%s (%s)", async (_rule, problem, token) => {
    expect(await verifyJws(await token(), [verifying(own)])).toEqual({ ok: false, problem });
  });

  test("a token without kid by the party's third key: only two are tried", async () => {
    const token = await signRaw({ alg: "RS256" }, {}, third);
    const keys = [own, second, third].map(verifying);
    expect(await verifyJws(token, keys)).toEqual({ ok: false, problem: "signature" });
  });

  test("every token of a party without keys", async () => {
    expect(await verifyJws(await signJws({}, own), [])).toEqual({ ok: false, problem: "unknown_key" });
  });

  test("an RSA token for an elliptic key of the same name", async () => {
    const token = await signRaw({ alg: "RS256", kid: ellipticKey.kid }, {}, own);
    expect(await verifyJws(token, [verifying(ellipticKey)])).toEqual({ ok: false, problem: "algorithm" });
  });

  /** A token of ours whose claims, or header, are this text. */
  async function signText(header: string, claims: string) {
    const input = [header, claims].map((text) => Buffer.from(text).toString("base64url")).join(".");
    const signature = await webcrypto.subtle.sign(
      "RSASSA-PKCS1-v1_5",
      own.privateKey as webcrypto.CryptoKey,
      Buffer.from(input),
    );
    return `${input}.${Buffer.from(signature).toString("base64url")}`;
  }

  test("claims that name a member twice, once their signature is good, and says which", async () => {
    const twice = await signText(JSON.stringify({ alg: "RS256" }), '{"amt":1,"amt":2}');
    expect(await verifyJws(twice, [verifying(own)])).toEqual({ ok: false, problem: "named_twice", member: "amt" });
    expect(await verifyJws(twice, [verifying(second)])).toEqual({ ok: false, problem: "signature" });
  });

  test("a header that names a member twice, whoever signed it", async () => {
    const twice = await signText('{"alg":"RS256","alg":"RS256"}', "{}");
    expect(await verifyJws(twice, [verifying(own)])).toEqual({ ok: false, problem: "malformed" });
  });

  test("a token beyond what the reader takes; one of exactly that length is read", async () => {
    const token = await signJws({}, own);
    expect(await verifyJws(token, [verifying(own)], token.length)).toMatchObject({ ok: true });
    expect(await verifyJws(token, [verifying(own)], token.length - 1)).toEqual({ ok: false, problem: "too_large" });
  });

  test.each(["e30.e30.", ".e30.", "e30..", "a b.e30.", "e30.e30.=", " e30.e30.", "e30.e30. "])(
    "peekJws: %j is no token with a header that names an algorithm",
    (token) => {
      expect(peekJws(token)).toEqual({ ok: false, problem: "malformed" });
    },
  );
});
