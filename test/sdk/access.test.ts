import { describe, expect, test } from "vitest";
import { bodyDigest, checkAccessClaims, createAccessToken, isOfKind } from "../../src/sdk/access.ts";
import { peekJws, verifyJws } from "../../src/sdk/jws.ts";
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
    by: { kid: key.kid, alg: key.alg, key: key.publicKey },
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
    ["iat as digits", { iat: String(iat), jti: "a" }, "ok"],
    ["iat as other text", { iat: `${iat} `, jti: "a" }, "iat"],
    ["iat as digits with a fraction", { iat: `${iat}.25`, jti: "a" }, "ok"],
    ["iat as digits and letters", { iat: `${iat}s`, jti: "a" }, "iat"],
    ["iat as letters and digits", { iat: `s${iat}`, jti: "a" }, "iat"],
    ["iat as digits with a sign", { iat: `+${iat}`, jti: "a" }, "iat"],
    ["iat as an empty text", { iat: "", jti: "a" }, "iat"],
    ["iat as a list", { iat: [iat], jti: "a" }, "iat"],
    ["iat NaN", { iat: Number.NaN, jti: "a" }, "iat"],
    ["iat infinite", { iat: Number.NEGATIVE_INFINITY, jti: "a" }, "iat"],
    ["no jti", { iat }, "jti"],
    ["an empty jti", { iat, jti: "" }, "jti"],
    ["a number as jti", { iat, jti: 7 }, "jti"],
    ["a jti of 64 characters", { iat, jti: "j".repeat(64) }, "ok"],
    ["a jti of 64 characters beyond the first plane", { iat, jti: "𝒋".repeat(64) }, "ok"],
    ["a jti of 65 characters", { iat, jti: "j".repeat(65) }, "jti"],
    ["a jti with a line break", { iat, jti: "a\nb" }, "jti"],
    ["a jti that is half a character", { iat, jti: "\ud800" }, "jti"],
    ["exp a moment ago", { iat, jti: "a", exp: iat - 29 }, "ok"],
    ["exp 30 s ago", { iat, jti: "a", exp: iat - 30 }, "expired"],
    ["exp as digits, over", { iat, jti: "a", exp: String(iat - 300) }, "expired"],
    ["exp that is no instant", { iat, jti: "a", exp: "never" }, "expired"],
    ["exp null", { iat, jti: "a", exp: null }, "expired"],
    ["nbf as digits", { iat, jti: "a", nbf: String(iat) }, "ok"],
    ["exp to come", { iat, jti: "a", exp: iat + 1 }, "ok"],
    ["nbf 30 s ahead", { iat, jti: "a", nbf: iat + 30 }, "ok"],
    ["nbf further ahead", { iat, jti: "a", nbf: iat + 31 }, "not_yet_valid"],
    ["nbf that is no instant", { iat, jti: "a", nbf: {} }, "not_yet_valid"],
    ["nbf long ago", { iat, jti: "a", nbf: String(iat - 1000) }, "ok"],
    ["aud that is us", { iat, jti: "a", aud: "dcm" }, "ok"],
    [
      "aud with our address among others",
      { iat, jti: "a", aud: ["https://other.example", "https://dcm.example"] },
      "ok",
    ],
    ["aud that is somebody else", { iat, jti: "a", aud: "https://other.example" }, "audience"],
    ["aud that is nobody", { iat, jti: "a", aud: [] }, "audience"],
    ["aud of our address and more", { iat, jti: "a", aud: "https://dcm.example.evil" }, "audience"],
    ["aud null", { iat, jti: "a", aud: null }, "audience"],
    ["an order's claims", { iat, jti: "a", sub: "uid", amt: 1, cur: "UAH", ref: "r" }, "kind"],
    [
      "a payment message's claims",
      { iat, jti: "a", payment_message_external_id: "p", debtor_agent_bic: "306500", amount: 1 },
      "kind",
    ],
    [
      "a settlement payment's claims",
      { iat, jti: "a", payment_message_external_id: "p", creditor_iban: "UA1", amount: 1 },
      "kind",
    ],
    ["a cancellation's claims", { iat, jti: "a", sub: "uid", order_id: "o" }, "kind"],
    ["claims of our own beside", { iat, jti: "a", sub: "bank", ref: "r", amount: 1 }, "ok"],
  ];
  test.each(rows)("%s", (_rule, claims, expected) => {
    const result = checkAccessClaims(claims, now, ["dcm", "https://dcm.example"]);
    expect(result.ok ? "ok" : result.problem).toBe(expected);
  });
});

test("checkAccessClaims answers when the token was made and which one it is", () => {
  expect(checkAccessClaims({ iat: String(iat), jti: "a" }, now, [])).toEqual({ ok: true, iat, jti: "a" });
});

test("createAccessToken: iat is in whole seconds, and further claims stand beside it", async () => {
  const token = await createAccessToken(await generateKeyPair(), new Date(now.getTime() + 999), "a", { iss: "shop" });
  expect(peekJws(token)).toMatchObject({ claims: { iss: "shop", iat, jti: "a" } });
});

test("bodyDigest: base64url of the SHA-256 of the bytes", () => {
  expect(bodyDigest(Buffer.from("abc"))).toBe("ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
});

test("isOfKind: a token is of a kind if it says all that tokens of that kind say, whatever else it says", () => {
  const order = { sub: 1, amt: 1, cur: 1, ref: 1 };
  expect([isOfKind({ ...order, more: 1 }, "order"), isOfKind({}, "order")]).toEqual([true, false]);
  for (const left of Object.keys(order)) {
    const others = Object.fromEntries(Object.entries(order).filter(([name]) => name !== left));
    expect(isOfKind(others, "order"), left).toBe(false);
  }
});
