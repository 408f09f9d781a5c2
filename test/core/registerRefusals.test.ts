import { expect, test } from "vitest";
import { notFinalRefusal, registerRefusal } from "../../src/core/registerRefusals.ts";
import type { RegisterRefusal } from "../../src/domain/registerOutcome.ts";
import type { PaymentMatch, SettlementPayment } from "../../src/domain/settlement.ts";

const asked = { creditorIban: "UA1", amountMinor: 500, currency: "UAH", purpose: "register 1" };
const stated: SettlementPayment = { ...asked, externalId: "P-1", creationDate: "2026-05-10" };
const known = { asked, state: { status: "processing", current: null, rejected: null } } as const;

const id = "payment_message_external_id";
const otherId = `${id} is not that of the payment that the register was paid with`;

test.each<[RegisterRefusal, PaymentMatch, message: string, field?: string]>([
  ["REGISTER_NOT_FOUND", "new", "register not found", "register_id"],
  ["FORBIDDEN", "new", "only the initiator bank pays and confirms a register"],
  ["REGISTER_EMPTY", "new", "the register has no payments"],
  ["REGISTER_INTERNAL", "new", "both banks of the register are one institution; it is confirmed by confirm_internal"],
  ["REGISTER_NOT_INTERNAL", "new", "the banks of the register are two institutions; it is paid and confirmed"],
  ["REGISTER_NOT_PAID", "new", "the register is Processing; it is not paid"],
  ["REGISTER_ALREADY_PAID", "current", "the payment was confirmed as final before; it cannot have failed"],
  ["REGISTER_ALREADY_PAID", "new", "the register is Processing already; nothing is to be paid"],
  ["PAYMENT_ID_USED", "current_other_content", `${id} was used before, with other content`, id],
  ["PAYMENT_ID_USED", "used", `${id} was used before, for another register or for a payment that failed`, id],
  ["WRONG_DATA", "used", otherId, id],
])("registerRefusal: %s of a payment that is %s", (reason, match, message, field) => {
  const refusal = { refused: reason, message, ...(field && { field }) };
  expect(registerRefusal(reason, known, stated, match)).toEqual(refusal);
});

test.each<[Partial<SettlementPayment>, field: string, text: string]>([
  [{ amountMinor: 1 }, "amount", "total_amount_to_pay, which is 5.00"],
  [{ creditorIban: "UA2" }, "creditor_iban", "charging_account, which is UA1"],
  [{ currency: "EUR" }, "currency", "currency, which is UAH"],
  [{ purpose: "?" }, "purpose", "purpose, which is register 1"],
])(
  "registerRefusal: of wrong data the first field that differs is named, with what it has to be: %j",
  (change, field, text) => {
    const refusal = (match: PaymentMatch) => registerRefusal("WRONG_DATA", known, { ...stated, ...change }, match);
    const message = `${field} differs from the register's ${text}`;
    for (const match of ["current_other_content", "new_other_content"] as const) {
      expect(refusal(match)).toEqual({ refused: "WRONG_DATA", field, message });
    }
    expect(refusal("used")).toEqual({ refused: "WRONG_DATA", field: id, message: otherId });
    expect(registerRefusal("WRONG_DATA", known, undefined, "new_other_content").field).toBe(id);
  },
);

test("notFinalRefusal: names the statuses that are final, and of the one that was given no more than fits", () => {
  expect(notFinalRefusal("x".repeat(40))).toEqual({
    refused: "STATUS_NOT_FINAL",
    field: "status",
    message: `status "${"x".repeat(35)}" does not say how the payment ended; final are ACSC, ACCC, RJCT, CANC`,
  });
});
