import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CallbackKind, CallbackSchema, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import {
  PaymentMessageSchema,
  PaymentMessageStatus,
  PaymentType,
  SenderAccountType,
} from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterPaymentSchema, RegisterSchema, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { jwkText } from "../../src/wire/participant.ts";
import { money } from "../../src/wire/values.ts";
import { whole } from "../../src/wire/whole.ts";
import { BANK_GUID, exampleKey, MESSAGE_GUID, NOW, openapi, SECOND_BANK_GUID, timestamp } from "./fixture.ts";

// What the core answers where the contract's examples are the answers.

type Example = Record<"debtor" | "creditor" | "encryption", Record<string, string>> & Record<string, unknown>;
export const messageExample = openapi.components.responses.PaymentMessageFound?.content["application/json"]
  ?.example as Example;
const { debtor, creditor, encryption } = messageExample;

export const examplePaymentMessage = whole(PaymentMessageSchema, {
  guid: MESSAGE_GUID,
  jti: "T12fa2213",
  externalId: "112663",
  amount: money(500, "UAH"),
  debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
  debtor: {
    name: debtor.debtor_name ?? "",
    taxNumber: debtor.debtor_id ?? "",
    account: "UA761372924114433543273694797",
  },
  creditorAgent: { guid: SECOND_BANK_GUID, name: "Second Bank", bic: "380816" },
  creditor: {
    name: creditor.creditor_name ?? "",
    taxNumber: creditor.creditor_id ?? "",
    account: "UA761372924114433543273694797",
    uid: "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5",
  },
  ultimateCreditor: {
    name: "Global Payments Ltd.",
    taxNumber: "0012345678",
    iban: "UA723445993115212345678",
    bic: "300650",
    mcc: "1234",
  },
  orderId: "a38c4e9a-ee54-4e3c-90a4-d6af5e39cfc7",
  purpose: "Tesgtft777",
  msgCreationDate: "2023-12-10",
  msgCreationTime: "12:12:12",
  pmType: PaymentType.TRADE,
  senderAccountType: SenderAccountType.AID_RELATED,
  encryption: { nonce: encryption.nonce ?? "", encryptedKey: encryption.encrypted_key ?? "" },
  creditorAgentJwk: jwkText(exampleKey),
  status: PaymentMessageStatus.SUCCESS,
  reason: "Payment message is approved",
  receivedAt: timestampFromDate(NOW),
  decidedAt: timestampFromDate(NOW),
});

export const exampleRegister = whole(RegisterSchema, {
  id: "1012231",
  day: "2023-12-10",
  adjustsDay: "",
  debtorAgent: { guid: BANK_GUID, name: "TPN Bank", bic: "306500" },
  creditorAgent: { guid: SECOND_BANK_GUID, name: "Second Bank", bic: "380816" },
  creditorCode: "12345678",
  chargingAccount: "UA063808160041469948322523389",
  purpose: "Gross settlement register 1012231",
  totalAmount: money(500, "UAH"),
  totalFeeMinor: 0n,
  paymentCount: 1,
  status: RegisterStatus.SENT,
  periodStart: timestamp("2023-12-09T22:00:00Z"),
  periodEnd: timestamp("2023-12-10T22:00:00Z"),
  createdAt: timestamp("2023-12-10T22:01:00Z"),
  updatedAt: timestamp("2023-12-10T22:01:00Z"),
});

export const exampleRegisterPayment = whole(RegisterPaymentSchema, {
  paymentMessageGuid: MESSAGE_GUID,
  externalId: "112663",
  pmType: PaymentType.TRADE,
  amount: money(500, "UAH"),
  feeMinor: 0n,
  purpose: "Tesgtft777",
  debtorAccount: "UA761372924114433543273694797",
  creditorAccount: "UA761372924114433543273694797",
  receivedAt: timestampFromDate(NOW),
});

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
