import type { Client } from "@connectrpc/connect";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { GrossSettlement } from "../sdk/platform.ts";
import type { Ledger } from "./ledger.ts";
import type { SandboxBank, SandboxMerchant } from "./participants.ts";
import { formatMinor, kyivTime, minorOf, toMajor } from "./samples.ts";
import type { Scenario } from "./scenarios.ts";

export type Cast = { initiator: SandboxBank; recipient: SandboxBank; merchant: SandboxMerchant };

/** Enough at a time to keep the platform busy, few enough for a small machine. */
const CONCURRENT_PAYMENTS = 16;
/** What a payment may take beyond the waits of its retries. */
const PAYMENT_MARGIN_MS = 120_000;

export type Outcome = { success: number; rejected: number; successMinor: bigint };

/** Runs payments to their end, a bounded number at a time; whatever goes wrong is noted in the ledger. */
export async function runPayments(
  count: number,
  run: { cast: Cast; scenario: Scenario; ledger: Ledger; retryDelaysMs: readonly number[]; onDone: () => void },
): Promise<Outcome> {
  const outcome: Outcome = { success: 0, rejected: 0, successMinor: 0n };
  const endsWithinMs = run.retryDelaysMs.reduce((sum, delay) => sum + delay, PAYMENT_MARGIN_MS);
  let next = 0;

  async function payOne(amountMinor: number) {
    const order = await run.cast.merchant.order({ amount: toMajor(amountMinor) });
    const guid = await run.cast.initiator.pays(order);
    await run.ledger.ends(guid, endsWithinMs);
    // The receivers have been told how it ended; the platform's own answer has to agree.
    const answer = await run.cast.initiator.client().getPaymentMessage(guid);
    const status = answer.ok ? answer.body.status : `HTTP ${answer.status}`;
    if (status === "success") outcome.success += 1;
    if (status === "reject") outcome.rejected += 1;
    if (status === "success") outcome.successMinor += BigInt(amountMinor);
    if (status !== run.scenario.result) run.ledger.note(`payment ${guid} is ${status}, not ${run.scenario.result}`);
  }

  async function worker() {
    while (next < count) {
      const amountMinor = 100 + ((next++ * 37) % 100_000);
      await payOne(amountMinor).catch((error) => run.ledger.note(explain(error)));
      run.onDone();
    }
  }

  await Promise.all(Array.from({ length: Math.min(CONCURRENT_PAYMENTS, count) }, worker));
  return outcome;
}

export type ClosedRegisters = { registers: number; totalMinor: bigint; payments: number };

/**
 * Closes the registers of the days of the run and reads them back as the initiator bank does. Only those that this
 * closing made count: a database that is used again has others.
 */
export async function closeRegisters(
  settlement: Client<typeof SettlementService>,
  initiator: SandboxBank,
  startedAt: Date,
  ledger: Ledger,
): Promise<ClosedRegisters> {
  // A run over midnight in Kyiv leaves payments on both days.
  const days = new Set([kyivTime(startedAt).date, kyivTime(new Date()).date]);
  const made = new Set<string>();
  for (const day of days) {
    const closed = await settlement.closeRegisters({ day, allowOpenDay: true });
    for (const register of closed.registers) made.add(register.id);
  }
  const listed = await initiator.client().listGrossSettlements({ limit: 500, role: "Debtor" });
  if (!listed.ok) {
    ledger.note(`the registers cannot be listed: HTTP ${listed.status} ${JSON.stringify(listed.body)}`);
    return { registers: 0, totalMinor: 0n, payments: 0 };
  }
  const result: ClosedRegisters = { registers: 0, totalMinor: 0n, payments: 0 };
  for (const register of listed.body.filter((entry) => made.has(entry.id))) {
    const { totalMinor, payments } = await readRegister(initiator, register, ledger);
    result.registers += 1;
    result.totalMinor += totalMinor;
    result.payments += payments;
  }
  return result;
}

/** Adds up a register's payments, which must give what the register says of itself. */
async function readRegister(initiator: SandboxBank, listed: GrossSettlement, ledger: Ledger) {
  const read = await initiator.client().getGrossSettlement(listed.id);
  const payments = read.ok ? (read.body.payments ?? []) : [];
  if (!read.ok) ledger.note(`register ${listed.id} cannot be read: HTTP ${read.status}`);
  const totalMinor = minorOf(listed.total_amount) ?? -1n;
  const sumMinor = payments.reduce((sum, payment) => sum + (minorOf(payment.amount) ?? -1n), 0n);
  if (sumMinor !== totalMinor) {
    ledger.note(`register ${listed.id} says ${listed.total_amount}, its payments say ${formatMinor(sumMinor)}`);
  }
  return { totalMinor, payments: payments.length };
}

function explain(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause;
  return `${(error as Error).message}${cause instanceof Error ? `: ${cause.message}` : ""}`;
}
