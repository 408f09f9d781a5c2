import { type Order, OrderStatus, type UltimateCreditor } from "../../gen/dcm/v1/order_pb.ts";
import type { CancelOrderResponse, GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../gen/dcm/v1/participant_pb.ts";
import { operations, type Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { reasons } from "../../gen/rest/webhooks.ts";
import type { PaymentState } from "../domain/order.ts";
import { answeredName, orderStatuses } from "./enums.ts";
import { type Amount, amountNumber, publicJwk, unixSeconds } from "./values.ts";

type Schemas = components["schemas"];

/** The details of an order that do not change with its state (wire contract, section 4, "Order for a bank"). */
function orderDetails(found: GetOrderResponse): Whole<Schemas["OrderDetails"]> {
  const { order, merchant, creditorAgent } = orderParts(found);
  return {
    id: order.id,
    exp: unixSeconds(order.expiresAt),
    amt: amountNumber(order.amount),
    cur: order.amount?.currency ?? "",
    ref: order.ref,
    prp: order.purpose,
    uid: merchant.uid,
    recn: merchant.name,
    recc: merchant.taxCode,
    acc: found.creditorAccount,
    mcc: Number(merchant.mcc),
    logo_url: merchant.logoUrl || undefined,
    bic: creditorAgent.bic,
    fri: order.ultimateCreditor && friOf(order.ultimateCreditor),
  };
}

/** The details as claims that the platform signs, for deep links. */
export function orderDetailsClaims(found: GetOrderResponse, now: Date): Whole<Schemas["OrderDetailsClaims"]> {
  return { ...orderDetails(found), iat: Math.floor(now.getTime() / 1000) };
}

function friOf(creditor: UltimateCreditor): Whole<Schemas["UltimateBeneficiary"]> {
  return {
    frn: creditor.name,
    frc: creditor.taxNumber,
    fra: creditor.iban,
    frb: creditor.bic,
    frm: creditor.mcc,
  };
}

/** The three parts of the core's answer. It always has all of them; one without the others would be a fault of ours, and throws. */
export function orderParts(found: GetOrderResponse): {
  order: Order;
  merchant: Participant;
  creditorAgent: Participant;
} {
  const { order, merchant, creditorAgent } = found;
  if (!order || !merchant || !creditorAgent) throw new Error("the core answered an order without its parties");
  return { order, merchant, creditorAgent };
}

const NIL_GUID = "00000000-0000-0000-0000-000000000000";

/** The addresses of an order's payment page: with the banks' links, and with the QR code. */
export type OrderLinks = Pick<Schemas["OrderCreated"], "link_deeplinks" | "link_qr">;

export function orderLinks(id: string, publicUrl: string): OrderLinks {
  const link = `${publicUrl}${operations.showPaymentPage.path}?id=${id}`;
  return { link_deeplinks: `${link}&mobile=1`, link_qr: `${link}&mobile=0` };
}

const statusText = {
  created: "Created",
  in_progress: "In Progress",
  success: "Success",
  canceled: "Canceled",
} as const satisfies Record<keyof typeof orderStatuses, Schemas["OrderState"]>;

const orderState = ({ status }: Order) => statusText[answeredName(orderStatuses, status)];

/** An order as a bank reads it, before it debits a payer. */
export function orderForBank(found: GetOrderResponse): Whole<Schemas["OrderForBank"]> {
  return {
    ...orderDetails(found),
    public_key: publicJwk(found.encryptionJwk),
    status: orderState(orderParts(found).order),
  };
}

export function orderStatus(found: GetOrderResponse | CancelOrderResponse): Whole<Schemas["OrderStatus"]> {
  const { order, paymentMessage: message } = found;
  if (!order) throw new Error("the core answered no order");
  return {
    amount: amountNumber(order.amount),
    amount_matched: message !== undefined && isSameMoney(order.amount, message.amount),
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
    status: orderState(order),
  };
}

/** What a payer is told of an order: a canceled one was by its merchant, by the rejection of its payment message, or by its expiry. */
export function paymentState(found: GetOrderResponse): PaymentState {
  const { order } = orderParts(found);
  switch (answeredName(orderStatuses, order.status)) {
    case "created":
      return "waiting";
    case "in_progress":
      return "processing";
    case "success":
      return "paid";
    case "canceled":
      if (order.canceledByMerchant) return "canceled";
      return found.paymentMessage === undefined ? "expired" : "rejected";
  }
}

function statusReason(order: Order, messageReason: string | undefined): Schemas["OrderStatus"]["reason"] {
  if (order.status === OrderStatus.SUCCESS) return reasons.OrderPaidReason;
  if (order.status !== OrderStatus.CANCELED) return "";
  if (order.canceledByMerchant) return reasons.OrderCanceledReason;
  // The core stores only reasons of the contract.
  return (messageReason as Schemas["RejectReason"] | undefined) ?? reasons.OrderExpiredReason;
}

/** Whether a payment is of exactly the amount and currency that its order asks for. */
export function isSameMoney(order: Amount | undefined, paid: Amount | undefined): boolean {
  return order?.amountMinor === paid?.amountMinor && order?.currency === paid?.currency;
}
