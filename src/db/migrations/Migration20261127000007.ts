import { Migration } from "@mikro-orm/migrations";

/**
 * The keys of participants get a table of their own, in which several are good at once and retired ones stay. An order keeps what
 * it is paid to and encrypted for. The columns that held the keys go: a node of the version before must not verify with keys that
 * were withdrawn since, so it does not work beside this version.
 */
export class Migration20261127000007 extends Migration {
  override up(): void {
    for (const statement of statements) this.addSql(statement);
  }
}

const outcomes = `'accepted', 'refused', 'redirected', 'request_timeout', 'too_early', 'throttled', 'server_error', 'connect_refused', 'dns_failure', 'tls_failure', 'timeout',
      'body_timeout', 'oversized', 'connection_reset', 'malformed_http', 'address_refused', 'suspended', 'lost'`;

const statements = [
  `create table "participant_key" ("id" bigint generated always as identity not null primary key,
    "participant_guid" uuid not null, "participant_kind" text not null, "use" text not null, "kid" text not null,
    "jwk" jsonb not null, "active_from" timestamptz not null, "retire_at" timestamptz null, "seen_at" timestamptz null,
    "added_by" text not null, "added_with" text null,
    constraint "participant_key_participant_guid_foreign" foreign key ("participant_guid")
      references "participant" ("guid") on delete no action,
    constraint "participant_key_participant_kind_check" check (participant_kind in ('bank', 'merchant')),
    constraint "participant_key_use_check" check (use in ('sig', 'enc')),
    constraint "participant_key_kid_check" check (kid = jwk->>'kid'),
    constraint "participant_key_retire_check" check (retire_at >= active_from))`,
  `create index "participant_key_kid" on "participant_key" ("participant_guid", "kid")`,
  `create index participant_key_bank_kid on participant_key (kid) where participant_kind = 'bank' and use = 'sig'`,
  `create index participant_key_numbers on participant_key ((jwk - '{kid,alg,use}'::text[]))`,
  // Of keys that were replaced it is not known when.
  `insert into participant_key (participant_guid, participant_kind, use, kid, jwk, active_from, retire_at, added_by)
    select p.guid, p.kind, case when jwk->>'use' = 'enc' then 'enc' else 'sig' end, jwk->>'kid', jwk, p.created_at,
      greatest(now(), p.created_at), 'platform'
    from participant p, jsonb_array_elements(p.past_jwks) with ordinality past(jwk, place) order by p.guid, place desc`,
  `insert into participant_key (participant_guid, participant_kind, use, kid, jwk, active_from, added_by)
    select p.guid, p.kind, 'sig', jwk->>'kid', jwk, p.created_at, 'platform'
    from participant p, jsonb_array_elements(p.signing_jwks) with ordinality good(jwk, place) order by p.guid, place`,
  `insert into participant_key (participant_guid, participant_kind, use, kid, jwk, active_from, added_by)
    select guid, kind, 'enc', encryption_jwk->>'kid', encryption_jwk, created_at, 'platform'
    from participant where encryption_jwk is not null`,
  `create table "published_key_set" ("participant_guid" uuid not null primary key, "url" text not null,
    "next_at" timestamptz not null, "asked_at" timestamptz null, "read_at" timestamptz null, "failures" int not null,
    "problem" text null,
    constraint "published_key_set_participant_guid_foreign" foreign key ("participant_guid")
      references "participant" ("guid") on update cascade on delete no action,
    constraint "published_key_set_failures_check" check (failures >= 0 and (failures = 0 or problem is not null)))`,
  `create index "published_key_set_next" on "published_key_set" ("next_at")`,
  `insert into published_key_set (participant_guid, url, next_at, failures)
    select guid, jwks_url, now(), 0 from participant where jwks_url is not null`,
  // What was verified against the columns is verified anew.
  "update participant set version = version + 1",
  `alter table "participant" drop column "signing_jwks", drop column "encryption_jwk", drop column "past_jwks"`,
  `alter table "payment_order" add column "creditor_account" text null, add column "creditor_agent_guid" uuid null,
    add column "encryption_key_id" bigint null`,
  `alter table "payment_message" add column "creditor_agent_key_id" bigint null`,
  `alter table "callback" drop constraint "callback_last_outcome_check", add constraint "callback_last_outcome_check"
    check (last_outcome in (${outcomes})) not valid`,
  `alter table "callback_attempt" drop constraint "callback_attempt_outcome_check", add constraint "callback_attempt_outcome_check"
    check (outcome in (${outcomes})) not valid`,
];
