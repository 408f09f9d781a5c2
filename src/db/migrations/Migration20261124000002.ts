import { Migration } from "@mikro-orm/migrations";

/**
 * The relay's index becomes two, so that lost attempts are found whatever the length of the backlog that waits. Built beside
 * the running gateway, which cannot be done in a transaction: a run that was interrupted leaves an index that is not valid, so
 * each begins anew.
 */
export class Migration20261124000002 extends Migration {
  override isTransactional(): boolean {
    return false;
  }

  override up(): void {
    for (const [name, state] of Object.entries({ callback_waiting: "waiting", callback_in_flight: "in_flight" })) {
      this.addSql(`drop index concurrently if exists ${name}`);
      this.addSql(`create index concurrently ${name} on callback (wake_at) where state = '${state}'`);
    }
    this.addSql("drop index concurrently if exists callback_wake");
  }
}
