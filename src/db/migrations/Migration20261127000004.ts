import { Migration } from "@mikro-orm/migrations";

/**
 * Who changed what, and when. Of the content only digests are kept: they prove a later copy of it, and tell nothing of it. The
 * settings of `audit_digest` are part of what is hashed: without them an instant would be another text in another session. The
 * trigger holds for replication and for restoring as well.
 */
export class Migration20261127000004 extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const statements = [
  `create function "audit_digest"("state" anyelement) returns bytea language sql stable
    set timezone to 'UTC' set bytea_output to 'hex' set search_path to pg_catalog, pg_temp
    as $$ select sha256(convert_to(to_jsonb(state)::text, 'UTF8')) $$`,
  `create table "audit_entry" ("number" bigint generated always as identity not null primary key,
    "at" timestamptz not null, "actor" text not null, "act" text not null, "object" text not null,
    "digest_before" bytea null, "digest_after" bytea null,
    constraint "audit_entry_act_check" check (act in ('participant_registered', 'participant_updated', 'credential_added',
      'credential_revoked', 'callback_replayed', 'callback_resolved', 'redrive_asked', 'redrive_done', 'register_reopened',
      'day_closed')),
    constraint "audit_entry_digests_check" check (case
        when act in ('redrive_asked', 'redrive_done') then digest_before is null and digest_after is null
        when act in ('participant_registered', 'credential_added', 'day_closed')
          then digest_before is null and digest_after is not null
        else digest_before is not null and digest_after is not null and digest_before <> digest_after
      end))`,
  `create index "audit_entry_actor" on "audit_entry" ("actor", "at", "number")`,
  `create index "audit_entry_act" on "audit_entry" ("act", "at", "number")`,
  `create index "audit_entry_object" on "audit_entry" ("object", "at", "number")`,
  `create index "audit_entry_at" on "audit_entry" ("at", "number")`,
  `create function "audit_entry_append_only_fn"() returns trigger language plpgsql as $$
    begin raise exception 'audit_entry only grows: % is refused', tg_op using errcode = 'insufficient_privilege'; end; $$`,
  `create trigger "append_only" before update or delete or truncate on "audit_entry"
    for each statement execute function "audit_entry_append_only_fn"()`,
  `alter table "audit_entry" enable always trigger "append_only"`,
];
