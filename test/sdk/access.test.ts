import { describe, expect, test } from "vitest";
import { checkAccessClaims, createAccessToken } from "../../src/sdk/access.ts";
import { verifyJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";

const now = new Date("2025-03-01T12:00:00Z");
const iat = now.getTime() / 1000;

test("createAccessToken: carries iat, jti and a header with alg, kid and typ", async () => {
  const key = await generateKeyPair();
  const verified = await verifyJws(await createAccessToken(key, now, "request-1"), [
    { kid: key.kid, alg: key.alg, key: key.publicKey },
  ]);
  expect(verified).toEqual({
    ok: true,
    kid: key.kid,
    header: { alg: "RS256", kid: key.kid, typ: "JWT" },
    claims: { iat, jti: "request-1" },
  });
});

describe("checkAccessClaims", () => {
  const rows: [string, Record<string, unknown>, string][] = [
    ["made now", { iat, jti: "a" }, "ok"],
    ["300 s old", { iat: iat - 300, jti: "a" }, "ok"],
    ["a moment older than 300 s", { iat: iat - 300.001, jti: "a" }, "stale"],
    ["30 s ahead", { iat: iat + 30, jti: "a" }, "ok"],
    ["a moment more than 30 s ahead", { iat: iat + 30.001, jti: "a" }, "ahead"],
    ["milliseconds for seconds", { iat: iat * 1000, jti: "a" }, "ahead"],
    ["no iat", { jti: "a" }, "iat"],
    ["iat as text", { iat: String(iat), jti: "a" }, "iat"],
    ["iat NaN", { iat: Number.NaN, jti: "a" }, "iat"],
    ["iat infinite", { iat: Number.NEGATIVE_INFINITY, jti: "a" }, "iat"],
    ["no jti", { iat }, "jti"],
    ["an empty jti", { iat, jti: "" }, "jti"],
    ["a number as jti", { iat, jti: 7 }, "jti"],
    ["a jti of 64 characters", { iat, jti: "j".repeat(64) }, "ok"],
    ["a jti of 65 characters", { iat, jti: "j".repeat(65) }, "jti"],
  ];
  test.each(rows)("%s", (_rule, claims, expected) => {
    const result = checkAccessClaims(claims, now);
    expect(result.ok ? "ok" : result.problem).toBe(expected);
  });
});
