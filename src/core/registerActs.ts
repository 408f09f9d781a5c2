import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Register, type RegisterAct, RegisterActSchema } from "../../gen/dcm/v1/settlement_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import type { Refusal } from "../domain/errors.ts";
import type { RegisterEvent, SettlementPayment } from "../domain/settlement.ts";
import { registerActKinds } from "../wire/enums.ts";
import { money } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";
import { registerNotFound } from "./registerRefusals.ts";
import { readRegisters, toRegister } from "./settlements.ts";

const ofPayment = ["paymentExternalId", "creditorIban", "amountMinor", "currency", "purpose", "creationDate"] as const;

type ActColumns = Row<"register_act">;
type OfPayment = (typeof ofPayment)[number];

/** The payment columns of an act: all set or all null, which a check constraint enforces. */
type StatedRow = { [Column in OfPayment]: NonNullable<ActColumns[Column]> } | { [Column in OfPayment]: null };

/** The columns of an act that the state of its register depends on. */
export type EventRow = Pick<ActColumns, "kind"> & StatedRow;

/** An act: something that happened to a register. Acts are append-only. */
type ActRow = Omit<ActColumns, "registerId" | OfPayment> & StatedRow;

/** SQL: the columns of `EventRow`, of `register_act a`. */
export const eventColumns = columns("register_act", { of: "a", only: ["kind", ...ofPayment] });

export const toEvent = (row: EventRow): RegisterEvent => ({ kind: row.kind, payment: paymentOf(row) });

/** The payment that a bank stated; null: the act has none. */
function paymentOf(row: StatedRow): SettlementPayment | null {
  if (row.paymentExternalId === null) return null;
  const { paymentExternalId: externalId, creditorIban, amountMinor, currency, purpose, creationDate } = row;
  return { externalId, creditorIban, amountMinor, currency, purpose, creationDate };
}

function toAct(row: ActRow): RegisterAct {
  const { number, kind, actor, at, paymentStatus, note, jws } = row;
  const payment = paymentOf(row);
  return whole(RegisterActSchema, {
    number: BigInt(number),
    kind: registerActKinds[kind],
    actor,
    at: timestampFromDate(at),
    payment: payment ? { ...payment, amount: money(payment.amountMinor, payment.currency) } : undefined,
    paymentStatus: paymentStatus ?? "",
    note: note ?? "",
    jws: jws ?? "",
  });
}

const selectActs = {
  name: "select_register_acts",
  text: `
    select ${columns("register_act", { of: "a", but: ["registerId"] })}
    from register_act a where a.register_id = $1 and a.number > $2 order by a.number limit $3`,
};

/** The most acts per page: each may carry a signed body of 64 KiB, and a page must fit into 4 MiB. */
export const maxActs = 50;

/** A page of a register's acts, oldest first: those after a number, at most 50. */
export async function listRegisterActs(
  context: CoreContext,
  registerId: string,
  after: number,
  limit = maxActs,
): Promise<{ register: Register; acts: RegisterAct[]; hasMore: boolean } | Refusal> {
  const [register] = await readRegisters(context.db.sql, [registerId]);
  if (register === undefined) return registerNotFound();
  const rows = await context.db.sql<ActRow>(selectActs, [registerId, after, limit + 1]);
  return { register: toRegister(register), acts: rows.slice(0, limit).map(toAct), hasMore: rows.length > limit };
}
