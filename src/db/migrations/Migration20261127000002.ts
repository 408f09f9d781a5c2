import { Migration } from "@mikro-orm/migrations";

/**
 * What no register has yet is found by the register that it will be in, so that a closing reads one pair of banks at a
 * time. Built beside the running gateway, which cannot be done in a transaction: a run that was interrupted leaves an index
 * that is not valid, so each begins anew.
 */
export class Migration20261127000002 extends Migration {
  override isTransactional(): boolean {
    return false;
  }

  override up(): void {
    this.addSql("drop index concurrently if exists payment_message_unsettled");
    this.addSql(`create index concurrently payment_message_unsettled on payment_message
      (debtor_agent_guid, creditor_agent_guid, currency, decided_at) where status = 'success' and register_id is null`);
    this.addSql("drop index concurrently if exists payment_message_unregistered");
  }
}
