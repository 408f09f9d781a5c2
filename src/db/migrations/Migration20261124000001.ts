import { Migration } from "@mikro-orm/migrations";

/** Looks at every row that was there before the constraints; reading and writing go on meanwhile. */
export class Migration20261124000001 extends Migration {
  override up(): void {
    for (const [table, names] of Object.entries(constraints)) {
      for (const name of names) this.addSql(`alter table "${table}" validate constraint "${name}"`);
    }
  }
}

const constraints = {
  callback: [
    "callback_kind_check",
    "callback_state_check",
    "callback_last_outcome_check",
    "callback_subject_check",
    "callback_counts_check",
    "callback_resolved_check",
  ],
  callback_attempt: ["callback_attempt_outcome_check", "callback_attempt_counts_check"],
  participant: [
    "participant_servicing_bank_guid_foreign",
    "participant_kind_check",
    "participant_callback_body_format_check",
    "participant_bank_check",
    "participant_merchant_check",
    "participant_fee_check",
  ],
  payment_message: [
    "payment_message_status_check",
    "payment_message_pm_type_check",
    "payment_message_sender_account_type_check",
    "payment_message_amount_check",
    "payment_message_decided_check",
    "payment_message_register_check",
    "payment_message_fee_check",
  ],
  payment_order: ["payment_order_status_check", "payment_order_amount_check"],
  settlement_register: [
    "settlement_register_debtor_agent_guid_foreign",
    "settlement_register_creditor_agent_guid_foreign",
    "settlement_register_status_check",
    "settlement_register_creditor_check",
    "settlement_register_totals_check",
    "settlement_register_period_check",
  ],
};
