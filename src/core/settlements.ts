import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { RegisterStatus } from "../domain/settlement.ts";
import type { CoreContext } from "./context.ts";
import type { PaymentMessage } from "./paymentMessages.ts";

/** A gross settlement register (wire-contract section 7); a register without payments has no creditor agent. */
export type Register = {
  id: string;
  /** That of the id. */
  day: string;
  /** The closed day that an adjustment belongs to. */
  adjustsDay: string | null;
  debtorAgent: { guid: string; name: string; bic: string };
  creditorAgent: { guid: string; name: string; bic: string; taxCode: string; iban: string } | null;
  currency: string;
  purpose: string;
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
  r.id, to_char(r.day, 'YYYY-MM-DD') as day, to_char(r.adjusts_day, 'YYYY-MM-DD') as adjusts_day, r.debtor_agent_guid,
  r.creditor_agent_guid, r.currency, r.purpose, r.total_amount_minor, r.total_fee_minor, r.payment_count, r.status,
  r.period_start, r.period_end, r.created_at, r.updated_at, r.debtor_name, r.debtor_bic, r.creditor_name, r.creditor_bic,
  r.creditor_code, r.charging_account`;

/** Nobody sees a register before its closing is done. */
const isMade = `r.status <> '${CLOSING}'`;

const selectRegisters = {
  name: "select_registers",
  text: `
    select ${registerColumns} from settlement_register r
    where r.id = any($1::text[]) and ${isMade} order by r.day, r.increment`,
};

/** Of one side of the registers; a bank's own with itself belong to the first. Each reads its own end of an index. */
const sides = {
  debtor: "r.debtor_agent_guid = $1",
  creditor: "r.creditor_agent_guid = $1 and r.debtor_agent_guid <> $1",
} as const;

/** Without `from`, the last seven days, unless it is asked for what changed since an instant. */
function conditionsOf({ from, to, statuses, updatedFrom }: RegisterFilter, values: unknown[]): string[] {
  const value = (given: unknown, type: string) => `$${values.push(given)}::${type}`;
  const parts = [isMade];
  if (from !== undefined) parts.push(`r.created_at >= ${value(from, "timestamptz")}`);
  else if (updatedFrom === undefined) parts.push("r.created_at >= now() - interval '7 days'");
  if (to !== undefined) parts.push(`r.created_at < ${value(to, "timestamptz")}`);
  if (statuses.length > 0) parts.push(`r.status = any(${value(statuses, "text[]")})`);
  if (updatedFrom !== undefined) parts.push(`r.updated_at >= ${value(updatedFrom, "timestamptz")}`);
  return parts;
}

const newestRegisterFirst = "r.created_at desc, r.day desc, r.increment desc";

type RegisterRow = {
  id: string;
  day: string;
  adjusts_day: string | null;
  debtor_agent_guid: string;
  creditor_agent_guid: string | null;
  currency: string;
  purpose: string;
  total_amount_minor: number;
  total_fee_minor: number;
  payment_count: number;
  status: RegisterStatus;
  period_start: Date;
  period_end: Date;
  created_at: Date;
  updated_at: Date;
  debtor_name: string;
  debtor_bic: string;
  creditor_name: string;
  creditor_bic: string;
  creditor_code: string;
  charging_account: string;
};

function toRegister(row: RegisterRow): Register {
  return {
    id: row.id,
    day: row.day,
    adjustsDay: row.adjusts_day,
    debtorAgent: { guid: row.debtor_agent_guid, name: row.debtor_name, bic: row.debtor_bic },
    creditorAgent:
      row.creditor_agent_guid === null
        ? null
        : {
            guid: row.creditor_agent_guid,
            name: row.creditor_name,
            bic: row.creditor_bic,
            taxCode: row.creditor_code,
            iban: row.charging_account,
          },
    currency: row.currency,
    purpose: row.purpose,
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

export type RegisterFilter = {
  bankGuid: string;
  /** False: only registers that the caller has to pay. */
  anySide: boolean;
  from?: Date | undefined;
  to?: Date | undefined;
  /** None: whatever they stand at. */
  statuses: readonly RegisterStatus[];
  updatedFrom?: Date | undefined;
};

/** `after`: the id of the last register of the page before. `offset`: how many come before, which are read again for it. */
export type RegisterPage = { limit: number } & ({ offset: number } | { after: string });

/** Lists a bank's registers, newest first, and says with a first page, or one by offset, how many match in all. */
export async function listRegisters(
  context: CoreContext,
  query: RegisterFilter & RegisterPage,
): Promise<{ registers: Register[]; total: number }> {
  const values: unknown[] = [query.bankGuid];
  const matching = conditionsOf(query, values);
  const ofSides = query.anySide ? [sides.debtor, sides.creditor] : [sides.debtor];
  // Both are planned for what is asked: a condition that may be missing would keep a prepared plan from every index.
  const [rows, [count]] = await Promise.all([
    readPage(context, { ofSides, matching, values }, query),
    "after" in query ? [] : context.db.sql<{ total: number }>(countOf(ofSides, matching), values),
  ]);
  return { registers: rows.map(toRegister), total: count?.total ?? 0 };
}

const countOf = (ofSides: readonly string[], matching: readonly string[]) => ({
  name: "",
  text: `select count(*) as total from settlement_register r where (${ofSides.join(" or ")}) and ${matching.join(" and ")}`,
});

type Matching = { ofSides: readonly string[]; matching: readonly string[]; values: readonly unknown[] };

function readPage({ db }: CoreContext, { ofSides, matching, values }: Matching, page: RegisterPage) {
  const limit = Math.trunc(page.limit);
  const isByOffset = "offset" in page;
  const placed = [...values, isByOffset ? page.offset : page.after];
  const beforeLast = `(r.created_at, r.day, r.increment) <
    (select last.created_at, last.day, last.increment from settlement_register last where last.id = $${placed.length})`;
  const conditions = [...matching, ...(isByOffset ? [] : [beforeLast])].join(" and ");
  // Every side gives as many as the page may need of it, so that a page by offset is right, and one by id short.
  const most = isByOffset ? `$${placed.length}::int + ${limit}` : limit;
  const branches = ofSides.map(
    (side) => `(select r.* from settlement_register r where ${side} and ${conditions}
      order by ${newestRegisterFirst} limit ${most})`,
  );
  const text = `select ${registerColumns} from (${branches.join(" union all ")}) r
    order by ${newestRegisterFirst} ${isByOffset ? `offset $${placed.length}::int` : ""} limit ${limit}`;
  return db.sql<RegisterRow>({ name: "", text }, placed);
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

/** Before every guid. A condition that may be missing would keep a prepared plan from seeking to its page. */
const nilGuid = "00000000-0000-0000-0000-000000000000";

const selectMembers = {
  name: "select_register_members",
  text: `
    select guid, external_id as "externalId", pm_type as "pmType", amount_minor as "amountMinor",
      fee_minor as "feeMinor", purpose, debtor_account as "debtorAccount", creditor_account as "creditorAccount",
      received_at as "receivedAt"
    from payment_message
    where register_id = $1 and guid > $2::uuid
    order by guid limit $3`,
};

/** A register has the same payments for ever, so pages that are read one after the other are one answer. */
export type PaymentsPage = { limit: number; after?: string | undefined };

export type RegisterWithPayments = {
  register: Register;
  /** By guid. */
  payments: RegisterPayment[];
  /** More follow after the last. */
  hasMore: boolean;
};

/** Reads a register with a page of its payments. `bankGuid`: for this bank, which must be a side of it; undefined for a service. */
export async function getRegister(
  context: CoreContext,
  bankGuid: string | undefined,
  id: string,
  page: PaymentsPage,
): Promise<RegisterWithPayments | Refusal> {
  const [register] = await readRegisters(context.db.sql, [id]);
  const isSide = register?.debtorAgent.guid === bankGuid || register?.creditorAgent?.guid === bankGuid;
  if (register === undefined || (bankGuid !== undefined && !isSide)) {
    return refuse("REGISTER_NOT_FOUND", "register not found", { field: "register_id" });
  }
  // One more than asked for tells whether any follow; where none are asked for, nothing is read.
  const rows =
    page.limit === 0
      ? []
      : await context.db.sql<RegisterPayment>(selectMembers, [id, page.after ?? nilGuid, page.limit + 1]);
  return { register, payments: rows.slice(0, page.limit), hasMore: rows.length > page.limit };
}
