import { Migration } from "@mikro-orm/migrations";

/** Looks at every row that was there before the constraints; reading and writing go on meanwhile. */
export class Migration20261127000008 extends Migration {
  override up(): void {
    this.addSql(`alter table "callback" validate constraint "callback_last_outcome_check"`);
    this.addSql(`alter table "callback_attempt" validate constraint "callback_attempt_outcome_check"`);
  }
}
