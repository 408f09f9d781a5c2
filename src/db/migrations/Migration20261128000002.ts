import { Migration } from "@mikro-orm/migrations";

/**
 * A merchant is told of a reject with a callback of its own. Rows that are there are not looked at yet (`not valid`), so that the
 * table is locked for no longer than a moment; a later migration does that.
 */
export class Migration20261128000002 extends Migration {
  override up(): void {
    this.addSql(`alter table "callback" drop constraint "callback_kind_check", add constraint "callback_kind_check"
      check (kind in ('pay_in_bank', 'pay_in_merchant', 'pay_out', 'credit', 'pay_in_bank_reject', 'pay_in_merchant_reject', 'expiration', 'gross_settlement'))
      not valid`);
  }
}
