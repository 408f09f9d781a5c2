import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CallbackKind, CallbackSchema, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Register, RegisterPayment } from "../../gen/dcm/v1/settlement_pb.ts";
import { whole } from "../../src/wire/whole.ts";
import { BANK_GUID, exampleKey, MESSAGE_GUID, NOW, openapi, SECOND_BANK_GUID } from "./fixture.ts";

// What the core answers where the contract's examples are the answers.

type Example = Record<"debtor" | "creditor" | "encryption", Record<string, string>> & Record<string, unknown>;
export const messageExample = openapi.components.responses.PaymentMessageFound?.content["application/json"]
  ?.example as Example;
const { debtor, creditor, encryption } = messageExample;

export const examplePaymentMessage: PaymentMessage = {
  guid: MESSAGE_GUID,
  jti: "T12fa2213",
  externalId: "112663",
  amountMinor: 500,
  currency: "UAH",
  debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
  debtorName: debtor.debtor_name ?? "",
  debtorTaxNumber: debtor.debtor_id ?? "",
  debtorAccount: "UA761372924114433543273694797",
  creditorAgent: { guid: SECOND_BANK_GUID, name: "Second Bank", bic: "380816" },
  creditorName: creditor.creditor_name ?? "",
  creditorTaxNumber: creditor.creditor_id ?? "",
  creditorAccount: "UA761372924114433543273694797",
  creditorUid: "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
  merchantGuid: "0198c0de-0000-7000-8000-000000000001",
  ultimateCreditor: {
    name: "Global Payments Ltd.",
    taxNumber: "0012345678",
    iban: "UA723445993115212345678",
    bic: "300650",
    mcc: "1234",
  },
  orderGuid: "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
  purpose: "Tesgtft777",
  msgCreationDate: "2023-12-10",
  msgCreationTime: "12:12:12",
  pmType: "trade",
  senderAccountType: "aid-related",
  nonce: encryption.nonce ?? "",
  encryptedKey: encryption.encrypted_key ?? "",
  creditorAgentJwk: exampleKey,
  status: "success",
  reason: "Payment message is approved",
  receivedAt: NOW,
  feeMinor: 0,
};

export const exampleRegister: Register = {
  id: "1012231",
  day: "2023-12-10",
  adjustsDay: null,
  debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
  creditorAgent: {
    guid: SECOND_BANK_GUID,
    name: "Second Bank",
    bic: "380816",
    taxCode: "12345678",
    iban: "UA063808160041469948322523389",
  },
  currency: "UAH",
  purpose: "Gross settlement register 1012231",
  totalAmountMinor: 500,
  totalFeeMinor: 0,
  paymentCount: 1,
  status: "sent",
  periodStart: new Date("2023-12-09T22:00:00Z"),
  periodEnd: new Date("2023-12-10T22:00:00Z"),
  createdAt: new Date("2023-12-10T22:01:00Z"),
  updatedAt: new Date("2023-12-10T22:01:00Z"),
};

export const exampleRegisterPayment: RegisterPayment = {
  guid: MESSAGE_GUID,
  externalId: "112663",
  pmType: "trade",
  amountMinor: 500,
  feeMinor: 0,
  purpose: "Tesgtft777",
  debtorAccount: "UA761372924114433543273694797",
  creditorAccount: "UA761372924114433543273694797",
  receivedAt: NOW,
};

export const missedCallback = whole(CallbackSchema, {
  guid: "f5401ac1-e6c8-436b-b311-991f57e0934b",
  kind: CallbackKind.CREDIT,
  state: CallbackState.REVIEW,
  receiverGuid: BANK_GUID,
  paymentMessageGuid: "8af3c3f5-7543-4bc2-8a0f-2e27f4d16972",
  orderId: "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
  registerId: "",
  series: 1,
  attempts: 2,
  dueAt: undefined,
  createdAt: timestampFromDate(NOW),
  updatedAt: timestampFromDate(new Date("2023-12-10T10:13:00Z")),
  lastOutcome: "refused",
  lastAttemptAt: timestampFromDate(new Date("2023-12-10T10:12:14Z")),
  resolvedBy: "",
  resolutionNote: "",
});
