import { Migration } from "@mikro-orm/migrations";

/** Looks at every callback that was there before the kind of a merchant's reject; reading and writing go on meanwhile. */
export class Migration20261128000020 extends Migration {
  override up(): void {
    this.addSql(`alter table "callback" validate constraint "callback_kind_check"`);
  }
}
