import { beforeAll, describe, expect, test } from "vitest";
import { bodyDigest, createAccessToken } from "../../src/sdk/access.ts";
import {
  CALLBACK_ACCESS_HEADER,
  CALLBACK_GUID_HEADER,
  CALLBACK_KIND_HEADER,
  type IncomingCallback,
  MAX_CALLBACK_TOKEN_CHARS,
  pingProof,
  verifyCallback,
} from "../../src/sdk/callbacks.ts";
import { type Claims, peekJws, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";

const now = new Date("2025-03-01T12:00:00Z");
const iat = now.getTime() / 1000;
const guid = "f5401ac1-e6c8-436b-b311-991f57e0934b";
const binding = { iss: "dcm", aud: "bank-1", iat, exp: iat + 60, jti: guid };

let platform: KeyPair;
let stranger: KeyPair;
const check = (incoming: IncomingCallback) =>
  verifyCallback(
    incoming,
    { audience: "bank-1", keys: [{ kid: platform.kid, alg: platform.alg, key: platform.publicKey }] },
    now,
  );

async function signed(changes: { claims?: Claims; key?: KeyPair; bare?: boolean; headers?: object } = {}) {
  const jwt = await signJws({ ...binding, status: "success", ...changes.claims }, changes.key ?? platform);
  const access = await createAccessToken(platform, now, "access-1");
  return {
    headers: { "cx-authorization": access, "x-callback-guid": guid, ...changes.headers },
    rawBody: Buffer.from(changes.bare ? jwt : JSON.stringify({ jwt })),
  };
}

async function open(changes: { claims?: Claims; body?: string; sent?: string; key?: KeyPair } = {}) {
  const body = Buffer.from(changes.body ?? '{"code":4001}');
  const claims = { iss: "dcm", aud: "bank-1", exp: iat + 60, body_sha256: bodyDigest(body), ...changes.claims };
  const access = await createAccessToken(changes.key ?? platform, now, guid, claims);
  return {
    headers: { "cx-authorization": access, "x-callback-guid": guid },
    rawBody: changes.sent === undefined ? body : Buffer.from(changes.sent),
  };
}

beforeAll(async () => {
  [platform, stranger] = await Promise.all([generateKeyPair(), generateKeyPair()]);
});

describe("verifyCallback", () => {
  test("the documented envelope is accepted", async () => {
    expect(await check(await signed())).toMatchObject({
      ok: true,
      guid,
      form: "signed",
      claims: { status: "success" },
    });
  });

  test("the bare token is accepted", async () => {
    expect(await check(await signed({ bare: true }))).toMatchObject({ ok: true, guid, form: "signed" });
  });

  test("an open body is accepted when the access token binds its digest", async () => {
    expect(await check(await open())).toEqual({ ok: true, guid, form: "open", claims: { code: 4001 } });
  });

  /** Three bytes of a claim are four characters of the token. */
  const filled = (chars: number) => signed({ claims: { filling: "x".repeat(Math.floor(chars * 0.75)) }, bare: true });

  test("a body's token is taken up to 1 MiB, as the platform may sign it", async () => {
    const incoming = await filled(MAX_CALLBACK_TOKEN_CHARS - 1_000);
    expect(incoming.rawBody.length).toBeGreaterThan(MAX_CALLBACK_TOKEN_CHARS - 1_000);
    expect(await check(incoming)).toMatchObject({ ok: true, guid });
  });

  test("header names are taken as they were sent, and the kind may stand in both places", async () => {
    const incoming = await signed({ claims: { callback_kind: "credit", callback_guid: guid } });
    const access = String(incoming.headers["cx-authorization"]);
    const headers = {
      [CALLBACK_ACCESS_HEADER]: access,
      [CALLBACK_GUID_HEADER]: guid,
      [CALLBACK_KIND_HEADER]: "credit",
    };
    expect(await check({ ...incoming, headers })).toMatchObject({ ok: true, guid });
  });

  test("a kind in the header alone proves nothing and disturbs nothing", async () => {
    expect(await check(await signed({ headers: { "x-callback-kind": "pay-in" } }))).toMatchObject({ ok: true });
  });

  test("white space around a bare token belongs to nobody", async () => {
    const incoming = await signed({ bare: true });
    expect(await check({ ...incoming, rawBody: Buffer.from(`\n${incoming.rawBody} `) })).toMatchObject({ ok: true });
  });

  test("pingProof: the challenge alone, signed by each key", async () => {
    const { jwts } = await pingProof({ challenge: "c", more: 1 }, [platform, stranger]);
    expect(jwts.map((jwt) => peekJws(jwt))).toMatchObject([
      { header: { kid: platform.kid }, claims: { challenge: "c" } },
      { header: { kid: stranger.kid }, claims: { challenge: "c" } },
    ]);
    for (const jwt of jwts) expect(peekJws(jwt)).not.toHaveProperty("claims.more");
  });

  const refused: [string, string, () => Promise<IncomingCallback>][] = [
    ["no access token", "access_missing", () => signed({ headers: { "cx-authorization": undefined } })],
    ["two access tokens", "access_missing", () => signed({ headers: { "cx-authorization": ["a", "b"] } })],
    ["garbage as access token", "access_malformed", () => signed({ headers: { "cx-authorization": "Bearer x" } })],
    [
      "an old access token",
      "access_stale",
      async () =>
        signed({
          headers: { "cx-authorization": await createAccessToken(platform, new Date(now.getTime() - 301e3), "a") },
        }),
    ],
    [
      "a stranger's access token",
      "access_unknown_key",
      async () => signed({ headers: { "cx-authorization": await createAccessToken(stranger, now, "a") } }),
    ],
    ["a body beyond 1 MiB", "body_too_large", () => filled(MAX_CALLBACK_TOKEN_CHARS)],
    ["a stranger's body", "body_unknown_key", () => signed({ key: stranger })],
    ["a body for someone else", "audience", () => signed({ claims: { aud: "bank-2" } })],
    ["an expired body", "expired", () => signed({ claims: { exp: iat } })],
    ["a body without exp", "expired", () => signed({ claims: { exp: undefined } })],
    ["a body without jti", "guid", () => signed({ claims: { jti: undefined } })],
    [
      "a body without jti, and no guid in the header",
      "guid",
      () => signed({ claims: { jti: undefined }, headers: { "x-callback-guid": undefined } }),
    ],
    ["another guid in the header", "guid", () => signed({ headers: { "x-callback-guid": "another" } })],
    ["another guid in the claims", "guid", () => signed({ claims: { callback_guid: "another" } })],
    [
      "a Credit shown as a Pay-in",
      "kind",
      () => signed({ claims: { callback_kind: "credit" }, headers: { "x-callback-kind": "pay-in" } }),
    ],
    ["a kind in the claims alone", "kind", () => signed({ claims: { callback_kind: "credit" } })],
    ["an empty body", "body_malformed", async () => ({ ...(await signed()), rawBody: Buffer.alloc(0) })],
    ["an open body without a digest", "body_digest", async () => ({ ...(await signed()), rawBody: Buffer.from("{}") })],
    ["an open body that was changed", "body_digest", () => open({ sent: '{"code":4002}' })],
    ["an open body with other spaces", "body_digest", () => open({ sent: '{"code": 4001}' })],
    ["an open body for someone else", "access_audience", () => open({ claims: { aud: "bank-2" } })],
    ["an open body whose guid is another", "guid", () => open({ claims: { callback_guid: "another" } })],
    ["an expired open body", "expired", () => open({ claims: { exp: iat - 1 } })],
    ["an open body of a stranger", "access_unknown_key", () => open({ key: stranger })],
    ["an open body that is no JSON object", "body_malformed", () => open({ body: "{nope" })],
    ["an empty jti", "guid", () => signed({ claims: { jti: "" }, headers: { "x-callback-guid": "" } })],
    ["a jti that is no text", "guid", () => signed({ claims: { jti: 7 }, headers: { "x-callback-guid": "7" } })],
    ["exp as a text", "expired", () => signed({ claims: { exp: String(iat + 60) } })],
    [
      "an envelope whose token is no text",
      "body_digest",
      async () => ({ ...(await signed()), rawBody: Buffer.from('{"jwt":1}') }),
    ],
    ["an expired access token", "access_expired", () => open({ claims: { exp: iat - 31 } })],
  ];
  test.each(refused)("%s is refused (%s)", async (_rule, problem, incoming) => {
    expect(await check(await incoming())).toEqual({ ok: false, problem });
  });
});
