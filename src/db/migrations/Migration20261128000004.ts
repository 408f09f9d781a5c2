import { Migration } from "@mikro-orm/migrations";

/** A merchant can cancel an order that nobody has begun to pay; what it signed is kept with the order. */
export class Migration20261128000004 extends Migration {
  override up(): void {
    this.addSql(`alter table "payment_order" add column "cancel_jws" text null`);
  }
}
