import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import { signJws } from "../../src/sdk/jws.ts";
import { acceptedClaims, access, messagesUrl, post } from "../rest/forge.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// The database's clock is the one that counts. Here processes run whose own clock is off, for everything in them that asks for
// the time; the participants and PostgreSQL have the right one.

/** What makes a process of Node believe that it is so many seconds later. */
function clockOff(seconds: number): { NODE_OPTIONS: string } {
  const program = `
    const Right = Date;
    const now = () => Right.now() + ${seconds * 1000};
    globalThis.Date = class Date extends Right {
      constructor(...given) { super(...(given.length > 0 ? given : [now()])); }
      static now() { return now(); }
    };`;
  return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(program)}` };
}

/** Pays a new order with an access token of that age; answers the status. */
async function paysWithToken(platform: Platform, ageSeconds: number, tokenJti: string = randomUUID()): Promise<number> {
  const { key } = platform.initiator;
  const { id } = await platform.merchant.order();
  const fresh = { order_id: id, jti: randomUUID(), payment_message_external_id: randomUUID() };
  const jwt = await signJws({ ...(await acceptedClaims(platform)), ...fresh }, key);
  const made = new Date(Date.now() - ageSeconds * 1000);
  return (await post(messagesUrl(platform), { jwt }, await access(key, made, tokenJti))).status;
}

describe.each([-60, 20 * 60])("a gateway whose clock is %i s off", { timeout: 60_000 }, (seconds) => {
  test("orders open and expire on time, banks pay, and a used token stays used", async () => {
    await using platform = await startPlatform({
      asProcess: true,
      environment: { ...clockOff(seconds), LOG_LEVEL: "info" },
    });
    const { initiator, merchant } = platform;
    const unpaid = await merchant.order({ expiresInSeconds: 2 });
    const guid = await initiator.pays(await merchant.order({ expiresInSeconds: 20 }));
    await initiator.receives("pay-out", { guid, status: "success" });
    await merchant.receives("expiration", { orderId: unpaid.id });

    const jti = randomUUID();
    expect(await paysWithToken(platform, 0, jti)).toBe(201);
    expect(await paysWithToken(platform, 0, jti)).toBe(401);
    // So old that the database has forgotten it, or soon will: no clock may find it young again.
    expect(await paysWithToken(platform, 325)).toBe(401);
    await platform.endsAllCallbacks();
  });
});

test.each([-60, 60])(
  "a worker whose clock is %i s off: signatures are accepted and everything is delivered on time",
  async (seconds) => {
    await using platform = await startPlatform({ queue: "rabbitmq", roles: ["rest", "core"] });
    const environment = { ...platform.environment, ...clockOff(seconds), LOG_LEVEL: "info" };
    await using worker = runGatewayProcess(["start", "--role", "worker"], environment);
    await worker.says(/the gateway runs/);
    platform.merchant.answers("pay-in", 503, 200);
    const order = await platform.merchant.order({ expiresInSeconds: 20 });
    const unpaid = await platform.merchant.order({ expiresInSeconds: 2 });
    const guid = await platform.initiator.pays(order);
    await platform.initiator.receives("pay-out", { guid, status: "success" });
    await platform.merchant.receives("expiration", { orderId: unpaid.id });
    expect(platform.merchant.calls("expiration")).toHaveLength(1);
    await platform.endsAllCallbacks();
  },
  60_000,
);
