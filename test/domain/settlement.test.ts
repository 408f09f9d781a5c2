import { describe, expect, test } from "vitest";
import {
  confirmationOf,
  type RegisterCall,
  type RegisterCaller,
  type RegisterOutcome,
  registerCalls,
  registerOutcome,
} from "../../src/domain/registerOutcome.ts";
import {
  initialRegisterStatus,
  isCreationDate,
  type PaymentMatch,
  paymentMatch,
  paymentMatches,
  type RegisterKind,
  type RegisterStatus,
  registerId,
  registerKind,
  registerPurpose,
  registerState,
  registerStatusText,
  type SettlementPayment,
} from "../../src/domain/settlement.ts";

const asked = {
  creditorIban: "UA063808160041469948322523389",
  amountMinor: 500,
  currency: "UAH",
  purpose: "Gross settlement register 1012231",
};
const payment = (externalId: string, other: Partial<SettlementPayment> = {}): SettlementPayment => ({
  externalId,
  ...asked,
  creationDate: "2023-12-11",
  ...other,
});

/** One line a position: the answers to a stated payment that is current, current with other content, rejected, new, new with other content, used. */
const short: Record<string, RegisterOutcome> = {
  paid: { act: "paid" },
  confirmed: { act: "confirmed" },
  rejected: { act: "rejected" },
  internal: { act: "internal" },
  reopened: { act: "reopened" },
  "208": { repeated: true },
  "208+confirmed": { act: "confirmed", repeated: true },
  "208+rejected": { act: "rejected", repeated: true },
  DATA: { refused: "WRONG_DATA" },
  EMPTY: { refused: "REGISTER_EMPTY" },
  INTERNAL: { refused: "REGISTER_INTERNAL" },
  NOT_INTERNAL: { refused: "REGISTER_NOT_INTERNAL" },
  NOT_PAID: { refused: "REGISTER_NOT_PAID" },
  PAID: { refused: "REGISTER_ALREADY_PAID" },
  USED: { refused: "PAYMENT_ID_USED" },
};

type Position = [kind: RegisterKind, initial: RegisterStatus, status: RegisterStatus];
const rows: [Position, RegisterCall, string][] = [
  [["interbank", "sent", "sent"], "pay", "USED USED USED paid DATA USED"],
  [["interbank", "sent", "sent"], "confirm_final", "NOT_PAID"],
  [["interbank", "sent", "sent"], "confirm_failed", "NOT_PAID NOT_PAID 208+rejected NOT_PAID NOT_PAID NOT_PAID"],
  [["interbank", "sent", "sent"], "confirm_internal", "NOT_INTERNAL"],
  [["interbank", "sent", "sent"], "reopen", "NOT_PAID"],
  [["interbank", "sent", "processing"], "pay", "208 USED USED PAID PAID USED"],
  [["interbank", "sent", "processing"], "confirm_final", "confirmed DATA DATA DATA DATA DATA"],
  [["interbank", "sent", "processing"], "confirm_failed", "rejected DATA 208+rejected DATA DATA DATA"],
  [["interbank", "sent", "processing"], "confirm_internal", "NOT_INTERNAL"],
  [["interbank", "sent", "processing"], "reopen", "NOT_PAID"],
  [["interbank", "sent", "paid"], "pay", "208 USED USED PAID PAID USED"],
  [["interbank", "sent", "paid"], "confirm_final", "208+confirmed DATA DATA DATA DATA DATA"],
  [["interbank", "sent", "paid"], "confirm_failed", "PAID DATA 208+rejected DATA DATA DATA"],
  [["interbank", "sent", "paid"], "confirm_internal", "NOT_INTERNAL"],
  [["interbank", "sent", "paid"], "reopen", "reopened"],
  [["interbank", "paid", "paid"], "pay", "208 USED USED PAID PAID USED"],
  [["interbank", "paid", "paid"], "confirm_final", "PAID"],
  [["interbank", "paid", "paid"], "confirm_failed", "PAID"],
  [["interbank", "paid", "paid"], "confirm_internal", "NOT_INTERNAL"],
  [["interbank", "paid", "paid"], "reopen", "NOT_PAID"],
  [["internal", "sent_internal", "sent_internal"], "pay", "INTERNAL"],
  [["internal", "sent_internal", "sent_internal"], "confirm_final", "INTERNAL"],
  [["internal", "sent_internal", "sent_internal"], "confirm_failed", "INTERNAL"],
  [["internal", "sent_internal", "sent_internal"], "confirm_internal", "internal"],
  [["internal", "sent_internal", "sent_internal"], "reopen", "NOT_PAID"],
  [["internal", "sent_internal", "paid"], "pay", "INTERNAL"],
  [["internal", "sent_internal", "paid"], "confirm_final", "INTERNAL"],
  [["internal", "sent_internal", "paid"], "confirm_failed", "INTERNAL"],
  [["internal", "sent_internal", "paid"], "confirm_internal", "208"],
  [["internal", "sent_internal", "paid"], "reopen", "reopened"],
  [["internal", "paid", "paid"], "pay", "INTERNAL"],
  [["internal", "paid", "paid"], "confirm_final", "INTERNAL"],
  [["internal", "paid", "paid"], "confirm_failed", "INTERNAL"],
  [["internal", "paid", "paid"], "confirm_internal", "208"],
  [["internal", "paid", "paid"], "reopen", "NOT_PAID"],
  [["empty", "sent_no_pm", "sent_no_pm"], "pay", "EMPTY"],
  [["empty", "sent_no_pm", "sent_no_pm"], "confirm_final", "EMPTY"],
  [["empty", "sent_no_pm", "sent_no_pm"], "confirm_failed", "EMPTY"],
  [["empty", "sent_no_pm", "sent_no_pm"], "confirm_internal", "EMPTY"],
  [["empty", "sent_no_pm", "sent_no_pm"], "reopen", "EMPTY"],
];

describe("the state machine of a register", () => {
  const positions = new Set(rows.map(([position]) => position.join()));

  test("every position is enumerated with every call", () => {
    for (const position of positions) {
      const calls = rows.filter(([row]) => row.join() === position).map(([, call]) => call);
      expect(calls, position).toEqual([...registerCalls]);
    }
    expect(positions.size).toBe(8);
  });

  test.each(rows)("%j, %s", ([kind, initial, status], call, answers) => {
    const texts = answers.split(" ");
    const allowed: RegisterCaller = call === "reopen" ? "operator" : "initiator";
    for (const [place, match] of paymentMatches.entries()) {
      const answer = short[texts.length === 1 ? (texts[0] ?? "") : (texts[place] ?? "")];
      expect(answer).toBeDefined();
      const ask = (caller: RegisterCaller) => registerOutcome(caller, call, { kind, initial, status }, match);
      expect(ask(allowed), match).toEqual(answer);
      expect(ask("stranger")).toEqual({ refused: "REGISTER_NOT_FOUND" });
      for (const caller of ["initiator", "recipient", "operator"] as const) {
        if (caller !== allowed) expect(ask(caller), caller).toEqual({ refused: "FORBIDDEN" });
      }
    }
  });
});

describe("what a register is made as", () => {
  test.each([
    ["bank-1", "bank-2", "interbank"],
    ["bank-1", "bank-1", "internal"],
    ["bank-1", null, "empty"],
  ])("between %s and %s it is %s", (debtor, creditor, kind) => {
    expect(registerKind(debtor, creditor)).toBe(kind);
  });

  test("it is called by its day and its number on that day, and its payment by that", () => {
    expect([registerId("2026-05-10", 1), registerPurpose("1005261")]).toEqual([
      "1005261",
      "Gross settlement register 1005261",
    ]);
  });

  test("its statuses have the documents' names", () => {
    expect(registerStatusText).toEqual({
      sent: "Sent",
      sent_no_pm: "Sent (no PM)",
      sent_internal: "Sent (Interbank)",
      processing: "Processing",
      paid: "Paid",
    });
  });

  test.each<[RegisterKind, number, RegisterStatus]>([
    ["interbank", 1, "sent"],
    ["internal", 1, "sent_internal"],
    ["empty", 0, "sent_no_pm"],
    ["interbank", 0, "paid"],
    ["internal", 0, "paid"],
  ])("%s with %i to pay: %s", (kind, toPay, status) => {
    expect(initialRegisterStatus(kind, toPay)).toBe(status);
  });
});

describe("the state is what the acts say", () => {
  const first = payment("P-1");
  const second = payment("P-2");

  test("paid, rejected, paid again, the rejection repeated, confirmed, reopened", () => {
    const acts = [
      { kind: "made", payment: null },
      { kind: "paid", payment: first },
      { kind: "told", payment: null },
      { kind: "rejected", payment: first },
      { kind: "paid", payment: second },
      { kind: "rejected", payment: first },
      { kind: "confirmed", payment: second },
      { kind: "reopened", payment: null },
    ] as const;
    const states = acts.map((_, place) => registerState("sent", acts.slice(0, place + 1)));
    expect(states.map(({ status }) => status)).toEqual([
      "sent",
      "processing",
      "processing",
      "sent",
      "processing",
      "processing",
      "paid",
      "sent",
    ]);
    expect(states.map(({ current }) => current?.externalId)).toEqual([
      undefined,
      "P-1",
      "P-1",
      undefined,
      "P-2",
      "P-2",
      "P-2",
      undefined,
    ]);
    expect(states.at(-1)?.rejected).toBe(first);
  });

  test("a rejection of a payment that is not the current one says nothing", () => {
    const paid = { kind: "paid", payment: first } as const;
    const rejected = (payment: SettlementPayment | null) => ({ kind: "rejected", payment }) as const;
    const none = { status: "sent", current: null, rejected: null };
    expect(registerState("sent", [rejected(first)])).toEqual(none);
    expect(registerState("sent", [rejected(null)])).toEqual(none);
    expect(registerState("sent", [paid, rejected(null)])).toEqual({ ...none, status: "processing", current: first });
    expect(registerState("sent", [paid, rejected(first)])).toEqual({ ...none, rejected: first });
  });

  test("an internal register is confirmed and reopened", () => {
    const acts = [
      { kind: "made", payment: null },
      { kind: "internal", payment: null },
    ] as const;
    expect(registerState("sent_internal", acts).status).toBe("paid");
    expect(registerState("sent_internal", [...acts, { kind: "reopened", payment: null }]).status).toBe("sent_internal");
  });
});

describe("how a stated payment relates to the register", () => {
  const state = { status: "processing", current: payment("P-2"), rejected: payment("P-1") } as const;

  test.each<[string, SettlementPayment, boolean, PaymentMatch]>([
    ["the current one", payment("P-2"), true, "current"],
    ["its date is compared with nothing", payment("P-2", { creationDate: "2024-01-01" }), true, "current"],
    ["another amount", payment("P-2", { amountMinor: 501 }), true, "current_other_content"],
    ["another account", payment("P-2", { creditorIban: "UA00" }), true, "current_other_content"],
    ["another currency", payment("P-2", { currency: "EUR" }), true, "current_other_content"],
    ["another purpose", payment("P-2", { purpose: "?" }), true, "current_other_content"],
    ["the one that failed last", payment("P-1"), true, "rejected"],
    ["the same with other content", payment("P-1", { amountMinor: 1 }), true, "used"],
    ["one that was used elsewhere", payment("P-0"), true, "used"],
    ["a new one", payment("P-3"), false, "new"],
    ["a new one with other content", payment("P-3", { amountMinor: 1 }), false, "new_other_content"],
  ])("%s", (_, stated, isUsed, match) => {
    expect(paymentMatch(asked, state, stated, isUsed)).toBe(match);
  });
});

test("of a register that was never paid every payment is new or used elsewhere", () => {
  const state = { status: "sent", current: null, rejected: null } as const;
  expect([false, true].map((isUsed) => paymentMatch(asked, state, payment("P-1"), isUsed))).toEqual(["new", "used"]);
});

test.each([
  ["ACSC", "confirm_final"],
  ["ACCC", "confirm_final"],
  ["RJCT", "confirm_failed"],
  ["CANC", "confirm_failed"],
  ["ACSP", undefined],
  ["PDNG", undefined],
  ["RCVD", undefined],
  ["acsc", undefined],
  ["toString", undefined],
  ["", undefined],
])("a confirmation with %j is %s", (status, call) => {
  expect(confirmationOf(status)).toBe(call);
});

test.each([
  ["2023-12-11", true],
  ["2023-12-11T09:15:00+02:00", true],
  ["2023-12-11T09:15:00.123Z", true],
  ["2023-12-11T09:15:00", true],
  ["2023-12-11T09:15:00+0200", true],
  ["2023-12-11 09:15", true],
  ["2023-12-11t09:15z", true],
  ["2023-12-11T09:15:00,5-14", true],
  ["2023-12-11T09:15:00+10:30", true],
  ["2023-12-11T00:00:00", true],
  ["2023-12-11T23:59:60Z", true],
  ["2023-12-11T23:59:61Z", false],
  ["2023-12-11T23:60:00Z", false],
  ["2023-12-11T24:00:00Z", false],
  ["2023-12-11T09:15:00+15:00", false],
  ["2023-12-11T09:15:00.1234567890", false],
  ["2023-12-11T09:15:00Z and more", false],
  ["on 2023-12-11", false],
  ["2023-12-11T", false],
  ["2023-12-11T09", false],
  ["2023-12-11T09:15:00+25:00", false],
  ["2023-02-30", false],
  ["2023-12-11T25:00:00Z", false],
  ["11.12.2023", false],
  ["yesterday", false],
  ["", false],
])("%j is a creation date: %s", (text, isOne) => {
  expect(isCreationDate(text)).toBe(isOne);
});
