import type { Ledger } from "./ledger.ts";
import type { SandboxBank, SandboxMerchant } from "./participants.ts";
import { toMajor } from "./samples.ts";
import type { Scenario } from "./scenarios.ts";

export type Cast = { initiator: SandboxBank; recipient: SandboxBank; merchant: SandboxMerchant };

/** Enough at a time to keep the platform busy, few enough for a small machine. */
const CONCURRENT_PAYMENTS = 16;
/** How long a payment may take in addition to the waits of its retries. */
const PAYMENT_MARGIN_MS = 120_000;

export type Outcome = { success: number; rejected: number; successMinor: bigint };

/** Runs payments to their end, a bounded number at a time; problems are noted in the ledger. */
export async function runPayments(
  count: number,
  run: {
    cast: Cast;
    scenario: Scenario;
    ledger: Ledger;
    retryDelaysMs: readonly number[];
    /** How many of them, the last ones, are paid within the merchant's own bank. */
    internal: number;
    onDone: () => void;
  },
): Promise<Outcome> {
  const outcome: Outcome = { success: 0, rejected: 0, successMinor: 0n };
  const endsWithinMs = run.retryDelaysMs.reduce((sum, delay) => sum + delay, PAYMENT_MARGIN_MS);
  let next = 0;

  async function payOne(amountMinor: number, payer: SandboxBank, byLink: boolean) {
    const order = await run.cast.merchant.order({ amount: toMajor(amountMinor) });
    const guid = await payer.pays(byLink ? await payer.opens(await payer.linkTo(order)) : order);
    await run.ledger.ends(guid, endsWithinMs);
    // The platform's own answer must agree with what the receivers were told.
    const answer = await payer.client().getPaymentMessage(guid);
    const status = answer.ok ? answer.body.status : `HTTP ${answer.status}`;
    if (status === "success") outcome.success += 1;
    if (status === "reject") outcome.rejected += 1;
    if (status === "success") outcome.successMinor += BigInt(amountMinor);
    if (status !== run.scenario.result) run.ledger.note(`payment ${guid} is ${status}, not ${run.scenario.result}`);
  }

  async function worker() {
    while (next < count) {
      const index = next++;
      const payer = index < count - run.internal ? run.cast.initiator : run.cast.recipient;
      // The first payer of each bank comes by a link of the payment page, to try it; in life all of them do.
      const byLink = index === 0 || index === count - run.internal;
      await payOne(100 + ((index * 37) % 100_000), payer, byLink).catch((error) => run.ledger.note(explain(error)));
      run.onDone();
    }
  }

  await Promise.all(Array.from({ length: Math.min(CONCURRENT_PAYMENTS, count) }, worker));
  return outcome;
}

/** An error's message with that of its cause. */
export function explain(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause;
  return `${(error as Error).message}${cause instanceof Error ? `: ${cause.message}` : ""}`;
}
