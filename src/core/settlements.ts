import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { sql } from "kysely";
import {
  type Register,
  type RegisterPayment,
  RegisterPaymentSchema,
  RegisterSchema,
} from "../../gen/dcm/v1/settlement_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { CLOSING } from "../db/entities/settlement.ts";
import type { Sql } from "../db/pool.ts";
import { query, rowsOf, whenGiven } from "../db/query.ts";
import type { Refusal } from "../domain/errors.ts";
import type { RegisterStatus } from "../domain/settlement.ts";
import { paymentTypes, registerStatuses } from "../wire/enums.ts";
import { money } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";
import { registerNotFound } from "./registerRefusals.ts";

/** A gross settlement register (wire-contract section 7) that is visible; one without payments has no creditor agent. */
export type RegisterRow = Omit<Row<"settlement_register">, "increment"> & { status: RegisterStatus };

// Days are selected as text, because the driver would turn a date into an instant.
const registerColumns = `
  ${columns("settlement_register", { of: "r", but: ["increment", "day", "adjustsDay"] })},
  to_char(r.day, 'YYYY-MM-DD') as day, to_char(r.adjusts_day, 'YYYY-MM-DD') as "adjustsDay"`;

const selectRegisters = {
  name: "select_registers",
  text: `
    select ${registerColumns} from settlement_register r
    where r.id = any($1::text[]) and r.status <> '${CLOSING}' order by r.day, r.increment`,
};

/** Reads registers by id, ordered by day and increment. A register is invisible until its closing has published it. */
export const readRegisters = (run: Sql, ids: readonly string[]) => run<RegisterRow>(selectRegisters, [ids]);

export function toRegister({
  debtorAgentGuid,
  debtorName,
  debtorBic,
  creditorAgentGuid,
  creditorName,
  creditorBic,
  currency,
  totalAmountMinor,
  totalFeeMinor,
  status,
  periodStart,
  periodEnd,
  createdAt,
  updatedAt,
  adjustsDay,
  ...same
}: RegisterRow): Register {
  return whole(RegisterSchema, {
    ...same,
    debtorAgent: { guid: debtorAgentGuid, name: debtorName, bic: debtorBic },
    creditorAgent: { guid: creditorAgentGuid ?? "", name: creditorName, bic: creditorBic },
    totalAmount: money(totalAmountMinor, currency),
    totalFeeMinor: BigInt(totalFeeMinor),
    status: registerStatuses[status],
    periodStart: timestampFromDate(periodStart),
    periodEnd: timestampFromDate(periodEnd),
    createdAt: timestampFromDate(createdAt),
    updatedAt: timestampFromDate(updatedAt),
    adjustsDay: adjustsDay ?? "",
  });
}

export type RegisterFilter = {
  bankGuid: string;
  /** False: only registers that the bank has to pay, as their debtor agent. */
  anySide: boolean;
  from?: Date | undefined;
  to?: Date | undefined;
  /** Empty: all. */
  statuses: readonly RegisterStatus[];
  updatedFrom?: Date | undefined;
};

/** `after`: the id of the last register of the previous page. `offset`: how many to skip; they are read again for every page. */
export type RegisterPage = { limit: number; offset?: number; after?: string };

/** Lists a bank's registers, newest first; the first page, and every page by offset, also says how many match in all. */
export async function listRegisters(
  { db }: CoreContext,
  filter: RegisterFilter & RegisterPage,
): Promise<{ registers: Register[]; total: number }> {
  const [rows, [count]] = await Promise.all([
    rowsOf(db.sql, pageOf(filter)),
    filter.after !== undefined
      ? []
      : rowsOf(
          db.sql,
          matching(filter).select((r) => r.fn.countAll<number>().as("total")),
        ),
  ]);
  return { registers: rows.map(toRegister), total: count?.total ?? 0 };
}

/** The two roles of a bank in a register; an internal register counts as the debtor's. Each role reads the end of its own index. */
const registerSides = ["debtor", "creditor"] as const;

/** Without `from` the last seven days, unless `updatedFrom` is given. */
function matching(
  { bankGuid, anySide, from, to, statuses, updatedFrom }: RegisterFilter,
  side?: (typeof registerSides)[number],
) {
  return query.selectFrom("settlement_register as r").where((r) => {
    const isDebtor = r("r.debtor_agent_guid", "=", bankGuid);
    const isCreditor = r.and([r("r.creditor_agent_guid", "=", bankGuid), r("r.debtor_agent_guid", "<>", bankGuid)]);
    const ofSide = { debtor: isDebtor, creditor: isCreditor, any: r.or([isDebtor, isCreditor]) };
    const since = from ?? (updatedFrom === undefined ? sql<Date>`now() - interval '7 days'` : undefined);
    return r.and([
      ofSide[side ?? (anySide ? "any" : "debtor")],
      r("r.status", "<>", CLOSING),
      ...whenGiven(since, (instant) => r("r.created_at", ">=", instant)),
      ...whenGiven(to, (instant) => r("r.created_at", "<", instant)),
      ...(statuses.length === 0 ? [] : [r("r.status", "in", statuses)]),
      ...whenGiven(updatedFrom, (instant) => r("r.updated_at", ">=", instant)),
    ]);
  });
}

const newestFirst = sql`r.created_at desc, r.day desc, r.increment desc`;

/** Each role contributes as many rows as the whole page may need, and the page is cut from both together. */
function pageOf(filter: RegisterFilter & RegisterPage) {
  const { limit, offset = 0, after } = filter;
  const beforeLast = sql<boolean>`(r.created_at, r.day, r.increment) <
    (select last.created_at, last.day, last.increment from settlement_register last where last.id = ${after})`;
  const ofSides = (filter.anySide ? registerSides : ["debtor" as const]).map((side) => {
    const own = matching(filter, side)
      .selectAll("r")
      .orderBy(newestFirst)
      .limit(offset + limit);
    return sql`(${after === undefined ? own : own.where(beforeLast)})`;
  });
  return sql<RegisterRow>`
    select ${sql.raw(registerColumns)} from (${sql.join(ofSides, sql` union all `)}) r
    order by ${newestFirst} limit ${limit} offset ${offset}`;
}

/** A payment as a register shows it; its banks are the register's. Few columns, because a register may have very many payments. */
const shownOfPayment = [
  "guid",
  "externalId",
  "pmType",
  "amountMinor",
  "feeMinor",
  "purpose",
  "debtorAccount",
  "creditorAccount",
  "receivedAt",
] as const;

type PaymentRow = Pick<Row<"payment_message">, (typeof shownOfPayment)[number]> & { feeMinor: number };

const selectPayments = {
  name: "select_register_payments",
  text: `
    select ${columns("payment_message", { of: "m", only: shownOfPayment })} from payment_message m
    where m.register_id = $1 and m.guid > $2::uuid
    order by m.guid limit $3`,
};

function toRegisterPayment(
  { guid, pmType, amountMinor, feeMinor, receivedAt, ...same }: PaymentRow,
  currency: string,
): RegisterPayment {
  return whole(RegisterPaymentSchema, {
    ...same,
    paymentMessageGuid: guid,
    pmType: paymentTypes[pmType],
    amount: money(amountMinor, currency),
    feeMinor: BigInt(feeMinor),
    receivedAt: timestampFromDate(receivedAt),
  });
}

/**
 * Below every guid: the start of the first page. A condition that can be absent would keep a generic plan from seeking in the
 * index.
 */
const nilGuid = "00000000-0000-0000-0000-000000000000";

/** A page of a register's payments. They never change, so pages that are read one after the other are consistent. */
export type PaymentsPage = { limit: number; after?: string | undefined };

export type RegisterWithPayments = {
  register: Register;
  /** In the order of their guids. */
  payments: RegisterPayment[];
  /** Whether more payments follow. */
  hasMore: boolean;
};

/**
 * Reads a register with a page of its payments. `bankGuid`: the bank that reads it, which must be one of its two; undefined for a
 * service.
 */
export async function getRegister(
  { db }: CoreContext,
  bankGuid: string | undefined,
  id: string,
  page: PaymentsPage,
): Promise<RegisterWithPayments | Refusal> {
  const [register] = await readRegisters(db.sql, [id]);
  if (register === undefined) return registerNotFound();
  const { debtorAgentGuid, creditorAgentGuid, currency } = register;
  if (bankGuid !== undefined && bankGuid !== debtorAgentGuid && bankGuid !== creditorAgentGuid)
    return registerNotFound();
  // One row more than the page tells whether any follow. With a limit of 0 no payments are read.
  const asked = [id, page.after ?? nilGuid, page.limit + 1];
  const rows = page.limit === 0 ? [] : await db.sql<PaymentRow>(selectPayments, asked);
  return {
    register: toRegister(register),
    payments: rows.slice(0, page.limit).map((row) => toRegisterPayment(row, currency)),
    hasMore: rows.length > page.limit,
  };
}
