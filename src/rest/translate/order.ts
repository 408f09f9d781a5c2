import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Order, OrderStatus, type UltimateCreditor } from "../../../gen/dcm/v1/order_pb.ts";
import type { CreateOrderRequestSchema, GetOrderResponse } from "../../../gen/dcm/v1/order_service_pb.ts";
import type { Participant } from "../../../gen/dcm/v1/participant_pb.ts";
import { operations } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { amountNumber, moneyOf } from "./amount.ts";
import { enumText } from "./enumText.ts";
import { publicJwk } from "./jwk.ts";
import { timestampOfClaim, unixSeconds } from "./time.ts";

type Schemas = components["schemas"];

export const NIL_GUID = "00000000-0000-0000-0000-000000000000";

/** The claims of a verified order, with the token itself as evidence. */
export function createOrderRequest(
  claims: Schemas["OrderClaims"],
  merchantGuid: string,
  jws: string,
): MessageInitShape<typeof CreateOrderRequestSchema> {
  return {
    merchantGuid,
    ref: claims.ref,
    amount: moneyOf(claims.amt, claims.cur, "amt"),
    purpose: claims.prp,
    redirectUrl: claims.url,
    ...(claims.fri ? { ultimateCreditor: ultimateCreditorOf(claims.fri) } : {}),
    issuedAt: timestampOfClaim(claims.iat, "iat", "INVALID_ISSUE_TIME"),
    expiresAt: timestampOfClaim(claims.exp, "exp", "INVALID_EXPIRY"),
    jws,
  };
}

function ultimateCreditorOf(fri: Schemas["UltimateBeneficiary"]) {
  return { name: fri.frn, taxNumber: fri.frc, iban: fri.fra, bic: fri.frb, mcc: fri.frm };
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

export function orderLinks(id: string, publicUrl: string): Pick<Schemas["OrderCreated"], "link_deeplinks" | "link_qr"> {
  const link = `${publicUrl}${operations.showPaymentPage.path}?id=${id}`;
  return { link_deeplinks: `${link}&mobile=1`, link_qr: `${link}&mobile=0` };
}

export function orderForBank(found: GetOrderResponse): Schemas["OrderForBank"] {
  const { order, merchant, creditorAgent } = complete(found);
  const key = publicJwk(creditorAgent.encryptionJwk || (creditorAgent.signingJwks[0] ?? ""), { alg: true });
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
    acc: merchant.iban,
    mcc: Number(merchant.mcc),
    ...(merchant.logoUrl === "" ? {} : { logo_url: merchant.logoUrl }),
    bic: creditorAgent.bic,
    ...(order.ultimateCreditor ? { fri: friOf(order.ultimateCreditor) } : {}),
    ...(key ? { public_key: key } : {}),
  };
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

function statusReason(status: number, messageReason: string | undefined): string {
  if (status === OrderStatus.SUCCESS) return "Order is paid";
  if (status === OrderStatus.CANCELED) return messageReason ?? "Order is expired";
  return "";
}

function isSameMoney(order: Order, paid: Order["amount"]): boolean {
  return order.amount?.amountMinor === paid?.amountMinor && order.amount?.currency === paid?.currency;
}

/** The core answers all three together; one without the others would be a fault of ours. */
export function complete(found: GetOrderResponse): { order: Order; merchant: Participant; creditorAgent: Participant } {
  const { order, merchant, creditorAgent } = found;
  if (!order || !merchant || !creditorAgent) throw new Error("the core answered an order without its parties");
  return { order, merchant, creditorAgent };
}
