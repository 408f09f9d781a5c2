import type { Register, RegisterPayment, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { operations, type Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { registerStatusText } from "../domain/settlement.ts";
import { answeredName, paymentTypes, registerStatuses } from "./enums.ts";
import { amountText, isoText } from "./values.ts";

type Schemas = components["schemas"];

/** The register statuses by their documented texts. */
export const documentedStatuses = Object.fromEntries(
  Object.entries(registerStatusText).map(([status, text]) => [
    text,
    registerStatuses[status as keyof typeof registerStatuses],
  ]),
) as Record<Schemas["RegisterStatus"], RegisterStatus>;

export function registerAnswer(register: Register): Whole<Schemas["Register"]> {
  const totalMinor = register.totalAmount?.amountMinor ?? 0n;
  return {
    id: register.id,
    debtor_name: register.debtorAgent?.name ?? "",
    debtor_bic: register.debtorAgent?.bic ?? "",
    creditor_name: register.creditorAgent?.name ?? "",
    creditor_bic: register.creditorAgent?.bic ?? "",
    creditor_code: register.creditorCode,
    charging_account: register.chargingAccount,
    purpose: register.purpose,
    period_start: isoText(register.periodStart),
    period_end: isoText(register.periodEnd),
    total_amount: amountText(totalMinor),
    total_amount_to_pay: amountText(totalMinor - register.totalFeeMinor),
    total_fee_amount: amountText(register.totalFeeMinor),
    currency: register.totalAmount?.currency ?? "",
    status: registerStatusText[answeredName(registerStatuses, register.status)],
    created_at: isoText(register.createdAt),
    updated_at: isoText(register.updatedAt),
    deleted_at: null,
    adjusts_day: register.adjustsDay || undefined,
  };
}

export function registerPaymentAnswer(payment: RegisterPayment, register: Register): Whole<Schemas["RegisterPayment"]> {
  const amountMinor = payment.amount?.amountMinor ?? 0n;
  return {
    payment_message_external_id: payment.externalId,
    payment_message_guid: payment.paymentMessageGuid,
    pm_type: answeredName(paymentTypes, payment.pmType),
    amount: amountText(amountMinor),
    fee_amount: amountText(payment.feeMinor),
    amount_to_pay: amountText(amountMinor - payment.feeMinor),
    // Only the recipient bank is charged fees; the issuing bank pays none.
    issuer_fee: amountText(0n),
    currency: payment.amount?.currency ?? "",
    purpose: payment.purpose,
    recipient_iban: payment.creditorAccount,
    recipient_agent_id: register.creditorAgent?.guid ?? "",
    debtor_iban: payment.debtorAccount,
    debtor_agent_id: register.debtorAgent?.guid ?? "",
    register_id: register.id,
    created_at: isoText(payment.receivedAt),
  };
}

/** The address where a bank reads a register with its payments. */
export const registerUrl = (publicUrl: string, bankGuid: string, registerId: string) =>
  publicUrl +
  operations.getGrossSettlement.path.replace("{counterparty_guid}", bankGuid).replace("{register_id}", registerId);
