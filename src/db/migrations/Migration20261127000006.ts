import { Migration } from "@mikro-orm/migrations";

/** Placeholder until the platform's keys come. */
export class Migration20261127000006 extends Migration {
  override up(): void {
    this.addSql(`alter table "audit_entry" drop constraint "audit_entry_act_check", drop constraint "audit_entry_digests_check",
      add constraint "audit_entry_act_check" check (act in ('participant_registered', 'participant_updated', 'participant_suspended', 'participant_resumed', 'participant_closed', 'participant_key_added', 'participant_key_retired', 'credential_added', 'credential_revoked', 'callback_replayed', 'callback_resolved', 'redrive_asked', 'redrive_done', 'register_reopened', 'day_closed')),
      add constraint "audit_entry_digests_check" check (case
        when act in ('redrive_asked', 'redrive_done') then digest_before is null and digest_after is null
        when act in ('participant_registered', 'participant_key_added', 'credential_added', 'day_closed')
          then digest_before is null and digest_after is not null
        else digest_before is not null and digest_after is not null and digest_before <> digest_after
      end)`);
  }
}
