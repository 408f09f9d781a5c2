import type { Sql } from "../db/pool.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import { initialRegisterStatus, isCalendarDay, registerId } from "../domain/settlement.ts";
import { insertCallbacks, type NewCallback } from "./cascade.ts";
import type { CoreContext } from "./context.ts";
import { type Register, readRegisters } from "./settlements.ts";

/** Any number; it makes closings in several processes happen one after the other. */
const closingLock = 7_203_042;

const lockClosing = { name: "lock_closing", text: "select pg_advisory_xact_lock($1)" };

/**
 * The first Kyiv day that is not over. Registers are made at 00:01: what succeeded just before midnight has been committed by
 * then. PostgreSQL's clock decides, which says also when a payment succeeded: a process whose clock is ahead must not close a
 * day that still gets payments.
 */
const firstOpenDay = "((now() - interval '1 minute') at time zone 'Europe/Kyiv')::date";

const dayIsOver = { name: "day_is_over", text: `select $1::date < ${firstOpenDay} as over` };

/** A day stays closed: what it owes has been made, empty registers too. */
const markClosed = {
  name: "mark_day_closed",
  text: "insert into closed_day (day, closed_at) values ($1::date, now()) on conflict (day) do nothing",
};

const unregistered = "m.status = 'success' and m.register_id is null";
const inDay =
  "m.decided_at >= ($1::date)::timestamp at time zone 'Europe/Kyiv' and m.decided_at < ($1::date + 1)::timestamp at time zone 'Europe/Kyiv'";

const selectGroups = {
  name: "select_register_groups",
  text: `
    select distinct m.debtor_agent_guid, m.creditor_agent_guid, m.currency from payment_message m
    where ${unregistered} and ${inDay}
    order by 1, 2, 3`,
};

/** Initiator banks that were registered on a day and have no register of it. */
const selectIdleBanks = {
  name: "select_banks_without_register",
  text: `
    select p.guid from participant p
    where p.kind = 'bank' and 'initiator' = any(p.roles)
      and p.created_at < ($1::date + 1)::timestamp at time zone 'Europe/Kyiv'
      and not exists (select from settlement_register r where r.day = $1::date and r.debtor_agent_guid = p.guid)
    order by p.guid`,
};

const lastIncrement = {
  name: "last_register_increment",
  text: "select coalesce(max(increment), 0) as increment from settlement_register where day = $1::date",
};

const insertRegisters = {
  name: "insert_registers",
  text: `
    insert into settlement_register (id, day, increment, debtor_agent_guid, creditor_agent_guid, currency, status,
      total_amount_minor, total_fee_minor, payment_count, period_start, period_end, created_at, updated_at)
    select id, $2::date, increment, debtor_agent_guid, creditor_agent_guid, currency, status, 0, 0, 0,
      ($2::date)::timestamp at time zone 'Europe/Kyiv', ($2::date + 1)::timestamp at time zone 'Europe/Kyiv', now(), now()
    from json_to_recordset($1::json) as new(id text, increment int, debtor_agent_guid uuid, creditor_agent_guid uuid,
      currency text, status text)`,
};

// Membership and totals come from the same rows in the same statement, so they cannot differ. Fees round half up.
const fillRegisters = {
  name: "fill_registers",
  text: `
    with member as (
      update payment_message m
      set register_id = r.id, fee_minor = (m.amount_minor * agent.fee_basis_points + 5000) / 10000
      from settlement_register r, participant agent
      where r.id = any($2::text[]) and ${unregistered} and ${inDay}
        and r.debtor_agent_guid = m.debtor_agent_guid and r.creditor_agent_guid = m.creditor_agent_guid
        and r.currency = m.currency and agent.guid = m.creditor_agent_guid
      returning m.register_id, m.amount_minor, m.fee_minor
    ), total as (
      select register_id, sum(amount_minor) as amount, sum(fee_minor) as fee, count(*) as payments
      from member group by register_id
    )
    update settlement_register r
    set total_amount_minor = total.amount, total_fee_minor = total.fee, payment_count = total.payments
    from total where r.id = total.register_id`,
};

type Group = { debtor_agent_guid: string; creditor_agent_guid: string | null; currency: string };

/**
 * Collects every successful payment message of a Kyiv day that is in no register yet, in one transaction, and makes the
 * empty registers of banks that initiated nothing. Repeating it makes nothing twice (wire-contract section 7).
 */
export async function closeRegisters(
  context: CoreContext,
  day: string,
  allowOpenDay: boolean,
): Promise<Register[] | Refusal> {
  if (!isCalendarDay(day)) return refuse("INVALID_REQUEST", "day is not a calendar day YYYY-MM-DD", { field: "day" });
  const closed = await context.db.transaction(async (sql) => {
    await sql(lockClosing, [closingLock]);
    const [{ over } = { over: false }] = await sql<{ over: boolean }>(dayIsOver, [day]);
    if (!over && !allowOpenDay) {
      return refuse("DAY_IS_NOT_OVER", `${day} is not over in Kyiv; a day is closed from 00:01 on`, { field: "day" });
    }
    const made = await makeRegisters(sql, day, await sql<Group>(selectGroups, [day]));
    await sql(fillRegisters, [day, made]);
    const idle = await sql<{ guid: string }>(selectIdleBanks, [day]);
    const empty = await makeRegisters(
      sql,
      day,
      idle.map(({ guid }) => ({
        debtor_agent_guid: guid,
        creditor_agent_guid: null,
        currency: context.supportedCurrencies[0] ?? "UAH",
      })),
    );
    if (over) await sql(markClosed, [day]);
    const ids = [...made, ...empty];
    return { ids, due: await announce(context, sql, ids) };
  });
  if (isRefusal(closed)) return closed;
  context.onCallbacksDue(closed.due);
  return readRegisters(context.db.sql, closed.ids);
}

async function makeRegisters(sql: Sql, day: string, groups: readonly Group[]): Promise<string[]> {
  if (groups.length === 0) return [];
  const [last] = await sql<{ increment: number }>(lastIncrement, [day]);
  const rows = groups.map((group, index) => {
    const increment = (last?.increment ?? 0) + index + 1;
    const status = initialRegisterStatus(group.debtor_agent_guid, group.creditor_agent_guid);
    return { ...group, id: registerId(day, increment), increment, status };
  });
  await sql(insertRegisters, [JSON.stringify(rows), day]);
  return rows.map((row) => row.id);
}

const selectAudience = {
  name: "select_register_audience",
  text: `
    select distinct r.id, p.guid from settlement_register r
    join participant p on p.guid in (r.debtor_agent_guid, r.creditor_agent_guid)
    where r.id = any($1::text[]) and p.callback_urls ? 'gross_settlement'
    order by r.id, p.guid`,
};

/** Gross_Settlement is optional: only banks with a URL of its own for it are told. */
async function announce(context: CoreContext, sql: Sql, ids: readonly string[]) {
  const audience = await sql<{ id: string; guid: string }>(selectAudience, [ids]);
  const callbacks = audience.map(
    (row): NewCallback => ({ kind: "gross_settlement", registerId: row.id, receiverGuid: row.guid }),
  );
  return insertCallbacks(context, sql, callbacks);
}

/**
 * Days that are over and owe registers: every day since the first bank was registered that was never closed, and any day
 * with a payment in no register. A platform that stood still owes the days on which nobody paid, too.
 */
const owedDays = {
  name: "owed_days",
  text: `
    with since as (
      select (min(created_at) at time zone 'Europe/Kyiv')::date as day from participant where kind = 'bank'
    ), owed as (
      select each::date as day from since, generate_series(since.day::timestamp, ${firstOpenDay} - 1, interval '1 day') as each
      where not exists (select from closed_day c where c.day = each::date)
      union
      select (m.decided_at at time zone 'Europe/Kyiv')::date from payment_message m
      where ${unregistered} and m.decided_at < (${firstOpenDay})::timestamp at time zone 'Europe/Kyiv'
    )
    select to_char(day, 'YYYY-MM-DD') as day from owed order by day`,
};

/** How long a database may take to show that it is there. */
const pingMs = 5_000;

export type OverdueClosing = {
  /** The days that are closed now. */
  days: string[];
  /** Days that could not be closed, with the problem; they are tried again the next time. */
  failures: { day: string; problem: string }[];
};

/**
 * Closes every Kyiv day that is over and not closed, oldest first, above all after the platform stood still. A day that
 * fails stops no other; only a database that is gone does.
 */
export async function closeOverdueDays(context: CoreContext): Promise<OverdueClosing> {
  const closing: OverdueClosing = { days: [], failures: [] };
  for (const { day } of await context.db.sql<{ day: string }>(owedDays)) {
    try {
      await closeRegisters(context, day, false);
      closing.days.push(day);
    } catch (error) {
      closing.failures.push({ day, problem: (error as Error).message });
      // Whatever this day failed of, its own time-out included, the next one is tried, unless the database is gone for all.
      await context.db.ping(pingMs);
    }
  }
  return closing;
}

const reconcileStatement = {
  name: "reconcile_registers",
  text: `
    select 'payment in no register' as problem, m.guid::text as id from payment_message m
    where ${unregistered} and m.decided_at < (${firstOpenDay})::timestamp at time zone 'Europe/Kyiv'
    union all
    select 'register totals differ from its payments', r.id from settlement_register r
    left join lateral (
      select sum(m.amount_minor) as amount, sum(m.fee_minor) as fee, count(*) as payments
      from payment_message m where m.register_id = r.id
    ) total on true
    where r.day >= ${firstOpenDay} - $1::int
      and (r.total_amount_minor, r.total_fee_minor, r.payment_count)
        is distinct from (coalesce(total.amount, 0)::bigint, coalesce(total.fee, 0)::bigint, coalesce(total.payments, 0)::int)
    limit 100`,
};

export type Discrepancy = { problem: string; id: string };

/** What must be empty after every closing: payments without a register, registers whose totals are not their payments'. */
export async function reconcileRegisters(context: CoreContext, lastDays: number): Promise<Discrepancy[]> {
  return context.db.transaction((sql) => sql<Discrepancy>(reconcileStatement, [lastDays]));
}
