import type { UltimateCreditor } from "../../gen/dcm/v1/order_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Whole } from "../../gen/rest/operations.ts";
import type { components } from "../../gen/rest/types.ts";
import { answeredName, paymentMessageStatuses, paymentTypes, senderAccountTypes } from "./enums.ts";
import { amountNumber, publicJwk } from "./values.ts";

type Schemas = components["schemas"];

/** Stands in for a bank's key that is no longer stored after many key changes, so that its messages stay readable. */
const forgottenKey = { kty: "RSA", kid: "" } as Whole<Schemas["Jwk"]>;

/** What the debtor agent stated, for answers and callbacks; only callbacks show the key's `alg`. */
export function paymentMessageDetails(
  message: PaymentMessage,
  options?: { alg: boolean },
): Whole<Schemas["PaymentMessageDetails"]> {
  const { debtor, creditor, encryption } = message;
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
    pm_type: answeredName(paymentTypes, message.pmType),
    sender_account_type: answeredName(senderAccountTypes, message.senderAccountType),
    encryption: { nonce: encryption.nonce, encrypted_key: encryption.encryptedKey, kid: undefined },
    public_key: publicJwk(message.creditorAgentJwk, options) ?? forgottenKey,
  };
}

export function paymentMessageAnswer(message: PaymentMessage): Whole<Schemas["PaymentMessageWithStatus"]> {
  return {
    ...paymentMessageDetails(message, { alg: false }),
    status: answeredName(paymentMessageStatuses, message.status),
    // The core stores only reasons of the contract.
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
