import { randomUUID } from "node:crypto";
import { describe, expect, inject, test } from "vitest";
import type { Answer } from "../../src/sdk/platform.ts";
import { execute, startPostgres, withDatabase } from "../support/database.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

const FAULT_TIMEOUT_MS = 90_000;
const GIVE_UP_MS = 40_000;

/** Asks again while the platform says that it is not available, as a careful participant does; anything else is an answer. */
async function asksUntilAnswered<T>(ask: () => Promise<Answer<T>>, seen: Set<number>): Promise<Answer<T>> {
  const deadline = performance.now() + GIVE_UP_MS;
  for (;;) {
    const answer = await ask();
    seen.add(answer.status);
    if (answer.status < 500 || performance.now() > deadline) return answer;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Pays one order through whatever happens; the first accepted submission's guid comes back even when its answer was lost. */
async function paysStubbornly(platform: Platform, seen: Set<number>): Promise<string> {
  const order = await asksUntilAnswered(() => platform.merchant.creates(), seen);
  if (!order.ok) throw new Error(`the order is refused: ${JSON.stringify(order.body)}`);
  const jti = randomUUID();
  const paid = await asksUntilAnswered(() => submits(platform, order.body.id, jti), seen);
  const guid = paid.ok ? paid.body.guid : paid.body.payment_message_guid;
  if (guid === undefined) throw new Error(`the payment is refused: ${JSON.stringify(paid.body)}`);
  return guid;
}

/** A bank reads the order before it pays; when only that fails, the whole step is asked again under the same jti. */
async function submits(platform: Platform, id: string, jti: string): Promise<Answer<{ guid: string }>> {
  try {
    return await platform.initiator.submits({ id }, { jti });
  } catch (error) {
    if ((error as Error).message.includes("HTTP 503")) return { ok: false, status: 503, body: {} };
    throw error;
  }
}

async function expectPaid(platform: Platform, guids: readonly string[]): Promise<void> {
  await platform.endsAllCallbacks(60_000);
  const rows = await platform.rows<{ guid: string }>("select guid from payment_message where status = 'success'");
  expect(rows.map((row) => row.guid).sort()).toEqual([...guids].sort());
}

describe("the gateway while its PostgreSQL fails", { timeout: FAULT_TIMEOUT_MS }, () => {
  test("restarted under load: callers hear 503 at worst, nothing that was accepted is lost, and the process recovers", async () => {
    const postgres = await startPostgres({ fsync: false });
    try {
      await using platform = await startPlatform({ databaseUrl: postgres.url });
      const seen = new Set<number>();
      const paying = Array.from({ length: 6 }, async () => {
        const guids: string[] = [];
        for (let payments = 0; payments < 8; payments += 1) guids.push(await paysStubbornly(platform, seen));
        return guids;
      });
      await platform.merchant.receives("pay-in");
      await postgres.restart();
      const guids = (await Promise.all(paying)).flat();
      // 409 is the first answer's guid, told again to a caller that never got it.
      expect([...seen].filter((status) => ![200, 201, 409, 503].includes(status))).toEqual([]);
      await expectPaid(platform, guids);
      expect((await fetch(`${platform.url()}/readyz`)).status).toBe(200);
    } finally {
      await postgres.stop();
    }
  });

  test("two connections for many callers: all of them are served, or told to come again", async () => {
    await using platform = await startPlatform({ environment: { DATABASE_CONNECTIONS: "2" } });
    const seen = new Set<number>();
    const guids = await Promise.all(Array.from({ length: 80 }, () => paysStubbornly(platform, seen)));
    expect([...seen].filter((status) => ![200, 201, 409, 503].includes(status))).toEqual([]);
    await expectPaid(platform, guids);
  });

  test("more connections configured than the server gives: it is said, and nobody hears of it", async () => {
    const server = inject("databaseUrl");
    const name = `limited_${randomUUID().slice(0, 8)}`;
    await execute(server, `create role ${name} login password 'limited'`, `create database ${name} owner ${name}`);
    // The tests' own connection counts as well; limits do not hold for superusers, which the embedded server's role is.
    await execute(server, `alter database ${name} connection limit 12`);
    const databaseUrl = Object.assign(new URL(withDatabase(server, name)), {
      username: name,
      password: "limited",
    }).href;
    try {
      const environment = { DATABASE_CONNECTIONS: "200", LOG_LEVEL: "info" };
      await using platform = await startPlatform({ databaseUrl, asProcess: true, environment });
      expect(platform.output()).toContain('"configured":200,"used":9');
      const seen = new Set<number>();
      const guids = await Promise.all(Array.from({ length: 60 }, () => paysStubbornly(platform, seen)));
      expect([...seen].filter((status) => status >= 500)).toEqual([]);
      await expectPaid(platform, guids);
    } finally {
      await execute(server, `drop database ${name} with (force)`, `drop role ${name}`);
    }
  });
});
