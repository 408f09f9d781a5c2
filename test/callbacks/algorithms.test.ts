import { createRemoteJWKSet, type JWTPayload, jwtVerify } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { CallbackAlg } from "../../gen/dcm/v1/participant_pb.ts";
import { verifyCallback } from "../../src/sdk/callbacks.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { fetchPlatformKeys } from "../../src/sdk/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { startRecorder } from "./recorder.ts";

// What the platform signs to a party is in the algorithm that the party was registered with; jose stands for its own library.

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ environment: { JWKS_MAX_AGE_SECONDS: "5" } });
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const jwksUrl = () => new URL(`${platform.url()}/api/v1/.well-known/jwks.json`);

test("the published keys are of every algorithm, RS256 first, without private parts, and may be remembered as configured", async () => {
  const response = await fetch(jwksUrl());
  expect(response.headers.get("cache-control")).toBe("public, max-age=5");
  const { keys } = (await response.json()) as { keys: Record<string, unknown>[] };
  expect(keys.map(({ alg, kty, use }) => [alg, kty, use])).toEqual([
    ["RS256", "RSA", "sig"],
    ["ES256", "EC", "sig"],
    ["EdDSA", "OKP", "sig"],
  ]);
  for (const key of keys) expect(Object.keys(key)).not.toContain("d");
});

test.each([
  ["RS256", CallbackAlg.UNSPECIFIED],
  ["ES256", CallbackAlg.ES256],
  ["EdDSA", CallbackAlg.EDDSA],
] as const)(
  "%s: jose verifies a callback and its access token with the published keys, and so does the SDK",
  async (alg, callbackAlg) => {
    await using recorder = await startRecorder();
    const callbackUrls = { base: recorder.url } as never;
    const merchant = await platform.newMerchant({ bank: platform.recipient }, { callbackAlg, callbackUrls });
    await platform.initiator.pays(await merchant.order());
    await platform.endsAllCallbacks();
    const [received] = recorder.recorded;
    if (received === undefined) throw new Error("no callback came");
    const keySet = createRemoteJWKSet(jwksUrl());
    for (const token of [JSON.parse(received.rawBody.toString()).jwt, received.headers["cx-authorization"]]) {
      const { payload, protectedHeader } = await jwtVerify<JWTPayload>(token, keySet, { algorithms: [alg] });
      expect(protectedHeader.alg).toBe(alg);
      expect(payload.jti).toEqual(expect.any(String));
    }
    const keys = await fetchPlatformKeys({ url: platform.url() });
    expect(await verifyCallback(received, { audience: merchant.uid, keys }, new Date())).toMatchObject({ ok: true });
  },
);

test("after a rotation at once the next callback is signed with the new key, and receivers that read the keys again take it", async () => {
  const { platform: keys } = platform.operators();
  const { key } = await keys.rotatePlatformKey({ atOnce: true });
  await platform.pays();
  await platform.endsAllCallbacks();
  const { jwks } = await keys.listSigningKeys({});
  expect(JSON.parse(jwks[0] ?? "{}").kid).toBe(key?.kid);
});

test("an EdDSA key cannot be registered: participants sign with RS256, PS256 and ES256", async () => {
  const { publicJwk } = await generateKeyPair("EdDSA");
  const registering = platform.newBank({ name: "Ed Bank" }, { signingJwks: [JSON.stringify(publicJwk)] });
  await expect(registering).rejects.toThrow("kty must be RSA or EC");
});
