import { columnsOf } from "../db/entities/entities.ts";
import { PaymentOrderEntity } from "../db/entities/payments.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import {
  clockToleranceMs,
  isSameOrder,
  type Order,
  type OrderRequest,
  type OrderStatus,
  orderLifeMs,
  orderProblem,
  orderTimeProblem,
  orderTransitions,
  suspendedSideProblem,
  type UltimateCreditor,
} from "../domain/order.ts";
import type { Participant, PublicJwk } from "../domain/participant.ts";
import { firstTickets, type Inserted, insertText } from "./cascade.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { PartyChanged } from "./identity/partyChanged.ts";
import { currentEncryptionKey, orderEncryptionKey } from "./participantRows.ts";
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
  canceled_by_merchant: boolean;
};

// Nobody may begin to pay once the time is up, though the order is canceled a little later: whoever reads it must not take it
// for open.
export const orderColumns = `
  guid, merchant_guid, ref, amount_minor, currency, purpose, redirect_url, ultimate_creditor, issued_at, expires_at,
  case when status = '${orderTransitions.expired.from}' and expires_at <= now() then '${orderTransitions.expired.to}' else status end as status,
  created_at, cancel_jws is not null as canceled_by_merchant`;

/** What the statement adds: two instants by the database's clock, and what the order is paid to. */
const addedColumns = ["created_at", "updated_at", "creditor_account", "creditor_agent_guid", "encryption_key_id"];

/** What comes later, if it comes. */
const laterColumns = ["cancel_jws"];

/** What the caller hands in. */
const givenColumns = columnsOf(PaymentOrderEntity).filter(
  (column) => ![...addedColumns, ...laterColumns].includes(column),
);

// Orders come in the order of their unique key, so that of two nodes with the same ones one waits for the other. An order
// whose times are wrong as of now is not inserted, nor one whose merchant was changed since its signature was verified;
// `judged_at` and `unchanged` tell the caller why, also when none was. What an order is paid to, and encrypted for, is what it is now.
const insertOrders = {
  name: "insert_orders",
  text: `
    with unchanged as materialized (
      select merchant.guid, merchant.iban, merchant.servicing_bank_guid,
        ${currentEncryptionKey("merchant.servicing_bank_guid")} as encryption_key_id
      from unnest($4::uuid[], $5::int[]) as verified(guid, version) join participant merchant using (guid, version)
    ), inserted as (
      insert into payment_order (${[...givenColumns, ...addedColumns].join(", ")})
      select ${givenColumns.map((column) => `o.${column}`).join(", ")}, now(), now(),
        merchant.iban, merchant.servicing_bank_guid, merchant.encryption_key_id
      from json_populate_recordset(null::payment_order, $1::json) o join unchanged merchant on merchant.guid = o.merchant_guid
      where o.expires_at > now() and o.expires_at <= now() + $2 * interval '1 millisecond'
        and o.issued_at <= now() + $3 * interval '1 millisecond'
      order by o.merchant_guid, o.ref
      on conflict (merchant_guid, ref) do nothing
      returning ${orderColumns}
    )
    select judged_at, unchanged, inserted.* from (
      select now() as judged_at, array(select guid::text from unchanged) as unchanged
    ) as facts left join inserted on true`,
};

const selectByRef = {
  name: "select_orders_by_ref",
  text: `
    select ${orderColumns} from payment_order
    join unnest($1::uuid[], $2::text[]) as asked(merchant, reference)
      on merchant_guid = asked.merchant and ref = asked.reference`,
};

const selectByGuid = {
  name: "select_order",
  text: `
    select ${orderColumns}, paid_to.account as "creditorAccount", paid_to.bank as "creditorAgentGuid", key.jwk as "encryptionJwk"
    from payment_order o
    cross join lateral (
      select coalesce(o.creditor_account, merchant.iban) as account,
        coalesce(o.creditor_agent_guid, merchant.servicing_bank_guid) as bank
      from participant merchant where merchant.guid = o.merchant_guid
    ) paid_to
    left join participant_key key on key.id = ${orderEncryptionKey("o", "paid_to.bank")}
    where guid = $1`,
};

/** What an order is paid to, and encrypted for: as of its creation, whatever its merchant and its bank change later. */
type PaidTo = { creditorAccount: string; creditorAgentGuid: string; encryptionJwk: PublicJwk | null };

// One statement, so that no process can freeze between canceling orders and making their callbacks, with both locked.
const expireOrdersStatement = {
  name: "expire_orders",
  text: `
    with expired as (
      select guid from payment_order
      where status = 'created' and expires_at <= now()
      order by expires_at limit cardinality($2::uuid[])
      for update skip locked
    ), canceled as (
      update payment_order o set status = $1, updated_at = now()
      from expired where o.guid = expired.guid
      returning o.guid, o.merchant_guid
    ), numbered as (
      select guid, merchant_guid, row_number() over (order by guid) as place from canceled
    )
    ${insertText(
      `select callback_guid as guid, 'expiration' as kind, null::uuid as payment_message_guid, numbered.guid as order_guid,
         null::text as register_id, numbered.merchant_guid as receiver_guid, '' as reason
       from numbered join unnest($2::uuid[]) with ordinality as new(callback_guid, place) using (place)`,
      "$3",
    )}`,
};

export type CreatedOrder = { order: Order; alreadyExisted: boolean };

/**
 * Creates orders, one answer per request in the same order. The same `ref` with the same content answers the order that
 * exists; with other content it is refused (wire-contract section 3; retry-safe by the table's unique constraint).
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
    // An order that was accepted in time and has expired since may be repeated: its merchant never heard the answer.
    const isRepeat =
      problem?.refused === "ORDER_IS_EXPIRED" && found !== undefined && isSameOrder(found.order, request);
    return problem === undefined || isRepeat ? answerFor(request, known, answered) : problem;
  });
}

/** As which version each merchant's signature was verified; of several the newest, which alone can be the merchant's. */
function newestVersions(requests: readonly OrderRequest[]): Map<string, number> {
  const versions = new Map<string, number>();
  for (const { merchantGuid, merchantVersion } of requests) {
    versions.set(merchantGuid, Math.max(merchantVersion, versions.get(merchantGuid) ?? merchantVersion));
  }
  return versions;
}

/**
 * Stores what is new and in time, and finds what was there; `judgedAt` is the database's clock at that, and `unchanged` says
 * which merchants are still what they were verified as.
 */
async function insertAndRead(
  context: CoreContext,
  requests: readonly OrderRequest[],
  versions: ReadonlyMap<string, number>,
) {
  const known = new Map<string, CreatedOrder>();
  if (requests.length === 0) return { known, judgedAt: new Date(0), unchanged: new Set<string>() };
  const rows = await context.db.hot<OrderRow & { judged_at: Date; unchanged: string[] }>(insertOrders, [
    JSON.stringify(requests.map((request) => orderJson(context, request))),
    orderLifeMs(context.maxOrderLifeDays),
    clockToleranceMs,
    [...versions.keys()],
    [...versions.values()],
  ]);
  for (const row of rows) {
    // The left join gives one row of nulls when nothing was inserted.
    if (row.guid === null) continue;
    known.set(refKey(row.merchant_guid, row.ref), { order: toOrder(row), alreadyExisted: false });
  }
  await readExisting(context, requests, known);
  const [facts] = rows;
  if (facts === undefined) throw new Error("the database answered nothing about orders");
  return { known, judgedAt: facts.judged_at, unchanged: new Set(facts.unchanged) };
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
  const rows = await context.db.hot<OrderRow>(selectByRef, [
    missing.map((request) => request.merchantGuid),
    missing.map((request) => request.ref),
  ]);
  for (const row of rows) {
    known.set(refKey(row.merchant_guid, row.ref), { order: toOrder(row), alreadyExisted: true });
  }
}

const refKey = (merchantGuid: string, ref: string) => `${merchantGuid} ${ref}`;

function orderJson(context: CoreContext, request: OrderRequest) {
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
    canceledByMerchant: row.canceled_by_merchant,
  };
}

export type OrderWithParties = {
  order: Order;
  merchant: Participant;
  creditorAgent: Participant;
  creditorAccount: string;
  /** For which the payer's data is encrypted; null: the bank has no such key any more. */
  encryptionJwk: PublicJwk | null;
  paymentMessage: PaymentMessage | undefined;
};

/**
 * Reads an order with its merchant, the servicing bank and its payment message; one whose time is up is canceled from that
 * instant on. `reader`: the bank that reads it; undefined for
 * a service. An order that cannot be paid for now is not shown to a bank that would pay it.
 */
export async function getOrder(
  context: CoreContext,
  orderGuid: string,
  reader?: Participant,
): Promise<OrderWithParties | Refusal> {
  const [row] = isGuid(orderGuid) ? await context.db.hot<OrderRow & PaidTo>(selectByGuid, [orderGuid]) : [];
  const notFound = () => refuse("ORDER_NOT_FOUND", "order not found", { field: "order_id" });
  if (row === undefined) return notFound();
  const merchant = await getParticipant(context, { guid: row.merchant_guid });
  if (isRefusal(merchant)) return merchant;
  const creditorAgent = await getParticipant(context, { guid: row.creditorAgentGuid });
  if (isRefusal(creditorAgent)) return creditorAgent;
  const mayPay = reader !== undefined && reader.guid !== creditorAgent.guid;
  // Whoever may pay the order, or services its merchant; no other bank can ever be a side of it.
  if (mayPay && !reader.roles.includes("initiator")) return notFound();
  const suspended = suspendedSideProblem({ merchant: merchant.status, creditorAgent: creditorAgent.status });
  if (mayPay && row.status === "created" && suspended !== undefined) return suspended;
  const paymentMessage = await findPaymentMessage(context, { orderGuid: row.guid });
  const { creditorAccount, encryptionJwk } = row;
  return { order: toOrder(row), merchant, creditorAgent, creditorAccount, encryptionJwk, paymentMessage };
}

/** Cancels at most `limit` orders whose time is up, each with its Expiration callback; answers how many. */
export async function expireOrders(context: CoreContext, limit: number): Promise<number> {
  const guids = Array.from({ length: limit }, () => context.newGuid());
  const values = [orderTransitions.expired.to, guids, context.republishAfterMs];
  const inserted = await context.db.hot<Inserted>(expireOrdersStatement, values);
  context.onCallbacksDue(firstTickets(inserted, []));
  return inserted.length;
}
