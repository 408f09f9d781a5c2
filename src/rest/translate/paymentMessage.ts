import type { UltimateCreditor } from "../../../gen/dcm/v1/order_pb.ts";
import {
  type PaymentMessage,
  PaymentMessageStatus,
  PaymentType,
  SenderAccountType,
} from "../../../gen/dcm/v1/payment_message_pb.ts";
import type { components } from "../../../gen/rest/types.ts";
import { amountNumber, publicJwk } from "../../wire/values.ts";
import { enumText } from "./enumText.ts";

type Schemas = components["schemas"];

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

export function paymentMessageAnswer(message: PaymentMessage): Schemas["PaymentMessageWithStatus"] {
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
    // The core stores those of the contract alone.
    reason: message.reason as Schemas["PaymentMessageWithStatus"]["reason"],
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
