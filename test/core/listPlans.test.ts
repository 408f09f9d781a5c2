import { afterAll, beforeAll, expect, test } from "vitest";
import { type Core, createCore } from "../../src/core/core.ts";
import { createGuids } from "../../src/core/guid.ts";
import type { Database } from "../../src/db/database.ts";
import { orderStatuses } from "../../src/domain/order.ts";
import { paymentMessageStatuses } from "../../src/domain/paymentMessage.ts";
import { type PlanNode, planOf, touchedBy } from "./explain.ts";
import {
  accepted,
  merchantRegistration,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  registerParties,
} from "./platform.ts";

// What a page touches does not depend on how much there is, nor on how deep it lies, for every combination of filters.

/** A year of rare payments: one in 200 stands at each of the other statuses, and one in 1 000 is of another merchant. */
const earlier = 30_000;
const began = Date.parse("2025-01-01T00:00:00Z");
const everyMs = (365 * 86_400_000) / earlier;
const limit = 20;
/** A branch for each status, rows that come a little early or late, and the rows themselves. */
const mostRowsTouched = 8 * limit;

let platform: Platform;
let parties: Parties;
let rare: Parties;
let core: Core;
let plans: PlanNode[][] = [];

/** The same database, which explains whatever is asked of it and is not planned once for all. */
const explaining = (db: Database): Database => ({
  ...db,
  sql: (statement, values = []) =>
    db.transaction(async (sql) => {
      plans.push(await planOf(sql, statement, values));
      return sql(statement, values);
    }),
});

const history = `
  with parties as (select $1::uuid as debtor, $2::uuid as creditor, $3::uuid as merchant, $4::uuid as rare_merchant,
    $5::uuid as rare_debtor, $6::uuid as rare_creditor),
  numbered as (
    select guid, order_guid, n, n % 1000 = 7 as rare, to_timestamp(($9::float8 + n * $10::float8) / 1000) as at
    from unnest($7::uuid[], $8::uuid[]) with ordinality as made(guid, order_guid, n)
  ), orders as (
    insert into payment_order (guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url, issued_at, expires_at,
      status, created_at, updated_at, jws, creditor_account, creditor_agent_guid)
    select order_guid, case when rare then rare_merchant else merchant end, 'ref-' || n, 100, 'UAH', 'p', 'u', at, at,
      case when rare or n % 200 > 2 then 'success' else (array['created', 'in_progress', 'canceled'])[n % 200 + 1] end, at, at, 'jws', 'i',
      case when rare then rare_creditor else creditor end from numbered, parties
  )
  insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti, external_id,
    amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name, creditor_tax_number,
    creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type, sender_account_type, nonce, encrypted_key,
    creditor_agent_kid, status, reason, received_at, decided_at)
  select guid, order_guid, case when rare then rare_merchant else merchant end, case when rare then rare_debtor else debtor end,
    case when rare then rare_creditor else creditor end, 'jti-' || n, 'external-' || n, 100, 'UAH', '', '', '', '', '', '', '',
    '', '', 'trade', 'limit-related', '', '', '', case when rare or n % 200 > 1 then 'success' else (array['pending', 'reject'])[n % 200 + 1] end,
    '', at, case when not rare and n % 200 = 0 then null else at end from numbered, parties`;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
  rare = await registerParties(platform);
  for (const table of ["payment_order", "payment_message"]) {
    await platform.rows(`alter table ${table} set (autovacuum_enabled = off)`);
  }
  let now = began;
  const newGuid = createGuids(() => new Date(now));
  const guids = Array.from({ length: earlier }, (_, n) => {
    now = began + n * everyMs;
    return newGuid();
  });
  const parts = [parties.initiator, parties.recipient, parties.merchant, rare.merchant, rare.initiator, rare.recipient];
  await platform.rows(history, ...parts.map(({ guid }) => guid), guids, guids, began - everyMs, everyMs);
  // Every statement is planned for what is asked when it is asked, so what PostgreSQL knows of the tables counts.
  await platform.rows("analyze payment_order");
  await platform.rows("analyze payment_message");
  core = createCore({ ...platform.context, db: explaining(platform.db) });
});
afterAll(() => platform.close());

const since = new Date("2025-06-01T00:00:00Z");
const until = new Date("2025-06-08T00:00:00Z");
const periods = { "any time": {}, since: { since }, until: { until }, "a week": { since, until } };

/** The page that is asked for, and one from the middle on; answers what each touched of the two large tables. */
async function touched(list: (after: string | undefined) => Promise<object[]>) {
  plans = [];
  await list(undefined);
  await list(createGuids(() => new Date("2025-06-05T12:00:00Z"))());
  const nodes = plans.flat();
  const large = nodes.filter((node) => /payment_(order|message)$/.test(node["Relation Name"] ?? ""));
  return {
    scans: large.filter((node) => node["Node Type"] === "Seq Scan"),
    most: Math.max(...nodes.map(touchedBy)),
  };
}

const subsets = <Status>(statuses: readonly Status[]): Status[][] => [
  [],
  ...statuses.map((status) => [status]),
  [...statuses],
];

test.each(Object.entries(periods))("listOrders of %s: each page touches its own rows", async (_name, period) => {
  const ofWhom = [
    undefined,
    ...[parties, rare].flatMap((who) => [
      { merchantGuid: who.merchant.guid },
      { creditorAgentGuid: who.recipient.guid },
    ]),
  ];
  for (const party of ofWhom) {
    for (const statuses of subsets(orderStatuses)) {
      const what = [party, statuses];
      const { scans, most } = await touched((after) =>
        core.listOrders({ party, statuses, ...period }, { limit, after }),
      );
      expect([what, scans, most <= mostRowsTouched, most]).toEqual([what, [], true, most]);
    }
  }
  const one = await touched((after) =>
    core.listOrders(
      { party: { merchantGuid: parties.merchant.guid }, ref: "ref-5", statuses: [], ...period },
      { limit, after },
    ),
  );
  expect([one.scans, one.most <= 10]).toEqual([[], true]);
});

test.each(Object.entries(periods))(
  "listPaymentMessages of %s: each page touches its own rows",
  async (_name, period) => {
    const ofWhom = [
      undefined,
      ...[parties, rare].flatMap((who) => [
        { merchantGuid: who.merchant.guid },
        { debtorAgentGuid: who.initiator.guid },
        { creditorAgentGuid: who.recipient.guid },
      ]),
    ];
    for (const party of ofWhom) {
      for (const statuses of subsets(paymentMessageStatuses)) {
        const what = [party, statuses];
        const { scans, most } = await touched((after) =>
          core.listPaymentMessages({ party, statuses, ...period }, { limit, after }),
        );
        expect([what, scans, most <= mostRowsTouched, most]).toEqual([what, [], true, most]);
      }
      const one = await touched((after) =>
        core.listPaymentMessages({ party, externalId: "external-5", statuses: [], ...period }, { limit, after }),
      );
      expect([party, one.scans, one.most <= 20]).toEqual([party, [], true]);
    }
  },
);

test("listParticipants: each page touches its own rows, also of banks among many merchants", async () => {
  const seed = accepted(await platform.core.registerParticipant(operator, merchantRegistration(parties.recipient)));
  const columns = await platform.rows<{ name: string }>(
    "select column_name as name from information_schema.columns where table_name = 'participant' and column_name not in ('guid', 'uid', 'name')",
  );
  const copied = columns.map(({ name }) => name).join(", ");
  await platform.rows(
    `insert into participant (guid, uid, name, ${copied}) select gen_random_uuid(), 'copy-' || n, 'Copy ' || n, ${copied}
     from participant, generate_series(1, 20000) n where guid = $1`,
    seed.guid,
  );
  await platform.rows("analyze participant");
  for (const filter of [{}, { kind: "bank" }, { kind: "merchant" }, { role: "initiator" }] as const) {
    plans = [];
    await core.listParticipants(filter, { limit });
    await core.listParticipants(filter, { limit, after: { name: "Copy 15", guid: seed.guid } });
    const most = Math.max(...plans.flat().map(touchedBy));
    expect([filter, most <= 4 * limit, most]).toEqual([filter, true, most]);
  }
});

test("listRegisters: each page by token touches its own rows, of either side", async () => {
  await platform.rows(
    `insert into settlement_register (id, day, increment, debtor_agent_guid, creditor_agent_guid, currency, status,
      total_amount_minor, total_fee_minor, payment_count, period_start, period_end, created_at, updated_at, debtor_name, debtor_bic,
      creditor_name, creditor_bic, creditor_code, charging_account, purpose)
    select (100000 + n)::text, d, n, case when n % 2 = 0 then $1::uuid else $2::uuid end, case when n % 2 = 0 then $2::uuid else $1::uuid end,
      'UAH', 'sent', 1, 0, 1, d, d + 1, d, d, '', '', '', '', '', '', ''
    from (select n, date '2020-01-01' + n / 4 as d from generate_series(1, 20000) n) made`,
    parties.initiator.guid,
    parties.recipient.guid,
  );
  await platform.rows("analyze settlement_register");
  const from = new Date("2000-01-01T00:00:00Z");
  const pages = async (after?: string) => {
    plans = [];
    const query = { bankGuid: parties.initiator.guid, anySide: true, from, statuses: [] };
    const { registers } = await core.listRegisters({
      ...query,
      limit,
      ...(after === undefined ? { offset: 0 } : { after }),
    });
    return registers.map(({ id }) => id);
  };
  const first = await pages();
  expect(first).toEqual(Array.from({ length: limit }, (_, n) => String(120_000 - n)));
  for (const after of [first.at(-1) ?? "", "110000"]) {
    const next = await pages(after);
    expect(next).toEqual(Array.from({ length: limit }, (_, n) => String(Number(after) - 1 - n)));
    const most = Math.max(...plans.flat().map(touchedBy));
    expect([after, most <= 4 * limit, most]).toEqual([after, true, most]);
  }
});

test("listOrders with a merchant's number touches that order, however many merchants there are, also with that number", async () => {
  await platform.rows(
    `insert into payment_order (guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url, issued_at, expires_at,
       status, created_at, updated_at, jws, creditor_account, creditor_agent_guid)
     select gen_random_uuid(), gen_random_uuid(), 'ref-' || n % 500, 100, 'UAH', 'p', 'u', now(), now(), 'success', now(), now(),
       'jws', 'i', $1::uuid from generate_series(1, 20000) n`,
    parties.recipient.guid,
  );
  await platform.rows("analyze payment_order");
  const party = { merchantGuid: parties.merchant.guid };
  for (const statuses of subsets(orderStatuses)) {
    const { scans, most } = await touched((after) =>
      core.listOrders({ party, ref: "ref-5", statuses }, { limit, after }),
    );
    expect([statuses, scans, most <= 10, most]).toEqual([statuses, [], true, most]);
  }
});
