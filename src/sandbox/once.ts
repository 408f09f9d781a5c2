import type { Client } from "@connectrpc/connect";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { Books } from "./books.ts";
import type { Ledger } from "./ledger.ts";
import { type Cast, runPayments } from "./payments.ts";
import { formatMinor } from "./samples.ts";
import type { Scenario } from "./scenarios.ts";
import { closeDays, type Settled, settleRegisters } from "./settlement.ts";

const PROGRESS_EVERY_MS = 2000;

/** The result of a run, printed as its last line. */
export type Result = {
  payments: number;
  success: number;
  rejected: number;
  callbacks: number;
  registers: number;
  registerTotal: string;
  registerCallbacks: number;
  /** Empty registers, and internal ones (a bank with itself). */
  empty: number;
  internal: number;
  /** How many registers the banks confirmed, and how many are Paid at the end; 0 unless they settle. */
  confirmed: number;
  paid: number;
  elapsedMs: number;
};

export type Run = {
  cast: Cast;
  scenario: Scenario;
  ledger: Ledger;
  books: Record<"initiator" | "recipient", Books>;
  retryDelaysMs: readonly number[];
};

/**
 * Runs the payments, closes the registers, has them settled if asked to, and adds everything up; discrepancies are noted in the
 * ledger.
 */
export async function runOnce(
  payments: number,
  run: Run & { settle: boolean; settlement: Client<typeof SettlementService>; say: (line: string) => void },
): Promise<Result> {
  const { cast, books, ledger } = run;
  const startedAt = new Date();
  const progress = watchProgress(payments, run.say);
  // A single payment is between two banks; of several with settlement one is within a bank.
  const internal = run.settle && payments > 1 ? 1 : 0;
  const outcome = await runPayments(payments, { ...run, internal, onDone: progress.step }).finally(progress.stop);
  await closeDays(run.settlement, startedAt);
  const settlers = (["initiator", "recipient"] as const).map((party) => ({ bank: cast[party], books: books[party] }));
  const settled = await settleRegisters(settlers, { ledger, pays: run.settle });
  const result = {
    payments,
    success: outcome.success,
    rejected: outcome.rejected,
    callbacks: ledger.counts.delivered,
    registers: settled.registers,
    registerTotal: formatMinor(settled.totalMinor),
    registerCallbacks: settlers.reduce((sum, settler) => sum + settler.books.registerCallbacks(), 0),
    empty: settled.empty,
    internal: settled.internal,
    confirmed: settled.confirmed,
    paid: settled.paid,
    elapsedMs: Date.now() - startedAt.getTime(),
  };
  const rows = [
    ...paymentBalance(run, result),
    ...registerBalance(result, settled, outcome.successMinor),
    ["registers inside one bank", result.internal, run.scenario.result === "success" ? internal : 0],
    ["paid registers", result.paid, run.settle ? result.registers - result.empty : 0],
  ] satisfies Row[];
  for (const [name, is, should] of rows) {
    if (is !== should) ledger.note(`${name}: ${is}, but it should be ${should}`);
  }
  return result;
}

type Row = [name: string, is: unknown, should: unknown];

/** The numbers that have to match, each beside its expected value. */
function paymentBalance({ scenario, ledger, retryDelaysMs }: Run, result: Result): Row[] {
  const all = result.payments;
  const succeeds = scenario.result === "success";
  const merchantCalls = scenario.merchantCalls === "every" ? retryDelaysMs.length + 1 : scenario.merchantCalls;
  return [
    ["successful payments", result.success, succeeds ? all : 0],
    ["rejected payments", result.rejected, succeeds ? 0 : all],
    ["delivered callbacks", result.callbacks, all * scenario.deliveries.length],
    ["callbacks that were delivered twice", ledger.counts.repeated, 0],
    ["calls to the merchant", ledger.counts.merchantCalls, all * merchantCalls],
  ];
}

function registerBalance(result: Result, settled: Settled, successMinor: bigint): Row[] {
  return [
    ["payments in registers", settled.payments, result.success],
    ["total of the registers", result.registerTotal, formatMinor(successMinor)],
    ["callbacks about registers", result.registerCallbacks, settled.sides],
    ["confirmed registers", result.confirmed, result.paid],
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
    `${result.callbacks} callbacks delivered`,
    `${result.registers} registers over ${result.registerTotal}: ${result.empty} empty, ${result.paid} paid`,
  ].join("\n");
}
