import { Migration } from "@mikro-orm/migrations";

/** Services show a credential of their own; nobody is believed for having reached the port. */
export class Migration20261127000003 extends Migration {
  override up(): void {
    this.addSql(`create table "service_credential" ("name" text not null primary key, "scopes" text[] not null,
      "secret_sha256" bytea not null, "expires_at" timestamptz not null, "created_at" timestamptz not null,
      "revoked_at" timestamptz null, constraint "service_credential_secret_unique" unique ("secret_sha256"),
      constraint "service_credential_scopes_check"
        check (scopes <@ array['gateway', 'reader', 'operator']::text[] and scopes <> '{}'))`);
  }
}
