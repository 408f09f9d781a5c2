import type { Client } from "@connectrpc/connect";
import type { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import type { Claims } from "../sdk/jws.ts";
import type { BankClient, GrossSettlement } from "../sdk/platform.ts";
import { type Books, pairOf } from "./books.ts";
import type { Ledger } from "./ledger.ts";
import { expectOk, type SandboxBank } from "./participants.ts";
import { explain } from "./payments.ts";
import { formatMinor, kyivTime, minorOf } from "./samples.ts";

/** A bank that settles its registers, and its books. */
export type Settler = { bank: SandboxBank; books: Books };

export type Settled = {
  registers: number;
  empty: number;
  /** Registers of a bank with itself. */
  internal: number;
  payments: number;
  totalMinor: bigint;
  /** How many Gross_Settlement callbacks are expected: one for each bank of each register. */
  sides: number;
  confirmed: number;
  paid: number;
};

/** How long to wait for Gross_Settlement, which is made in the transaction that publishes the register. */
const HEARS_WITHIN_MS = 30_000;
const LIST_LIMIT = 500;

/** Closes the days of a run, as an operator does. */
export async function closeDays(settlement: Client<typeof SettlementService>, startedAt: Date): Promise<void> {
  // A run over midnight in Kyiv has payments on both days.
  const days = new Set([kyivTime(startedAt).date, kyivTime(new Date()).date]);
  for (const day of days) await settlement.closeRegisters({ day, allowOpenDay: true });
}

/**
 * Each bank reads its registers over REST and checks them against its books; if `pays`, it then pays and confirms those that it
 * owes. Discrepancies are noted in the ledger. The banks were registered for this run, so all their registers are of it.
 */
export async function settleRegisters(
  settlers: readonly Settler[],
  { ledger, pays, hearsWithinMs = HEARS_WITHIN_MS }: { ledger: Ledger; pays: boolean; hearsWithinMs?: number },
): Promise<Settled> {
  const settled = { registers: 0, empty: 0, internal: 0, payments: 0, totalMinor: 0n, sides: 0, confirmed: 0, paid: 0 };
  try {
    const owed = await readRegisters(settlers, settled, ledger, hearsWithinMs);
    if (!pays) return settled;
    for (const { bank, register } of owed) if (await settle(bank.client(), register)) settled.confirmed += 1;
    settled.paid = await countPaid(settlers, owed);
  } catch (error) {
    ledger.note(explain(error));
  }
  return settled;
}

type Owed = { bank: SandboxBank; register: GrossSettlement };

/** Checks all registers of the banks, and answers those that each of them owes. */
async function readRegisters(
  settlers: readonly Settler[],
  settled: Settled,
  ledger: Ledger,
  hearsWithinMs: number,
): Promise<Owed[]> {
  const owed: Owed[] = [];
  for (const { bank, books } of settlers) {
    for (const register of await listAll(bank.client(), { role: "All" })) {
      const payments = await check({ bank, books }, register, ledger, hearsWithinMs);
      settled.sides += 1;
      // Counted at the debtor only, so that a register of two banks counts once.
      if (register.debtor_bic !== bank.bic) continue;
      owed.push({ bank, register });
      settled.registers += 1;
      settled.payments += payments;
      settled.totalMinor += minorOf(register.total_amount) ?? 0n;
      if (register.status === "Sent (no PM)") settled.empty += 1;
      if (register.status === "Sent (Interbank)") settled.internal += 1;
    }
    if (books.unsettled() > 0) ledger.note(`${books.unsettled()} payments of ${bank.name} are in no register`);
  }
  return owed;
}

/** Reads a register's payments, which must be those of the books and add up to what register and callback state. */
async function check(
  { bank, books }: Settler,
  register: GrossSettlement,
  ledger: Ledger,
  hearsWithinMs: number,
): Promise<number> {
  const { id, total_amount, debtor_bic, creditor_bic, currency } = register;
  const note = (problem: string) => ledger.note(`${bank.name}, register ${id}: ${problem}`);
  const pair = pairOf(debtor_bic, creditor_bic, currency);
  let payments = 0;
  let sumMinor = 0n;
  for await (const { payment_message_guid: guid, amount } of bank.client().grossSettlementPayments(id)) {
    const problem = books.settles(guid, pair, minorOf(amount));
    if (problem !== undefined) note(`payment ${guid} ${problem}`);
    payments += 1;
    sumMinor += minorOf(amount) ?? -1n;
  }
  if (sumMinor !== minorOf(total_amount))
    note(`its total is ${total_amount}, its payments give ${formatMinor(sumMinor)}`);
  const told = await books.hearsOf(id, hearsWithinMs);
  if (told === undefined) note("no Gross_Settlement came");
  else for (const problem of announcementProblems(told, register, payments, bank.guid)) note(problem);
  return payments;
}

/** Compares a register with its callback, which carries all payments or, of a large register, none and a URL. */
function announcementProblems(told: Claims, register: GrossSettlement, payments: number, guid: string): string[] {
  const carried = Array.isArray(told.payments) ? told.payments.length : -1;
  const path = `/api/v1/counterparty/${guid}/gross-settlement/${register.id}`;
  const isWhole = carried === payments && told.payment_count === undefined && told.register_url === undefined;
  const isReference =
    carried === 0 && told.payment_count === payments && URL.parse(String(told.register_url))?.pathname === path;
  return [
    ...(told.total_amount === register.total_amount ? [] : [`Gross_Settlement said ${told.total_amount}`]),
    ...(isWhole || isReference
      ? []
      : [`Gross_Settlement carried ${carried} of ${payments} payments, and register_url ${told.register_url}`]),
  ];
}

/** Pays and confirms a register as the debtor; false where nothing is to be paid. */
async function settle(client: BankClient, register: GrossSettlement): Promise<boolean> {
  const { id } = register;
  if (register.status === "Sent (Interbank)") {
    expectOk(await client.confirmInternal(id), `Register ${id} cannot be confirmed`);
    return true;
  }
  if (register.status !== "Sent") return false;
  const payment = {
    payment_message_external_id: `settlement-${id}`,
    creditor_iban: register.charging_account,
    amount: Number(register.total_amount_to_pay),
    currency: register.currency,
    purpose: register.purpose,
    creation_date: new Date().toISOString(),
  };
  expectOk(await client.pay(id, payment), `Register ${id} cannot be paid`);
  expectOk(
    await client.confirm(id, { ...payment, status: "ACSC" }),
    `The payment of register ${id} cannot be confirmed`,
  );
  return true;
}

/** Counts the registers that are Paid, as both banks see them: by asking for what has changed since the first one was made. */
async function countPaid(settlers: readonly Settler[], owed: readonly Owed[]): Promise<number> {
  const [first = new Date().toISOString()] = owed.map(({ register }) => register.created_at).sort();
  const lists = settlers.map(({ bank }) =>
    listAll(bank.client(), { role: "All", status: "Paid", updated_from: first }),
  );
  return new Set((await Promise.all(lists)).flat().map(({ id }) => id)).size;
}

/** Reads a list to its end, which must be where the platform's `total` says. */
async function listAll(
  client: BankClient,
  query: Omit<NonNullable<Parameters<BankClient["listGrossSettlements"]>[0]>, "limit" | "offset">,
): Promise<GrossSettlement[]> {
  const registers: GrossSettlement[] = [];
  for (;;) {
    const page = await client.listGrossSettlements({ ...query, limit: LIST_LIMIT, offset: registers.length });
    if (!page.ok) throw new Error(`The registers cannot be listed: HTTP ${page.status} ${JSON.stringify(page.body)}`);
    registers.push(...page.body);
    if (page.body.length === LIST_LIMIT) continue;
    if (page.total !== registers.length)
      throw new Error(`${page.total} registers are said, ${registers.length} listed`);
    return registers;
  }
}
