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

const resultOf = (output: string) => JSON.parse(output.trim().split("\n").at(-1) ?? "");

test.each(SCENARIO_NAMES)(
  "sandbox --once --scenario %s: its last line is the result, and the exit code says that it adds up",
  async (name) => {
    const args = ["sandbox", "--once", "--payments", String(PAYMENTS), "--json", "--fast-retries", "--scenario", name];
    // Once with its own embedded PostgreSQL, as on a newcomer's machine; making one takes longer than the payments.
    await using run = runGatewayProcess(args, name === "happy" ? {} : await onDatabase());
    expect(await run.ended, run.output()).toBe(0);
    const { deliveries, result } = SCENARIOS[name];
    const succeeds = result === "success";
    expect(resultOf(run.output())).toEqual({
      payments: PAYMENTS,
      success: succeeds ? PAYMENTS : 0,
      rejected: succeeds ? 0 : PAYMENTS,
      callbacks: PAYMENTS * deliveries.length,
      registers: 1,
      registerTotal: succeeds ? "4.11" : "0.00",
      // An empty register has one side.
      registerCallbacks: succeeds ? 2 : 1,
      empty: succeeds ? 0 : 1,
      internal: 0,
      confirmed: 0,
      paid: 0,
      elapsedMs: expect.any(Number),
    });
  },
);

test.each([
  // 1.00 is between two banks; a bank that paid nothing has an empty register.
  [1, "happy", { registers: 2, registerTotal: "1.00", registerCallbacks: 3, empty: 1, internal: 0 }],
  [3, "happy", { registers: 2, registerTotal: "4.11", registerCallbacks: 3, empty: 0, internal: 1 }],
  [2, "bank-rejects", { registers: 2, registerTotal: "0.00", registerCallbacks: 2, empty: 2, internal: 0 }],
] as const)(
  "sandbox --once --settle: %i payments, %s: what is not empty is Paid in the end",
  async (payments, name, has) => {
    const args = ["sandbox", "--once", "--settle", "--payments", String(payments), "--json", "--scenario", name];
    await using run = runGatewayProcess(args, await onDatabase());
    expect(await run.ended, run.output()).toBe(0);
    const paid = has.registers - has.empty;
    expect(resultOf(run.output())).toMatchObject({ ...has, confirmed: paid, paid });
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
  [["fly"], /unknown command 'fly'/],
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
