import { type Order, OrderStatus } from "../../../gen/dcm/v1/order_pb.ts";
import type { CancelOrderResponse, GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import { operations } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { reasons } from "../../../gen/rest/webhooks.ts";
import { complete, orderDetails } from "../../wire/order.ts";
import { amountNumber, publicJwk } from "../../wire/values.ts";
import { enumText } from "./enumText.ts";

type Schemas = components["schemas"];
type RejectReason = Schemas["RejectReason"];

export const NIL_GUID = "00000000-0000-0000-0000-000000000000";

export function orderLinks(id: string, publicUrl: string): Pick<Schemas["OrderCreated"], "link_deeplinks" | "link_qr"> {
  const link = `${publicUrl}${operations.showPaymentPage.path}?id=${id}`;
  return { link_deeplinks: `${link}&mobile=1`, link_qr: `${link}&mobile=0` };
}

const statusText = {
  [OrderStatus.CREATED]: "Created",
  [OrderStatus.IN_PROGRESS]: "In Progress",
  [OrderStatus.SUCCESS]: "Success",
  [OrderStatus.CANCELED]: "Canceled",
} as const satisfies { [status: number]: Schemas["OrderState"] };

/** An order as a bank reads it, before it debits a payer. */
export function orderForBank(found: GetOrderResponse): Schemas["OrderForBank"] {
  const key = publicJwk(found.encryptionJwk, { alg: true });
  const status = enumText(statusText, complete(found).order.status);
  return { ...orderDetails(found), ...(key ? { public_key: key } : {}), status };
}

export function orderStatus(found: GetOrderResponse | CancelOrderResponse): Schemas["OrderStatus"] {
  const { order, paymentMessage: message } = found;
  if (!order) throw new Error("the core answered no order");
  return {
    amount: amountNumber(order.amount),
    amount_matched: message !== undefined && isSameMoney(order, message.amount),
    callback_guid: null,
    code: null,
    currency: order.amount?.currency ?? "",
    order_id: order.id,
    payment_message_external_id: "",
    payment_message_guid: message?.guid ?? NIL_GUID,
    purpose: order.purpose,
    reason: statusReason(order, message?.reason),
    receiver_account_iban: "",
    ref_found: null,
    ref_number: order.ref,
    sender_account_iban: "",
    status: enumText(statusText, order.status),
  };
}

function statusReason(order: Order, messageReason: string | undefined): Schemas["OrderStatus"]["reason"] {
  if (order.status === OrderStatus.SUCCESS) return reasons.OrderPaidReason;
  if (order.status !== OrderStatus.CANCELED) return "";
  if (order.canceledByMerchant) return reasons.OrderCanceledReason;
  // The core stores those of the contract alone.
  return (messageReason as RejectReason | undefined) ?? reasons.OrderExpiredReason;
}

function isSameMoney(order: Order, paid: Order["amount"]): boolean {
  return order.amount?.amountMinor === paid?.amountMinor && order.amount?.currency === paid?.currency;
}
