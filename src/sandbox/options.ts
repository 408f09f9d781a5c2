import { parseArgs } from "node:util";
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
 * Under what a sandbox that is given no master key keeps its signing keys. Everybody knows it; a gateway that has one of its own
 * refuses to start on such a database.
 */
export const SANDBOX_MASTER_KEY = Buffer.alloc(32, "sandbox").toString("base64");

/** More would outlast everyone's patience; the load programs are made for that. */
const MAX_PAYMENTS = 1_000_000;

/** Every option of the sandbox, for the parser and for the help text. */
const OPTIONS = {
  once: { type: "boolean", value: "", help: "Run the payments to their end, close the day's registers and leave." },
  settle: { type: "boolean", value: "", help: "With --once: the banks check, pay and confirm the registers." },
  payments: { type: "string", value: "N", help: "How many payments to run. Default: 1, with --once 20." },
  json: { type: "boolean", value: "", help: "Print the result as one JSON line, the last of the output." },
  scenario: { type: "string", value: "NAME", help: "How the payments end (below). Default: happy." },
  "fast-retries": { type: "boolean", value: "", help: "Shrink the waits between retries to a hundredth." },
} as const;

export const SANDBOX_HELP = [
  "sandbox: a platform with two banks and a merchant that speak only the public contract.",
  "Without --once it stays: it shows every callback, and makes a further payment each time you press Enter.",
  "",
  ...Object.entries(OPTIONS).map(([name, { value, help }]) => `  ${`--${name} ${value}`.padEnd(20)} ${help}`),
  "",
  "Scenarios:",
  ...SCENARIO_NAMES.map((name) => `  ${name.padEnd(20)} ${SCENARIOS[name].summary}`),
  "",
  "With --once the exit code is 0 only if every payment, callback and register adds up.",
  "With --settle the last of several payments stays inside one bank, so that every kind of register is settled;",
  "in the end all registers but empty ones are Paid.",
].join("\n");

export type ParsedSandboxArgs = { ok: true; options: SandboxOptions } | { ok: false; problems: string[] };

/** Reads the arguments behind `sandbox`, and lists everything that is wrong with them at once. */
export function parseSandboxArgs(args: readonly string[]): ParsedSandboxArgs {
  let values: Record<string, string | boolean | undefined>;
  try {
    values = parseArgs({ args: [...args], options: OPTIONS, strict: true, allowPositionals: false }).values;
  } catch (error) {
    return { ok: false, problems: [(error as Error).message] };
  }
  const problems: string[] = [];
  const once = values.once === true;
  const settle = values.settle === true;
  if (settle && !once) problems.push("--settle needs --once");
  const scenario = SCENARIO_NAMES.find((name) => name === (values.scenario ?? "happy"));
  if (!scenario) problems.push(`--scenario must be one of ${SCENARIO_NAMES.join(", ")}`);
  const payments = values.payments === undefined ? (once ? 20 : 1) : Number(values.payments);
  if (!Number.isInteger(payments) || payments < 1 || payments > MAX_PAYMENTS) {
    problems.push(`--payments must be a whole number from 1 to ${MAX_PAYMENTS}`);
  }
  if (!scenario || problems.length > 0) return { ok: false, problems };
  const fastRetries = values["fast-retries"] === true;
  return { ok: true, options: { once, settle, payments, json: values.json === true, scenario, fastRetries } };
}
