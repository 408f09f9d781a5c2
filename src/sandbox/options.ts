import { type CommandSpec, type Given, WrongCall } from "../commandLine.ts";
import { SCENARIO_NAMES, SCENARIOS, type ScenarioName } from "./scenarios.ts";

export type SandboxOptions = {
  once: boolean;
  settle: boolean;
  payments: number;
  json: boolean;
  scenario: ScenarioName;
  fastRetries: boolean;
};

/**
 * The default master key of a sandbox. It is public knowledge; a gateway with a master key of its own refuses to start on such a
 * database.
 */
export const SANDBOX_MASTER_KEY = Buffer.alloc(32, "sandbox").toString("base64");

/** The most payments of a run; for more there are the load programs in bench/. */
const MAX_PAYMENTS = 1_000_000;

export const SANDBOX_COMMAND = {
  positionals: [],
  options: {
    once: { help: "Run the payments to their end, close the day's registers and leave." },
    settle: { help: "With --once: the banks check, pay and confirm the registers." },
    payments: { value: "N", most: MAX_PAYMENTS, help: "How many payments to run. Default: 1, with --once 20." },
    json: { help: "Print the result as one JSON line, the last of the output." },
    scenario: { value: "NAME", choices: SCENARIO_NAMES, fallback: "happy", help: "How the payments end (below)." },
    "fast-retries": { help: "Shrink the waits between retries to a hundredth." },
  },
  help:
    "Run a platform with two banks and a merchant that speak only the public contract. Without --once it stays: it shows " +
    "every callback, has a shop to buy in with a browser, and makes a further payment each time you press Enter.",
  more: [
    "Scenarios:",
    ...SCENARIO_NAMES.map((name) => `  ${name.padEnd(20)} ${SCENARIOS[name].summary}`),
    "",
    "With --once the exit code is 0 only if every payment, callback and register adds up.",
    "With --settle the last of several payments stays inside one bank, so that every kind of register is settled;",
    "in the end all registers but empty ones are Paid.",
  ].join("\n"),
} as const satisfies CommandSpec;

export function sandboxOptionsOf(given: Given): SandboxOptions {
  const once = given.isOn("once");
  const settle = given.isOn("settle");
  if (settle && !once) throw new WrongCall("--settle needs --once");
  return {
    once,
    settle,
    payments: Number(given.text("payments") ?? (once ? 20 : 1)),
    json: given.isOn("json"),
    // The table of options allows only these names.
    scenario: given.text("scenario") as ScenarioName,
    fastRetries: given.isOn("fast-retries"),
  };
}
