import type { Order, UltimateCreditor } from "../../gen/dcm/v1/order_pb.ts";
import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../gen/dcm/v1/participant_pb.ts";
import type { components } from "../../gen/rest/types.ts";
import { amountNumber, unixSeconds } from "./values.ts";

type Schemas = components["schemas"];

/** What an order says, whatever becomes of it (wire contract, section 4, "Order for a bank"). */
export function orderDetails(found: GetOrderResponse): Schemas["OrderDetails"] {
  const { order, merchant, creditorAgent } = complete(found);
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
    ...(merchant.logoUrl === "" ? {} : { logo_url: merchant.logoUrl }),
    bic: creditorAgent.bic,
    ...(order.ultimateCreditor ? { fri: friOf(order.ultimateCreditor) } : {}),
  };
}

/** The same as claims that the platform signs, for deep links. */
export function orderDetailsClaims(found: GetOrderResponse, now: Date): Schemas["OrderDetailsClaims"] {
  return { ...orderDetails(found), iat: Math.floor(now.getTime() / 1000) };
}

function friOf(creditor: UltimateCreditor): Schemas["UltimateBeneficiary"] {
  return {
    frn: creditor.name,
    frc: creditor.taxNumber,
    fra: creditor.iban,
    frb: creditor.bic,
    frm: creditor.mcc,
  };
}

/** The core answers all three together; one without the others would be a fault of ours. */
export function complete(found: GetOrderResponse): { order: Order; merchant: Participant; creditorAgent: Participant } {
  const { order, merchant, creditorAgent } = found;
  if (!order || !merchant || !creditorAgent) throw new Error("the core answered an order without its parties");
  return { order, merchant, creditorAgent };
}
