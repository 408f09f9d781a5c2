import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntrySchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import type { CallbackAttemptSchema, CallbackSchema } from "../../gen/dcm/v1/callback_pb.ts";
import type { CredentialSchema } from "../../gen/dcm/v1/credential_service_pb.ts";
import type { OrderSchema } from "../../gen/dcm/v1/order_pb.ts";
import { DeepLinkContent, type ParticipantKeySchema, type ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import type { PingResultSchema, PublishedKeySetSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { PlatformKeySchema } from "../../gen/dcm/v1/platform_service_pb.ts";
import type { RegisterActSchema, RegisterPaymentSchema, RegisterSchema } from "../../gen/dcm/v1/settlement_pb.ts";
import type { AuditEntry } from "../core/audit.ts";
import type { KeySet } from "../core/keySets.ts";
import type { PaymentMessage } from "../core/paymentMessages.ts";
import type { PingResult } from "../core/ping.ts";
import type { ListedPlatformKey } from "../core/platformKeys.ts";
import type { RegisterAct } from "../core/registerActs.ts";
import type { CallbackAttempt, CallbackView } from "../core/review.ts";
import type { Register, RegisterPayment } from "../core/settlements.ts";
import type { Credential } from "../domain/credential.ts";
import type { Order } from "../domain/order.ts";
import {
  hasDeepLinks,
  type Participant,
  type ParticipantKey,
  type PublicJwk,
  statedKeysOf,
} from "../domain/participant.ts";
import {
  auditActs,
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  callbackKinds,
  callbackStates,
  deepLinkContents,
  keyUses,
  orderStatuses,
  participantKinds,
  participantStatuses,
  paymentMessageStatuses,
  paymentTypes,
  platformKeyStates,
  registerActKinds,
  registerStatuses,
  scopes,
  senderAccountTypes,
} from "./enums.ts";

// From the domain to the wire: null becomes "not set" for messages and empty for texts, as proto/ documents it.

const money = (amountMinor: number, currency: string) => ({ amountMinor: BigInt(amountMinor), currency });

/** The same key is always the same text: the database does not keep the order of members. */
export const jwkText = (jwk: PublicJwk | null) => (jwk === null ? "" : JSON.stringify(jwk, Object.keys(jwk).sort()));

export function toOrder(order: Order): MessageInitShape<typeof OrderSchema> {
  return {
    id: order.guid,
    merchantGuid: order.merchantGuid,
    ref: order.ref,
    amount: money(order.amountMinor, order.currency),
    purpose: order.purpose,
    redirectUrl: order.redirectUrl,
    ultimateCreditor: order.ultimateCreditor ?? undefined,
    issuedAt: timestampFromDate(order.issuedAt),
    expiresAt: timestampFromDate(order.expiresAt),
    status: orderStatuses[order.status],
    createdAt: timestampFromDate(order.createdAt),
    canceledByMerchant: order.canceledByMerchant,
  };
}

/** The debtor's phone number is never stored, so it cannot be answered. */
export function toPaymentMessage(message: PaymentMessage): MessageInitShape<typeof PaymentMessageSchema> {
  return {
    guid: message.guid,
    jti: message.jti,
    externalId: message.externalId,
    amount: money(message.amountMinor, message.currency),
    debtorAgent: message.debtorAgent,
    debtor: { name: message.debtorName, taxNumber: message.debtorTaxNumber, account: message.debtorAccount },
    creditorAgent: message.creditorAgent,
    creditor: {
      name: message.creditorName,
      taxNumber: message.creditorTaxNumber,
      account: message.creditorAccount,
      uid: message.creditorUid,
    },
    ultimateCreditor: message.ultimateCreditor ?? undefined,
    orderId: message.orderGuid,
    purpose: message.purpose,
    msgCreationDate: message.msgCreationDate,
    msgCreationTime: message.msgCreationTime,
    pmType: paymentTypes[message.pmType],
    senderAccountType: senderAccountTypes[message.senderAccountType],
    encryption: { nonce: message.nonce, encryptedKey: message.encryptedKey },
    creditorAgentJwk: jwkText(message.creditorAgentJwk),
    status: paymentMessageStatuses[message.status],
    reason: message.reason,
    receivedAt: timestampFromDate(message.receivedAt),
  };
}

/** As one of many: without what is encrypted for the recipient bank alone, which is most of its bytes. */
export function toListedPaymentMessage(message: PaymentMessage): MessageInitShape<typeof PaymentMessageSchema> {
  return {
    ...toPaymentMessage({ ...message, debtorName: "", debtorTaxNumber: "", creditorName: "", creditorTaxNumber: "" }),
    encryption: undefined,
    creditorAgentJwk: "",
  };
}

/** What whoever knows an order's id sees of its payment: neither who paid, nor from where to where. */
export function toPublicPaymentMessage(message: PaymentMessage): MessageInitShape<typeof PaymentMessageSchema> {
  return {
    guid: message.guid,
    amount: money(message.amountMinor, message.currency),
    orderId: message.orderGuid,
    status: paymentMessageStatuses[message.status],
    reason: message.reason,
  };
}

export function toParticipant(participant: Participant): MessageInitShape<typeof ParticipantSchema> {
  const urls = participant.callbackUrls;
  const { signingJwks, encryptionJwk } = statedKeysOf(participant);
  return {
    guid: participant.guid,
    kind: participantKinds[participant.kind],
    name: participant.name,
    taxCode: participant.taxCode,
    bic: participant.bic ?? "",
    uid: participant.uid ?? "",
    roles: participant.roles.map((role) => bankRoles[role]),
    iban: participant.iban,
    mcc: participant.mcc ?? "",
    servicingBankGuid: participant.servicingBankGuid ?? "",
    callbackUrls: {
      base: urls.base ?? "",
      payIn: urls.pay_in ?? "",
      payOut: urls.pay_out ?? "",
      credit: urls.credit ?? "",
      expiration: urls.expiration ?? "",
      grossSettlement: urls.gross_settlement ?? "",
    },
    callbackBodyFormat: callbackBodyFormats[participant.callbackBodyFormat],
    signingJwks: signingJwks.map(jwkText),
    encryptionJwk: jwkText(encryptionJwk),
    jwksUrl: participant.jwksUrl ?? "",
    email: participant.email,
    deepLinkPrefix: participant.deepLinkPrefix ?? "",
    logoUrl: participant.logoUrl ?? "",
    redirectUrl: participant.redirectUrl ?? "",
    feeBasisPoints: participant.feeBasisPoints,
    version: BigInt(participant.version),
    createdAt: timestampFromDate(participant.createdAt),
    updatedAt: timestampFromDate(participant.updatedAt),
    requiresBodySha256: participant.requiresBodySha256,
    callbackAlg: callbackAlgs[participant.callbackAlg],
    status: participantStatuses[participant.status],
    deepLinkContent: hasDeepLinks(participant)
      ? deepLinkContents[participant.deepLinkContent]
      : DeepLinkContent.UNSPECIFIED,
  };
}

export function toParticipantKey(key: ParticipantKey): MessageInitShape<typeof ParticipantKeySchema> {
  return {
    id: BigInt(key.id),
    use: keyUses[key.use],
    kid: key.kid,
    jwk: jwkText(key.jwk),
    activeFrom: timestampFromDate(key.activeFrom),
    retireAt: instantOrUnset(key.retireAt),
    seenAt: instantOrUnset(key.seenAt),
    addedBy: key.addedBy,
    addedWith: key.addedWith ?? "",
  };
}

export function toKeySet(set: KeySet): MessageInitShape<typeof PublishedKeySetSchema> {
  return {
    url: set.url,
    readAt: instantOrUnset(set.readAt),
    nextAt: timestampFromDate(set.nextAt),
    failures: set.failures,
    problem: set.problem ?? "",
  };
}

export function toPingResult(result: PingResult): MessageInitShape<typeof PingResultSchema> {
  return {
    urlNames: result.urlNames,
    url: result.url,
    outcome: result.outcome,
    httpStatus: result.httpStatus ?? 0,
    durationMs: Math.round(result.durationMs),
    answer: result.answer,
    problem: result.problem ?? "",
    provenKids: result.provenKids,
  };
}

const instantOrUnset = (date: Date | null) => (date === null ? undefined : timestampFromDate(date));

export function toRegister(register: Register): MessageInitShape<typeof RegisterSchema> {
  const { creditorAgent } = register;
  return {
    id: register.id,
    day: register.day,
    debtorAgent: register.debtorAgent,
    adjustsDay: register.adjustsDay ?? "",
    creditorAgent: { guid: creditorAgent?.guid ?? "", name: creditorAgent?.name ?? "", bic: creditorAgent?.bic ?? "" },
    creditorCode: creditorAgent?.taxCode ?? "",
    chargingAccount: creditorAgent?.iban ?? "",
    purpose: register.purpose,
    periodStart: timestampFromDate(register.periodStart),
    periodEnd: timestampFromDate(register.periodEnd),
    totalAmount: money(register.totalAmountMinor, register.currency),
    totalFeeMinor: BigInt(register.totalFeeMinor),
    paymentCount: register.paymentCount,
    status: registerStatuses[register.status],
    createdAt: timestampFromDate(register.createdAt),
    updatedAt: timestampFromDate(register.updatedAt),
  };
}

export function toRegisterPayment(
  payment: RegisterPayment,
  currency: string,
): MessageInitShape<typeof RegisterPaymentSchema> {
  return {
    paymentMessageGuid: payment.guid,
    externalId: payment.externalId,
    pmType: paymentTypes[payment.pmType],
    amount: money(payment.amountMinor, currency),
    feeMinor: BigInt(payment.feeMinor),
    purpose: payment.purpose,
    debtorAccount: payment.debtorAccount,
    creditorAccount: payment.creditorAccount,
    receivedAt: timestampFromDate(payment.receivedAt),
  };
}

export function toRegisterAct(act: RegisterAct): MessageInitShape<typeof RegisterActSchema> {
  const { payment } = act;
  return {
    number: BigInt(act.number),
    kind: registerActKinds[act.kind],
    actor: act.actor,
    at: timestampFromDate(act.at),
    payment: payment
      ? {
          externalId: payment.externalId,
          creditorIban: payment.creditorIban,
          amount: money(payment.amountMinor, payment.currency),
          purpose: payment.purpose,
          creationDate: payment.creationDate,
        }
      : undefined,
    paymentStatus: act.paymentStatus ?? "",
    note: act.note ?? "",
    jws: act.jws ?? "",
  };
}

export function toCallback(callback: CallbackView): MessageInitShape<typeof CallbackSchema> {
  return {
    guid: callback.guid,
    kind: callbackKinds[callback.kind],
    state: callbackStates[callback.state],
    receiverGuid: callback.receiverGuid,
    paymentMessageGuid: callback.paymentMessageGuid ?? "",
    orderId: callback.orderGuid ?? "",
    registerId: callback.registerId ?? "",
    series: callback.series,
    attempts: callback.attempts,
    dueAt: callback.state === "waiting" ? timestampFromDate(callback.dueAt) : undefined,
    createdAt: timestampFromDate(callback.createdAt),
    updatedAt: timestampFromDate(callback.updatedAt),
    ...(callback.lastAttemptAt && { lastAttemptAt: timestampFromDate(callback.lastAttemptAt) }),
    lastOutcome: callback.lastOutcome ?? "",
    resolvedBy: callback.resolvedBy ?? "",
    resolutionNote: callback.resolutionNote ?? "",
  };
}

export function toCallbackAttempt(attempt: CallbackAttempt): MessageInitShape<typeof CallbackAttemptSchema> {
  return {
    series: attempt.series,
    attempt: attempt.attempt,
    startedAt: timestampFromDate(attempt.startedAt),
    durationMs: attempt.durationMs,
    outcome: attempt.outcome,
    httpStatus: attempt.httpStatus ?? 0,
    answer: attempt.answer ?? "",
    problem: attempt.problem ?? "",
  };
}

export function toCredential(credential: Credential): MessageInitShape<typeof CredentialSchema> {
  return {
    name: credential.name,
    scopes: credential.scopes.map((scope) => scopes[scope]),
    expiresAt: timestampFromDate(credential.expiresAt),
    createdAt: timestampFromDate(credential.createdAt),
    ...(credential.revokedAt && { revokedAt: timestampFromDate(credential.revokedAt) }),
  };
}

export function toPlatformKey(key: ListedPlatformKey): MessageInitShape<typeof PlatformKeySchema> {
  return {
    kid: key.kid,
    alg: callbackAlgs[key.alg],
    state: platformKeyStates[key.state],
    createdAt: timestampFromDate(key.createdAt),
    activeFrom: timestampFromDate(key.activeFrom),
    ...(key.retireAt && { retireAt: timestampFromDate(key.retireAt) }),
    ...(key.unpublishAt && { unpublishAt: timestampFromDate(key.unpublishAt) }),
  };
}

export function toAuditEntry(entry: AuditEntry): MessageInitShape<typeof AuditEntrySchema> {
  return {
    number: BigInt(entry.number),
    at: timestampFromDate(entry.at),
    actor: entry.actor,
    act: auditActs[entry.act],
    object: entry.object,
    digestBefore: entry.digestBefore?.toString("hex") ?? "",
    digestAfter: entry.digestAfter?.toString("hex") ?? "",
  };
}
