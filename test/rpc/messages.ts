import type { DescMessage, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { CreateOrderRequestSchema } from "../../gen/dcm/v1/order_service_pb.ts";
import { BankRole, type Participant, type ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentType, SenderAccountType } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { SubmitPaymentMessageRequestSchema } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import type { CoreClients } from "../../src/rpc/clients.ts";
import { iban, secondsFrom, serial } from "../core/platform.ts";

// Requests as a client of the RPC core writes them.

type Fields<Schema extends DescMessage> = Exclude<MessageInitShape<Schema>, MessageShape<Schema>>;

export function bankMessage(changes: Fields<typeof ParticipantSchema> = {}): Fields<typeof ParticipantSchema> {
  const bic = serial();
  return {
    name: `Bank ${bic}`,
    taxCode: "12345678",
    bic,
    roles: [BankRole.INITIATOR, BankRole.RECIPIENT],
    iban: iban(bic, "1"),
    callbackUrls: { base: `https://bank-${bic}.example` },
    signingJwks: [JSON.stringify({ kid: `key-${bic}` })],
    email: "bank@example.com",
    ...changes,
  };
}

export function merchantMessage(
  bank: Participant,
  changes: Fields<typeof ParticipantSchema> = {},
): Fields<typeof ParticipantSchema> {
  const number = serial();
  return {
    name: `Merchant ${number}`,
    uid: `merchant-${number}`,
    iban: iban(bank.bic, number),
    mcc: "5411",
    servicingBankGuid: bank.guid,
    callbackUrls: { base: "https://merchant.example" },
    signingJwks: [JSON.stringify({ kid: `key-${number}` })],
    ...changes,
  };
}

export async function registerBankAndMerchant({ participants }: CoreClients) {
  const { bank } = await participants.registerBank({ bank: bankMessage() });
  if (bank === undefined) throw new Error("nothing was registered");
  const { merchant } = await participants.registerMerchant({ merchant: merchantMessage(bank) });
  if (merchant === undefined) throw new Error("nothing was registered");
  return { bank, merchant };
}

export function orderMessage(
  merchant: Participant,
  changes: Fields<typeof CreateOrderRequestSchema> = {},
): Fields<typeof CreateOrderRequestSchema> {
  return {
    merchantGuid: merchant.guid,
    ref: `ref-${serial()}`,
    amount: { amountMinor: 150_075n, currency: "UAH" },
    purpose: "Payment for the order",
    redirectUrl: "https://shop.example/thanks",
    issuedAt: timestampFromDate(secondsFrom(new Date(), 0)),
    expiresAt: timestampFromDate(secondsFrom(new Date(), 900)),
    jws: "order.jws.text",
    ...changes,
  };
}

export function paymentMessage(
  bank: Participant,
  merchant: Participant,
  orderId: string,
  changes: Fields<typeof SubmitPaymentMessageRequestSchema> = {},
): Fields<typeof SubmitPaymentMessageRequestSchema> {
  const number = serial();
  return {
    callerGuid: bank.guid,
    jti: `jti-${number}`,
    externalId: `external-${number}`,
    amount: { amountMinor: 150_075n, currency: "UAH" },
    debtorAgentBic: bank.bic,
    debtor: { name: "cipher 1", taxNumber: "cipher 2", account: iban(bank.bic, "77"), phone: "+380501234567" },
    creditorAgentBic: bank.bic,
    creditor: { name: "cipher 3", taxNumber: "cipher 4", account: merchant.iban },
    orderId,
    purpose: "Payment for the order",
    msgCreationDate: "2026-01-15",
    msgCreationTime: "12:30:00",
    pmType: PaymentType.TRADE,
    senderAccountType: SenderAccountType.LIMIT_RELATED,
    encryption: { nonce: "AAAAAAAAAAAAAAAA", encryptedKey: "a2V5" },
    jws: "payment.jws.text",
    ...changes,
  };
}
