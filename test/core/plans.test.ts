import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import { type Database, hotPlans } from "../../src/db/database.ts";
import { type PlanNode, planOf, touchedBy } from "./explain.ts";
import {
  accepted,
  callbackOf,
  createOrder,
  openPlatform,
  type Parties,
  type Platform,
  paymentRequest,
  record,
  registerParties,
} from "./platform.ts";

/** So many earlier payments are there, each with a callback that waits: a plan that reads them all shows at once. */
const earlier = 20_000;
/** Payments in each group that is looked at. */
const group = 10;
/** What one node of a plan may touch for such a group: some index entries a payment, never a share of the table. */
const mostRowsTouched = 40 * group;

/** The same database, but every hot statement is explained with the settings of its pool, in its own place, before it runs. */
function explaining(db: Database, plans: Map<string, PlanNode[]>): Database {
  return {
    ...db,
    hot: (statement, values = []) =>
      db.transaction(async (sql) => {
        for (const setting of hotPlans) await sql({ name: "", text: `set local ${setting}` });
        await sql({ name: "", text: "savepoint explained" });
        plans.set(statement.name, await planOf(sql, statement, values));
        await sql({ name: "", text: "rollback to savepoint explained" });
        return sql(statement, values);
      }),
  };
}

const history = `
  with parties as (select $1::uuid as debtor, $2::uuid as creditor, $3::uuid as merchant),
  numbered as (select gen_random_uuid() as guid, gen_random_uuid() as order_guid, n from generate_series(1, ${earlier}) n),
  orders as (
    insert into payment_order select order_guid, merchant, 'earlier-' || n, 100, 'UAH', 'p', 'u', null, now(),
      now() - interval '1 day', 'success', now(), now(), 'jws' from numbered, parties
  ), messages as (
    insert into payment_message (guid, order_guid, merchant_guid, debtor_agent_guid, creditor_agent_guid, jti, external_id,
      amount_minor, currency, debtor_name, debtor_tax_number, debtor_account, creditor_name, creditor_tax_number,
      creditor_account, purpose, msg_creation_date, msg_creation_time, pm_type, sender_account_type, nonce, encrypted_key,
      creditor_agent_kid, status, reason, received_at, decided_at)
    select guid, order_guid, merchant, debtor, creditor, 'earlier-' || n, 'earlier-' || n, 100, 'UAH', '', '', '', '', '', '',
      '', '', '', 'trade', 'limit-related', '', '', '', 'success', '', now(), now() from numbered, parties
  ), tokens as (
    insert into used_access_token select debtor, 'earlier-' || n, now() + interval '1 hour' from numbered, parties
  )
  insert into callback (guid, kind, payment_message_guid, order_guid, receiver_guid, state, reason, series, attempts,
    refusals, due_at, wake_at, created_at, updated_at)
  select gen_random_uuid(), 'credit', guid, order_guid, creditor, 'waiting', '', 1, 0, 0, now(),
    now() + interval '1 hour', now(), now()
  from numbered, parties`;

describe.each([
  ["not analyzed yet", []],
  ["analyzed", ["analyze"]],
])("with %s tables of many earlier payments", (_, preparations) => {
  let platform: Platform;
  let parties: Parties;
  let core: Core;
  const plans = new Map<string, PlanNode[]>();

  beforeAll(async () => {
    platform = await openPlatform();
    parties = await registerParties(platform);
    await platform.rows("alter table callback set (autovacuum_enabled = off)");
    await platform.rows("alter table payment_message set (autovacuum_enabled = off)");
    await platform.rows(history, parties.initiator.guid, parties.recipient.guid, parties.merchant.guid);
    for (const preparation of preparations) await platform.rows(preparation);
    core = createCore({ ...platform.context, db: explaining(platform.db, plans) });
    await payGroup();
  });
  afterAll(() => platform.close());

  /** A group of payments goes through everything that is hot, from the submission to the merchant's acceptance. */
  async function payGroup() {
    const orders = await Promise.all(
      Array.from({ length: group }, () => createOrder({ ...platform, core }, parties.merchant)),
    );
    const answers = await Promise.all(
      orders.map((order) => core.submitPaymentMessage(paymentRequest(platform, parties, order))),
    );
    const guids = answers.map((answer) => accepted(answer).guid);
    accepted(await core.getOrder((orders[0] as Order).id));
    accepted(await core.getParticipant({ guid: parties.merchant.guid }));
    for (const kind of ["pay_in_bank", "pay_in_merchant"] as const) {
      const callbacks = await Promise.all(guids.map((guid) => callbackOf(platform, guid, kind)));
      const claims = await Promise.all(
        callbacks.map(({ guid }) => core.claimCallback({ callbackGuid: guid, series: 1, attempt: 0 })),
      );
      await Promise.all(
        claims.map((claim) => record(core, (claim as Extract<typeof claim, { claimed: unknown }>).claimed, "accepted")),
      );
    }
    await platform.rows(
      "update callback set wake_at = now() where guid in (select guid from callback limit $1)",
      group,
    );
    await core.takeOverdueCallbacks(500);
    await core.recordLostAttempts(500);
    await core.expireOrders(10 * group);
  }

  test("every hot statement was looked at", () => {
    expect([...plans.keys()]).toEqual(
      expect.arrayContaining([
        "select_submission_facts",
        "store_submissions",
        "claim_callbacks",
        "record_attempts",
        "overdue_callbacks",
        "lapsed_leases",
        "insert_orders",
        "select_order",
        "select_participants",
        "select_payment_message_by_order",
        "expire_orders",
      ]),
    );
  });

  test("no hot statement scans a table, and none touches more than its own rows", () => {
    const offenders = [...plans].flatMap(([name, nodes]) =>
      nodes
        .filter((node) => touchedBy(node) > mostRowsTouched || node["Node Type"] === "Seq Scan")
        .map((node) => `${name}: ${node["Node Type"]} on ${node["Relation Name"]}: ${touchedBy(node)} rows`),
    );
    expect(offenders).toEqual([]);
  });
});
