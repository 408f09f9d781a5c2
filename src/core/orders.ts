import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  isSameOrder,
  type Order,
  type OrderRequest,
  type OrderStatus,
  orderProblem,
  orderTransitions,
  type UltimateCreditor,
} from "../domain/order.ts";
import type { Participant } from "../domain/participant.ts";
import { insertCallbacks, type NewCallback } from "./cascade.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { getParticipant } from "./participants.ts";
import { findPaymentMessage, type PaymentMessage } from "./paymentMessages.ts";

export type OrderRow = {
  guid: string;
  merchant_guid: string;
  ref: string;
  amount_minor: number;
  currency: string;
  purpose: string;
  redirect_url: string;
  ultimate_creditor: UltimateCreditor | null;
  issued_at: Date;
  expires_at: Date;
  status: OrderStatus;
  created_at: Date;
};

const columns =
  "guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url, ultimate_creditor, issued_at, expires_at, status, created_at";

const insertOrders = {
  name: "insert_orders",
  text: `
    insert into payment_order
    select * from json_populate_recordset(null::payment_order, $1::json)
    on conflict (merchant_guid, ref) do nothing
    returning ${columns}`,
};

const selectByRef = {
  name: "select_orders_by_ref",
  text: `
    select ${columns} from payment_order
    join unnest($1::uuid[], $2::text[]) as asked(merchant, reference)
      on merchant_guid = asked.merchant and ref = asked.reference`,
};

const selectByGuid = { name: "select_order", text: `select ${columns} from payment_order where guid = $1` };

const expireOrdersStatement = {
  name: "expire_orders",
  text: `
    with expired as (
      select guid from payment_order
      where status = 'created' and expires_at <= now()
      order by expires_at limit $1
      for update skip locked
    )
    update payment_order o set status = $2, updated_at = now()
    from expired where o.guid = expired.guid
    returning o.guid, o.merchant_guid`,
};

export type CreatedOrder = { order: Order; alreadyExisted: boolean };

/**
 * Creates orders, one answer per request in the same order. The same `ref` with the same content answers the order that
 * exists; with other content it is refused (wire-contract section 3; retry-safe by the table's unique constraint).
 */
export async function createOrders(
  context: CoreContext,
  requests: readonly OrderRequest[],
): Promise<(CreatedOrder | Refusal)[]> {
  const now = context.clock();
  const problems = requests.map((request) => orderProblem(request, now, context.supportedCurrencies));
  const valid = requests.filter((_, index) => problems[index] === undefined);
  // An order that was accepted in time and has expired since may be repeated: its merchant never heard the answer.
  const expired = requests.filter((_, index) => problems[index]?.refused === "ORDER_IS_EXPIRED");
  const known = new Map<string, CreatedOrder>();
  if (valid.length > 0) {
    const rows = valid.map((request) => orderJson(context, request, now));
    for (const row of await context.db.sql<OrderRow>(insertOrders, [JSON.stringify(rows)])) {
      known.set(refKey(row.merchant_guid, row.ref), { order: toOrder(row), alreadyExisted: false });
    }
  }
  await readExisting(context, [...valid, ...expired], known);
  const answered = new Set<string>();
  return requests.map((request, index) => {
    const problem = problems[index];
    const found = known.get(refKey(request.merchantGuid, request.ref))?.order;
    const isRepeat = problem?.refused === "ORDER_IS_EXPIRED" && found !== undefined && isSameOrder(found, request);
    return problem === undefined || isRepeat ? answerFor(request, known, answered) : problem;
  });
}

function answerFor(
  request: OrderRequest,
  known: Map<string, CreatedOrder>,
  answered: Set<string>,
): CreatedOrder | Refusal {
  const key = refKey(request.merchantGuid, request.ref);
  const found = known.get(key);
  if (found === undefined) throw new Error("an order was neither inserted nor found");
  if (!isSameOrder(found.order, request)) {
    return refuse("REF_IS_ALREADY_TAKEN", "ref is already taken by an order with other content", { field: "ref" });
  }
  // Two equal requests in one group: only the first of them created the order.
  const alreadyExisted = found.alreadyExisted || answered.has(key);
  answered.add(key);
  return { order: found.order, alreadyExisted };
}

async function readExisting(context: CoreContext, requests: readonly OrderRequest[], known: Map<string, CreatedOrder>) {
  const missing = requests.filter((request) => !known.has(refKey(request.merchantGuid, request.ref)));
  if (missing.length === 0) return;
  const rows = await context.db.sql<OrderRow>(selectByRef, [
    missing.map((request) => request.merchantGuid),
    missing.map((request) => request.ref),
  ]);
  for (const row of rows) {
    known.set(refKey(row.merchant_guid, row.ref), { order: toOrder(row), alreadyExisted: true });
  }
}

const refKey = (merchantGuid: string, ref: string) => `${merchantGuid} ${ref}`;

function orderJson(context: CoreContext, request: OrderRequest, now: Date) {
  return {
    guid: context.newGuid(),
    merchant_guid: request.merchantGuid,
    ref: request.ref,
    amount_minor: request.amountMinor,
    currency: request.currency,
    purpose: request.purpose,
    redirect_url: request.redirectUrl,
    ultimate_creditor: request.ultimateCreditor,
    issued_at: request.issuedAt,
    expires_at: request.expiresAt,
    status: "created",
    created_at: now,
    updated_at: now,
    jws: request.jws,
  };
}

export function toOrder(row: OrderRow): Order {
  return {
    guid: row.guid,
    merchantGuid: row.merchant_guid,
    ref: row.ref,
    amountMinor: row.amount_minor,
    currency: row.currency,
    purpose: row.purpose,
    redirectUrl: row.redirect_url,
    ultimateCreditor: row.ultimate_creditor,
    issuedAt: row.issued_at,
    expiresAt: row.expires_at,
    status: row.status,
    createdAt: row.created_at,
  };
}

export type OrderWithParties = {
  order: Order;
  merchant: Participant;
  creditorAgent: Participant;
  paymentMessage: PaymentMessage | undefined;
};

/** Reads an order with its merchant, the servicing bank and its payment message. */
export async function getOrder(context: CoreContext, orderGuid: string): Promise<OrderWithParties | Refusal> {
  const [row] = isGuid(orderGuid) ? await context.db.sql<OrderRow>(selectByGuid, [orderGuid]) : [];
  if (row === undefined) return refuse("ORDER_NOT_FOUND", "order not found", { field: "id" });
  const merchant = await getParticipant(context, { guid: row.merchant_guid });
  if (isRefusal(merchant)) return merchant;
  const creditorAgent = await getParticipant(context, { guid: merchant.servicingBankGuid ?? "" });
  if (isRefusal(creditorAgent)) return creditorAgent;
  const paymentMessage = await findPaymentMessage(context, { orderGuid: row.guid });
  return { order: toOrder(row), merchant, creditorAgent, paymentMessage };
}

/** Cancels at most `limit` orders whose time is up, each with its Expiration callback; answers how many. */
export async function expireOrders(context: CoreContext, limit: number): Promise<number> {
  const inserted = await context.db.transaction(async (sql) => {
    const expired = await sql<{ guid: string; merchant_guid: string }>(expireOrdersStatement, [
      limit,
      orderTransitions.expired.to,
    ]);
    const callbacks = expired.map(
      (order): NewCallback => ({
        kind: "expiration",
        orderGuid: order.guid,
        receiverGuid: order.merchant_guid,
      }),
    );
    return insertCallbacks(context, sql, callbacks);
  });
  context.onCallbacksDue(inserted);
  return inserted.length;
}
