import { Migration } from "@mikro-orm/migrations";

/**
 * A used token is kept with the digest of the request that used it up, which nodes of the version before do not know; and of
 * a bank it is kept whether it binds the bodies of its requests.
 */
export class Migration20261127000000 extends Migration {
  override up(): void {
    this.addSql(`alter table "used_access_token" add column "request_digest" bytea null`);
    this.addSql(`alter table "participant" add column "requires_body_sha256" boolean not null default false`);
  }
}
