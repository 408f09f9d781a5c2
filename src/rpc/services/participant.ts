import type { HandlerContext } from "@connectrpc/connect";
import type {
  CallbackUrls as PbCallbackUrls,
  Participant as PbParticipant,
} from "../../../gen/dcm/v1/participant_pb.ts";
import {
  type AddParticipantKeyRequest,
  type GetParticipantRequest,
  ListParticipantKeysRequestSchema,
  ListParticipantsRequestSchema,
  type ParticipantService,
  type RetireParticipantKeyRequest,
  type UpdateParticipantRequest,
} from "../../../gen/dcm/v1/participant_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { ParticipantChange } from "../../core/participantChange.ts";
import type { KeyWish, RetiredKey } from "../../core/participantKeys.ts";
import type { ParticipantName, Registration } from "../../core/participants.ts";
import { refuse } from "../../domain/errors.ts";
import type { CallbackUrls, ParticipantKind } from "../../domain/participant.ts";
import { bankRoles, callbackAlgs, callbackBodyFormats, deepLinkContents, participantKinds } from "../../wire/enums.ts";
import { toParticipant, toParticipantKey } from "../../wire/participant.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { actorOf, bankOf } from "../caller.ts";
import { invalidRequest, toConnectError, unlessRefused } from "../errors.ts";
import { named, optionalInstant, optionalNamed, required, textOrNull } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const participantHandlers = (core: Core): WholeAnswers<typeof ParticipantService> => ({
  async registerBank({ bank, prove }, context) {
    return { bank: await register(core, registration("bank", required(bank)), prove, context) };
  },
  async registerMerchant({ merchant, prove }, context) {
    return { merchant: await register(core, registration("merchant", required(merchant)), prove, context) };
  },
  async listParticipants(request) {
    const asked = askedPage({ schema: ListParticipantsRequestSchema, isKey: keys.nameAndGuid, whenZero: 100 }, request);
    const [name = "", guid = ""] = asked.after ?? [];
    const filter = {
      kind: optionalNamed(participantKinds, request.kind),
      role: optionalNamed(bankRoles, request.role),
    };
    const after = asked.after && { name, guid };
    const found = await core.listParticipants(filter, { limit: asked.limit + 1, after });
    const { page, nextPageToken } = cutPage(found, asked, (participant) => [participant.name, participant.guid]);
    return { participants: page.map(toParticipant), nextPageToken };
  },
  async getParticipant(request) {
    const found = unlessRefused(await core.getParticipant(participantKey(request)));
    return { participant: toParticipant(found) };
  },
  async getLogo({ sha256 }) {
    return { png: unlessRefused(await core.getLogo(sha256)) };
  },
  async updateParticipant(request, context) {
    const change = participantChange(request);
    const version = expectedVersion(request.version);
    const changed = await core.updateParticipant(actorOf(context), request.guid, change, version);
    return { participant: toParticipant(unlessRefused(changed)) };
  },
  suspendParticipant: changedStatus(core.suspendParticipant),
  resumeParticipant: changedStatus(core.resumeParticipant),
  closeParticipant: changedStatus(core.closeParticipant),
  async listParticipantKeys(request) {
    const holder = unlessRefused(await core.getParticipant({ guid: request.guid }));
    const asked = askedPage({ schema: ListParticipantKeysRequestSchema, isKey: keys.number, whenZero: 100 }, request);
    const after = asked.after && Number(asked.after[0]);
    const [found, keySet] = await Promise.all([
      core.listParticipantKeys(holder.guid, { limit: asked.limit + 1, after }),
      core.getKeySet(holder.guid),
    ]);
    const { page, nextPageToken } = cutPage(found, asked, ({ id }) => [String(id)]);
    return {
      keys: page.map(toParticipantKey),
      keySet,
      nextPageToken,
    };
  },
  async addParticipantKey(request, context) {
    const wish = keyWish(request);
    return unlessRefused(await core.addParticipantKey(actorOf(context), request.guid, wish));
  },
  async retireParticipantKey(request, context) {
    const key = retiredKey(request);
    const retired = await core.retireParticipantKey(actorOf(context), request.guid, key);
    return { participant: toParticipant(unlessRefused(retired)) };
  },
  async pingParticipant({ guid }) {
    return { results: unlessRefused(await core.pingParticipant(guid)) };
  },
  async addOwnKey({ body }, context) {
    const bank = bankOf(context);
    const wish = unlessRefused(await core.identity.ownKeyOf(bank, body));
    return unlessRefused(await core.addOwnKey(bank, wish));
  },
});

async function register(core: Core, asked: Registration, prove: boolean, context: HandlerContext) {
  return toParticipant(unlessRefused(await core.registerParticipant(actorOf(context), asked, { prove })));
}

/** A handler for a change of status: from participant and expected version to the participant as it stands afterwards. */
const changedStatus =
  (step: Core["suspendParticipant"]) =>
  async ({ guid, version }: { guid: string; version: bigint }, context: HandlerContext) => {
    const changed = await step(actorOf(context), { guid, version: expectedVersion(version) });
    return { participant: toParticipant(unlessRefused(changed)) };
  };

const participantKey = ({ by }: GetParticipantRequest): ParticipantName =>
  ({ [required(by.case)]: by.value }) as ParticipantName;

/** Fields that the other kind of participant has and this one must not; the domain checks the rest. */
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

/** Texts that a change sets as given, and texts that it can also remove: empty removes them. */
const changedTexts = ["name", "taxCode", "bic", "uid", "iban", "mcc", "email"] as const;
const removableTexts = ["deepLinkPrefix", "logoUrl", "redirectUrl", "jwksUrl"] as const;

/** Only the given members, so that the others stay as they are. */
function participantChange(request: UpdateParticipantRequest): ParticipantChange {
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

/** The expected version for optimistic locking; 0 on the wire is any. */
const expectedVersion = (version: bigint): number | undefined => (version === 0n ? undefined : Number(version));

function keyWish({ jwk, retireOthersAt, prove }: AddParticipantKeyRequest): KeyWish {
  return {
    jwk: jwkJson(jwk, "jwk"),
    retireOthersAt: optionalInstant(retireOthersAt) ?? null,
    prove,
  };
}

function retiredKey({ kid, id, at }: RetireParticipantKeyRequest): RetiredKey {
  return { kid, id: id === 0n ? undefined : Number(id), at: optionalInstant(at) ?? null };
}
