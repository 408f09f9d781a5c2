import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { initialRegisterStatus, type RegisterStatus, registerKind, registerState } from "../domain/settlement.ts";
import type { CoreContext } from "./context.ts";
import { type EventRow, eventColumns, toEvent } from "./registerActs.ts";
import { firstOpenDay, ofPair, unsettled, unsettledPairs } from "./unsettled.ts";

/** Enough to see what is wrong; a systematic fault would fill a list of any length. */
const maxDiscrepancies = 100;

const selectUnsettled = {
  name: "reconcile_unsettled",
  text: `
    with recursive ${unsettledPairs}
    select m.guid::text as id from pair join payment_message m
      on ${unsettled} and ${ofPair} and m.decided_at < (${firstOpenDay})::timestamp at time zone 'Europe/Kyiv'
    limit ${maxDiscrepancies}`,
};

const inLastDays = `r.day >= ${firstOpenDay} - $1::int and r.status <> '${CLOSING}'`;

const selectWrongTotals = {
  name: "reconcile_totals",
  text: `
    select r.id from settlement_register r
    left join lateral (
      select sum(m.amount_minor) as amount, sum(m.fee_minor) as fee, count(*) as payments
      from payment_message m where m.register_id = r.id
    ) total on true
    where ${inLastDays}
      and (r.total_amount_minor, r.total_fee_minor, r.payment_count)
        is distinct from (coalesce(total.amount, 0)::bigint, coalesce(total.fee, 0)::bigint, coalesce(total.payments, 0)::int)
    limit ${maxDiscrepancies}`,
};

const selectWithActs = {
  name: "reconcile_acts",
  text: `
    select r.id, r.status, r.debtor_agent_guid, r.creditor_agent_guid,
      r.total_amount_minor - r.total_fee_minor as to_pay_minor, acts.list as acts
    from settlement_register r
    left join lateral (
      select json_agg(act order by act.number) as list from (
        select a.number, ${eventColumns} from register_act a where a.register_id = r.id and a.kind <> 'told'
      ) act
    ) acts on true
    where ${inLastDays}`,
};

type WithActs = {
  id: string;
  status: RegisterStatus;
  debtor_agent_guid: string;
  creditor_agent_guid: string | null;
  to_pay_minor: number;
  acts: EventRow[] | null;
};

/** An inconsistency of a payment message or a register. */
export type Discrepancy = { problem: string; id: string };

/**
 * Looks for inconsistencies; at any time there should be none: successful payments of past days in no register; and, of the last
 * days, registers whose totals are not those of their payments, that were paid with another amount than was due, or whose status
 * does not follow from their acts. Answers at most a hundred.
 */
export async function reconcileRegisters(context: CoreContext, lastDays: number): Promise<Discrepancy[]> {
  return context.db.transaction(async (sql) => {
    // One snapshot for all queries, so that a concurrent closing is not taken for a difference.
    await sql({ name: "", text: "set transaction isolation level repeatable read, read only" });
    const found = [
      ...named("payment in no register", await sql<{ id: string }>(selectUnsettled)),
      ...named("register totals differ from its payments", await sql<{ id: string }>(selectWrongTotals, [lastDays])),
      ...(await discrepanciesOfActs(sql, lastDays)),
    ];
    return found.slice(0, maxDiscrepancies);
  });
}

const named = (problem: string, rows: readonly { id: string }[]): Discrepancy[] =>
  rows.map(({ id }) => ({ problem, id }));

async function discrepanciesOfActs(sql: Sql, lastDays: number): Promise<Discrepancy[]> {
  const rows = await sql<WithActs>(selectWithActs, [lastDays]);
  return rows.flatMap(({ id, status, to_pay_minor, acts, ...agents }) => {
    const kind = registerKind(agents.debtor_agent_guid, agents.creditor_agent_guid);
    const known = (acts ?? []).map(toEvent);
    const state = registerState(initialRegisterStatus(kind, to_pay_minor), known);
    const isExplained = state.status === status && known.some((act) => act.kind === "made");
    return [
      ...(isExplained ? [] : [{ problem: "register status is not what its acts say", id }]),
      ...(state.current === null || state.current.amountMinor === to_pay_minor
        ? []
        : [{ problem: "register was paid with another amount than it has to be", id }]),
    ];
  });
}
