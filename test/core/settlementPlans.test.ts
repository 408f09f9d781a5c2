import { afterAll, beforeAll, expect, test } from "vitest";
import { createCore } from "../../src/core/core.ts";
import type { Database } from "../../src/db/database.ts";
import type { Sql } from "../../src/db/pool.ts";
import { genericPlanOf, type PlanNode, planOf, touchedBy } from "./explain.ts";
import { accepted, openPlatform, operator, type Parties, type Platform, registerParties } from "./platform.ts";

// What a closing and the reader of a register touch for each slice and page does not depend on how many there are.

const day = "2026-05-10";
/** Spread over all hours of the day and four pairs of banks. */
const payments = 12_000;
const ofOneHour = payments / 24;
const pageSize = 50;

const history = `
  with parties as (select $1::uuid as debtor, $2::uuid as creditor, $3::uuid as merchant),
  numbered as (select gen_random_uuid() as guid, gen_random_uuid() as order_guid, n from generate_series(0, ${payments - 1}) n),
  orders as (
    insert into payment_order select order_guid, merchant, 'earlier-' || n, 100, 'UAH', 'p', 'u', null, now(),
      now() - interval '1 day', 'success', now(), now(), 'jws' from numbered, parties
  )
  insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti, external_id,
    amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name, creditor_tax_number,
    creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type, sender_account_type, nonce, encrypted_key,
    creditor_agent_kid, status, reason, received_at, decided_at)
  select guid, order_guid, merchant, case when n % 2 = 0 then debtor else creditor end,
    case when n % 4 < 2 then debtor else creditor end, 'earlier-' || n, 'earlier-' || n, 100, 'UAH', '', '', '', '', '', '',
    '', '', '', 'trade', 'limit-related', '', '', '', 'success', '', now(),
    ('${day}'::timestamp at time zone 'Europe/Kyiv') + interval '24 hours' * n / ${payments}
  from numbered, parties`;

let platform: Platform;
let parties: Parties;
/** What each run of a statement did, in their order. */
const runs = new Map<string, PlanNode[][]>();

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
  await platform.rows("alter table payment_message set (autovacuum_enabled = off)");
  await platform.rows(history, parties.initiator.guid, parties.recipient.guid, parties.merchant.guid);
  await platform.rows("analyze payment_message");
  const core = createCore({ ...platform.context, db: explaining(platform.db) });
  const [register] = accepted(await core.closeRegisters(operator, day, false));
  const id = register?.id ?? "";
  for (let after: string | undefined; ; ) {
    const page = accepted(await core.getRegister(undefined, id, { limit: pageSize, after }));
    if (!page.hasMore) break;
    // From the first page on to one in the middle and on to the last.
    const [next] = await platform.rows<{ guid: string }>(
      "select guid from payment_message where guid > $1 order by guid offset $2 limit 1",
      page.payments.at(-1)?.paymentMessageGuid,
      payments / 2 - pageSize,
    );
    after = next?.guid ?? "ffffffff-ffff-ffff-ffff-ffffffffffff";
  }
});
afterAll(() => platform.close());

/** The same database; a closing's slices are explained as they run, a register's pages with the plan that is kept for them. */
function explaining(db: Database): Database {
  const keep = (name: string, plan: PlanNode[]) => runs.set(name, [...(runs.get(name) ?? []), plan]);
  return {
    ...db,
    sql: (statement, values = []) =>
      db.transaction(async (sql) => {
        if (statement.name === "select_register_payments")
          keep(statement.name, await genericPlanOf(sql, statement, values));
        return sql(statement, values);
      }),
    transaction: (work) =>
      db.transaction((sql) => {
        const explained: Sql = async (statement, values = []) => {
          if (statement.name === "fill_registers") {
            await sql({ name: "", text: "savepoint explained" });
            keep(statement.name, await planOf(sql, statement, values));
            await sql({ name: "", text: "rollback to savepoint explained" });
          }
          return sql(statement, values);
        };
        return work(explained);
      }),
  };
}

const rowsTouched = (plans: PlanNode[][]) => plans.map((nodes) => Math.max(...nodes.map(touchedBy)));

test("each slice of a closing reads the payments of its own hour", () => {
  const touched = rowsTouched(runs.get("fill_registers") ?? []);
  expect(touched.length).toBeGreaterThanOrEqual(24);
  expect(Math.max(...touched)).toBeLessThanOrEqual(ofOneHour);
});

test("each page of a register reads its own payments, wherever it begins", () => {
  const touched = rowsTouched(runs.get("select_register_payments") ?? []);
  expect(touched.length).toBeGreaterThanOrEqual(3);
  expect(Math.max(...touched)).toBeLessThanOrEqual(pageSize + 1);
});
