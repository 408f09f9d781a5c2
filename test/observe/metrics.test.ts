import { describe, expect, test, vi } from "vitest";
import { openDatabase } from "../../src/db/database.ts";
import { countedAtMost, createMetrics, metricsReaders } from "../../src/observe/metrics.ts";
import { startOpsServer } from "../../src/observe/opsServer.ts";
import { createLocalQueue } from "../../src/queue/local.ts";
import { freshDatabase } from "../support/database.ts";
import { startPlatform } from "../support/platform.ts";

const silent = { info() {}, warn() {}, error() {} };

/** The value of one line of the Prometheus text, by its name and labels as they are written. */
function metric(text: string, series: string): number {
  const line = text.split("\n").find((candidate) => candidate.startsWith(`${series} `));
  if (line === undefined) throw new Error(`${series} is not among the metrics`);
  return Number(line.slice(series.length + 1));
}

async function metricsOf(url: string): Promise<string> {
  const response = await fetch(`${url}/metrics`);
  expect([response.status, response.headers.get("content-type")]).toEqual([200, "text/plain; charset=utf-8"]);
  return response.text();
}

test("getMetrics: a payment is seen as requests, grouped calls, attempts by kind and outcome, and one cascade", async () => {
  await using platform = await startPlatform();
  platform.merchant.answers("pay-in", 503, 204);
  await platform.pays();
  await platform.endsAllCallbacks();
  const text = await metricsOf(platform.url());
  const attempts = (kind: string, outcome: string) =>
    metric(text, `dcm_callback_attempts_total{kind="${kind}",outcome="${outcome}"}`);
  expect(attempts("pay_in_bank", "accepted")).toBe(1);
  expect(attempts("pay_in_merchant", "server_error")).toBe(1);
  expect(attempts("pay_in_merchant", "accepted")).toBe(1);
  expect(attempts("credit", "accepted")).toBe(1);
  expect(metric(text, 'dcm_cascade_duration_seconds_count{result="success"}')).toBe(1);
  expect(metric(text, 'dcm_http_request_duration_seconds_count{operation="createOrder",status="201"}')).toBe(1);
  expect(metric(text, 'dcm_grouped_calls_count{use_case="submitPaymentMessage"}')).toBe(1);
  expect(metric(text, "dcm_callbacks_in_flight")).toBe(0);
  expect(metric(text, "dcm_callbacks_due")).toBe(0);
  expect(metric(text, "dcm_callback_oldest_overdue_seconds")).toBe(0);
  expect(metric(text, 'dcm_queue_depth{queue="first"}')).toBe(0);
  expect(metric(text, 'dcm_dependency_up{dependency="database"}')).toBe(1);
  expect(text).toContain("process_resident_memory_bytes");
});

test("getMetrics: who comes through a proxy is told that there is no such path", async () => {
  await using platform = await startPlatform();
  const response = await fetch(`${platform.url()}/metrics`, { headers: { "X-Forwarded-For": "127.0.0.1" } });
  expect([response.status, await response.json()]).toMatchObject([404, { code: "ROUTE_NOT_FOUND" }]);
});

test("getMetrics: what the reconciliation after a closing found, and nothing before the first", async () => {
  await using platform = await startPlatform();
  const read = async () => {
    const text = await metricsOf(platform.url());
    return {
      discrepancies: metric(text, "dcm_register_discrepancies"),
      reconciledAt: metric(text, "dcm_register_reconciliation_timestamp_seconds"),
    };
  };
  /** A start closes the days that its banks owe: they are as old as this says. */
  const startsLater = async () => {
    await platform.rows("update participant set created_at = created_at - interval '1 day'");
    await platform.stop();
    await platform.start();
  };
  expect(await read()).toEqual({ discrepancies: Number.NaN, reconciledAt: 0 });
  const startedAt = Math.floor(Date.now() / 1_000);
  await startsLater();
  await vi.waitFor(async () => expect(await read()).toMatchObject({ discrepancies: 0 }), { timeout: 15_000 });
  expect((await read()).reconciledAt).toBeGreaterThanOrEqual(startedAt);
  await platform.rows("delete from register_act where kind = 'made'");
  await startsLater();
  await vi.waitFor(async () => expect(await read()).toMatchObject({ discrepancies: 1 }), { timeout: 15_000 });
});

describe("metricsReaders", () => {
  test.each([
    ["127.0.0.1", {}, true],
    ["::1", {}, true],
    ["::ffff:127.0.0.1", {}, true],
    ["10.1.2.3", {}, true],
    ["::ffff:10.1.2.3", {}, true],
    ["10.2.0.1", {}, false],
    ["fd00::1", {}, false],
    ["203.0.113.7", {}, false],
    [undefined, {}, false],
    ["127.0.0.1", { "x-forwarded-for": "10.1.2.3" }, false],
    ["10.1.2.3", { forwarded: "for=10.1.2.3" }, false],
  ])("%s with %j: %s", (remoteAddress, headers, mayRead) => {
    expect(metricsReaders(["10.1.0.0/16"])({ socket: { remoteAddress }, headers })).toBe(mayRead);
  });
});

describe("the backlog", () => {
  const insertRows = (count: number, state: string, dueAt: string) => ({
    name: "",
    text: `
      insert into callback (guid, kind, order_guid, receiver_guid, state, reason, series, attempts, refusals, due_at, wake_at,
        created_at, updated_at)
      select gen_random_uuid(), 'expiration', gen_random_uuid(), gen_random_uuid(), '${state}', '', 1, 0, 0, ${dueAt},
        ${dueAt} + interval '30 seconds', now(), now()
      from generate_series(1, ${count})`,
  });

  test("a scrape counts due, review and dead, tells the age of the oldest, and stops counting at its bound", async () => {
    const { url, drop } = await freshDatabase();
    const database = await openDatabase({ url, maxConnections: 2 });
    try {
      await database.sql(insertRows(1, "waiting", "now() - interval '1 hour'"));
      await database.sql(insertRows(2 * countedAtMost, "waiting", "now() - interval '1 minute'"));
      await database.sql(insertRows(500, "waiting", "now() + interval '1 hour'"));
      await database.sql(insertRows(7, "review", "now()"));
      await database.sql(insertRows(2, "dead", "now()"));
      await database.sql(insertRows(1_000, "delivered", "now() - interval '1 day'"));
      const metrics = createMetrics();
      metrics.watchBacklog(database, createLocalQueue({ log: silent }));
      const text = await metrics.text();
      expect(metric(text, "dcm_callbacks_due")).toBe(countedAtMost);
      expect(metric(text, "dcm_callbacks_review")).toBe(7);
      expect(metric(text, "dcm_callbacks_dead")).toBe(2);
      expect(metric(text, "dcm_callback_oldest_overdue_seconds")).toBeGreaterThanOrEqual(3_600);
      expect(metric(text, "dcm_callback_oldest_overdue_seconds")).toBeLessThan(3_700);
    } finally {
      await database.close();
      await drop();
    }
  });

  test("many scrapes share one look, and a source that fails is told as unknown instead of failing the scrape", async () => {
    const hot = vi.fn(async () => {
      throw new Error("the database is away");
    });
    const metrics = createMetrics();
    metrics.watchBacklog({ hot } as never, createLocalQueue({ log: silent }));
    const [text] = await Promise.all([metrics.text(), metrics.text(), metrics.text()]);
    expect(hot).toHaveBeenCalledTimes(1);
    expect(metric(text, "dcm_callbacks_due")).toBeNaN();
    expect(metric(text, 'dcm_dependency_up{dependency="database"}')).toBe(0);
    expect(metric(text, 'dcm_dependency_up{dependency="queue"}')).toBe(1);
    expect(metric(text, 'dcm_queue_depth{queue="dead"}')).toBe(0);
  });
});

test("the port for operators: metrics for their readers, health and readiness in the words of REST", async () => {
  let ok = true;
  const ops = await startOpsServer({
    port: 0,
    metricsText: async () => "up 1\n",
    mayReadMetrics: metricsReaders([]),
    readiness: async () => [{ dependency: "database", ok }],
  });
  const ask = async (path: string, init?: RequestInit) => {
    const response = await fetch(`http://127.0.0.1:${ops.port}${path}`, init);
    return [response.status, await response.text()];
  };
  expect(await ask("/metrics")).toEqual([200, "up 1\n"]);
  expect(await ask("/metrics", { headers: { "X-Forwarded-For": "10.0.0.1" } })).toEqual([404, expect.any(String)]);
  expect(await ask("/healthz")).toEqual([200, '{"status":"ok"}']);
  expect(await ask("/readyz")).toEqual([200, expect.any(String)]);
  ok = false;
  expect(await ask("/readyz")).toEqual([503, expect.any(String)]);
  expect(await ask("/healthz", { method: "POST" })).toEqual([404, expect.any(String)]);
  await ops.close();
});
