import { create, type MessageShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { AuditEntrySchema } from "../../gen/dcm/v1/audit_service_pb.ts";
import type { CallbackAttemptSchema, CallbackSchema } from "../../gen/dcm/v1/callback_pb.ts";
import type { CredentialSchema } from "../../gen/dcm/v1/credential_service_pb.ts";
import type { OrderSchema } from "../../gen/dcm/v1/order_pb.ts";
import type { PingResultSchema, PublishedKeySetSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import { PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { PlatformKeySchema } from "../../gen/dcm/v1/platform_service_pb.ts";
import type { RegisterActSchema, RegisterPaymentSchema, RegisterSchema } from "../../gen/dcm/v1/settlement_pb.ts";
import type { AuditEntry } from "../core/audit.ts";
import type { KeySet } from "../core/keySets.ts";
import type { PingResult } from "../core/ping.ts";
import type { ListedPlatformKey } from "../core/platformKeys.ts";
import type { CallbackAttempt, CallbackView } from "../core/review.ts";
import type { Credential } from "../domain/credential.ts";
import type { Order } from "../domain/order.ts";
import {
  auditActs,
  callbackAlgs,
  callbackKinds,
  callbackStates,
  orderStatuses,
  paymentMessageStatuses,
  paymentTypes,
  platformKeyStates,
  registerActKinds,
  registerStatuses,
  scopes,
  senderAccountTypes,
} from "../wire/enums.ts";
import { jwkText } from "../wire/participant.ts";
import { instantOrUnset, money } from "../wire/values.ts";
import type { Whole } from "../wire/whole.ts";

// From the domain to the wire: null becomes "not set" for messages and empty for texts, as proto/ documents it.

export function toKeySet(set: KeySet): Whole<typeof PublishedKeySetSchema> {
  return {
    url: set.url,
    readAt: instantOrUnset(set.readAt),
    nextAt: timestampFromDate(set.nextAt),
    failures: set.failures,
    problem: set.problem ?? "",
  };
}

export function toPingResult(result: PingResult): Whole<typeof PingResultSchema> {
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

export function toCallback(callback: CallbackView): Whole<typeof CallbackSchema> {
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
    lastAttemptAt: instantOrUnset(callback.lastAttemptAt),
    lastOutcome: callback.lastOutcome ?? "",
    resolvedBy: callback.resolvedBy ?? "",
    resolutionNote: callback.resolutionNote ?? "",
  };
}

export function toCallbackAttempt(attempt: CallbackAttempt): Whole<typeof CallbackAttemptSchema> {
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

export function toCredential(credential: Credential): Whole<typeof CredentialSchema> {
  return {
    name: credential.name,
    scopes: credential.scopes.map((scope) => scopes[scope]),
    expiresAt: timestampFromDate(credential.expiresAt),
    createdAt: timestampFromDate(credential.createdAt),
    revokedAt: instantOrUnset(credential.revokedAt),
  };
}

export function toPlatformKey(key: ListedPlatformKey): Whole<typeof PlatformKeySchema> {
  return {
    kid: key.kid,
    alg: callbackAlgs[key.alg],
    state: platformKeyStates[key.state],
    createdAt: timestampFromDate(key.createdAt),
    activeFrom: timestampFromDate(key.activeFrom),
    retireAt: instantOrUnset(key.retireAt),
    unpublishAt: instantOrUnset(key.unpublishAt),
  };
}

export function toAuditEntry(entry: AuditEntry): Whole<typeof AuditEntrySchema> {
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
