import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import { columnOf, insertedColumns, jsonRow } from "../db/entities/entities.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import {
  clockToleranceMs,
  isSameOrder,
  type OrderRequest,
  orderLifeMs,
  orderProblem,
  orderTimeProblem,
} from "../domain/order.ts";
import type { CoreContext } from "./context.ts";
import { PartyChanged } from "./identity/partyChanged.ts";
import { type OrderRow, orderColumns, toOrder } from "./orders.ts";
import { currentEncryptionKey } from "./participantRows.ts";

/** The columns that the statement itself fills, in its order: two instants by the database's clock, and what the order is paid to. */
const added = ["createdAt", "updatedAt", "creditorAccount", "creditorAgentGuid", "encryptionKeyId"] as const;

/** The columns that the caller fills. A cancellation is stored later, if it comes. */
const givenColumns = insertedColumns("payment_order", [...added, "cancelJws"]);

// Rows are inserted in the order of their unique key, so that two nodes with the same orders wait for each other and cannot
// deadlock. An order whose times are wrong as of now is not inserted, nor one whose merchant was changed since its signature was
// verified; `judged_at` and `unchanged` tell the caller which, even if no row was inserted. Account, bank and encryption key are
// copied as they are now.
const insertOrders = {
  name: "insert_orders",
  text: `
    with unchanged as materialized (
      select merchant.guid, merchant.iban, merchant.servicing_bank_guid,
        ${currentEncryptionKey("merchant.servicing_bank_guid")} as encryption_key_id
      from unnest($4::uuid[], $5::int[]) as verified(guid, version) join participant merchant using (guid, version)
    ), inserted as (
      insert into payment_order (${[...givenColumns, ...added.map(columnOf)].join(", ")})
      select ${givenColumns.map((column) => `o.${column}`).join(", ")}, now(), now(),
        merchant.iban, merchant.servicing_bank_guid, merchant.encryption_key_id
      from json_populate_recordset(null::payment_order, $1::json) o join unchanged merchant on merchant.guid = o.merchant_guid
      where o.expires_at > now() and o.expires_at <= now() + $2 * interval '1 millisecond'
        and o.issued_at <= now() + $3 * interval '1 millisecond'
      order by o.merchant_guid, o.ref
      on conflict (merchant_guid, ref) do nothing
      returning ${orderColumns("payment_order")}
    )
    select judged_at, unchanged, inserted.* from (
      select now() as judged_at, array(select guid::text from unchanged) as unchanged
    ) as facts left join inserted on true`,
};

const selectByRef = {
  name: "select_orders_by_ref",
  text: `
    select ${orderColumns("o")} from payment_order o
    join unnest($1::uuid[], $2::text[]) as asked(merchant, reference)
      on o.merchant_guid = asked.merchant and o.ref = asked.reference`,
};

export type CreatedOrder = { order: Order; alreadyExisted: boolean };

/** The order that is stored under a merchant's `ref`. */
type Found = { row: OrderRow; alreadyExisted: boolean };

/**
 * Creates orders, one answer per request in the same order. Idempotent by the unique `ref` of the merchant: the same content again
 * answers the order that exists; other content under the same `ref` is refused (wire-contract section 3).
 */
export async function createOrders(
  context: CoreContext,
  requests: readonly OrderRequest[],
): Promise<(CreatedOrder | Refusal | PartyChanged)[]> {
  const problems = requests.map((request) => orderProblem(request, context.supportedCurrencies));
  const versions = newestVersions(requests);
  const isNewest = (request: OrderRequest) => versions.get(request.merchantGuid) === request.merchantVersion;
  const asked = requests.filter((request, index) => problems[index] === undefined && isNewest(request));
  const { known, judgedAt, unchanged } = await insertAndRead(context, asked, versions);
  const answered = new Set<string>();
  return requests.map((request, index) => {
    if (problems[index] === undefined && !(isNewest(request) && unchanged.has(request.merchantGuid))) {
      return new PartyChanged();
    }
    const found = known.get(refKey(request.merchantGuid, request.ref));
    const isNew = found !== undefined && !found.alreadyExisted;
    const problem =
      problems[index] ?? (isNew ? undefined : orderTimeProblem(request, judgedAt, context.maxOrderLifeDays));
    // An order that was accepted in time and has expired since can still be retried: its merchant may never have received the
    // answer.
    const isRepeat = problem?.refused === "ORDER_IS_EXPIRED" && found !== undefined && isSameOrder(found.row, request);
    return problem === undefined || isRepeat ? answerFor(request, known, answered) : problem;
  });
}

/**
 * The version that each merchant's signature was verified as. If they differ within the group only the newest can be the stored
 * one.
 */
function newestVersions(requests: readonly OrderRequest[]): Map<string, number> {
  const versions = new Map<string, number>();
  for (const { merchantGuid, merchantVersion } of requests) {
    versions.set(merchantGuid, Math.max(merchantVersion, versions.get(merchantGuid) ?? merchantVersion));
  }
  return versions;
}

/**
 * Inserts orders that are new and in time, and reads those that exist. `judgedAt` is the database's clock then, and `unchanged`
 * names the merchants that still have the version that their signature was verified against.
 */
async function insertAndRead(
  context: CoreContext,
  requests: readonly OrderRequest[],
  versions: ReadonlyMap<string, number>,
) {
  const known = new Map<string, Found>();
  if (requests.length === 0) return { known, judgedAt: new Date(0), unchanged: new Set<string>() };
  const rows = await context.db.hot<OrderRow & { judged_at: Date; unchanged: string[] }>(insertOrders, [
    JSON.stringify(requests.map((request) => newOrder(context, request))),
    orderLifeMs(context.maxOrderLifeDays),
    clockToleranceMs,
    [...versions.keys()],
    [...versions.values()],
  ]);
  for (const row of rows) {
    // The left join gives one row of nulls when nothing was inserted.
    if (row.guid === null) continue;
    known.set(refKey(row.merchantGuid, row.ref), { row, alreadyExisted: false });
  }
  await readExisting(context, requests, known);
  const [facts] = rows;
  if (facts === undefined) throw new Error("the database answered nothing about orders");
  return { known, judgedAt: facts.judged_at, unchanged: new Set(facts.unchanged) };
}

function answerFor(request: OrderRequest, known: Map<string, Found>, answered: Set<string>): CreatedOrder | Refusal {
  const key = refKey(request.merchantGuid, request.ref);
  const found = known.get(key);
  if (found === undefined) throw new Error("an order was neither inserted nor found");
  if (!isSameOrder(found.row, request)) {
    return refuse("REF_IS_ALREADY_TAKEN", "ref is already taken by an order with other content", { field: "ref" });
  }
  // Two equal requests in one group: only the first of them created the order.
  const alreadyExisted = found.alreadyExisted || answered.has(key);
  answered.add(key);
  return { order: toOrder(found.row), alreadyExisted };
}

async function readExisting(context: CoreContext, requests: readonly OrderRequest[], known: Map<string, Found>) {
  const missing = requests.filter((request) => !known.has(refKey(request.merchantGuid, request.ref)));
  if (missing.length === 0) return;
  const rows = await context.db.hot<OrderRow>(selectByRef, [
    missing.map((request) => request.merchantGuid),
    missing.map((request) => request.ref),
  ]);
  for (const row of rows) {
    known.set(refKey(row.merchantGuid, row.ref), { row, alreadyExisted: true });
  }
}

const refKey = (merchantGuid: string, ref: string) => `${merchantGuid} ${ref}`;

function newOrder(context: CoreContext, { merchantVersion: _verified, ...order }: OrderRequest) {
  return jsonRow("payment_order", { ...order, guid: context.newGuid(), status: "created" });
}
