import { Migration } from "@mikro-orm/migrations";

/** A participant can be suspended and closed, and chooses what the platform signs to it with. */
export class Migration20261127000005 extends Migration {
  override up(): void {
    this.addSql(`alter table "participant"
      add column "callback_alg" text not null default 'RS256',
      add column "status" text not null default 'active',
      add constraint "participant_callback_alg_check" check (callback_alg in ('RS256', 'ES256', 'EdDSA')),
      add constraint "participant_status_check" check (status in ('active', 'suspended', 'closed'))`);
  }
}
