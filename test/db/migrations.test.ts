import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readParticipants, selectParticipants } from "../../src/core/participantRows.ts";
import { messageColumns, messageJoins } from "../../src/core/paymentMessages.ts";
import { migrate, openDatabase } from "../../src/db/database.ts";
import { migrationsList } from "../../src/db/migrations/migrations.ts";
import { execute, freshDatabase } from "../support/database.ts";

const folder = join(import.meta.dirname, "../../src/db/migrations");

/**
 * The SHA-256 of each migration as it was released. A migration is only ever added: what an edit changes would be missing
 * wherever the old text has run. If this test fails because a file was edited, undo that and write a new migration
 * (`npm run migration`), which adds its digest.
 */
const released: { readonly [name: string]: string } = JSON.parse(
  readFileSync(join(import.meta.dirname, "releasedMigrations.json"), "utf8"),
);

test("no released migration was edited, and each has its digest here", () => {
  const files = readdirSync(folder).filter((file) => file !== "migrations.ts");
  const digests = Object.fromEntries(
    files.map((file) => [
      file.replace(/\.ts$/, ""),
      createHash("sha256")
        .update(readFileSync(join(folder, file)))
        .digest("hex"),
    ]),
  );
  expect(digests).toEqual(released);
  expect(migrationsList.map(({ name }) => name)).toEqual(Object.keys(released));
});

describe("an older database", () => {
  let url: string;
  let drop: () => Promise<void>;

  beforeEach(async () => {
    ({ url, drop } = await freshDatabase());
    await execute(url, "drop schema public cascade", "create schema public", ...(await statementsOfFirstRelease()));
  });
  afterEach(() => drop());

  /** The schema of the first release, with the table that says so. */
  async function statementsOfFirstRelease(): Promise<string[]> {
    return [
      "create table migration (id serial primary key, name varchar(255), executed_at timestamptz default current_timestamp)",
      ...statementsOf(0, 1),
    ];
  }

  /** What these migrations do, each with the row that says so. */
  function statementsOf(from: number, to: number): string[] {
    return migrationsList.slice(from, to).flatMap((listed) => {
      const statements: string[] = [];
      const migration = Object.create(listed.class.prototype) as { addSql(sql: string): void; up(): void };
      migration.addSql = (sql) => void statements.push(sql);
      migration.up();
      return [...statements, `insert into migration (name) values ('${listed.name}')`];
    });
  }

  async function rowsOf<Row>(text: string): Promise<Row[]> {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      return (await client.query(text)).rows as Row[];
    } finally {
      await client.end();
    }
  }

  const schemaOf = () =>
    rowsOf(`
      select conrelid::regclass::text as "table", conname as name, convalidated as valid, pg_get_constraintdef(oid) as rule
      from pg_constraint where conrelid <> 'migration'::regclass and connamespace = 'public'::regnamespace order by 1, 2`);

  const relayIndexes = () =>
    rowsOf(`select c.relname as name, i.indisvalid as valid from pg_index i join pg_class c on c.oid = i.indexrelid
      where i.indrelid = 'callback'::regclass and pg_get_indexdef(c.oid) like '%(wake_at)%' order by 1`);

  const bothRelayIndexes = [
    { name: "callback_in_flight", valid: true },
    { name: "callback_waiting", valid: true },
  ];

  test("of the first release, with rows in it, is brought up to date; every constraint holds for what was there", async () => {
    const bank = "00000000-0000-4000-8000-000000000001";
    const merchant = "00000000-0000-4000-8000-000000000002";
    const party = (guid: string, kind: string, bic: string, uid: string, servicing: string) =>
      `insert into participant values ('${guid}', '${kind}', 'n', 't', ${bic}, ${uid}, '{}', 'i', null, ${servicing}, '{}', 'json',
        '[]', null, '[]', null, 'e', null, null, null, 0, 1, now(), now())`;
    await execute(
      url,
      party(bank, "bank", "'123456'", "null", "null"),
      party(merchant, "merchant", "null", "'shop'", `'${bank}'`),
      `insert into payment_order select gen_random_uuid(), '${merchant}', n::text, 100, 'UAH', 'p', 'u', null, now(), now(),
        'created', now(), now(), 'jws' from generate_series(1, 1000) n`,
      `insert into callback (guid, kind, order_guid, receiver_guid, state, reason, series, attempts, refusals, due_at, wake_at,
        created_at, updated_at) select gen_random_uuid(), 'expiration', guid, merchant_guid, 'waiting', '', 1, 0, 0, now(), now(),
        now(), now() from payment_order`,
      `insert into settlement_register (id, day, increment, debtor_agent_guid, creditor_agent_guid, currency, status,
        total_amount_minor, total_fee_minor, payment_count, period_start, period_end, created_at, updated_at)
        select n.id, '2026-05-10', n.increment, '${bank}', n.creditor, 'UAH', n.status, n.amount, n.fee, 0, now(),
          now() + interval '1 day', '2026-05-11', '2026-05-11' from (values ('1005261', 1, '${bank}'::uuid, 'sent_internal', 5, 5),
          ('1005262', 2, '${bank}'::uuid, 'sent_internal', 5, 4), ('1005263', 3, null, 'sent_no_pm', 0, 0))
          n(id, increment, creditor, status, amount, fee)`,
      `insert into callback (guid, kind, register_id, receiver_guid, state, reason, series, attempts, refusals, due_at, wake_at,
        created_at, updated_at) values (gen_random_uuid(), 'gross_settlement', '1005261', '${bank}', 'delivered', '', 1, 1, 0, now(),
        now(), now(), '2026-05-12')`,
    );
    await migrate(url);
    // Registers are snapshots with acts from now on, also those that were there.
    expect(
      await rowsOf(`select r.id, r.status, r.debtor_name, r.creditor_code, r.charging_account, r.purpose,
        (select string_agg(a.kind || ' ' || a.actor, ', ' order by a.number) from register_act a where a.register_id = r.id) as acts
        from settlement_register r order by r.id`),
    ).toEqual([
      {
        id: "1005261",
        status: "paid",
        debtor_name: "n",
        creditor_code: "t",
        charging_account: "i",
        purpose: "Gross settlement register 1005261",
        acts: `made platform, told ${bank}`,
      },
      {
        id: "1005262",
        status: "sent_internal",
        debtor_name: "n",
        creditor_code: "t",
        charging_account: "i",
        purpose: "Gross settlement register 1005262",
        acts: "made platform",
      },
      {
        id: "1005263",
        status: "sent_no_pm",
        debtor_name: "n",
        creditor_code: "",
        charging_account: "",
        purpose: "Gross settlement register 1005263",
        acts: "made platform",
      },
    ]);
    expect(await rowsOf("select bank_guid, basis_points from fee_rate")).toEqual([
      { bank_guid: bank, basis_points: 0 },
    ]);
    const upgraded = await schemaOf();
    expect(await relayIndexes()).toEqual(bothRelayIndexes);
    await execute(url, "drop schema public cascade", "create schema public");
    await migrate(url);
    expect(upgraded).toEqual(await schemaOf());
    expect(upgraded).not.toContainEqual(expect.objectContaining({ valid: false }));
  });

  test("keys of before all arrive, with their use and in their order: those that were replaced are retired", async () => {
    await execute(url, ...statementsOf(1, Object.keys(released).indexOf("Migration20261127000007")));
    const guids = ["one", "two", "shop"].map((_, place) => `00000000-0000-4000-8000-00000000000${place + 1}`);
    const [one, two, shop] = guids;
    const key = (kid: string, changes = {}) => ({ kty: "RSA", alg: "RS256", kid, n: `n of ${kid}`, ...changes });
    const party = (guid = "", kind: string, bic: string, uid: string, keys: object[], past: object[], changes = {}) => {
      const { encryption = "null", jwksUrl = "null" } = changes as { encryption?: string; jwksUrl?: string };
      return `insert into participant (guid, kind, name, tax_code, bic, uid, roles, iban, servicing_bank_guid, callback_urls,
        callback_body_format, signing_jwks, encryption_jwk, past_jwks, jwks_url, email, fee_basis_points, version, created_at,
        updated_at) values ('${guid}', '${kind}', 'n', 't', ${bic}, ${uid}, '{}', 'i', ${kind === "bank" ? "null" : `'${two}'`},
        '{}', 'json', '${JSON.stringify(keys)}', ${encryption}, '${JSON.stringify(past)}', ${jwksUrl}, 'e', 0, 4,
        '2026-01-01Z', now())`;
    };
    const enc = key("enc", { use: "enc" });
    // The newest of those that were replaced came first.
    const past = [key("same", { n: "second" }), key("older enc", { use: "enc" }), key("same", { n: "first" })];
    const message = (jti: string, kid: string) => `
      with new as (insert into payment_order (guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url, issued_at,
          expires_at, status, created_at, updated_at, jws)
        values (gen_random_uuid(), '${shop}', '${jti}', 100, 'UAH', 'p', 'u', now(), now(), 'in_progress', now(), now(), 'jws')
        returning guid)
      insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti, external_id,
        amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name, creditor_tax_number,
        creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type, sender_account_type, nonce, encrypted_key,
        creditor_agent_kid, status, reason, received_at)
      select gen_random_uuid(), guid, '${shop}', '${one}', '${two}', '${jti}', '${jti}', 100, 'UAH', '', '', '', '', '', '', '',
        '', '', 'trade', 'limit-related', '', '', '${kid}', 'pending', '', now() from new`;
    await execute(
      url,
      party(one, "bank", "'111111'", "null", [key("only")], []),
      party(two, "bank", "'222222'", "null", [key("first"), key("same", { n: "third" })], past, {
        encryption: `'${JSON.stringify(enc)}'`,
      }),
      party(shop, "merchant", "null", "'shop'", [key("of the shop", { kty: "EC", alg: "ES256" })], [], {
        jwksUrl: "'https://shop.example/jwks.json'",
      }),
      message("of the key for encryption", "enc"),
      message("of a key that was replaced", "older enc"),
      message("of a name that was used again", "same"),
    );
    await migrate(url);
    const keys = await rowsOf<{ party: string; retired: boolean; jwk: { n: string } }>(`
      select (select string_agg(bic || '', '') from participant p where p.guid = k.participant_guid) as party, k.use, k.jwk,
        k.participant_kind as kind, k.added_by as by, retire_at is not null as retired from participant_key k order by id`);
    const by = "platform";
    const row = (of: string | null, use: string, jwk: object, retired = false) => {
      return { party: of, use, jwk, kind: of === null ? "merchant" : "bank", by, retired };
    };
    expect(keys).toEqual([
      row("222222", "sig", key("same", { n: "first" }), true),
      row("222222", "enc", key("older enc", { use: "enc" }), true),
      row("222222", "sig", key("same", { n: "second" }), true),
      row("111111", "sig", key("only")),
      row("222222", "sig", key("first")),
      row("222222", "sig", key("same", { n: "third" })),
      row(null, "sig", key("of the shop", { kty: "EC", alg: "ES256" })),
      row("222222", "enc", enc),
    ]);
    // What was verified against the columns is verified anew, and a set that is published is read at once.
    expect(await rowsOf("select distinct version from participant")).toEqual([{ version: 5 }]);
    expect(
      await rowsOf("select participant_guid, url, next_at <= now() as due, failures from published_key_set"),
    ).toEqual([{ participant_guid: shop, url: "https://shop.example/jwks.json", due: true, failures: 0 }]);
    const db = await openDatabase({ url });
    try {
      const found = await readParticipants(db.sql, selectParticipants, [two, null, null]);
      expect(found[0]?.keys.map(({ kid }) => kid)).toEqual(["first", "same", "enc"]);
      const shown = await db.sql({
        name: "",
        text: `select m.jti, (messages."creditorAgentJwk")->>'n' as n from payment_message m join lateral (
          select ${messageColumns} from (select m.*) m ${messageJoins}) messages on true order by m.jti desc`,
      });
      expect(shown).toEqual([
        { jti: "of the key for encryption", n: "n of enc" },
        { jti: "of a name that was used again", n: "third" },
        { jti: "of a key that was replaced", n: "n of older enc" },
      ]);
    } finally {
      await db.close();
    }
  });

  test("banks that have deep links keep the order's id in them; whoever gets links later has the signed order", async () => {
    await execute(url, ...statementsOf(1, Object.keys(released).indexOf("Migration20261128000005")));
    const party = (place: number, kind: string, prefix: string) =>
      `insert into participant (guid, kind, name, tax_code, bic, uid, roles, iban, servicing_bank_guid, callback_urls,
        callback_body_format, email, deep_link_prefix, fee_basis_points, version, created_at, updated_at)
        values ('00000000-0000-4000-8000-00000000000${place}', '${kind}', 'party ${place}', 't',
          ${kind === "bank" ? `'11111${place}', null` : "null, 'shop'"}, '{}', 'i',
          ${kind === "bank" ? "null" : "'00000000-0000-4000-8000-000000000001'"}, '{}', 'json', 'e', ${prefix}, 0, 1, now(), now())`;
    await execute(url, party(1, "bank", "'bank://pay/'"), party(2, "bank", "null"), party(3, "merchant", "null"));
    await migrate(url);
    expect(await rowsOf("select deep_link_content as content from participant order by name")).toEqual([
      { content: "order_id" },
      { content: "signed_order" },
      { content: "signed_order" },
    ]);
  });

  test("two starts at once upgrade it once, and both go on", async () => {
    await Promise.all([migrate(url), migrate(url)]);
    const names = await rowsOf<{ name: string }>("select name from migration order by id");
    expect(names.map(({ name }) => name)).toEqual(Object.keys(released));
  });

  test("an upgrade that was killed while it built an index begins that index anew", async () => {
    await migrate(url);
    await execute(
      url,
      "delete from migration where name = 'Migration20261124000002'",
      "update pg_index set indisvalid = false where indexrelid = 'callback_waiting'::regclass",
      "drop index callback_in_flight",
      "create index callback_wake on callback (wake_at) where state in ('waiting', 'in_flight')",
    );
    await migrate(url);
    expect(await relayIndexes()).toEqual(bothRelayIndexes);
  });

  test("an index may take as long as it takes; the wait for somebody's lock ends", async () => {
    const told = "create table told (what text, statement text, lock text)";
    const tell = `create function tell() returns event_trigger language plpgsql as $$ begin insert into told
      values (tg_tag, current_setting('statement_timeout'), current_setting('lock_timeout')); end $$`;
    await execute(url, told, tell, "create event trigger telling on ddl_command_end execute function tell()");
    await migrate(url);
    const rows = await rowsOf(
      "select distinct statement, lock from told where what in ('CREATE INDEX', 'ALTER TABLE')",
    );
    expect(rows).toEqual([{ statement: "0", lock: "10min" }]);
  });

  test("a row that breaks a rule is named, and nothing that was there is changed", async () => {
    await execute(
      url,
      `insert into payment_order select gen_random_uuid(), gen_random_uuid(), 'r', -5, 'UAH', 'p', 'u', null, now(), now(),
        'created', now(), now(), 'jws'`,
    );
    await expect(migrate(url)).rejects.toThrow("payment_order_amount_check");
    expect(await rowsOf("select amount_minor::int as amount from payment_order")).toEqual([{ amount: -5 }]);
  });
});
