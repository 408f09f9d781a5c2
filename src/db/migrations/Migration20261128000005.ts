import { Migration } from "@mikro-orm/migrations";

/**
 * A bank says what its deep links hold; those that have links keep the order's id in them. What the platform signs for the others
 * is kept.
 */
export class Migration20261128000005 extends Migration {
  override up(): void {
    this.addSql(`alter table "participant"
      add column "deep_link_content" text not null default 'signed_order',
      add constraint "participant_deep_link_content_check" check (deep_link_content in ('signed_order', 'order_id'))`);
    this.addSql(
      "update participant set deep_link_content = 'order_id' where kind = 'bank' and deep_link_prefix is not null",
    );
    this.addSql(
      `create table "signed_order" ("order_guid" uuid not null primary key, "kid" text not null, "jws" text not null)`,
    );
  }
}
