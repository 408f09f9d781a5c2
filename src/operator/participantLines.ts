import { toJson } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  KeyUse,
  type Participant,
  type ParticipantKey,
  ParticipantKind,
  ParticipantSchema,
} from "../../gen/dcm/v1/participant_pb.ts";
import type { ListParticipantKeysResponse, PublishedKeySet } from "../../gen/dcm/v1/participant_service_pb.ts";
import {
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  deepLinkContents,
  keyUses,
  nameOf,
  participantKinds,
  participantStatuses,
} from "../wire/enums.ts";
import type { Answer } from "./action.ts";
import { fields, table, when } from "./table.ts";

// What operators see of a participant and its keys.

export const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

export const rolesOf = (participant: Participant) =>
  participant.roles.map((role) => nameOf(bankRoles, role) ?? "unknown").join(", ");
export const kindOf = (participant: Participant) => nameOf(participantKinds, participant.kind) ?? "unknown";
export const statusOf = (participant: Participant) => nameOf(participantStatuses, participant.status) ?? "unknown";

/** Keys are public; people compare their kids. */
const kidOf = (jwk: string) => String((JSON.parse(jwk) as { kid?: unknown }).kid ?? "without kid");

export function present(participant: Participant | undefined): Participant {
  if (participant === undefined) throw new Error("the core answered without a participant");
  return participant;
}

/** A sentence about what was done, and the participant as it is now. */
export function answerOf(given: Participant | undefined, sentence: string): Answer {
  const participant = present(given);
  return {
    json: toJson(ParticipantSchema, participant, json),
    lines: [`${sentence} Its version is ${participant.version}.`, "", ...participantLines(participant)],
  };
}

export function participantLines(participant: Participant): string[] {
  const urls = participant.callbackUrls;
  return fields([
    ["guid", participant.guid],
    ["kind", kindOf(participant)],
    ["status", statusOf(participant)],
    ["name", participant.name],
    ["tax code", participant.taxCode],
    ["bic", participant.bic],
    ["uid", participant.uid],
    ["roles", rolesOf(participant)],
    ["iban", participant.iban],
    ["mcc", participant.mcc],
    ["servicing bank", participant.servicingBankGuid],
    ["base URL", urls?.base ?? ""],
    ["pay_in URL", urls?.payIn ?? ""],
    ["pay_out URL", urls?.payOut ?? ""],
    ["credit URL", urls?.credit ?? ""],
    ["expiration URL", urls?.expiration ?? ""],
    ["gross_settlement URL", urls?.grossSettlement ?? ""],
    ["callback alg", nameOf(callbackAlgs, participant.callbackAlg) ?? ""],
    ["callback body", nameOf(callbackBodyFormats, participant.callbackBodyFormat) ?? ""],
    ["signing keys", participant.signingJwks.map(kidOf).join(", ")],
    ["encryption key", participant.encryptionJwk === "" ? "" : kidOf(participant.encryptionJwk)],
    ["key set URL", participant.jwksUrl],
    ["requires body_sha256", participant.requiresBodySha256 ? "yes" : "no"],
    ["e-mail", participant.email],
    ["deep link prefix", participant.deepLinkPrefix],
    ["deep link content", nameOf(deepLinkContents, participant.deepLinkContent) ?? ""],
    ["logo URL", participant.logoUrl],
    ["logo copy", participant.logoSha256 || participant.logoProblem],
    ["redirect URL", participant.redirectUrl],
    ["fee", `${participant.feeBasisPoints} basis points`],
    ["version", String(participant.version)],
    ["registered", when(participant.createdAt)],
    ["updated", when(participant.updatedAt)],
  ]);
}

/** The most keys that the core lists. */
const mostListed = 100;

const keysHeading = ["ID", "KID", "USE", "STATE", "ADDED", "BY", "WITH", "SEEN"];

/** The keys of a participant, retired ones included, and the state of the key set that it publishes. */
export function keysLines(holder: Participant, { keys, keySet }: ListParticipantKeysResponse, now: Date): string[] {
  const rows = keys.map((key) => [
    String(key.id),
    key.kid,
    nameOf(keyUses, key.use) ?? "unknown",
    stateOf(key, now),
    when(key.activeFrom),
    adderOf(holder, key),
    key.addedWith,
    when(key.seenAt) || "never",
  ]);
  const canSign = keys.some((key) => key.use === KeyUse.SIG && !isRetired(key, now));
  return [
    ...(rows.length === 0 ? [] : table(keysHeading, rows)),
    ...(rows.length < mostListed ? [] : [`Older keys than these ${mostListed} are not shown.`]),
    ...(canSign ? [] : ["No key is good that it could sign with: whatever it sends is refused."]),
    ...(keySet === undefined ? [] : ["", ...keySetLines(keySet)]),
  ];
}

const isRetired = ({ retireAt }: ParticipantKey, now: Date) => retireAt !== undefined && timestampDate(retireAt) <= now;

function stateOf(key: ParticipantKey, now: Date): string {
  if (key.retireAt === undefined) return "good";
  return `${isRetired(key, now) ? "retired" : "retires"} at ${when(key.retireAt)}`;
}

/** With a space, so that it cannot be mistaken for the name of a credential. */
function adderOf({ guid, kind }: Participant, { addedBy }: ParticipantKey): string {
  if (addedBy !== guid) return addedBy;
  return kind === ParticipantKind.BANK ? "the bank" : "the merchant";
}

const keySetLines = (keySet: PublishedKeySet): string[] =>
  fields([
    ["key set", keySet.url],
    ["read last", when(keySet.readAt) || "never"],
    ["read next", when(keySet.nextAt)],
    ["failures since", String(keySet.failures)],
    ["problem", keySet.problem],
  ]);
