import { LRUCache } from "lru-cache";
import type { Claims } from "../sdk/jws.ts";
import { type Call, isAccepted } from "./inbox.ts";
import type { Delivery, Party } from "./scenarios.ts";

/** How many callback guids are remembered to tell a repeat from a further callback. */
const REMEMBERED_GUIDS = 50_000;

/** How many problems a run keeps and reports; one of a kind says enough. */
const KEPT_PROBLEMS = 20;

type Page = { missing: Set<string>; ended: PromiseWithResolvers<void> };

/**
 * Counts callbacks on the receiving side. A payment has a page only until all its callbacks have been delivered, so that memory
 * depends on concurrent payments and not on the length of the run.
 */
export function openLedger(deliveries: readonly Delivery[]) {
  const expected = new Set(deliveries.map(nameOf));
  const pages = new Map<string, Page>();
  const seen = new LRUCache<string, true>({ max: REMEMBERED_GUIDS });
  const problems: string[] = [];
  const counts = { delivered: 0, repeated: 0, merchantCalls: 0, problems: 0 };

  function note(problem: string) {
    counts.problems += 1;
    if (problems.length < KEPT_PROBLEMS) problems.push(problem);
  }

  /** A callback can come before the answer to the payment message, so either of them opens the page. */
  function pageOf(guid: string): Page {
    const page = pages.get(guid) ?? { missing: new Set(expected), ended: Promise.withResolvers<void>() };
    pages.set(guid, page);
    return page;
  }

  function remember(callbackGuid: string): boolean {
    if (seen.has(callbackGuid)) return false;
    seen.set(callbackGuid, true);
    return true;
  }

  return {
    counts,
    problems: problems as readonly string[],
    note,
    /** Records one answered call of a party's inbox. */
    record(party: Party, call: Call) {
      // A callback about a reject does not ask for a decision, so it is not counted.
      if (party === "merchant" && call.status !== "reject") counts.merchantCalls += 1;
      if (call.problem) return note(`${party} could not verify a ${call.kind} callback: ${call.problem}`);
      // Register callbacks are not about one payment; the books count them.
      if (call.kind === "gross-settlement" || !isAccepted(call)) return;
      if (!remember(call.callbackGuid ?? "")) {
        counts.repeated += 1;
        return;
      }
      counts.delivered += 1;
      const name = nameOf({ to: roleIn(party, call), kind: call.kind, status: call.status ?? "", reason: call.reason });
      const page = pageOf(call.guid ?? "");
      if (!page.missing.delete(name)) note(`${name} was delivered, but was not expected`);
      if (page.missing.size === 0) page.ended.resolve();
    },
    /** Waits until all callbacks of the payment are delivered. */
    async ends(guid: string, timeoutMs: number) {
      const page = pageOf(guid);
      const timer = setTimeout(() => {
        note(`payment ${guid} did not end within ${timeoutMs} ms; missing: ${[...page.missing].join(", ")}`);
        page.ended.resolve();
      }, timeoutMs).unref();
      await page.ended.promise;
      clearTimeout(timer);
      pages.delete(guid);
    },
  };
}

export type Ledger = ReturnType<typeof openLedger>;

/** The role of a party in a payment. Within one bank it is both, and its Pay-out is received as the initiator. */
function roleIn(party: Party, { kind, claims }: Call): Party {
  if (kind !== "pay-out") return party;
  const message = claims.payment_message as Record<"debtor_agent" | "creditor_agent", Claims> | undefined;
  const isInternal = message?.debtor_agent.debtor_agent_bic === message?.creditor_agent.creditor_agent_bic;
  return message !== undefined && isInternal ? "initiator" : party;
}

function nameOf(delivery: { to: Party; kind: string; status: string; reason?: string | undefined }): string {
  const reason = delivery.reason ? ` (${delivery.reason})` : "";
  return `${delivery.kind} ${delivery.status} to ${delivery.to}${reason}`;
}
