import { afterAll, expect, test } from "vitest";
import { SCENARIO_NAMES, SCENARIOS } from "../../src/sandbox/scenarios.ts";
import { freshDatabase } from "../support/database.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";

const PAYMENTS = 3;

const drops: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const drop of drops) await drop();
});

async function onDatabase(): Promise<Record<string, string>> {
  const { url, drop } = await freshDatabase();
  drops.push(drop);
  return { DATABASE_URL: url };
}

test.each(SCENARIO_NAMES)(
  "sandbox --once --scenario %s: its last line is the result, and the exit code says that it adds up",
  async (name) => {
    const args = ["sandbox", "--once", "--payments", String(PAYMENTS), "--json", "--fast-retries", "--scenario", name];
    // Once with its own embedded PostgreSQL, as on a newcomer's machine; making one takes longer than the payments.
    await using run = runGatewayProcess(args, name === "happy" ? {} : await onDatabase());
    expect(await run.ended, run.output()).toBe(0);
    const { deliveries, result } = SCENARIOS[name];
    const succeeds = result === "success";
    expect(JSON.parse(run.output().trim().split("\n").at(-1) ?? "")).toEqual({
      payments: PAYMENTS,
      success: succeeds ? PAYMENTS : 0,
      rejected: succeeds ? 0 : PAYMENTS,
      callbacks: PAYMENTS * deliveries.length,
      registers: 1,
      registerTotal: succeeds ? "4.11" : "0.00",
      elapsedMs: expect.any(Number),
    });
  },
);

test("sandbox --once that is stopped ends soon, without a result", async () => {
  await using run = runGatewayProcess(
    ["sandbox", "--once", "--payments", "5", "--json", "--scenario", "merchant-down"],
    await onDatabase(),
  );
  await run.says(/of 5 payments have ended/);
  await run.kill("SIGTERM");
  expect(await run.ended).toBe(130);
  expect(run.output()).not.toContain('"payments":');
});

test.each([
  [["sandbox", "--payments", "none"], /--payments/],
  [["start", "--role", "cook"], /cook/],
  [["fly"], /fly is not a command/],
])("a wrong call, %j, is told what is wrong and ends with 2", async (args, told) => {
  await using run = runGatewayProcess(args, {});
  expect(await run.ended).toBe(2);
  expect(run.output()).toMatch(told);
});

test("a wrong configuration is told all at once", async () => {
  await using run = runGatewayProcess(["start"], { REST_PORT: "http", DATABASE_URL: "mysql://x", LOG_LEVEL: "loud" });
  expect(await run.ended).toBe(2);
  for (const name of ["REST_PORT", "DATABASE_URL", "LOG_LEVEL"]) expect(run.output()).toContain(name);
});
