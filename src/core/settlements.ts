import type { Sql } from "../db/pool.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { RegisterStatus } from "../domain/settlement.ts";
import type { CoreContext } from "./context.ts";
import type { PaymentMessage } from "./paymentMessages.ts";

/** A gross settlement register (wire-contract section 7); a register without payments has no creditor agent. */
export type Register = {
  id: string;
  day: string;
  debtorAgent: { guid: string; name: string; bic: string };
  creditorAgent: { guid: string; name: string; bic: string; taxCode: string; iban: string } | null;
  currency: string;
  totalAmountMinor: number;
  totalFeeMinor: number;
  paymentCount: number;
  status: RegisterStatus;
  periodStart: Date;
  periodEnd: Date;
  createdAt: Date;
  updatedAt: Date;
};

const registerColumns = `
  r.id, to_char(r.day, 'YYYY-MM-DD') as day, r.debtor_agent_guid, r.creditor_agent_guid, r.currency,
  r.total_amount_minor, r.total_fee_minor, r.payment_count, r.status, r.period_start, r.period_end, r.created_at,
  r.updated_at, debtor_agent.name as debtor_agent_name, debtor_agent.bic as debtor_agent_bic,
  creditor_agent.name as creditor_agent_name, creditor_agent.bic as creditor_agent_bic,
  creditor_agent.tax_code as creditor_agent_tax_code, creditor_agent.iban as creditor_agent_iban`;

const registerJoins = `
  join participant debtor_agent on debtor_agent.guid = r.debtor_agent_guid
  left join participant creditor_agent on creditor_agent.guid = r.creditor_agent_guid`;

const selectRegisters = {
  name: "select_registers",
  text: `
    select ${registerColumns} from settlement_register r ${registerJoins}
    where r.id = any($1::text[]) order by r.day, r.increment`,
};

const listStatement = {
  name: "list_registers",
  text: `
    select ${registerColumns} from settlement_register r ${registerJoins}
    where (r.debtor_agent_guid = $1 or ($2 and r.creditor_agent_guid = $1))
      and r.created_at >= coalesce($3::timestamptz, now() - interval '7 days')
      and ($4::timestamptz is null or r.created_at < $4::timestamptz)
    order by r.created_at desc, r.increment desc
    offset $5 limit $6`,
};

type RegisterRow = {
  id: string;
  day: string;
  debtor_agent_guid: string;
  creditor_agent_guid: string | null;
  currency: string;
  total_amount_minor: number;
  total_fee_minor: number;
  payment_count: number;
  status: RegisterStatus;
  period_start: Date;
  period_end: Date;
  created_at: Date;
  updated_at: Date;
  debtor_agent_name: string;
  debtor_agent_bic: string;
  creditor_agent_name: string;
  creditor_agent_bic: string;
  creditor_agent_tax_code: string;
  creditor_agent_iban: string;
};

function toRegister(row: RegisterRow): Register {
  return {
    id: row.id,
    day: row.day,
    debtorAgent: { guid: row.debtor_agent_guid, name: row.debtor_agent_name, bic: row.debtor_agent_bic },
    creditorAgent:
      row.creditor_agent_guid === null
        ? null
        : {
            guid: row.creditor_agent_guid,
            name: row.creditor_agent_name,
            bic: row.creditor_agent_bic,
            taxCode: row.creditor_agent_tax_code,
            iban: row.creditor_agent_iban,
          },
    currency: row.currency,
    totalAmountMinor: row.total_amount_minor,
    totalFeeMinor: row.total_fee_minor,
    paymentCount: row.payment_count,
    status: row.status,
    periodStart: row.period_start,
    periodEnd: row.period_end,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  };
}

/** Reads registers by id, by day and increment. */
export async function readRegisters(sql: Sql, ids: readonly string[]): Promise<Register[]> {
  return (await sql<RegisterRow>(selectRegisters, [ids])).map(toRegister);
}

export type RegisterQuery = {
  callerGuid: string;
  /** False: only registers that the caller has to pay. */
  anySide: boolean;
  from?: Date | undefined;
  to?: Date | undefined;
  offset: number;
  limit: number;
};

/** Lists a bank's registers, newest first; without `from`, those of the last seven days. */
export async function listRegisters(context: CoreContext, query: RegisterQuery): Promise<Register[]> {
  const rows = await context.db.sql<RegisterRow>(listStatement, [
    query.callerGuid,
    query.anySide,
    query.from ?? null,
    query.to ?? null,
    query.offset,
    query.limit,
  ]);
  return rows.map(toRegister);
}

/** A payment as settlement sees it; its banks are the register's. A register may have very many, so they are kept small. */
export type RegisterPayment = Pick<
  PaymentMessage,
  | "guid"
  | "externalId"
  | "pmType"
  | "amountMinor"
  | "feeMinor"
  | "purpose"
  | "debtorAccount"
  | "creditorAccount"
  | "receivedAt"
>;

const selectMembers = {
  name: "select_register_members",
  text: `
    select guid, external_id as "externalId", pm_type as "pmType", amount_minor as "amountMinor",
      fee_minor as "feeMinor", purpose, debtor_account as "debtorAccount", creditor_account as "creditorAccount",
      received_at as "receivedAt"
    from payment_message where register_id = $1 order by guid`,
};

export type RegisterWithPayments = { register: Register; payments: RegisterPayment[] };

/** Reads a register with its payments. `callerGuid` undefined: for the platform itself; otherwise only for its banks. */
export async function getRegister(
  context: CoreContext,
  callerGuid: string | undefined,
  id: string,
): Promise<RegisterWithPayments | Refusal> {
  const [register] = await readRegisters(context.db.sql, [id]);
  const isSide = register?.debtorAgent.guid === callerGuid || register?.creditorAgent?.guid === callerGuid;
  if (register === undefined || (callerGuid !== undefined && !isSide)) {
    return refuse("REGISTER_NOT_FOUND", "register not found", { field: "register_id" });
  }
  return { register, payments: await context.db.sql<RegisterPayment>(selectMembers, [id]) };
}
