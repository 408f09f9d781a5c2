import { type Refusal, refuse } from "../domain/errors.ts";
import { formatAmountText } from "../domain/money.ts";
import { finalStatuses, type RegisterRefusal } from "../domain/registerOutcome.ts";
import {
  type ContentField,
  contentDifference,
  type PaymentMatch,
  type RegisterContent,
  type RegisterState,
  registerStatusText,
  type SettlementPayment,
} from "../domain/settlement.ts";

export const registerNotFound = () => refuse("REGISTER_NOT_FOUND", "register not found", { field: "register_id" });

/** The sentence for each way in which a statement can be refused; it names the field where there is one. */
export function registerRefusal(
  reason: RegisterRefusal,
  { asked, state: { status } }: { asked: RegisterContent; state: RegisterState },
  payment: SettlementPayment | undefined,
  match: PaymentMatch,
): Refusal {
  const idField = { field: "payment_message_external_id" };
  switch (reason) {
    case "REGISTER_NOT_FOUND":
      return registerNotFound();
    case "FORBIDDEN":
      return refuse(reason, "only the initiator bank pays and confirms a register");
    case "REGISTER_EMPTY":
      return refuse(reason, "the register has no payments");
    case "REGISTER_INTERNAL":
      return refuse(reason, "both banks of the register are one institution; it is confirmed by confirm_internal");
    case "REGISTER_NOT_INTERNAL":
      return refuse(reason, "the banks of the register are two institutions; it is paid and confirmed");
    case "REGISTER_NOT_PAID":
      return refuse(reason, `the register is ${registerStatusText[status]}; it is not paid`);
    case "REGISTER_ALREADY_PAID":
      return match === "current"
        ? refuse(reason, "the payment was confirmed as final before; it cannot have failed")
        : refuse(reason, `the register is ${registerStatusText[status]} already; nothing is to be paid`);
    case "PAYMENT_ID_USED":
      return refuse(
        reason,
        match === "current_other_content"
          ? "payment_message_external_id was used before, with other content"
          : "payment_message_external_id was used before, for another register or for a payment that failed",
        idField,
      );
    case "WRONG_DATA":
      return wrongData(asked, payment, match);
  }
}

/** What the value of each field has to be, for the text of the refusal: the name in the documents and the register's value. */
const askedFor: Record<ContentField, (asked: RegisterContent) => string> = {
  amount: ({ amountMinor }) => `total_amount_to_pay, which is ${formatAmountText(amountMinor)}`,
  creditor_iban: ({ creditorIban }) => `charging_account, which is ${creditorIban}`,
  currency: ({ currency }) => `currency, which is ${currency}`,
  purpose: ({ purpose }) => `purpose, which is ${purpose}`,
};

function wrongData(asked: RegisterContent, payment: SettlementPayment | undefined, match: PaymentMatch): Refusal {
  const field = payment && contentDifference(asked, payment);
  // If the payment's id is not the expected one, that is what is wrong, whatever the content. Otherwise the content is.
  if (field !== undefined && (match === "current_other_content" || match === "new_other_content")) {
    const text = `${field} differs from the register's ${askedFor[field](asked)}`;
    return refuse("WRONG_DATA", text, { field });
  }
  const id = "payment_message_external_id";
  return refuse("WRONG_DATA", `${id} is not that of the payment that the register was paid with`, { field: id });
}

/** Refuses a confirmation whose status is not final, that is, does not say how the payment ended. */
export function notFinalRefusal(status: string): Refusal {
  const known = Object.keys(finalStatuses).join(", ");
  const text = `status ${JSON.stringify(status.slice(0, 35))} does not say how the payment ended; final are ${known}`;
  return refuse("STATUS_NOT_FINAL", text, { field: "status" });
}
