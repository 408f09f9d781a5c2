import type { MessageInitShape } from "@bufbuild/protobuf";
import type { UltimateCreditor } from "../../../gen/dcm/v1/order_pb.ts";
import {
  type PaymentMessage,
  PaymentMessageStatus,
  PaymentType,
  SenderAccountType,
} from "../../../gen/dcm/v1/payment_message_pb.ts";
import type { SubmitPaymentMessageRequestSchema } from "../../../gen/dcm/v1/payment_message_service_pb.ts";
import type { components } from "../../../gen/rest/types.ts";
import type { Caller } from "../context.ts";
import { accessToken } from "./accessToken.ts";
import { amountNumber, moneyOf } from "./amount.ts";
import { enumText } from "./enumText.ts";
import { publicJwk } from "./jwk.ts";

type Schemas = components["schemas"];

const paymentTypes = {
  trade: PaymentType.TRADE,
  p2p: PaymentType.P2P,
  return: PaymentType.RETURN,
  aid: PaymentType.AID,
} as const satisfies Record<Schemas["PaymentType"], PaymentType>;

const senderAccountTypes = {
  "limit-related": SenderAccountType.LIMIT_RELATED,
  "aid-related": SenderAccountType.AID_RELATED,
} as const satisfies Record<Schemas["SenderAccountType"], SenderAccountType>;

export const paymentTypeText = {
  [PaymentType.TRADE]: "trade",
  [PaymentType.P2P]: "p2p",
  [PaymentType.RETURN]: "return",
  [PaymentType.AID]: "aid",
} as const;

const senderAccountTypeText = {
  [SenderAccountType.LIMIT_RELATED]: "limit-related",
  [SenderAccountType.AID_RELATED]: "aid-related",
} as const;

const statusText = {
  [PaymentMessageStatus.PENDING]: "pending",
  [PaymentMessageStatus.SUCCESS]: "success",
  [PaymentMessageStatus.REJECT]: "reject",
} as const;

/** The claims of a verified payment message, with the caller's access token and the message itself as evidence. */
export function submitPaymentMessageRequest(
  claims: Schemas["PaymentMessageClaims"],
  caller: Caller,
  jws: string,
): MessageInitShape<typeof SubmitPaymentMessageRequestSchema> {
  const { debtor, creditor } = claims;
  return {
    callerGuid: caller.bank.guid,
    accessToken: accessToken(caller.access),
    jti: claims.jti,
    externalId: claims.payment_message_external_id,
    amount: moneyOf(claims.amount, claims.currency, "amount"),
    debtorAgentBic: claims.debtor_agent_bic,
    debtor: {
      name: debtor.debtor_name,
      taxNumber: debtor.debtor_id,
      account: debtor.debtor_account,
      phone: debtor.debtor_phone ?? "",
    },
    creditorAgentBic: claims.creditor_agent_bic,
    creditor: {
      name: creditor.creditor_name,
      taxNumber: creditor.creditor_id,
      account: creditor.creditor_account,
    },
    orderId: claims.order_id.toLowerCase(),
    purpose: claims.purpose,
    msgCreationDate: claims.msg_creation_date,
    msgCreationTime: claims.msg_creation_time,
    pmType: paymentTypes[claims.pm_type],
    senderAccountType: senderAccountTypes[claims.sender_account_type],
    encryption: { nonce: claims.encryption.nonce, encryptedKey: claims.encryption.encrypted_key },
    jws,
  };
}

export function paymentMessageAnswer(message: PaymentMessage): Schemas["PaymentMessage"] {
  const { debtor, creditor, encryption } = message;
  // A bank's key is forgotten after many changes of keys; its messages stay readable without it, as in callbacks.
  const key = publicJwk(message.creditorAgentJwk, { alg: false }) ?? { kty: "RSA", kid: "" };
  if (!debtor || !creditor || !encryption) throw new Error("the core answered an incomplete payment message");
  return {
    jti: message.jti,
    payment_message_external_id: message.externalId,
    amount: amountNumber(message.amount),
    currency: message.amount?.currency ?? "",
    debtor_agent: {
      debtor_agent_name: message.debtorAgent?.name ?? "",
      debtor_agent_bic: message.debtorAgent?.bic ?? "",
    },
    debtor: { debtor_name: debtor.name, debtor_id: debtor.taxNumber, debtor_account: debtor.account },
    creditor_agent: {
      creditor_agent_name: message.creditorAgent?.name ?? "",
      creditor_agent_bic: message.creditorAgent?.bic ?? "",
    },
    creditor: {
      creditor_name: creditor.name,
      creditor_id: creditor.taxNumber,
      creditor_account: creditor.account,
      creditor_uid: creditor.uid,
    },
    ...(message.ultimateCreditor ? { ultimate_creditor: ultimateCreditorAnswer(message.ultimateCreditor) } : {}),
    order_id: message.orderId,
    purpose: message.purpose,
    msg_creation_date: message.msgCreationDate,
    msg_creation_time: message.msgCreationTime,
    pm_type: enumText(paymentTypeText, message.pmType),
    sender_account_type: enumText(senderAccountTypeText, message.senderAccountType),
    encryption: { nonce: encryption.nonce, encrypted_key: encryption.encryptedKey },
    public_key: key,
    status: enumText(statusText, message.status),
    reason: message.reason,
    guid: message.guid,
  };
}

function ultimateCreditorAnswer(creditor: UltimateCreditor) {
  return {
    ultimate_creditor_name: creditor.name,
    ultimate_creditor_id: creditor.taxNumber,
    ultimate_creditor_iban: creditor.iban,
    ultimate_creditor_bic: creditor.bic,
    ultimate_creditor_mcc: creditor.mcc,
  };
}
