/**
 * The first Kyiv day that is not over. Registers are made at 00:01: what succeeded just before midnight has been committed by
 * then. PostgreSQL's clock decides, which says also when a payment succeeded: a process whose clock is ahead must not close a
 * day that still gets payments.
 */
export const firstOpenDay = "((now() - interval '1 minute') at time zone 'Europe/Kyiv')::date";

/** In no register yet. */
export const unsettled = "m.status = 'success' and m.register_id is null";

/** Every (debtor agent, creditor agent, currency) of payments in no register: an index is read at one place for each. */
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
