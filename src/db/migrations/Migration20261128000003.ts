import { Migration } from "@mikro-orm/migrations";

/**
 * Orders and payment messages are listed by party and status, newest first; participants by name. Built beside the running
 * gateway, which cannot be done in a transaction: a run that was interrupted leaves an index that is not valid, so each begins anew.
 */
export class Migration20261128000003 extends Migration {
  override isTransactional(): boolean {
    return false;
  }

  override up(): void {
    for (const [name, rows] of Object.entries(indexes)) {
      this.addSql(`drop index concurrently if exists "${name}"`);
      this.addSql(`create index concurrently "${name}" on ${rows}`);
    }
  }
}

const indexes = {
  payment_order_merchant: `"payment_order" ("merchant_guid", "status", "guid")`,
  payment_order_creditor_agent: `"payment_order" ("creditor_agent_guid", "status", "guid")`,
  payment_order_unpaid: `payment_order (status, guid) where status <> 'success'`,
  payment_message_merchant: `"payment_message" ("merchant_guid", "status", "guid")`,
  payment_message_debtor_agent: `"payment_message" ("debtor_agent_guid", "status", "guid")`,
  payment_message_creditor_agent: `"payment_message" ("creditor_agent_guid", "status", "guid")`,
  payment_message_unsuccessful: `payment_message (status, guid) where status <> 'success'`,
  participant_name: `"participant" ("name", "guid")`,
  participant_kind_name: `"participant" ("kind", "name", "guid")`,
};
