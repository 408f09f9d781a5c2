import { setTimeout as delay } from "node:timers/promises";
import type { Claims } from "../sdk/jws.ts";
import { type Call, isAccepted } from "./inbox.ts";
import { minorOf } from "./samples.ts";

/** A payment as its bank learnt of it; `pair`: which bank owes which, as in the registers. */
type Entry = { pair: string; amountMinor: bigint };

export const pairOf = (debtorBic: string, creditorBic: string, currency: string) =>
  `${debtorBic} owes ${creditorBic} in ${currency}`;

/**
 * What a bank knows of its payments and registers, from its callbacks alone. A payment is kept, at about 200 bytes, until a
 * register contains it.
 */
export function openBooks() {
  const open = new Map<string, Entry>();
  const announced = new Map<string, PromiseWithResolvers<Claims>>();
  let registerCallbacks = 0;

  function announcementOf(id: string) {
    const announcement = announced.get(id) ?? Promise.withResolvers<Claims>();
    announced.set(id, announcement);
    return announcement;
  }

  return {
    record(call: Call) {
      if (call.problem || !isAccepted(call)) return;
      if (call.kind === "gross-settlement") {
        registerCallbacks += 1;
        announcementOf(String(call.claims.id)).resolve(call.claims);
      }
      const isOwed = call.kind === "pay-out" || call.kind === "credit";
      if (isOwed && call.status === "success" && call.guid !== undefined) open.set(call.guid, entryOf(call.claims));
    },
    /** Strikes a payment that a register contains off the books; answers what is wrong with it. */
    settles(guid: string, pair: string, amountMinor: bigint | undefined): string | undefined {
      const entry = open.get(guid);
      if (entry === undefined) return "is not in the bank's books, or was in a register before";
      open.delete(guid);
      if (entry.pair !== pair) return `is in the books as ${entry.pair}`;
      return entry.amountMinor === amountMinor ? undefined : `is in the books with ${entry.amountMinor} minor units`;
    },
    /** How many payments are in no register yet. */
    unsettled: () => open.size,
    /** The Gross_Settlement claims for a register; undefined if the callback does not come in time. */
    hearsOf: (id: string, timeoutMs: number): Promise<Claims | undefined> =>
      Promise.race([announcementOf(id).promise, delay(timeoutMs, undefined, { ref: false })]),
    /** Every accepted Gross_Settlement, repeats included. */
    registerCallbacks: () => registerCallbacks,
  };
}

export type Books = ReturnType<typeof openBooks>;

function entryOf({ payment_message: told }: Claims): Entry {
  const message = told as Claims & { debtor_agent: Claims; creditor_agent: Claims };
  const { debtor_agent_bic: debtor } = message.debtor_agent;
  const { creditor_agent_bic: creditor } = message.creditor_agent;
  return {
    pair: pairOf(String(debtor), String(creditor), String(message.currency)),
    amountMinor: minorOf(message.amount) ?? -1n,
  };
}
