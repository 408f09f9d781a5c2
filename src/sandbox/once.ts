import type { Client } from "@connectrpc/connect";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { Ledger } from "./ledger.ts";
import { type Cast, closeRegisters, runPayments } from "./payments.ts";
import { formatMinor } from "./samples.ts";
import type { Scenario } from "./scenarios.ts";

const PROGRESS_EVERY_MS = 2000;

/** The line that a run ends with. */
export type Result = {
  payments: number;
  success: number;
  rejected: number;
  callbacks: number;
  registers: number;
  registerTotal: string;
  elapsedMs: number;
};

export type Run = { cast: Cast; scenario: Scenario; ledger: Ledger; retryDelaysMs: readonly number[] };

/** Runs the payments, closes the registers and adds everything up; what does not add up is noted in the ledger. */
export async function runOnce(
  payments: number,
  run: Run & { settlement: Client<typeof SettlementService>; say: (line: string) => void },
): Promise<Result> {
  const startedAt = new Date();
  const progress = watchProgress(payments, run.say);
  const outcome = await runPayments(payments, { ...run, onDone: progress.step }).finally(progress.stop);
  const closed = await closeRegisters(run.settlement, run.cast.initiator, startedAt, run.ledger);
  const result = {
    payments,
    success: outcome.success,
    rejected: outcome.rejected,
    callbacks: run.ledger.counts.delivered,
    registers: closed.registers,
    registerTotal: formatMinor(closed.totalMinor),
    elapsedMs: Date.now() - startedAt.getTime(),
  };
  const attempts = run.retryDelaysMs.length + 1;
  const rows = balance(run.scenario, result, outcome.successMinor, closed.payments, run.ledger, attempts);
  for (const [name, is, should] of rows) {
    if (is !== should) run.ledger.note(`${name}: ${is}, but it should be ${should}`);
  }
  return result;
}

type Row = [name: string, is: unknown, should: unknown];

/** Every number that has to add up, beside what it has to be. */
function balance(
  scenario: Scenario,
  result: Result,
  successMinor: bigint,
  registered: number,
  ledger: Ledger,
  attempts: number,
): Row[] {
  const all = result.payments;
  const succeeds = scenario.result === "success";
  const merchantCalls = scenario.merchantCalls === "every" ? attempts : scenario.merchantCalls;
  return [
    ["successful payments", result.success, succeeds ? all : 0],
    ["rejected payments", result.rejected, succeeds ? 0 : all],
    ["delivered callbacks", result.callbacks, all * scenario.deliveries.length],
    ["callbacks that were delivered twice", ledger.counts.repeated, 0],
    ["calls to the merchant", ledger.counts.merchantCalls, all * merchantCalls],
    ["payments in registers", registered, result.success],
    ["total of the registers", result.registerTotal, formatMinor(successMinor)],
  ];
}

function watchProgress(total: number, say: (line: string) => void) {
  let done = 0;
  const timer = setInterval(() => say(`${done} of ${total} payments have ended`), PROGRESS_EVERY_MS);
  return {
    step: () => void done++,
    stop: () => clearInterval(timer),
  };
}

/** The result for people. */
export function summarise(result: Result): string {
  return [
    `${result.payments} payments: ${result.success} successful, ${result.rejected} rejected, in ${result.elapsedMs} ms`,
    `${result.callbacks} callbacks delivered; ${result.registers} registers over ${result.registerTotal}`,
  ].join("\n");
}
