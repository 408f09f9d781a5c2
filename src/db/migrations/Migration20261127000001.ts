import { Migration } from "@mikro-orm/migrations";

/**
 * Registers become snapshots of their closing, and what happens to them is kept as acts. Registers that are there get the
 * names, codes and account of today, the nearest to those of their closing that is known, and the acts that are known of
 * them. A bank's fee until now counts from its registration on.
 */
export class Migration20261127000001 extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `create table "fee_rate" ("bank_guid" uuid not null, "effective_from" timestamptz not null, "basis_points" int not null,
    primary key ("bank_guid", "effective_from"),
    constraint "fee_rate_basis_points_check" check (basis_points >= 0 and basis_points <= 10000),
    constraint "fee_rate_bank_guid_foreign" foreign key ("bank_guid") references "participant" ("guid") on delete no action)`,
  `insert into fee_rate (bank_guid, effective_from, basis_points)
    select guid, created_at, fee_basis_points from participant where kind = 'bank'`,

  `alter table "settlement_register"
    add column "debtor_name" text not null default '', add column "debtor_bic" text not null default '',
    add column "creditor_name" text not null default '', add column "creditor_bic" text not null default '',
    add column "creditor_code" text not null default '', add column "charging_account" text not null default '',
    add column "purpose" text not null default '', add column "adjusts_day" date null`,
  `update settlement_register r set debtor_name = b.name, debtor_bic = b.bic, purpose = 'Gross settlement register ' || r.id
    from participant b where b.guid = r.debtor_agent_guid`,
  `update settlement_register r
    set creditor_name = b.name, creditor_bic = b.bic, creditor_code = b.tax_code, charging_account = b.iban
    from participant b where b.guid = r.creditor_agent_guid`,
  // A node of the version before knows nothing of these columns: what it would make could never be paid, so it must make nothing.
  `alter table "settlement_register" ${["debtor_name", "debtor_bic", "creditor_name", "creditor_bic", "creditor_code", "charging_account", "purpose"].map((column) => `alter column "${column}" drop default`).join(", ")}`,
  'alter table "settlement_register" drop constraint "settlement_register_status_check"',
  `alter table "settlement_register" add constraint "settlement_register_status_check"
    check (status in ('closing', 'sent', 'sent_no_pm', 'sent_internal', 'processing', 'paid'))`,
  `alter table "settlement_register" add constraint "settlement_register_exact_check"
    check (total_amount_minor <= 7036874417766399)`,
  `create index "settlement_register_debtor_updated" on "settlement_register" ("debtor_agent_guid", "updated_at")`,
  `create index "settlement_register_creditor_updated" on "settlement_register" ("creditor_agent_guid", "updated_at")`,
  `create unique index settlement_register_closing_unique on settlement_register
    (period_start, debtor_agent_guid, creditor_agent_guid, currency) where status = 'closing'`,

  `create table "register_act" ("number" bigserial primary key, "register_id" text not null, "kind" text not null,
    "actor" text not null, "at" timestamptz not null, "payment_external_id" text null, "creditor_iban" text null,
    "amount_minor" bigint null, "currency" text null, "purpose" text null, "creation_date" text null,
    "payment_status" text null, "note" text null, "jws" text null,
    constraint "register_act_kind_check"
      check (kind in ('made', 'told', 'paid', 'confirmed', 'rejected', 'internal', 'reopened')),
    constraint "register_act_payment_check" check (case when kind in ('paid', 'confirmed', 'rejected')
        then payment_external_id is not null and creditor_iban is not null and amount_minor is not null
          and currency is not null and purpose is not null and creation_date is not null
        else payment_external_id is null and creditor_iban is null and amount_minor is null
          and currency is null and purpose is null and creation_date is null
      end),
    constraint "register_act_status_check" check ((kind in ('confirmed', 'rejected')) = (payment_status is not null)),
    constraint "register_act_note_check" check ((kind = 'reopened') = (note is not null)),
    constraint "register_act_register_id_foreign" foreign key ("register_id") references "settlement_register" ("id")
      on delete no action)`,
  `create index "register_act_register" on "register_act" ("register_id", "number")`,
  `create unique index register_act_payment_unique on register_act (actor, payment_external_id) where kind = 'paid'`,
  `insert into register_act (register_id, kind, actor, at)
    select id, 'made', 'platform', created_at from settlement_register order by day, increment`,
  `insert into register_act (register_id, kind, actor, at)
    select register_id, 'told', receiver_guid::text, updated_at from callback
    where register_id is not null and state = 'delivered' order by updated_at`,
  // Nothing was left to pay: such a register is Paid from the start, and now its status says so.
  `update settlement_register set status = 'paid', updated_at = now()
    where status in ('sent', 'sent_internal') and total_amount_minor = total_fee_minor`,
];
