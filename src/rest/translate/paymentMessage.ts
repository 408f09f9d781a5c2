import type { UltimateCreditor } from "../../../gen/dcm/v1/order_pb.ts";
import {
  type PaymentMessage,
  PaymentMessageStatus,
  PaymentType,
  SenderAccountType,
} from "../../../gen/dcm/v1/payment_message_pb.ts";
import type { Whole } from "../../../gen/rest/operations.ts";
import type { components } from "../../../gen/rest/types.ts";
import { amountNumber, publicJwk } from "../../wire/values.ts";
import { type Answered, enumText, enumTexts } from "./enumText.ts";

type Schemas = components["schemas"];

export const paymentTypeText = enumTexts<Answered<typeof PaymentType>, Schemas["PaymentType"]>()({
  trade: PaymentType.TRADE,
  p2p: PaymentType.P2P,
  return: PaymentType.RETURN,
  aid: PaymentType.AID,
});

const senderAccountTypeText = enumTexts<Answered<typeof SenderAccountType>, Schemas["SenderAccountType"]>()({
  "limit-related": SenderAccountType.LIMIT_RELATED,
  "aid-related": SenderAccountType.AID_RELATED,
});

const statusText = enumTexts<Answered<typeof PaymentMessageStatus>, Schemas["PaymentMessageWithStatus"]["status"]>()({
  pending: PaymentMessageStatus.PENDING,
  success: PaymentMessageStatus.SUCCESS,
  reject: PaymentMessageStatus.REJECT,
});

/** A bank's key is forgotten after many changes of keys; its messages stay readable without it, as in callbacks. */
const forgottenKey = { kty: "RSA", kid: "" } as Whole<Schemas["Jwk"]>;

export function paymentMessageAnswer(message: PaymentMessage): Whole<Schemas["PaymentMessageWithStatus"]> {
  const { debtor, creditor, encryption } = message;
  const key = publicJwk(message.creditorAgentJwk, { alg: false }) ?? forgottenKey;
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
    ultimate_creditor: message.ultimateCreditor && ultimateCreditorAnswer(message.ultimateCreditor),
    order_id: message.orderId,
    purpose: message.purpose,
    msg_creation_date: message.msgCreationDate,
    msg_creation_time: message.msgCreationTime,
    pm_type: enumText(paymentTypeText, message.pmType),
    sender_account_type: enumText(senderAccountTypeText, message.senderAccountType),
    encryption: { nonce: encryption.nonce, encrypted_key: encryption.encryptedKey, kid: undefined },
    public_key: key,
    status: enumText(statusText, message.status),
    // The core stores those of the contract alone.
    reason: message.reason as Schemas["PaymentMessageWithStatus"]["reason"],
    guid: message.guid,
  };
}

type UltimateCreditorAnswer = Whole<NonNullable<Schemas["PaymentMessageDetails"]["ultimate_creditor"]>>;

function ultimateCreditorAnswer(creditor: UltimateCreditor): UltimateCreditorAnswer {
  return {
    ultimate_creditor_name: creditor.name,
    ultimate_creditor_id: creditor.taxNumber,
    ultimate_creditor_iban: creditor.iban,
    ultimate_creditor_bic: creditor.bic,
    ultimate_creditor_mcc: creditor.mcc,
  };
}
