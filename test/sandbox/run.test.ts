import { describe, expect, test } from "vitest";
import { openCommandLine } from "../../src/commandLine.ts";
import type { Call } from "../../src/sandbox/inbox.ts";
import { openLedger } from "../../src/sandbox/ledger.ts";
import { SANDBOX_COMMAND, type SandboxOptions, sandboxOptionsOf } from "../../src/sandbox/options.ts";
import { formatMinor, kyivTime, makeIban, minorOf, toMajor } from "../../src/sandbox/samples.ts";
import { SCENARIO_NAMES, SCENARIOS, type Scenario } from "../../src/sandbox/scenarios.ts";

describe("options", () => {
  /** What the sandbox is run with, and the exit code. */
  async function called(...args: string[]) {
    const line = openCommandLine("dcm", { print() {}, complain() {} });
    let options: SandboxOptions | undefined;
    line.add(line.program, "sandbox", SANDBOX_COMMAND, async (given) => {
      options = sandboxOptionsOf(given);
      return 0;
    });
    return { code: await line.run(["sandbox", ...args]), options };
  }

  const base = { once: false, settle: false, payments: 1, json: false, scenario: "happy", fastRetries: false };
  const accepted: [string[], object][] = [
    [[], base],
    [["--once"], { ...base, once: true, payments: 20 }],
    [["--once", "--payments", "2000", "--json"], { ...base, once: true, payments: 2000, json: true }],
    [["--once", "--settle"], { ...base, once: true, settle: true, payments: 20 }],
    [
      ["--payments=3", "--scenario=merchant-down", "--fast-retries"],
      { ...base, payments: 3, scenario: "merchant-down", fastRetries: true },
    ],
  ];
  test.each(accepted)("%j is understood", async (args, options) => {
    expect(await called(...args)).toEqual({ code: 0, options });
  });

  test.each([
    [["--payments", "0"]],
    [["--payments", "1.5"]],
    [["--payments", "many"]],
    [["--payments", ""]],
    [["--payments", "1000001"]],
    [["--scenario", "toString"]],
    [["--settle"]],
    [["--twice"]],
    [["more"]],
  ])("%j is refused", async (args) => {
    expect(await called(...args)).toEqual({ code: 2, options: undefined });
  });
});

describe("samples", () => {
  test("an account has 29 characters and the check digits of ISO 7064", () => {
    // The account that the contract's own samples use.
    expect(makeIban("380816", 41469948322523389n)).toBe("UA063808160041469948322523389");
  });

  test.each([1, 10, 101, 2999, 150075, 99999999999])(
    "%i minor units survive the way through a JSON number",
    (amountMinor) => {
      const text = JSON.stringify(toMajor(amountMinor));
      expect(minorOf(JSON.parse(text))).toBe(BigInt(amountMinor));
      expect(minorOf(formatMinor(BigInt(amountMinor)))).toBe(BigInt(amountMinor));
    },
  );

  test.each(["", "1.234", "-1", "1e3", undefined, "abc"])("%j is no amount", (text) => {
    expect(minorOf(text)).toBeUndefined();
  });

  test("the clock is Kyiv's, in summer and in winter", () => {
    expect(kyivTime(new Date("2025-01-31T22:30:05Z"))).toEqual({ date: "2025-02-01", time: "00:30:05" });
    expect(kyivTime(new Date("2025-06-30T20:59:59Z"))).toEqual({ date: "2025-06-30", time: "23:59:59" });
  });
});

describe("ledger", () => {
  const call = (delivery: Partial<Call>, guid = "pm-1"): Call => ({
    kind: "pay-in",
    guid,
    callbackGuid: crypto.randomUUID(),
    orderId: undefined,
    status: "success",
    reason: undefined,
    claims: {},
    problem: undefined,
    attempt: 1,
    at: new Date(),
    answered: 200,
    ...delivery,
  });

  const deliver = (ledger: ReturnType<typeof openLedger>, scenario: Scenario, guid: string) => {
    for (const { to, ...delivery } of scenario.deliveries) ledger.record(to, call(delivery, guid));
  };

  test.each(SCENARIO_NAMES)("%s: a payment ends when everything it must deliver is delivered", async (name) => {
    const ledger = openLedger(SCENARIOS[name].deliveries);
    deliver(ledger, SCENARIOS[name], "early");
    await ledger.ends("early", 1000);
    const ended = ledger.ends("late", 1000);
    deliver(ledger, SCENARIOS[name], "late");
    await ended;
    expect(ledger.counts).toMatchObject({ delivered: 2 * SCENARIOS[name].deliveries.length, problems: 0, repeated: 0 });
  });

  test("a refusal, a fault and a register are not a payment's delivered callbacks", () => {
    const ledger = openLedger(SCENARIOS.happy.deliveries);
    ledger.record("merchant", call({ answered: 422 }));
    ledger.record("merchant", call({ answered: "hang" }));
    ledger.record("merchant", call({ status: "reject", answered: 500 }));
    ledger.record("initiator", call({ kind: "gross-settlement" }));
    expect(ledger.counts).toEqual({ delivered: 0, repeated: 0, merchantCalls: 2, problems: 0 });
  });

  test("the Pay-out of a payment inside one bank comes to the recipient, and no other does", () => {
    const ledger = openLedger(SCENARIOS.happy.deliveries);
    const payOut = (creditorBic: string) => {
      const agents = {
        debtor_agent: { debtor_agent_bic: "300001" },
        creditor_agent: { creditor_agent_bic: creditorBic },
      };
      const [reason] = SCENARIOS.happy.deliveries.flatMap((delivery) =>
        delivery.kind === "pay-out" ? [delivery.reason] : [],
      );
      return call({ kind: "pay-out", reason, claims: { payment_message: agents } }, creditorBic);
    };
    ledger.record("recipient", payOut("300001"));
    expect(ledger.counts.problems).toBe(0);
    ledger.record("recipient", payOut("300002"));
    expect(ledger.counts.problems).toBe(1);
  });

  test("a repeat counts once", () => {
    const ledger = openLedger(SCENARIOS.happy.deliveries);
    for (let n = 0; n < 2; n++) ledger.record("recipient", call({ callbackGuid: "same" }));
    expect(ledger.counts).toMatchObject({ delivered: 1, repeated: 1 });
  });

  test.each([
    ["a wrong reason", "initiator", { kind: "pay-out", reason: "Because" }],
    ["a reject in a happy run", "initiator", { kind: "pay-out", status: "reject" }],
    ["a callback of the wrong party", "merchant", { kind: "credit", reason: "Credit is allowed" }],
    ["what could not be verified", "merchant", { problem: "audience", answered: 401 }],
    ["a register that could not be verified", "initiator", { kind: "gross-settlement", problem: "body_too_large" }],
  ] as const)("%s is a problem", (_what, party, delivery) => {
    const ledger = openLedger(SCENARIOS.happy.deliveries);
    ledger.record(party, call(delivery));
    expect(ledger.counts.problems).toBe(1);
  });

  test("a payment that does not end is named with what it misses", async () => {
    const ledger = openLedger(SCENARIOS["bank-rejects"].deliveries);
    await ledger.ends("pm-1", 10);
    expect(ledger.problems[0]).toMatch(/payment pm-1 did not end within 10 ms; missing: pay-out reject to initiator/);
  });
});
