import type { Register } from "../../gen/dcm/v1/settlement_pb.ts";
import { advisoryLocks } from "../db/advisoryLocks.ts";
import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { isCalendarDay } from "../domain/kyiv.ts";
import {
  initialRegisterStatus,
  type RegisterStatus,
  registerId,
  registerKind,
  registerPurpose,
} from "../domain/settlement.ts";
import { digestOf, insertEntry } from "./audit.ts";
import { insertCallbacks, type NewCallback } from "./cascade.ts";
import type { CoreContext, DueCallback } from "./context.ts";
import { fillSlice } from "./registerFilling.ts";
import { readRegisters, toRegister } from "./settlements.ts";
import { dayEnd, dayStart, firstOpenDay, ofPair, unsettled, unsettledPairs } from "./unsettled.ts";

const lockClosing = { name: "lock_closing", text: "select pg_advisory_xact_lock($1)" };

const dayIsOver = { name: "day_is_over", text: `select $1::date < ${firstOpenDay} as over` };

/** A day stays closed from now on: all its registers have been made, the empty ones too. */
const markClosed = {
  name: "mark_day_closed",
  text: `insert into closed_day (day, closed_at) select $1::date, now() where $1::date < ${firstOpenDay}
    on conflict (day) do nothing returning day`,
};

/** The audit entry of a finished closing: its actor, and the registers that it published, by day and increment. */
const insertClosing = {
  name: "insert_closing",
  text: insertEntry({
    act: "day_closed",
    actor: "$2",
    object: "$1",
    digests: { after: "made.digest" },
    from: `(
      select ${digestOf("coalesce(array_agg(r order by r.day, r.increment), '{}')")} as digest
      from settlement_register r where r.id = any($3::text[])) made`,
  }),
};

/** The pairs of banks (and currency) that have unsettled payments of that day and no register that was begun already. */
const selectPairs = {
  name: "select_pairs_without_register",
  text: `
    with recursive ${unsettledPairs}
    select pair.debtor_agent_guid, pair.creditor_agent_guid, pair.currency from pair
    where exists (select from payment_message m
        where ${unsettled} and ${ofPair} and m.decided_at >= ${dayStart} and m.decided_at < ${dayEnd})
      and not exists (select from settlement_register r
        where r.status = '${CLOSING}' and r.period_start = ${dayStart} and r.debtor_agent_guid = pair.debtor_agent_guid
          and r.creditor_agent_guid = pair.creditor_agent_guid and r.currency = pair.currency)`,
};

/** Initiator banks that were registered on a day and have no register of it; each gets an empty one. */
const selectIdleBanks = {
  name: "select_banks_without_register",
  text: `
    select p.guid from participant p
    where p.kind = 'bank' and 'initiator' = any(p.roles) and p.created_at < ${dayEnd}
      and not exists (select from settlement_register r
        where r.day = $1::date and r.adjusts_day is null and r.debtor_agent_guid = p.guid)
    order by p.guid`,
};

/** The day whose date the register ids carry: an adjustment gets that of the day on which it is made, in Kyiv. */
const selectNumbering = {
  name: "select_register_numbering",
  text: `
    with numbered as (
      select case when exists (select from closed_day where day = $1::date)
        then (now() at time zone 'Europe/Kyiv')::date else $1::date end as day,
        exists (select from closed_day where day = $1::date) as adjusts
    )
    select to_char(numbered.day, 'YYYY-MM-DD') as day, numbered.adjusts,
      (select coalesce(max(r.increment), 0) from settlement_register r where r.day = numbered.day) as last
    from numbered`,
};

/** A register copies the data of its banks as it is now, and keeps it. */
const insertRegisters = {
  name: "insert_registers",
  text: `
    insert into settlement_register (id, day, increment, debtor_agent_guid, creditor_agent_guid, currency, status,
      total_amount_minor, total_fee_minor, payment_count, period_start, period_end, created_at, updated_at,
      debtor_name, debtor_bic, creditor_name, creditor_bic, creditor_code, charging_account, purpose, adjusts_day)
    select new.id, $3::date, new.increment, new.debtor_agent_guid, new.creditor_agent_guid, new.currency, new.status, 0, 0, 0,
      ${dayStart}, ${dayEnd}, now(), now(), debtor.name, debtor.bic, coalesce(creditor.name, ''),
      coalesce(creditor.bic, ''), coalesce(creditor.tax_code, ''), coalesce(creditor.iban, ''), new.purpose,
      nullif($1::date, $3::date)
    from json_to_recordset($2::json) as new(id text, increment int, debtor_agent_guid uuid, creditor_agent_guid uuid,
      currency text, status text, purpose text)
    join participant debtor on debtor.guid = new.debtor_agent_guid
    left join participant creditor on creditor.guid = new.creditor_agent_guid`,
};

/** The plans of the next statements depend on the number of registers, which this very transaction may have changed. */
const analyzeRegisters = { name: "", text: "analyze settlement_register" };

const selectBegun = {
  name: "select_begun_registers",
  text: `select id, debtor_agent_guid, creditor_agent_guid, (total_amount_minor - total_fee_minor) as to_pay_minor
    from settlement_register where status = '${CLOSING}' and period_start = ${dayStart} order by day, increment`,
};

/** Makes registers visible, dated now and not at the start of the transaction, which may have waited for another closing. */
const publishRegisters = {
  name: "publish_registers",
  text: `
    with published as (
      update settlement_register r set status = made.status, created_at = clock_timestamp(), updated_at = clock_timestamp()
      from json_to_recordset($1::json) as made(id text, status text) where r.id = made.id
      returning r.id, r.day, r.increment
    )
    insert into register_act (register_id, kind, actor, at)
    select id, 'made', 'platform', clock_timestamp() from published order by day, increment`,
};

type Pair = { debtor_agent_guid: string; creditor_agent_guid: string | null; currency: string };
/** The registers that were made visible, and the callbacks that announce them. */
type Published = { ids: string[]; due: DueCallback[] };
type Begun = { id: string; debtor_agent_guid: string; creditor_agent_guid: string | null; to_pay_minor: number };

/**
 * Collects every successful payment message of a Kyiv day that is in no register yet, and makes the empty registers of banks that
 * initiated nothing (wire-contract section 7). The work is done in slices, each a transaction of its own: registers are begun
 * (invisible), then filled hour by hour, then all published and announced together. An interrupted closing is continued by the next
 * one, and an advisory lock lets one of several concurrent closings do each slice. Answers the registers that it published.
 * Payments that turn up for a day that is already closed go into adjustments.
 */
export async function closeRegisters(
  context: CoreContext,
  actor: Actor,
  day: string,
  allowOpenDay: boolean,
): Promise<Register[] | Refusal> {
  if (!isCalendarDay(day)) return refuse("INVALID_REQUEST", "day is not a calendar day YYYY-MM-DD", { field: "day" });
  const refusal = await context.db.transaction(async (sql) => {
    await sql(lockClosing, [advisoryLocks.closing]);
    const [{ over } = { over: false }] = await sql<{ over: boolean }>(dayIsOver, [day]);
    if (!over && !allowOpenDay) {
      return refuse("DAY_IS_NOT_OVER", `${day} is not over in Kyiv; a day is closed from 00:01 on`, { field: "day" });
    }
    await beginRegisters(sql, day);
    return undefined;
  });
  if (refusal !== undefined) return refusal;
  const { ids, due } = await fillAndPublish(context, actor, day);
  context.onCallbacksDue(due);
  return (await readRegisters(context.db.sql, ids)).map(toRegister);
}

async function beginRegisters(sql: Sql, day: string): Promise<void> {
  const pairs = await sql<Pair>(selectPairs, [day]);
  if (pairs.length === 0) return;
  await insert(sql, day, pairs, CLOSING);
  await sql(analyzeRegisters);
}

async function insert(
  sql: Sql,
  day: string,
  pairs: readonly Pair[],
  status: typeof CLOSING | RegisterStatus,
): Promise<string[]> {
  const [numbering] = await sql<{ day: string; last: number }>(selectNumbering, [day]);
  if (numbering === undefined) throw new Error("the database answered no numbering");
  const rows = pairs.map((pair, index) => {
    const increment = numbering.last + index + 1;
    const id = registerId(numbering.day, increment);
    return { ...pair, id, increment, status, purpose: registerPurpose(id) };
  });
  await sql(insertRegisters, [day, JSON.stringify(rows), numbering.day]);
  return rows.map((row) => row.id);
}

/** Fills registers in slices, so that no transaction grows with the number of the day's payments. */
async function fillAndPublish(context: CoreContext, actor: Actor, day: string): Promise<Published> {
  for (let from: Date | null = null; ; ) {
    const step = await fillOrPublish(context, actor, day, from);
    if ("ids" in step) return step;
    from = step.next;
  }
}

/**
 * One slice. A look from the start of the day that finds nothing left publishes in the same transaction: if publishing had one of
 * its own, another closing could begin registers in between, and they would be visible before they are filled.
 */
function fillOrPublish(
  context: CoreContext,
  actor: Actor,
  day: string,
  from: Date | null,
): Promise<Published | { next: Date | null }> {
  return context.db.transaction(async (sql) => {
    await sql(lockClosing, [advisoryLocks.closing]);
    const slice = await fillSlice(sql, day, from);
    if (slice.payments > 0) return { next: slice.next };
    return from === null ? publish(context, sql, actor, day) : { next: null };
  });
}

async function publish(context: CoreContext, sql: Sql, actor: Actor, day: string): Promise<Published> {
  const begun = await sql<Begun>(selectBegun, [day]);
  const [numbering] = await sql<{ adjusts: boolean }>(selectNumbering, [day]);
  const idle = numbering?.adjusts ? [] : await sql<{ guid: string }>(selectIdleBanks, [day]);
  const currency = context.supportedCurrencies[0] ?? "UAH";
  const empty = await insert(
    sql,
    day,
    idle.map(({ guid }) => ({ debtor_agent_guid: guid, creditor_agent_guid: null, currency })),
    "sent_no_pm",
  );
  const made = [
    ...begun.map((register) => ({ id: register.id, status: statusOf(register) })),
    ...empty.map((id) => ({ id, status: "sent_no_pm" })),
  ];
  if (made.length > 0) await sql(publishRegisters, [JSON.stringify(made)]);
  const closed = await sql(markClosed, [day]);
  const ids = made.map(({ id }) => id);
  if (ids.length > 0 || closed.length > 0) await sql(insertClosing, [day, actorName(actor), ids]);
  return { ids, due: await announce(context, sql, ids) };
}

const statusOf = ({ debtor_agent_guid, creditor_agent_guid, to_pay_minor }: Begun) =>
  initialRegisterStatus(registerKind(debtor_agent_guid, creditor_agent_guid), to_pay_minor);

const selectAudience = {
  name: "select_register_audience",
  text: `
    select distinct r.id, p.guid from settlement_register r
    join participant p on p.guid in (r.debtor_agent_guid, r.creditor_agent_guid)
    where r.id = any($1::text[]) and p.callback_urls ? 'gross_settlement'
    order by r.id, p.guid`,
};

/** Gross_Settlement is optional: only banks that have a URL for it get the callback. */
async function announce(context: CoreContext, sql: Sql, ids: readonly string[]) {
  const audience = await sql<{ id: string; guid: string }>(selectAudience, [ids]);
  const callbacks = audience.map(
    (row): NewCallback => ({ kind: "gross_settlement", registerId: row.id, receiverGuid: row.guid }),
  );
  return insertCallbacks(context, sql, callbacks);
}
