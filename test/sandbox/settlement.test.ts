import { describe, expect, test } from "vitest";
import { openBooks } from "../../src/sandbox/books.ts";
import type { Call } from "../../src/sandbox/inbox.ts";
import { openLedger } from "../../src/sandbox/ledger.ts";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { settleRegisters } from "../../src/sandbox/settlement.ts";
import type { Claims } from "../../src/sdk/jws.ts";
import type { BankClient, GrossSettlement, SettlementConfirmation, SettlementPayment } from "../../src/sdk/platform.ts";

type StoodRegister = Pick<GrossSettlement, "id" | "status" | "creditor_bic"> & { amounts: Record<string, string> };

const BIC = "300001";
const interbank: StoodRegister = { id: "1", status: "Sent", creditor_bic: "300002", amounts: { a: "1.00", b: "2.50" } };
const internal: StoodRegister = { id: "2", status: "Sent (Interbank)", creditor_bic: BIC, amounts: { c: "4.00" } };
const empty: StoodRegister = { id: "3", status: "Sent (no PM)", creditor_bic: "", amounts: {} };

const callOf = (kind: Call["kind"], claims: Claims, changes: Partial<Call> = {}): Call => ({
  kind,
  guid: claims.payment_message_guid as string | undefined,
  callbackGuid: undefined,
  orderId: undefined,
  status: "success",
  reason: undefined,
  claims,
  problem: undefined,
  attempt: 1,
  at: new Date(),
  answered: 200,
  ...changes,
});

const payOut = (guid: string, amount: number, creditorBic: string) =>
  callOf("pay-out", {
    payment_message_guid: guid,
    payment_message: {
      amount,
      currency: "UAH",
      debtor_agent: { debtor_agent_bic: BIC },
      creditor_agent: { creditor_agent_bic: creditorBic },
    },
  });

const totalOf = ({ amounts }: StoodRegister) =>
  Object.values(amounts)
    .reduce((sum, amount) => sum + Number(amount), 0)
    .toFixed(2);

const announcement = (register: StoodRegister, changes: Claims = {}) =>
  callOf("gross-settlement", {
    id: register.id,
    total_amount: totalOf(register),
    payments: Object.keys(register.amounts),
    ...changes,
  });

/** Stands in for the platform as one bank sees it, and keeps what the bank states. */
function standIn(registers: readonly StoodRegister[], { forgets = false } = {}) {
  const stated: [string, string, (SettlementPayment | SettlementConfirmation)?][] = [];
  const accepted = async () => ({ ok: true, status: 201, body: { created: "true" } });
  const listed = registers.map((register) => ({
    id: register.id,
    debtor_bic: BIC,
    creditor_bic: register.creditor_bic,
    currency: "UAH",
    total_amount: totalOf(register),
    total_amount_to_pay: totalOf(register),
    charging_account: "UA06",
    purpose: `Register ${register.id}`,
    status: register.status as string,
    created_at: "2026-01-02T22:01:00Z",
  }));
  const becomesPaid = (id: string) => {
    for (const register of listed) if (register.id === id && !forgets) register.status = "Paid";
  };
  const client = {
    listGrossSettlements: async ({ status }: { status?: string }) => {
      // Each reader has its own copy, as over REST.
      const body = structuredClone(listed.filter((register) => status === undefined || register.status === status));
      return { ok: true, status: 200, body, total: body.length };
    },
    async *grossSettlementPayments(id: string) {
      const { amounts } = registers.find((register) => register.id === id) ?? empty;
      for (const [guid, amount] of Object.entries(amounts)) yield { payment_message_guid: guid, amount };
    },
    pay: (id: string, payment: SettlementPayment) => {
      stated.push(["pay", id, payment]);
      return accepted();
    },
    confirm: (id: string, confirmation: SettlementConfirmation) => {
      stated.push(["confirm", id, confirmation]);
      becomesPaid(id);
      return accepted();
    },
    confirmInternal: (id: string) => {
      stated.push(["confirm_internal", id]);
      becomesPaid(id);
      return accepted();
    },
  };
  const bank = { name: "Bank", guid: "bank", bic: BIC, client: () => client as unknown as BankClient } as SandboxBank;
  return { bank, stated };
}

const registers = [interbank, internal, empty];
const told = [
  payOut("a", 1, "300002"),
  payOut("b", 2.5, "300002"),
  payOut("c", 4, BIC),
  ...registers.map((register) => announcement(register)),
];

async function settle(calls: readonly Call[], { pays = true, forgets = false } = {}) {
  const ledger = openLedger([]);
  const books = openBooks();
  for (const call of calls) books.record(call);
  const { bank, stated } = standIn(registers, { forgets });
  const settled = await settleRegisters([{ bank, books }], { ledger, pays, hearsWithinMs: 10 });
  return { settled, stated, problems: ledger.problems, callbacks: books.registerCallbacks() };
}

describe("settleRegisters", () => {
  test("pays and confirms what is Sent with what the register asks for, confirms what is its own, leaves an empty one", async () => {
    const { settled, stated, problems, callbacks } = await settle(told);
    expect(problems).toEqual([]);
    expect(settled).toEqual({
      registers: 3,
      empty: 1,
      internal: 1,
      payments: 3,
      totalMinor: 750n,
      sides: 3,
      confirmed: 2,
      paid: 2,
    });
    expect(callbacks).toBe(3);
    const payment = {
      amount: 3.5,
      creditor_iban: "UA06",
      purpose: "Register 1",
      payment_message_external_id: "settlement-1",
    };
    expect(stated).toEqual([
      ["pay", "1", expect.objectContaining(payment)],
      ["confirm", "1", expect.objectContaining({ ...payment, status: "ACSC" })],
      ["confirm_internal", "2"],
    ]);
  });

  test("only reads unless it pays", async () => {
    const { settled, stated } = await settle(told, { pays: false });
    expect(settled).toMatchObject({ registers: 3, confirmed: 0, paid: 0 });
    expect(stated).toEqual([]);
  });

  test("Paid is what the platform says afterwards, not what the bank stated", async () => {
    expect((await settle(told, { forgets: true })).settled).toMatchObject({ confirmed: 2, paid: 0 });
  });

  const large = {
    payments: [],
    payment_count: 2,
    register_url: "https://p.example/api/v1/counterparty/bank/gross-settlement/1",
  };
  const otherwise = (call: Call | undefined, at: number) =>
    told.flatMap((usual, index) => (index === at ? (call ?? []) : [usual]));

  test("a callback that says where a large register is read is as good as one with all payments", async () => {
    expect((await settle(otherwise(announcement(interbank, large), 3))).problems).toEqual([]);
  });

  test.each([
    ["a payment that the bank was never told of", otherwise(undefined, 0), /payment a is not in the bank's books/],
    ["another amount", otherwise(payOut("a", 1.01, "300002"), 0), /payment a is in the books with 101 minor units/],
    ["another register than the payment's banks", otherwise(payOut("a", 1, BIC), 0), /payment a is in the books as/],
    ["a payment in no register", [...told, payOut("d", 1, "300002")], /1 payments of Bank are in no register/],
    ["a register that is not announced", otherwise(undefined, 3), /register 1: no Gross_Settlement came/],
    ["an announced total", otherwise(announcement(interbank, { total_amount: "3.51" }), 3), /said 3.51/],
    ["some payments only", otherwise(announcement(interbank, { payments: ["a"] }), 3), /carried 1 of 2/],
    [
      "no address of a large one",
      otherwise(announcement(interbank, { ...large, register_url: undefined }), 3),
      /carried 0/,
    ],
    [
      "the address of another register",
      otherwise(announcement(interbank, { ...large, register_url: `${large.register_url}0` }), 3),
      /register_url .*\/10$/,
    ],
    ["another count", otherwise(announcement(interbank, { ...large, payment_count: 3 }), 3), /carried 0 of 2/],
  ])("%s is a problem", async (_what, calls, problem) => {
    const { problems } = await settle(calls);
    expect(problems).toEqual([expect.stringMatching(problem)]);
  });

  test("what was not verified or not accepted was not told", async () => {
    const { problems } = await settle([
      ...otherwise({ ...announcement(interbank), answered: 503 }, 3).filter((call) => call.guid !== "a"),
      { ...payOut("a", 1, "300002"), problem: "audience" },
    ]);
    expect(problems).toHaveLength(2);
  });

  test("a register that is announced twice counts twice", async () => {
    expect((await settle([...told, announcement(interbank)])).callbacks).toBe(4);
  });
});
