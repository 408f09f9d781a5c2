import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { dayEnd, dayStart, unsettled } from "./unsettled.ts";

/** Far below what one statement may take, and enough that a commit costs nothing beside it. */
const sliceSize = 100_000;

/**
 * The planner takes the places of a slice for a reason to read the whole table: it knows neither how few they are beside the
 * table nor that they are sorted.
 */
const followPlaces = {
  name: "follow_places",
  text: `select set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true),
    set_config('enable_seqscan', 'off', true)`,
};

const ofRegister = `${unsettled} and m.debtor_agent_guid = register.debtor_agent_guid
          and m.creditor_agent_guid = register.creditor_agent_guid and m.currency = register.currency`;

// A slice is an hour of the day, of all registers together, from the first payment on that is in none: payments of one hour
// lie side by side in the table, those of one pair all over it, and pair by pair each page would be read and written once
// for every pair. For the same reason rows are taken in the order of their places.
// Membership and totals come from the same rows in the same statement, so they cannot differ. Fees are at the rate of the
// instant at which each message was accepted, half a unit rounded up; what was accepted before a bank's first rate is at
// that one (a bank that a node of the version before registered has no rates yet, only its fee).
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
      -- Told to each register, or a plan might read all that a pair has before it looks at the hour.
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

/** `next`: from where the look for the next slice goes on. */
type Slice = { payments: number; next: Date | null };

/** Puts the payments of the day's next hour into their registers, from the instant `from` on; answers how many. */
export async function fillSlice(sql: Sql, day: string, from: Date | null): Promise<Slice> {
  await sql(followPlaces);
  const [slice] = await sql<Slice>(fillRegisters, [day, sliceSize, from]);
  if (slice === undefined) throw new Error("the database answered no slice");
  return slice;
}
