import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Order, OrderSchema } from "../../gen/dcm/v1/order_pb.ts";
import { type GetOrderResponse, GetOrderResponseSchema } from "../../gen/dcm/v1/order_service_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { orderTransitions, suspendedSideProblem } from "../domain/order.ts";
import type { Participant, PublicJwk } from "../domain/participant.ts";
import { orderStatuses } from "../wire/enums.ts";
import { jwkText, toParticipant } from "../wire/participant.ts";
import { money } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import { firstTickets, type Inserted, insertText } from "./cascade.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { orderEncryptionKey, type ParticipantJson, participantJson, participantOfJson } from "./participantRows.ts";
import { findPaymentMessage } from "./paymentMessages.ts";

/** Columns that an answer does not show: the signed evidence, what the order is paid to (see `OrderWithParties`), and when it changed. */
const notShown = [
  "updatedAt",
  "jws",
  "cancelJws",
  "creditorAccount",
  "creditorAgentGuid",
  "encryptionKeyId",
] as const satisfies (keyof Row<"payment_order">)[];

/** An order as `orderColumns` reads it. */
export type OrderRow = Omit<Row<"payment_order">, (typeof notShown)[number]> & { canceledByMerchant: boolean };

/**
 * SQL: the columns of `OrderRow`. An order whose time is up reads as canceled at once, although the expiry job cancels it a little
 * later: a reader must not take it for one that can be paid.
 */
export const orderColumns = (
  order: string,
) => `${columns("payment_order", { of: order, but: ["status", ...notShown] })},
  case when ${order}.status = '${orderTransitions.expired.from}' and ${order}.expires_at <= now()
    then '${orderTransitions.expired.to}' else ${order}.status end as status,
  ${order}.cancel_jws is not null as "canceledByMerchant"`;

export function toOrder(row: OrderRow): Order {
  const { guid, amountMinor, currency, ultimateCreditor, status, issuedAt, expiresAt, createdAt, ...same } = row;
  return whole(OrderSchema, {
    ...same,
    id: guid,
    amount: money(amountMinor, currency),
    ultimateCreditor: ultimateCreditor ?? undefined,
    status: orderStatuses[status],
    issuedAt: timestampFromDate(issuedAt),
    expiresAt: timestampFromDate(expiresAt),
    createdAt: timestampFromDate(createdAt),
  });
}

const selectByGuid = {
  name: "select_order",
  text: `
    select ${orderColumns("o")}, paid_to.account as "creditorAccount", key.jwk as "encryptionJwk",
      (${participantJson("o.merchant_guid")}) as merchant, (${participantJson("paid_to.bank")}) as "creditorAgent"
    from payment_order o
    cross join lateral (
      select coalesce(o.creditor_account, merchant.iban) as account,
        coalesce(o.creditor_agent_guid, merchant.servicing_bank_guid) as bank
      from participant merchant where merchant.guid = o.merchant_guid
    ) paid_to
    left join participant_key key on key.id = ${orderEncryptionKey("o", "paid_to.bank")}
    where o.guid = $1`,
};

/**
 * An order with its parties. Where it is paid to, and the key to encrypt for, were copied at its creation, whatever its merchant and
 * its bank change later.
 */
type OrderWithParties = OrderRow & {
  creditorAccount: string;
  encryptionJwk: PublicJwk | null;
  merchant: ParticipantJson;
  creditorAgent: ParticipantJson;
};

// One statement, so that no process can stall between canceling orders and inserting their callbacks while it holds the locks of
// both.
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
    ), inserted as (${insertText(
      `select callback_guid as guid, 'expiration' as kind, null::uuid as payment_message_guid, numbered.guid as order_guid,
         null::text as register_id, numbered.merchant_guid as receiver_guid, '' as reason
       from numbered join unnest($2::uuid[]) with ordinality as new(callback_guid, place) using (place)`,
      "$3",
    )}
    )
    select (select json_agg(inserted) from inserted) as inserted, (select json_agg(guid) from canceled) as canceled`,
};

type Expired = { inserted: Inserted[] | null; canceled: string[] | null };

/**
 * Reads an order with its merchant, the servicing bank and its payment message; one whose time is up reads as canceled. `reader`:
 * the bank that reads it; undefined for a service. A bank that would pay the order does not see one that cannot be paid now.
 * `signedDetails` is empty: signing them is a use-case of its own (`signedOrders.ts`).
 */
export async function getOrder(
  context: CoreContext,
  orderGuid: string,
  reader?: Participant,
): Promise<GetOrderResponse | Refusal> {
  const [row] = isGuid(orderGuid) ? await context.db.hot<OrderWithParties>(selectByGuid, [orderGuid]) : [];
  const notFound = () => refuse("ORDER_NOT_FOUND", "order not found", { field: "order_id" });
  if (row === undefined) return notFound();
  const merchant = participantOfJson(row.merchant);
  const creditorAgent = participantOfJson(row.creditorAgent);
  const mayPay = reader !== undefined && reader.guid !== creditorAgent.guid;
  // Shown to banks that may pay the order, and to the one that services its merchant; no other bank can have a part in it.
  if (mayPay && !reader.roles.includes("initiator")) return notFound();
  const suspended = suspendedSideProblem({ merchant: merchant.status, creditorAgent: creditorAgent.status });
  if (mayPay && row.status === "created" && suspended !== undefined) return suspended;
  // A message takes its order out of this status as it is stored.
  const isUnpaid = row.status === orderTransitions.payment_message_accepted.from;
  const paymentMessage = isUnpaid ? undefined : await findPaymentMessage(context, { orderGuid: row.guid });
  return whole(GetOrderResponseSchema, {
    order: toOrder(row),
    merchant: toParticipant(merchant),
    creditorAgent: toParticipant(creditorAgent),
    creditorAccount: row.creditorAccount,
    encryptionJwk: jwkText(row.encryptionJwk),
    paymentMessage,
    signedDetails: "",
  });
}

/** Cancels at most `limit` orders whose time is up, each with its Expiration callback; answers how many. */
export async function expireOrders(context: CoreContext, limit: number): Promise<number> {
  const guids = Array.from({ length: limit }, () => context.newGuid());
  const values = [orderTransitions.expired.to, guids, context.republishAfterMs];
  const [expired] = await context.db.hot<Expired>(expireOrdersStatement, values);
  const canceled = expired?.canceled ?? [];
  context.onCallbacksDue(firstTickets(expired?.inserted ?? [], []));
  context.onOrdersChanged(canceled.map((orderGuid) => ({ orderGuid, state: "expired" })));
  return canceled.length;
}
