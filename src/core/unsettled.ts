/**
 * The first Kyiv day that is not over, with a margin of a minute after midnight: payments that succeeded just before it have been
 * committed by then. PostgreSQL's clock decides, which also dates the success of a payment: a process whose clock is ahead must not
 * close a day that still gets payments.
 */
export const firstOpenDay = "((now() - interval '1 minute') at time zone 'Europe/Kyiv')::date";

/** Successful and in no register yet. */
export const unsettled = "m.status = 'success' and m.register_id is null";

/** Every (debtor agent, creditor agent, currency) with unsettled payments: a loose index scan, one index look-up for each. */
export const unsettledPairs = `pair as (
      (select m.debtor_agent_guid, m.creditor_agent_guid, m.currency from payment_message m
        where ${unsettled} order by 1, 2, 3 limit 1)
      union all
      select following.* from pair, lateral (
        select m.debtor_agent_guid, m.creditor_agent_guid, m.currency from payment_message m
        where ${unsettled} and (m.debtor_agent_guid, m.creditor_agent_guid, m.currency)
          > (pair.debtor_agent_guid, pair.creditor_agent_guid, pair.currency)
        order by 1, 2, 3 limit 1) following
    )`;
export const ofPair =
  "m.debtor_agent_guid = pair.debtor_agent_guid and m.creditor_agent_guid = pair.creditor_agent_guid and m.currency = pair.currency";

export const dayStart = "($1::date)::timestamp at time zone 'Europe/Kyiv'";
export const dayEnd = "($1::date + 1)::timestamp at time zone 'Europe/Kyiv'";
