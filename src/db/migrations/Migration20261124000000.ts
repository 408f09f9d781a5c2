import { Migration } from "@mikro-orm/migrations";

/**
 * What the code assumes of a row, the schema enforces from now on; and which days are closed is kept. Rows that are there
 * are not looked at yet (`not valid`), so that no table is locked for longer than a moment; the next migration does that.
 */
export class Migration20261124000000 extends Migration {
  override up(): void {
    this.addSql(
      `create table "closed_day" ("day" date not null, "closed_at" timestamptz not null, primary key ("day"))`,
    );
    for (const [table, name, rule] of constraints) {
      this.addSql(`alter table "${table}" add constraint "${name}" ${rule} not valid`);
    }
  }
}

const constraints: ReadonlyArray<[table: string, name: string, rule: string]> = [
  [
    "callback",
    "callback_kind_check",
    "check (kind in ('pay_in_bank', 'pay_in_merchant', 'pay_out', 'credit', 'pay_in_bank_reject', 'expiration', 'gross_settlement'))",
  ],
  [
    "callback",
    "callback_state_check",
    "check (state in ('waiting', 'in_flight', 'delivered', 'failed', 'review', 'resolved', 'dead'))",
  ],
  [
    "callback",
    "callback_last_outcome_check",
    "check (last_outcome in ('accepted', 'refused', 'redirected', 'request_timeout', 'too_early', 'throttled', 'server_error', 'connect_refused', 'dns_failure', 'tls_failure', 'timeout', 'body_timeout', 'oversized', 'connection_reset', 'malformed_http', 'address_refused', 'lost'))",
  ],
  [
    "callback",
    "callback_subject_check",
    `check (case kind
        when 'expiration' then order_guid is not null and payment_message_guid is null and register_id is null
        when 'gross_settlement' then register_id is not null and payment_message_guid is null and order_guid is null
        else payment_message_guid is not null and order_guid is not null and register_id is null
      end)`,
  ],
  [
    "callback",
    "callback_counts_check",
    "check (series >= 1 and attempts >= 0 and refusals >= 0 and refusals <= attempts)",
  ],
  [
    "callback",
    "callback_resolved_check",
    "check (resolved_by is null or (state = 'resolved' and resolution_note is not null))",
  ],
  [
    "callback_attempt",
    "callback_attempt_outcome_check",
    "check (outcome in ('accepted', 'refused', 'redirected', 'request_timeout', 'too_early', 'throttled', 'server_error', 'connect_refused', 'dns_failure', 'tls_failure', 'timeout', 'body_timeout', 'oversized', 'connection_reset', 'malformed_http', 'address_refused', 'lost'))",
  ],
  ["callback_attempt", "callback_attempt_counts_check", "check (series >= 1 and attempt >= 1 and duration_ms >= 0)"],
  [
    "participant",
    "participant_servicing_bank_guid_foreign",
    `foreign key ("servicing_bank_guid") references "participant" ("guid")`,
  ],
  ["participant", "participant_kind_check", "check (kind in ('bank', 'merchant'))"],
  ["participant", "participant_callback_body_format_check", "check (callback_body_format in ('json', 'text'))"],
  [
    "participant",
    "participant_bank_check",
    `check (kind <> 'bank' or (bic is not null and uid is null and servicing_bank_guid is null
        and roles <@ array['initiator', 'recipient']::text[]))`,
  ],
  [
    "participant",
    "participant_merchant_check",
    "check (kind <> 'merchant' or (uid is not null and bic is null and servicing_bank_guid is not null and roles = '{}'::text[]))",
  ],
  ["participant", "participant_fee_check", "check (fee_basis_points >= 0 and fee_basis_points <= 10000)"],
  ["payment_message", "payment_message_status_check", "check (status in ('pending', 'success', 'reject'))"],
  ["payment_message", "payment_message_pm_type_check", "check (pm_type in ('trade', 'p2p', 'return', 'aid'))"],
  [
    "payment_message",
    "payment_message_sender_account_type_check",
    "check (sender_account_type in ('limit-related', 'aid-related'))",
  ],
  ["payment_message", "payment_message_amount_check", "check (amount_minor >= 1 and amount_minor <= 99999999999)"],
  ["payment_message", "payment_message_decided_check", "check ((status = 'pending') = (decided_at is null))"],
  [
    "payment_message",
    "payment_message_register_check",
    "check ((register_id is null) = (fee_minor is null) and (register_id is null or status = 'success'))",
  ],
  ["payment_message", "payment_message_fee_check", "check (fee_minor >= 0 and fee_minor <= amount_minor)"],
  [
    "payment_order",
    "payment_order_status_check",
    "check (status in ('created', 'in_progress', 'success', 'canceled'))",
  ],
  ["payment_order", "payment_order_amount_check", "check (amount_minor >= 1 and amount_minor <= 99999999999)"],
  [
    "settlement_register",
    "settlement_register_debtor_agent_guid_foreign",
    `foreign key ("debtor_agent_guid") references "participant" ("guid")`,
  ],
  [
    "settlement_register",
    "settlement_register_creditor_agent_guid_foreign",
    `foreign key ("creditor_agent_guid") references "participant" ("guid")`,
  ],
  [
    "settlement_register",
    "settlement_register_status_check",
    "check (status in ('sent', 'sent_no_pm', 'sent_internal', 'processing', 'paid'))",
  ],
  [
    "settlement_register",
    "settlement_register_creditor_check",
    "check ((creditor_agent_guid is null) = (status = 'sent_no_pm'))",
  ],
  [
    "settlement_register",
    "settlement_register_totals_check",
    "check (increment >= 1 and payment_count >= 0 and total_fee_minor >= 0 and total_fee_minor <= total_amount_minor)",
  ],
  ["settlement_register", "settlement_register_period_check", "check (period_start < period_end)"],
];
