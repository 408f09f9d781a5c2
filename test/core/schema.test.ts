import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { masterKeyOf } from "../../src/core/masterKey.ts";
import { ensurePlatformKeys } from "../../src/core/platformKeyStart.ts";
import { openDatabase } from "../../src/db/database.ts";
import { freshDatabase } from "../support/database.ts";
import {
  accepted,
  attempt,
  callbackOf,
  createOrder,
  deliver,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  payWithSuccess,
  recordLapsedLeases,
  registerParties,
  serial,
} from "./platform.ts";

test("entities and migrations agree: after all migrations nothing is left to change", async () => {
  const { url, drop } = await freshDatabase();
  const db = await openDatabase({ url, maxConnections: 2 });
  try {
    expect((await db.orm.schema.getUpdateSchemaSQL()).trim()).toBe("");
  } finally {
    await db.close();
    await drop();
  }
});

describe("the schema refuses what the code takes for impossible", () => {
  let platform: Platform;

  beforeAll(async () => {
    platform = await openPlatform();
    const parties = await registerParties(platform);
    // A row of every kind: a paid order, a pending one, a callback in each of several states, registers.
    await payWithSuccess(platform, parties, { decidedAt: "2026-05-10T09:00:00Z" });
    await pay(platform, parties);
    accepted(await platform.core.closeRegisters(operator, "2026-05-10", false));
    await createOrder(platform, parties.merchant, { expiresAt: new Date(Date.now() + 300) });
    const first = { older: async () => undefined, maxAgeSeconds: 3_600 };
    await ensurePlatformKeys(platform.db, { current: masterKeyOf(Buffer.alloc(32)) }, first);
  });
  afterAll(() => platform.close());

  test.each([
    ["an order's status", "update payment_order set status = 'succes'", "payment_order_status_check"],
    ["an order's amount below 1", "update payment_order set amount_minor = 0", "payment_order_amount_check"],
    [
      "a message's status",
      "update payment_message set status = 'succes', decided_at = now() where status = 'pending'",
      "payment_message_status_check",
    ],
    ["a message's amount below 1", "update payment_message set amount_minor = -5", "payment_message_amount_check"],
    [
      "a message's amount above the limit",
      "update payment_message set amount_minor = 100000000000",
      "payment_message_amount_check",
    ],
    [
      "success without an instant",
      "update payment_message set decided_at = null where status = 'success'",
      "payment_message_decided_check",
    ],
    [
      "an instant of the decision while it is pending",
      "update payment_message set decided_at = now() where status = 'pending'",
      "payment_message_decided_check",
    ],
    [
      "a register without a fee",
      "update payment_message set fee_minor = null where register_id is not null",
      "payment_message_register_check",
    ],
    [
      "a pending message in a register",
      "update payment_message set register_id = '1', fee_minor = 0 where status = 'pending'",
      "payment_message_register_check",
    ],
    ["a fee above the amount", "update payment_message set fee_minor = amount_minor + 1", "payment_message_fee_check"],
    ["a payment type", "update payment_message set pm_type = 'gift'", "payment_message_pm_type_check"],
    [
      "a sender account type",
      "update payment_message set sender_account_type = 'x'",
      "payment_message_sender_account_type_check",
    ],
    ["a callback's kind", "update callback set kind = 'pay_inn'", "callback_kind_check"],
    ["a callback's state", "update callback set state = 'gone'", "callback_state_check"],
    ["a callback's outcome", "update callback set last_outcome = 'fine'", "callback_last_outcome_check"],
    ["a callback about nothing", "update callback set payment_message_guid = null", "callback_subject_check"],
    ["a callback about two things", "update callback set register_id = '1'", "callback_subject_check"],
    ["more refusals than attempts", "update callback set refusals = attempts + 1", "callback_counts_check"],
    ["somebody who resolved nothing", "update callback set resolved_by = 'Olena'", "callback_resolved_check"],
    ["an attempt's outcome", "update callback_attempt set outcome = 'fine'", "callback_attempt_outcome_check"],
    ["an attempt number 0", "update callback_attempt set attempt = 0", "callback_attempt_counts_check"],
    ["a register's status", "update settlement_register set status = 'Sent'", "settlement_register_status_check"],
    [
      "an empty register with a creditor agent",
      "update settlement_register set status = 'sent_no_pm'",
      "settlement_register_creditor_check",
    ],
    [
      "a register's fee above its total",
      "update settlement_register set total_fee_minor = total_amount_minor + 1",
      "settlement_register_totals_check",
    ],
    [
      "a total that a number of JavaScript would round",
      "update settlement_register set total_amount_minor = 7036874417766400",
      "settlement_register_exact_check",
    ],
    ["an act's kind", "update register_act set kind = 'payed'", "register_act_kind_check"],
    ["a payment without its content", "update register_act set kind = 'paid'", "register_act_payment_check"],
    [
      "a content without a payment",
      "update register_act set payment_external_id = 'P', creditor_iban = 'i', amount_minor = 1, currency = 'UAH', purpose = 'p', creation_date = 'd'",
      "register_act_payment_check",
    ],
    ["an act without its outcome", "update register_act set payment_status = 'ACSC'", "register_act_status_check"],
    ["reopening without a note", "update register_act set kind = 'reopened'", "register_act_note_check"],
    ["an act of no register", "update register_act set register_id = '1'", "register_act_register_id_foreign"],
    [
      "one transfer for two registers",
      `insert into register_act (register_id, kind, actor, at, payment_external_id, creditor_iban, amount_minor, currency,
        purpose, creation_date) select register_id, 'paid', 'bank', now(), 'P', 'i', 1, 'UAH', 'p', 'd'
        from register_act, generate_series(1, 2)`,
      "register_act_payment_unique",
    ],
    [
      "two registers of one pair that are filled at once",
      `insert into settlement_register (id, day, increment, debtor_agent_guid, creditor_agent_guid, currency, status,
        total_amount_minor, total_fee_minor, payment_count, period_start, period_end, created_at, updated_at,
        debtor_name, debtor_bic, creditor_name, creditor_bic, creditor_code, charging_account, purpose)
        select '1005' || n, day, n, debtor_agent_guid, creditor_agent_guid, currency, 'closing', 0, 0, 0, period_start,
          period_end, now(), now(), '', '', '', '', '', '', '' from settlement_register, generate_series(91, 92) n where status = 'sent'`,
      "settlement_register_closing_unique",
    ],
    ["a rate of more than everything", "update fee_rate set basis_points = 10001", "fee_rate_basis_points_check"],
    ["a rate of no bank", "update fee_rate set bank_guid = gen_random_uuid()", "fee_rate_bank_guid_foreign"],
    [
      "a register's bank that is not there",
      "update settlement_register set debtor_agent_guid = gen_random_uuid()",
      "settlement_register_debtor_agent_guid_foreign",
    ],
    ["a bank that is gone while it has registers", "delete from participant", "foreign"],
    [
      "a merchant's bank that is not there",
      "update participant set servicing_bank_guid = gen_random_uuid() where kind = 'merchant'",
      "participant_servicing_bank_guid_foreign",
    ],
    ["a participant's kind", "update participant set kind = 'shop'", "participant_kind_check"],
    ["a bank without a code", "update participant set bic = null where kind = 'bank'", "participant_bank_check"],
    ["a bank's role", "update participant set roles = '{initiatior}' where kind = 'bank'", "participant_bank_check"],
    [
      "a merchant without a uid",
      "update participant set uid = null where kind = 'merchant'",
      "participant_merchant_check",
    ],
    ["a signing key's algorithm", "update platform_key set alg = 'HS256'", "platform_key_alg_check"],
    ["half an end of a signing key", "update platform_key set retire_at = now()", "platform_key_end_check"],
    [
      "a signing key that is not published while it signs",
      "update platform_key set retire_at = now(), unpublish_at = now() - interval '1 s'",
      "platform_key_order_check",
    ],
    ["a fee of more than everything", "update participant set fee_basis_points = 10001", "participant_fee_check"],
  ])("%s", async (_, statement, constraint) => {
    await expect(platform.rows(statement)).rejects.toThrow(constraint);
  });
});

describe("a node that runs on while a newer one adds columns", () => {
  let platform: Platform;
  let parties: Parties;

  beforeAll(async () => {
    platform = await openPlatform();
    parties = await registerParties(platform);
  });
  afterAll(() => platform.close());

  /** Everything that the core writes, on connections that have planned their statements already. */
  async function wholeLife() {
    const paid = await payWithSuccess(platform, parties, { decidedAt: "2026-05-10T09:00:00Z" });
    await deliver(platform, paid, "pay_out", "accepted");
    await deliver(platform, paid, "credit", "refused", "refused");
    const credit = await callbackOf(platform, paid, "credit");
    accepted(await platform.core.resolveCallback(operator, credit.guid, "by phone"));
    accepted(await platform.core.replayCallback(operator, credit.guid));
    await attempt(platform, credit.guid, "accepted");
    accepted(await platform.core.getCallback(credit.guid));
    await platform.core.listCallbacks({}, { limit: 5 });
    await pay(platform, parties);
    const order = await createOrder(platform, parties.merchant);
    await platform.rows("update payment_order set expires_at = now() where guid = $1", order.id);
    expect(await platform.core.expireOrders(10)).toBe(1);
    await platform.rows("update callback set wake_at = now()");
    await platform.core.takeOverdueCallbacks(10);
    await recordLapsedLeases(platform);
    await platform.core.forgetAccessTokens(10);
    const [register] = accepted(await platform.core.closeRegisters(operator, "2026-05-10", false));
    accepted(await platform.core.getRegister(undefined, register?.id ?? "", { limit: 10 }));
    expect(await platform.core.reconcileRegisters(3_650)).toEqual([]);
    const { guid } = parties.recipient;
    accepted(await platform.core.updateParticipant(operator, guid, { name: `Renamed ${serial()}` }));
    await registerParties(platform);
  }

  test("everything goes on", async () => {
    await wholeLife();
    const tables = await platform.rows<{ name: string }>(
      "select tablename as name from pg_tables where schemaname = 'public' and tablename <> 'migration'",
    );
    for (const { name } of tables) {
      await platform.rows(`alter table ${name} add column added_later text not null default 'by a newer node'`);
    }
    await wholeLife();
  });
});
