import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { dayEnd, dayStart, unsettled } from "./unsettled.ts";

/** The most payments of a slice: far below what one statement can take, and enough to make the cost of the commit negligible. */
const sliceSize = 100_000;

/**
 * Forces the planner to fetch the rows of a slice by their `ctid` (place in the table). By itself it would read the whole table,
 * because it knows neither how few the places are nor that they are sorted.
 */
const followPlaces = {
  name: "follow_places",
  text: `select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_seqscan', 'off', true)`,
};

const ofRegister = `${unsettled} and m.debtor_agent_guid = register.debtor_agent_guid
          and m.creditor_agent_guid = register.creditor_agent_guid and m.currency = register.currency`;

// A slice is an hour of the day, of all registers together, beginning with the first unsettled payment. Payments of one hour lie
// side by side in the table, those of one pair of banks are scattered over it; pair by pair, each page of the table would be read
// and written once per pair. For the same reason rows are taken in the order of their `ctid`. Membership and totals come from the
// same rows in the same statement, so they cannot differ. A fee is at the rate of the instant at which its message was accepted,
// half a unit rounded up; messages from before a bank's first rate take that first one (a bank that an older node registered has no
// rates yet, only its current fee).
const fillRegisters = {
  name: "fill_registers",
  text: `
    with register as materialized (
      select id, debtor_agent_guid, creditor_agent_guid, currency from settlement_register
      where status = '${CLOSING}' and period_start = ${dayStart}
    ), since as materialized (
      select min(earliest.decided_at) as instant from register, lateral (
        select m.decided_at from payment_message m
        where ${ofRegister} and m.decided_at >= coalesce($3::timestamptz, ${dayStart}) and m.decided_at < ${dayEnd}
        order by m.decided_at limit 1) earliest
    ), slice as materialized (
      -- The hour stands beside each register; otherwise a plan might read all payments of a pair before it compares the hour.
      select register.*, since.instant as starts_at, least(since.instant + interval '1 hour', ${dayEnd}) as ends_at
      from register, since
    ), place as materialized (
      select m.ctid as at, register.id as register_id, register.creditor_agent_guid as bank_guid
      from slice register, payment_message m
      where ${ofRegister} and m.decided_at >= register.starts_at and m.decided_at < register.ends_at
      order by m.ctid limit $2
    ), member as (
      update payment_message m
      set register_id = place.register_id, fee_minor = (m.amount_minor * coalesce(
        (select f.basis_points from fee_rate f where f.bank_guid = place.bank_guid and f.effective_from <= m.received_at
          order by f.effective_from desc limit 1),
        (select f.basis_points from fee_rate f where f.bank_guid = place.bank_guid order by f.effective_from limit 1),
        (select bank.fee_basis_points from participant bank where bank.guid = place.bank_guid)) + 5000) / 10000
      from place where m.ctid = place.at and ${unsettled}
      returning m.register_id, m.amount_minor, m.fee_minor
    ), total as (
      select register_id, sum(amount_minor) as amount, sum(fee_minor) as fee, count(*) as payments from member
      group by register_id
    ), filled as (
      update settlement_register r
      set total_amount_minor = r.total_amount_minor + total.amount, total_fee_minor = r.total_fee_minor + total.fee,
        payment_count = r.payment_count + total.payments
      from total where r.id = total.register_id
    )
    select count(*)::int as payments, (select instant from since) +
      case when count(*) < $2 then interval '1 hour' else interval '0' end as next from member`,
};

/** `next`: the instant from which the next slice is looked for. */
type Slice = { payments: number; next: Date | null };

/** Puts the payments of the day's next hour, from the instant `from` on, into their registers; answers how many. */
export async function fillSlice(sql: Sql, day: string, from: Date | null): Promise<Slice> {
  await sql(followPlaces);
  const [slice] = await sql<Slice>(fillRegisters, [day, sliceSize, from]);
  if (slice === undefined) throw new Error("the database answered no slice");
  return slice;
}
