import { type Order, OrderStatus } from "../../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import { operations } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { reasons } from "../../../gen/rest/webhooks.ts";
import { complete } from "../../wire/order.ts";
import { amountNumber } from "../../wire/values.ts";
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
} as const;

export function orderStatus(found: GetOrderResponse): Schemas["OrderStatus"] {
  const { order } = complete(found);
  const message = found.paymentMessage;
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
    reason: statusReason(order.status, message?.reason),
    receiver_account_iban: "",
    ref_found: null,
    ref_number: order.ref,
    sender_account_iban: "",
    status: enumText(statusText, order.status),
  };
}

function statusReason(status: number, messageReason: string | undefined): Schemas["OrderStatus"]["reason"] {
  if (status === OrderStatus.SUCCESS) return reasons.OrderPaidReason;
  // The core stores those of the contract alone.
  if (status === OrderStatus.CANCELED) return (messageReason as RejectReason | undefined) ?? reasons.OrderExpiredReason;
  return "";
}

function isSameMoney(order: Order, paid: Order["amount"]): boolean {
  return order.amount?.amountMinor === paid?.amountMinor && order.amount?.currency === paid?.currency;
}
