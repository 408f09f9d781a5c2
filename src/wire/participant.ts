import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  DeepLinkContent,
  ParticipantKeySchema,
  ParticipantSchema,
  type Participant as PbParticipant,
  type ParticipantKey as PbParticipantKey,
} from "../../gen/dcm/v1/participant_pb.ts";
import {
  hasDeepLinks,
  type Participant,
  type ParticipantKey,
  type PublicJwk,
  statedKeysOf,
} from "../domain/participant.ts";
import {
  bankRoles,
  callbackAlgs,
  callbackBodyFormats,
  deepLinkContents,
  keyUses,
  participantKinds,
  participantStatuses,
} from "./enums.ts";
import { instantOrUnset } from "./values.ts";
import { whole } from "./whole.ts";

/** A key as JSON text with sorted members, so that equal keys are equal texts: the database does not keep the order. */
export const jwkText = (jwk: PublicJwk | null) => (jwk === null ? "" : JSON.stringify(jwk, Object.keys(jwk).sort()));

/** A participant as the contract shows it; of its keys, those that a registration would state. */
export function toParticipant(participant: Participant): PbParticipant {
  const urls = participant.callbackUrls;
  const { signingJwks, encryptionJwk } = statedKeysOf(participant);
  return whole(ParticipantSchema, {
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
    logoSha256: participant.logo?.sha256 ?? "",
    logoProblem: participant.logo?.problem ?? "",
  });
}

export function toParticipantKey(key: ParticipantKey): PbParticipantKey {
  return whole(ParticipantKeySchema, {
    id: BigInt(key.id),
    use: keyUses[key.use],
    kid: key.kid,
    jwk: jwkText(key.jwk),
    activeFrom: timestampFromDate(key.activeFrom),
    retireAt: instantOrUnset(key.retireAt),
    seenAt: instantOrUnset(key.seenAt),
    addedBy: key.addedBy,
    addedWith: key.addedWith ?? "",
  });
}
