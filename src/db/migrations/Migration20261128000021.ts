import { Migration } from "@mikro-orm/migrations";

/** Logos of participants are copied and served by the platform; those that are registered already are due at once. */
export class Migration20261128000021 extends Migration {
  override up(): void {
    this.addSql(
      'create table "participant_logo" ("participant_guid" uuid not null, "url" text not null, "next_at" timestamptz null, "failures" int not null, "problem" text null, "sha256" text null, "image" bytea null, primary key ("participant_guid"))',
    );
    this.addSql('create index "participant_logo_next" on "participant_logo" ("next_at")');
    this.addSql('create index "participant_logo_sha256" on "participant_logo" ("sha256")');
    this.addSql(
      'alter table "participant_logo" add constraint "participant_logo_participant_guid_foreign" foreign key ("participant_guid") references "participant" ("guid") on update cascade on delete no action',
    );
    this.addSql(
      'alter table "participant_logo" add constraint "participant_logo_failures_check" check (failures >= 0 and (failures = 0 or problem is not null))',
    );
    this.addSql(
      'alter table "participant_logo" add constraint "participant_logo_image_check" check ((sha256 is null) = (image is null) and (sha256 is null or next_at is null))',
    );
    this.addSql(
      'insert into "participant_logo" ("participant_guid", "url", "next_at", "failures") select "guid", "logo_url", now(), 0 from "participant" where "logo_url" is not null',
    );
  }
}
