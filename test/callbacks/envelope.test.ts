import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { CallbackBodyFormat } from "../../gen/dcm/v1/participant_pb.ts";
import { bodyDigest } from "../../src/sdk/access.ts";
import { type IncomingCallback, verifyCallback } from "../../src/sdk/callbacks.ts";
import { peekJws } from "../../src/sdk/jws.ts";
import { fetchPlatformKeys } from "../../src/sdk/platform.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { type Recorded, startRecorder } from "./recorder.ts";

describe("what a receiver finds on its wire", () => {
  let platform: Platform;
  beforeAll(async () => {
    platform = await startPlatform();
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  /** A merchant whose callbacks are recorded byte by byte. */
  async function recordedMerchant(format: CallbackBodyFormat, recorder: { url: string }) {
    const payIn = `${recorder.url}/pay-in`;
    return platform.newMerchant(
      { bank: platform.recipient },
      { callbackBodyFormat: format, callbackUrls: { base: `${recorder.url}/base`, payIn } as never },
    );
  }

  async function recordedPayIn(recorder: Awaited<ReturnType<typeof startRecorder>>): Promise<Recorded> {
    return vi.waitFor(
      () => {
        expect(recorder.recorded).toHaveLength(1);
        return recorder.recorded[0] as Recorded;
      },
      { timeout: 10_000 },
    );
  }

  const verify = async (incoming: IncomingCallback, audience: string) =>
    verifyCallback(incoming, { audience, keys: await fetchPlatformKeys({ url: platform.url() }) }, new Date());

  test("JSON: the body is {jwt} alone, with an access token and the callback's guid in headers", async () => {
    await using recorder = await startRecorder();
    const merchant = await recordedMerchant(CallbackBodyFormat.JSON, recorder);
    await platform.initiator.pays(await merchant.order());
    const received = await recordedPayIn(recorder);
    expect(received.path).toBe("/pay-in");
    expect(received.headers["content-type"]).toBe("application/json");
    expect(Object.keys(JSON.parse(received.rawBody.toString()))).toEqual(["jwt"]);
    const verified = await verify(received, merchant.uid);
    expect(verified).toMatchObject({ ok: true, form: "signed", guid: received.headers["x-callback-guid"] });
    expect([received.headers["x-callback-kind"], verified.ok && verified.claims.callback_kind]).toEqual([
      "pay-in",
      "pay-in",
    ]);
  });

  test("text/plain: the body is the bare JWS", async () => {
    await using recorder = await startRecorder();
    const merchant = await recordedMerchant(CallbackBodyFormat.TEXT, recorder);
    await platform.initiator.pays(await merchant.order());
    const received = await recordedPayIn(recorder);
    expect(received.headers["content-type"]).toBe("text/plain");
    expect(await verify(received, merchant.uid)).toMatchObject({ ok: true, form: "signed" });
    const peeked = peekJws(received.rawBody.toString());
    expect(peeked).toMatchObject({
      header: { alg: "RS256", typ: "JWT", kid: expect.any(String) },
      claims: { iss: expect.any(String), aud: merchant.uid, jti: received.headers["x-callback-guid"] },
    });
  });

  test("Expiration: the body is open, goes to base without a URL of its own, and the access token binds its digest", async () => {
    await using recorder = await startRecorder();
    const merchant = await recordedMerchant(CallbackBodyFormat.JSON, recorder);
    const order = await merchant.order({ expiresInSeconds: 1 });
    const received = await recordedPayIn(recorder);
    expect(received.path).toBe("/base");
    expect(JSON.parse(received.rawBody.toString())).toMatchObject({ order_id: order.id, status: "reject" });
    const access = peekJws(received.headers["cx-authorization"]);
    expect(access).toMatchObject({
      claims: { body_sha256: bodyDigest(received.rawBody), callback_kind: "expiration" },
    });
    expect(await verify(received, merchant.uid)).toMatchObject({ ok: true, form: "open" });
    const changed = Buffer.from(received.rawBody.toString().replace("21", "22"));
    expect(await verify({ ...received, rawBody: changed }, merchant.uid)).toEqual({
      ok: false,
      problem: "body_digest",
    });
  });
});
