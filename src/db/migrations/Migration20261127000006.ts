import { Migration } from "@mikro-orm/migrations";

/**
 * The platform's signing keys are kept here for all its processes, encrypted. With them the audit trail learns the acts about
 * keys, of the platform and of participants.
 */
export class Migration20261127000006 extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `create table "platform_key" ("kid" text not null primary key, "alg" text not null, "public_jwk" jsonb not null,
    "private_key" bytea not null, "master_key_id" text not null, "created_at" timestamptz not null,
    "active_from" timestamptz not null, "retire_at" timestamptz null, "unpublish_at" timestamptz null,
    constraint "platform_key_alg_check" check (alg in ('RS256', 'ES256', 'EdDSA')),
    constraint "platform_key_end_check" check ((retire_at is null) = (unpublish_at is null)),
    constraint "platform_key_order_check" check (retire_at <= unpublish_at))`,
  `alter table "audit_entry"
    drop constraint "audit_entry_act_check",
    drop constraint "audit_entry_digests_check",
    add constraint "audit_entry_act_check" check (act in ('participant_registered', 'participant_updated', 'credential_added',
      'credential_revoked', 'callback_replayed', 'callback_resolved', 'redrive_asked', 'redrive_done', 'register_reopened',
      'day_closed', 'participant_suspended', 'participant_resumed', 'participant_closed', 'participant_key_added',
      'participant_key_retired', 'platform_key_announced', 'platform_key_retired', 'platform_keys_reencrypted')),
    add constraint "audit_entry_digests_check" check (case
        when act in ('redrive_asked', 'redrive_done', 'platform_keys_reencrypted')
          then digest_before is null and digest_after is null
        when act in ('participant_registered', 'participant_key_added', 'credential_added', 'day_closed',
          'platform_key_announced') then digest_before is null and digest_after is not null
        else digest_before is not null and digest_after is not null and digest_before <> digest_after
      end)`,
];
