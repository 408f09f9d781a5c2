import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { RegisterActSchema, RegisterPaymentSchema, RegisterSchema } from "../../gen/dcm/v1/settlement_pb.ts";
import type { RegisterAct } from "../core/registerActs.ts";
import type { Register, RegisterPayment } from "../core/settlements.ts";
import { paymentTypes, registerActKinds, registerStatuses } from "../wire/enums.ts";
import { money } from "../wire/values.ts";
import type { Whole } from "../wire/whole.ts";

// From the domain to the wire: null becomes "not set" for messages and empty for texts, as proto/ documents it.

export function toRegister(register: Register): Whole<typeof RegisterSchema> {
  const { creditorAgent } = register;
  return {
    id: register.id,
    day: register.day,
    debtorAgent: register.debtorAgent,
    adjustsDay: register.adjustsDay ?? "",
    creditorAgent: { guid: creditorAgent?.guid ?? "", name: creditorAgent?.name ?? "", bic: creditorAgent?.bic ?? "" },
    creditorCode: creditorAgent?.taxCode ?? "",
    chargingAccount: creditorAgent?.iban ?? "",
    purpose: register.purpose,
    periodStart: timestampFromDate(register.periodStart),
    periodEnd: timestampFromDate(register.periodEnd),
    totalAmount: money(register.totalAmountMinor, register.currency),
    totalFeeMinor: BigInt(register.totalFeeMinor),
    paymentCount: register.paymentCount,
    status: registerStatuses[register.status],
    createdAt: timestampFromDate(register.createdAt),
    updatedAt: timestampFromDate(register.updatedAt),
  };
}

export function toRegisterPayment(payment: RegisterPayment, currency: string): Whole<typeof RegisterPaymentSchema> {
  return {
    paymentMessageGuid: payment.guid,
    externalId: payment.externalId,
    pmType: paymentTypes[payment.pmType],
    amount: money(payment.amountMinor, currency),
    feeMinor: BigInt(payment.feeMinor),
    purpose: payment.purpose,
    debtorAccount: payment.debtorAccount,
    creditorAccount: payment.creditorAccount,
    receivedAt: timestampFromDate(payment.receivedAt),
  };
}

export function toRegisterAct(act: RegisterAct): Whole<typeof RegisterActSchema> {
  const { payment } = act;
  return {
    number: BigInt(act.number),
    kind: registerActKinds[act.kind],
    actor: act.actor,
    at: timestampFromDate(act.at),
    payment: payment
      ? {
          externalId: payment.externalId,
          creditorIban: payment.creditorIban,
          amount: money(payment.amountMinor, payment.currency),
          purpose: payment.purpose,
          creationDate: payment.creationDate,
        }
      : undefined,
    paymentStatus: act.paymentStatus ?? "",
    note: act.note ?? "",
    jws: act.jws ?? "",
  };
}
