import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { issueTimeProblem, type OrderCancellation, orderTransitions } from "../domain/order.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { PartyChanged } from "./identity/partyChanged.ts";
import { type OrderRow, orderColumns, toOrder } from "./orders.ts";
import { findPaymentMessage } from "./paymentMessages.ts";

// A concurrent payment message and this statement lock the same row, so the second of them finds the order no longer open. The
// expiry job takes only orders whose time is up, and this statement only the others.
const cancelStatement = {
  name: "cancel_order",
  text: `
    update payment_order set status = $5, updated_at = now(), cancel_jws = $6
    where guid = $1 and merchant_guid = $2 and status = $4 and expires_at > now()
      and exists (select from participant p where p.guid = $2 and p.version = $3)
    returning ${orderColumns("payment_order")}`,
};

const selectStatement = {
  name: "select_order_to_cancel",
  text: `
    select o.*
    from participant p left join (select ${orderColumns("payment_order")} from payment_order where guid = $1) o on o."merchantGuid" = p.guid
    where p.guid = $2 and p.version = $3`,
};

export type CanceledOrder = { order: Order; paymentMessage: PaymentMessage | undefined };

/**
 * Cancels an order that is not being paid, for its merchant (wire-contract section 2); no callback is sent. Idempotent: an order
 * that has ended already is answered as it is. Throws `PartyChanged` when the merchant no longer has the version that its signature
 * was verified against.
 */
export async function cancelOrder(
  context: CoreContext,
  cancellation: OrderCancellation,
): Promise<CanceledOrder | Refusal> {
  const { orderGuid, merchantGuid, merchantVersion, jws } = cancellation;
  const problem = issueTimeProblem(cancellation, context.now());
  if (problem !== undefined) return problem;
  const notFound = () => refuse("ORDER_NOT_FOUND", "order_id names no order of the merchant", { field: "order_id" });
  if (!isGuid(orderGuid)) return notFound();
  const asked = [orderGuid, merchantGuid, merchantVersion];
  const { from, to } = orderTransitions.canceled_by_merchant;
  const [canceled] = await context.db.hot<OrderRow>(cancelStatement, [...asked, from, to, jws]);
  if (canceled !== undefined) {
    context.onOrdersChanged([{ orderGuid: canceled.guid, state: "canceled" }]);
    return { order: toOrder(canceled), paymentMessage: undefined };
  }
  const [found] = await context.db.hot<OrderRow>(selectStatement, asked);
  if (found === undefined) throw new PartyChanged();
  // The left join gives one row of nulls when the merchant has no such order.
  if (found.guid === null) return notFound();
  if (found.status === "in_progress" || found.status === "success") {
    return refuse("ORDER_IS_BEING_PAID", "the order is being paid, or is paid", { field: "order_id" });
  }
  // Reads as canceled also when only its time is up; the expiry job is about to cancel it and to send the Expiration callback.
  if (found.status === "canceled") {
    return { order: toOrder(found), paymentMessage: await findPaymentMessage(context, { orderGuid: found.guid }) };
  }
  // Between the two statements the merchant came to the version that the signature was verified against.
  throw new PartyChanged();
}
