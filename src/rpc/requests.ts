import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import type { ListAuditEntriesRequest } from "../../gen/dcm/v1/audit_service_pb.ts";
import type { CallbackFilter as PbCallbackFilter } from "../../gen/dcm/v1/callback_service_pb.ts";
import type { AddCredentialRequest } from "../../gen/dcm/v1/credential_service_pb.ts";
import type { ListOrdersRequest } from "../../gen/dcm/v1/order_service_pb.ts";
import type { CallbackUrls as PbCallbackUrls, Participant as PbParticipant } from "../../gen/dcm/v1/participant_pb.ts";
import type {
  AddParticipantKeyRequest,
  GetParticipantRequest,
  RetireParticipantKeyRequest,
  UpdateParticipantRequest,
} from "../../gen/dcm/v1/participant_service_pb.ts";
import type {
  GetPaymentMessageRequest,
  ListPaymentMessagesRequest,
} from "../../gen/dcm/v1/payment_message_service_pb.ts";
import type { RotatePlatformKeyRequest } from "../../gen/dcm/v1/platform_service_pb.ts";
import { RegisterRole } from "../../gen/dcm/v1/settlement_pb.ts";
import type {
  GetRegisterRequest,
  ListRegisterActsRequest,
  ListRegistersRequest,
} from "../../gen/dcm/v1/settlement_service_pb.ts";
import { limits } from "../../gen/rest/limits.ts";
import type { AuditFilter } from "../core/audit.ts";
import type { WantedCredential } from "../core/credentials.ts";
import { isGuid } from "../core/guid.ts";
import type { OrderFilter } from "../core/orderList.ts";
import type { ParticipantChange } from "../core/participantChange.ts";
import type { KeyWish, RetiredKey } from "../core/participantKeys.ts";
import type { ParticipantName, Registration } from "../core/participants.ts";
import type { PaymentMessageFilter } from "../core/paymentMessageList.ts";
import type { CallbackFilter } from "../core/review.ts";
import type { PaymentsPage, RegisterFilter, RegisterPage } from "../core/settlements.ts";
import { refuse } from "../domain/errors.ts";
import { isCalendarDay, kyivDay } from "../domain/kyiv.ts";
import type { CallbackUrls, Participant, ParticipantKind } from "../domain/participant.ts";
import type { RotationWish } from "../domain/platformKey.ts";
import {
  auditActs,
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  callbackKinds,
  callbackStates,
  deepLinkContents,
  orderStatuses,
  participantKinds,
  paymentMessageStatuses,
  registerStatuses,
  scopes,
} from "./enums.ts";
import { invalidRequest, toConnectError } from "./errors.ts";
import { named, optionalGuid, optionalInstant, optionalNamed, required, textOrNull } from "./fields.ts";
import { type AskedPage, mostRows } from "./pages.ts";

// From the wire to the domain. A request that comes here has the shape that proto/ says; what several fields say together is
// looked at here.

export function paymentMessageKey({ by }: GetPaymentMessageRequest): { guid: string } | { orderGuid: string } {
  const value = required(by.value);
  return by.case === "orderId" ? { orderGuid: value } : { guid: value };
}

/** What a bank or merchant asks for is its own, whatever it says; a service asks for whom it says. */
function ofReader(asked: string, reader: Participant | undefined, field: string): string | undefined {
  const wanted = optionalGuid(asked);
  if (reader === undefined || wanted === undefined || wanted === reader.guid) return reader?.guid ?? wanted;
  throw toConnectError(refuse("FORBIDDEN", `${field} is not the caller`, { field }));
}

/** `reader`: the bank or merchant that asks, which sees what was sent to it; undefined for a service. */
export function callbackFilter(filter: PbCallbackFilter | undefined, reader?: Participant): CallbackFilter {
  const receiverGuid = ofReader(filter?.receiverGuid ?? "", reader, "filter.receiver_guid");
  if (filter === undefined) return { receiverGuid };
  return {
    states: filter.states.map((state) => named(callbackStates, state)),
    kinds: filter.kinds.map((kind) => named(callbackKinds, kind)),
    receiverGuid,
    paymentMessageGuid: filter.paymentMessageGuid || undefined,
    since: optionalInstant(filter.since),
    until: optionalInstant(filter.until),
    missed: filter.missed,
  };
}

/** About 300 bytes a payment beside its purpose: at most some 2 MB, below the 4 MiB of a gRPC message. */
export const maxPaymentsInPage = limits.registerPaymentsPageMax;

/** Where a page of payments begins; the REST operation names the payment before it, a service sends a token. */
export function paymentsPage(
  { paymentsLimit, paymentsAfter, pageSize }: GetRegisterRequest,
  page: AskedPage,
): PaymentsPage {
  if (page.after !== undefined && paymentsAfter !== "")
    throw invalidRequest("payments_after", "goes with no page_token");
  return {
    limit: pageSize === 0 && paymentsLimit > 0 ? Math.min(paymentsLimit, maxPaymentsInPage) : page.limit,
    after: optionalGuid(paymentsAfter) ?? page.after?.[0],
  };
}

/** `reader`: the bank that asks, which lists its own; undefined for a service, which says whose. */
export function registerQuery(request: ListRegistersRequest, reader: Participant | undefined): RegisterFilter {
  const bankGuid = ofReader(request.bankGuid, reader, "bank_guid");
  if (bankGuid === undefined) throw invalidRequest("bank_guid", "is missing");
  return {
    bankGuid,
    anySide: request.role === RegisterRole.ALL,
    from: optionalInstant(request.from),
    to: optionalInstant(request.to),
    statuses: request.statuses.map((status) => named(registerStatuses, status)),
    updatedFrom: optionalInstant(request.updatedFrom),
  };
}

/** Where a page of registers begins; the REST operation counts those before it, a service sends a token. */
export function registerPage({ offset, limit, pageSize }: ListRegistersRequest, page: AskedPage): RegisterPage {
  if (page.after !== undefined && offset > 0) throw invalidRequest("offset", "goes with no page_token");
  return {
    limit: pageSize === 0 && limit > 0 ? Math.min(limit, mostRows) : page.limit,
    ...(page.after === undefined ? { offset } : { after: page.after[0] ?? "" }),
  };
}

/** After which act a page begins. */
export function actsAfter({ afterNumber }: ListRegisterActsRequest, page: AskedPage): number {
  if (page.after === undefined) return Number(afterNumber);
  if (afterNumber !== 0n) throw invalidRequest("after_number", "goes with no page_token");
  return Number(page.after[0]);
}

/** A period, as two instants or as a Kyiv day. */
function period(request: { day: string; since?: Timestamp | undefined; until?: Timestamp | undefined }) {
  const since = optionalInstant(request.since);
  const until = optionalInstant(request.until);
  if (request.day === "") return { since, until };
  if (since !== undefined || until !== undefined) throw invalidRequest("day", "goes with neither since nor until");
  if (!isCalendarDay(request.day)) throw invalidRequest("day", "is not a calendar day YYYY-MM-DD");
  return kyivDay(request.day);
}

export function orderFilter(request: ListOrdersRequest): OrderFilter {
  const { party, ref } = request;
  if (ref !== "" && party.case !== "merchantGuid") throw invalidRequest("ref", "needs merchant_guid");
  return {
    party: orderParty(party),
    statuses: request.statuses.map((status) => named(orderStatuses, status)),
    ...period(request),
    ref: ref === "" ? undefined : ref,
  };
}

function orderParty(party: ListOrdersRequest["party"]): OrderFilter["party"] {
  if (party.case === undefined) return undefined;
  return party.case === "merchantGuid"
    ? { merchantGuid: party.value.toLowerCase() }
    : { creditorAgentGuid: party.value.toLowerCase() };
}

export function paymentMessageFilter(request: ListPaymentMessagesRequest): PaymentMessageFilter {
  return {
    party: messageParty(request.party),
    statuses: request.statuses.map((status) => named(paymentMessageStatuses, status)),
    ...period(request),
    externalId: request.externalId === "" ? undefined : request.externalId,
  };
}

function messageParty(party: ListPaymentMessagesRequest["party"]): PaymentMessageFilter["party"] {
  switch (party.case) {
    case "merchantGuid":
      return { merchantGuid: party.value.toLowerCase() };
    case "debtorAgentGuid":
      return { debtorAgentGuid: party.value.toLowerCase() };
    case "creditorAgentGuid":
      return { creditorAgentGuid: party.value.toLowerCase() };
    default:
      return undefined;
  }
}

export const participantKey = ({ by }: GetParticipantRequest): ParticipantName =>
  ({ [required(by.case)]: by.value }) as ParticipantName;

/** What one kind of participant must not have; the domain looks at the rest. */
const foreignFields = {
  bank: { uid: "uid", mcc: "mcc", servicing_bank_guid: "servicingBankGuid" },
  merchant: { bic: "bic", roles: "roles" },
} as const satisfies Record<ParticipantKind, Record<string, keyof PbParticipant>>;

export function registration(kind: ParticipantKind, participant: PbParticipant): Registration {
  if ((optionalNamed(participantKinds, participant.kind) ?? kind) !== kind) {
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
    callbackBodyFormat: optionalNamed(callbackBodyFormats, participant.callbackBodyFormat) ?? "json",
    signingJwks: participant.signingJwks.map((jwk) => jwkJson(jwk, "signing_jwks")),
    encryptionJwk: participant.encryptionJwk === "" ? null : jwkJson(participant.encryptionJwk, "encryption_jwk"),
    jwksUrl: textOrNull(participant.jwksUrl),
    email: participant.email,
    deepLinkPrefix: textOrNull(participant.deepLinkPrefix),
    logoUrl: textOrNull(participant.logoUrl),
    redirectUrl: textOrNull(participant.redirectUrl),
    feeBasisPoints: participant.feeBasisPoints,
    requiresBodySha256: participant.requiresBodySha256,
    callbackAlg: optionalNamed(callbackAlgs, participant.callbackAlg) ?? "RS256",
    deepLinkContent: optionalNamed(deepLinkContents, participant.deepLinkContent) ?? null,
  };
}

const rolesOf = (roles: readonly number[]) => [...new Set(roles.map((role) => named(bankRoles, role)))];

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
  const format = optionalNamed(callbackBodyFormats, request.callbackBodyFormat);
  const alg = optionalNamed(callbackAlgs, request.callbackAlg);
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
    deepLinkContent: optionalNamed(deepLinkContents, request.deepLinkContent),
  };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

/** The version that a participant must still have; 0 is any. */
export const expectedVersion = (version: bigint): number | undefined => (version === 0n ? undefined : Number(version));

export function keyWish({ jwk, retireOthersAt, prove }: AddParticipantKeyRequest): KeyWish {
  return {
    jwk: jwkJson(jwk, "jwk"),
    retireOthersAt: optionalInstant(retireOthersAt) ?? null,
    prove,
  };
}

export function retiredKey({ kid, id, at }: RetireParticipantKeyRequest): RetiredKey {
  return { kid, id: id === 0n ? undefined : Number(id), at: optionalInstant(at) ?? null };
}

export function wantedCredential(request: AddCredentialRequest): WantedCredential {
  return {
    name: request.name,
    scopes: request.scopes.map((scope) => named(scopes, scope)),
    expiresAt: timestampDate(required(request.expiresAt)),
  };
}

export function rotationWish({ alg, announceSeconds, atOnce }: RotatePlatformKeyRequest): RotationWish {
  return { alg: optionalNamed(callbackAlgs, alg) ?? "RS256", announceSeconds, atOnce };
}

export function auditFilter(request: ListAuditEntriesRequest): AuditFilter {
  return {
    // Whatever an actor is named with, guids and names of credentials, has small letters.
    actor: request.actor.toLowerCase(),
    acts: request.acts.map((act) => named(auditActs, act)),
    // Names of keys may have capitals.
    object: isGuid(request.object) ? request.object.toLowerCase() : request.object,
    since: optionalInstant(request.since),
    until: optionalInstant(request.until),
  };
}
