import type { ListAuditEntriesRequest } from "../../gen/dcm/v1/audit_service_pb.ts";
import type { CallbackFilter as PbCallbackFilter } from "../../gen/dcm/v1/callback_service_pb.ts";
import type { AddCredentialRequest } from "../../gen/dcm/v1/credential_service_pb.ts";
import type { CallbackUrls as PbCallbackUrls, Participant as PbParticipant } from "../../gen/dcm/v1/participant_pb.ts";
import type {
  AddParticipantKeyRequest,
  GetParticipantRequest,
  RetireParticipantKeyRequest,
  UpdateParticipantRequest,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import type { GetPaymentMessageRequest } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import type { RotatePlatformKeyRequest } from "../../gen/dcm/v1/platform_service_pb.ts";
import { RegisterRole } from "../../gen/dcm/v1/settlement_pb.ts";
import type { GetRegisterRequest, ListRegistersRequest } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../gen/rest/limits.ts";
import type { AuditFilter } from "../core/audit.ts";
import type { WantedCredential } from "../core/credentials.ts";
import { isGuid } from "../core/guid.ts";
import type { ParticipantChange } from "../core/participantChange.ts";
import type { KeyWish, RetiredKey } from "../core/participantKeys.ts";
import type { ParticipantName, Registration } from "../core/participants.ts";
import type { CallbackFilter } from "../core/review.ts";
import type { PaymentsPage, RegisterQuery } from "../core/settlements.ts";
import { refuse } from "../domain/errors.ts";
import type { CallbackUrls, Participant, ParticipantKind } from "../domain/participant.ts";
import type { RotationWish } from "../domain/platformKey.ts";
import {
  auditActs,
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  callbackKinds,
  callbackStates,
  participantKinds,
  registerStatuses,
  scopes,
} from "./enums.ts";
import { invalidRequest, toConnectError } from "./errors.ts";
import { guid, instant, named, optionalInstant, optionalNamed, pageSize, present, textOrNull } from "./fields.ts";

// From the wire to the domain. What is absent and what is wrong in shape ends here, named by its field.

export function paymentMessageKey({ by }: GetPaymentMessageRequest): { guid: string } | { orderGuid: string } {
  if (by.case === undefined) throw invalidRequest("by", "is missing: guid or order_id");
  return by.case === "guid" ? { guid: by.value } : { orderGuid: by.value };
}

/** What a bank asks for is its own, whatever it says; a service asks for whom it says. */
function ofReader(asked: string, reader: Participant | undefined, field: string): string | undefined {
  const wanted = asked === "" ? undefined : guid(asked, field);
  if (reader === undefined || wanted === undefined || wanted === reader.guid) return reader?.guid ?? wanted;
  throw toConnectError(refuse("FORBIDDEN", `${field} is not the caller`, { field }));
}

/** `reader`: the bank that asks, which sees what was sent to it; undefined for a service. */
export function callbackFilter(filter: PbCallbackFilter | undefined, reader?: Participant): CallbackFilter {
  const receiverGuid = ofReader(filter?.receiverGuid ?? "", reader, "filter.receiver_guid");
  if (filter === undefined) return { receiverGuid };
  return {
    states: filter.states.map((state) => named(callbackStates, state, "filter.states")),
    kinds: filter.kinds.map((kind) => named(callbackKinds, kind, "filter.kinds")),
    receiverGuid,
    paymentMessageGuid: filter.paymentMessageGuid || undefined,
    since: optionalInstant(filter.since, "filter.since"),
    until: optionalInstant(filter.until, "filter.until"),
    missed: filter.missed,
  };
}

const defaultRegisterLimit = 50;

/** About 300 bytes a payment beside its purpose: at most some 2 MB, below the 4 MiB of a gRPC message. */
const maxPaymentsInPage = limits.registerPaymentsPageMax;

export function paymentsPage({ paymentsLimit, paymentsAfter }: GetRegisterRequest): PaymentsPage {
  if (paymentsLimit < 0) throw invalidRequest("payments_limit", "is negative");
  return {
    limit: paymentsLimit === 0 ? 500 : Math.min(paymentsLimit, maxPaymentsInPage),
    after: paymentsAfter === "" ? undefined : guid(paymentsAfter, "payments_after"),
  };
}

/** `reader`: the bank that asks, which lists its own; undefined for a service, which says whose. */
export function registerQuery(request: ListRegistersRequest, reader: Participant | undefined): RegisterQuery {
  if (request.offset < 0) throw invalidRequest("offset", "is negative");
  const anySide = { [RegisterRole.UNSPECIFIED]: false, [RegisterRole.DEBTOR]: false, [RegisterRole.ALL]: true };
  return {
    bankGuid: present(ofReader(request.bankGuid, reader, "bank_guid"), "bank_guid"),
    anySide: present<boolean>(anySide[request.role as keyof typeof anySide], "role"),
    from: optionalInstant(request.from, "from"),
    to: optionalInstant(request.to, "to"),
    statuses: request.statuses.map((status) => named(registerStatuses, status, "statuses")),
    updatedFrom: optionalInstant(request.updatedFrom, "updated_from"),
    offset: request.offset,
    limit: pageSize(request.limit, defaultRegisterLimit, "limit"),
  };
}

export function participantKey({ by }: GetParticipantRequest): ParticipantName {
  switch (by.case) {
    case "guid":
      return { guid: by.value };
    case "bic":
      return { bic: by.value };
    case "uid":
      return { uid: by.value };
    case "kid":
      return { kid: by.value };
    default:
      throw invalidRequest("by", "is missing: guid, bic, uid or kid");
  }
}

/** What one kind of participant must not have; the domain looks at the rest. */
const foreignFields = {
  bank: { uid: "uid", mcc: "mcc", servicing_bank_guid: "servicingBankGuid" },
  merchant: { bic: "bic", roles: "roles" },
} as const satisfies Record<ParticipantKind, Record<string, keyof PbParticipant>>;

export function registration(kind: ParticipantKind, given: PbParticipant | undefined): Registration {
  const participant = present(given, kind);
  if ((optionalNamed(participantKinds, participant.kind, "kind") ?? kind) !== kind) {
    throw invalidRequest("kind", `is not ${kind}`);
  }
  for (const [field, member] of Object.entries(foreignFields[kind])) {
    if (participant[member as keyof PbParticipant]?.toString()) throw invalidRequest(field, `is not for a ${kind}`);
  }
  return {
    guid: textOrNull(participant.guid),
    kind,
    name: participant.name,
    taxCode: participant.taxCode,
    bic: textOrNull(participant.bic),
    uid: textOrNull(participant.uid),
    roles: rolesOf(participant.roles),
    iban: participant.iban,
    mcc: textOrNull(participant.mcc),
    servicingBankGuid: textOrNull(participant.servicingBankGuid)?.toLowerCase() ?? null,
    callbackUrls: callbackUrls(participant.callbackUrls),
    callbackBodyFormat:
      optionalNamed(callbackBodyFormats, participant.callbackBodyFormat, "callback_body_format") ?? "json",
    signingJwks: participant.signingJwks.map((jwk) => jwkJson(jwk, "signing_jwks")),
    encryptionJwk: participant.encryptionJwk === "" ? null : jwkJson(participant.encryptionJwk, "encryption_jwk"),
    jwksUrl: textOrNull(participant.jwksUrl),
    email: participant.email,
    deepLinkPrefix: textOrNull(participant.deepLinkPrefix),
    logoUrl: textOrNull(participant.logoUrl),
    redirectUrl: textOrNull(participant.redirectUrl),
    feeBasisPoints: participant.feeBasisPoints,
    requiresBodySha256: participant.requiresBodySha256,
    callbackAlg: optionalNamed(callbackAlgs, participant.callbackAlg, "callback_alg") ?? "RS256",
  };
}

const rolesOf = (roles: readonly number[]) => [...new Set(roles.map((role) => named(bankRoles, role, "roles")))];

function callbackUrls(given: PbCallbackUrls | undefined): CallbackUrls {
  if (given === undefined) return {};
  const named: Required<CallbackUrls> = {
    base: given.base,
    pay_in: given.payIn,
    pay_out: given.payOut,
    credit: given.credit,
    expiration: given.expiration,
    gross_settlement: given.grossSettlement,
  };
  return Object.fromEntries(Object.entries(named).filter(([, url]) => url !== ""));
}

function jwkJson(text: string, field: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw toConnectError(refuse("INVALID_KEY", `${field} is not a JSON Web Key text`, { field }));
  }
}

/** Texts that a change takes as they are, and texts that may be missing: empty takes them away. */
const changedTexts = ["name", "taxCode", "bic", "uid", "iban", "mcc", "email"] as const;
const removableTexts = ["deepLinkPrefix", "logoUrl", "redirectUrl", "jwksUrl"] as const;

/** Only what is given, so that the rest stays as it is. */
export function participantChange(request: UpdateParticipantRequest): ParticipantChange {
  const format = optionalNamed(callbackBodyFormats, request.callbackBodyFormat, "callback_body_format");
  const alg = optionalNamed(callbackAlgs, request.callbackAlg, "callback_alg");
  const { signingJwks, encryptionJwk, feeBasisPoints, requiresBodySha256, servicingBankGuid, roles } = request;
  const given = {
    ...Object.fromEntries(changedTexts.map((member) => [member, request[member]])),
    ...Object.fromEntries(removableTexts.map((member) => [member, request[member] === "" ? null : request[member]])),
    servicingBankGuid: servicingBankGuid?.toLowerCase(),
    roles: roles.length === 0 ? undefined : rolesOf(roles),
    callbackUrls: request.callbackUrls && callbackUrls(request.callbackUrls),
    signingJwks: signingJwks.length === 0 ? undefined : signingJwks.map((jwk) => jwkJson(jwk, "signing_jwks")),
    encryptionJwk: encryptionJwk === "" ? null : encryptionJwk && jwkJson(encryptionJwk, "encryption_jwk"),
    feeBasisPoints,
    requiresBodySha256,
    callbackBodyFormat: format,
    callbackAlg: alg,
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The version that a participant must still have; 0 is any. */
export const expectedVersion = (version: bigint): number | undefined => (version === 0n ? undefined : Number(version));

export function keyWish({ jwk, retireOthersAt, prove }: AddParticipantKeyRequest): KeyWish {
  return {
    jwk: jwkJson(present(textOrNull(jwk) ?? undefined, "jwk"), "jwk"),
    retireOthersAt: optionalInstant(retireOthersAt, "retire_others_at") ?? null,
    prove,
  };
}

export function retiredKey({ kid, id, at }: RetireParticipantKeyRequest): RetiredKey {
  return { kid, id: id === 0n ? undefined : Number(id), at: optionalInstant(at, "at") ?? null };
}

export function wantedCredential(request: AddCredentialRequest): WantedCredential {
  return {
    name: request.name,
    scopes: request.scopes.map((scope) => named(scopes, scope, "scopes")),
    expiresAt: instant(request.expiresAt, "expires_at"),
  };
}

export function rotationWish({ alg, announceSeconds, atOnce }: RotatePlatformKeyRequest): RotationWish {
  return { alg: optionalNamed(callbackAlgs, alg, "alg") ?? "RS256", announceSeconds, atOnce };
}

export function auditFilter(request: ListAuditEntriesRequest): AuditFilter {
  return {
    // Whatever an actor is named with, guids and names of credentials, has small letters.
    actor: request.actor.toLowerCase(),
    acts: request.acts.map((act) => named(auditActs, act, "acts")),
    // Names of keys may have capitals.
    object: isGuid(request.object) ? request.object.toLowerCase() : request.object,
    since: optionalInstant(request.since, "since"),
    until: optionalInstant(request.until, "until"),
  };
}

/** The number of an entry, as the audit trail's page tokens carry it. */
export const isEntryNumber = (text: string): boolean => /^\d{1,15}$/.test(text);
