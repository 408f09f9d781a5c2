import { defineEntity, p } from "@mikro-orm/core";
import { MAX_TOTAL_MINOR } from "../../domain/money.ts";
import {
  type RegisterActKind,
  type RegisterStatus,
  registerActKinds,
  registerStatuses,
} from "../../domain/settlement.ts";
import { amountMinor, check, instant, oneOf, text } from "./columns.ts";
import { ParticipantEntity } from "./participants.ts";

/** The fee rate of a bank from an instant on; append-only (wire-contract section 7, fees). */
export const FeeRateEntity = defineEntity({
  name: "FeeRate",
  tableName: "fee_rate",
  checks: [check("fee_rate_basis_points_check", "basis_points >= 0 and basis_points <= 10000")],
  properties: {
    bankGuid: () => p.manyToOne(ParticipantEntity).mapToPk().fieldName("bank_guid").deleteRule("no action").primary(),
    effectiveFrom: instant().primary(),
    basisPoints: p.integer(),
  },
});

/** The status of a register that a closing is still filling; such a register is invisible. */
export const CLOSING = "closing";

/**
 * A gross settlement register (wire-contract section 7): a snapshot made by a closing. Its payments are the payment messages with
 * its `registerId`; what happened to it afterwards is in its acts, from which `status` follows.
 */
export const SettlementRegisterEntity = defineEntity({
  name: "SettlementRegister",
  tableName: "settlement_register",
  uniques: [{ name: "settlement_register_increment_unique", properties: ["day", "increment"] }],
  indexes: [
    { name: "settlement_register_debtor", properties: ["debtorAgentGuid", "createdAt"] },
    { name: "settlement_register_creditor", properties: ["creditorAgentGuid", "createdAt"] },
    { name: "settlement_register_debtor_updated", properties: ["debtorAgentGuid", "updatedAt"] },
    { name: "settlement_register_creditor_updated", properties: ["creditorAgentGuid", "updatedAt"] },
    // An interrupted closing finds the registers that it began, and begins none of them twice.
    {
      name: "settlement_register_closing_unique",
      expression:
        "create unique index settlement_register_closing_unique on settlement_register (period_start, debtor_agent_guid, creditor_agent_guid, currency) where status = 'closing'",
    },
  ],
  checks: [
    oneOf("settlement_register", "status", [CLOSING, ...registerStatuses]),
    // Only an empty register has no creditor agent.
    check("settlement_register_creditor_check", "(creditor_agent_guid is null) = (status = 'sent_no_pm')"),
    check(
      "settlement_register_totals_check",
      "increment >= 1 and payment_count >= 0 and total_fee_minor >= 0 and total_fee_minor <= total_amount_minor",
    ),
    // A larger total could not be written exactly as a JSON number, and the register could not be paid; so making it fails.
    check("settlement_register_exact_check", `total_amount_minor <= ${MAX_TOTAL_MINOR}`),
    check("settlement_register_period_check", "period_start < period_end"),
  ],
  properties: {
    id: p.text().primary(),
    day: p.date(),
    increment: p.integer(),
    debtorAgentGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("debtor_agent_guid").deleteRule("no action"),
    creditorAgentGuid: () =>
      p
        .manyToOne(ParticipantEntity)
        .mapToPk()
        .fieldName("creditor_agent_guid")
        .deleteRule("no action")
        .strictNullable(),
    currency: text(),
    totalAmountMinor: amountMinor(),
    totalFeeMinor: amountMinor(),
    paymentCount: p.integer(),
    status: text().$type<RegisterStatus | typeof CLOSING>(),
    periodStart: instant(),
    periodEnd: instant(),
    createdAt: instant(),
    updatedAt: instant(),
    debtorName: text(),
    debtorBic: text(),
    creditorName: text(),
    creditorBic: text(),
    creditorCode: text(),
    chargingAccount: text(),
    purpose: text(),
    /** The closed day that an adjustment belongs to. */
    adjustsDay: p.date().strictNullable(),
  },
});

/** An act: something that happened to a register; append-only. */
export const RegisterActEntity = defineEntity({
  name: "RegisterAct",
  tableName: "register_act",
  indexes: [
    { name: "register_act_register", properties: ["registerId", "number"] },
    // One transfer settles one register, and never a second.
    {
      name: "register_act_payment_unique",
      expression:
        "create unique index register_act_payment_unique on register_act (actor, payment_external_id) where kind = 'paid'",
    },
  ],
  checks: [
    oneOf("register_act", "kind", registerActKinds),
    check(
      "register_act_payment_check",
      `case when kind in ('paid', 'confirmed', 'rejected')
        then payment_external_id is not null and creditor_iban is not null and amount_minor is not null
          and currency is not null and purpose is not null and creation_date is not null
        else payment_external_id is null and creditor_iban is null and amount_minor is null
          and currency is null and purpose is null and creation_date is null
      end`,
    ),
    check("register_act_status_check", "(kind in ('confirmed', 'rejected')) = (payment_status is not null)"),
    check("register_act_note_check", "(kind = 'reopened') = (note is not null)"),
  ],
  properties: {
    number: p.bigint("number").primary().autoincrement(),
    registerId: () => p.manyToOne(SettlementRegisterEntity).mapToPk().fieldName("register_id").deleteRule("no action"),
    kind: text().$type<RegisterActKind>(),
    /** A bank's guid, the operator's name, or `platform`. */
    actor: text(),
    at: instant(),
    paymentExternalId: text().strictNullable(),
    creditorIban: text().strictNullable(),
    amountMinor: amountMinor().strictNullable(),
    currency: text().strictNullable(),
    purpose: text().strictNullable(),
    creationDate: text().strictNullable(),
    paymentStatus: text().strictNullable(),
    note: text().strictNullable(),
    /** The evidence that the bank signed. */
    jws: text().strictNullable(),
  },
});

/** A Kyiv day that is over and whose registers have been made, the empty ones too. */
export const ClosedDayEntity = defineEntity({
  name: "ClosedDay",
  tableName: "closed_day",
  properties: {
    day: p.date().primary(),
    closedAt: instant(),
  },
});
