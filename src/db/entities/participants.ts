import { defineEntity, p } from "@mikro-orm/core";
import {
  type BankRole,
  bankRoles,
  type CallbackAlg,
  type CallbackBodyFormat,
  type CallbackUrls,
  callbackAlgs,
  callbackBodyFormats,
  type DeepLinkContent,
  deepLinkContents,
  type KeyUse,
  keyUses,
  type ParticipantKind,
  type ParticipantStatus,
  type PublicJwk,
  participantKinds,
  participantStatuses,
} from "../../domain/participant.ts";
import { check, instant, oneOf, quoted, text } from "./columns.ts";

/** A bank or a merchant (wire-contract section 8). */
export const ParticipantEntity = defineEntity({
  name: "Participant",
  tableName: "participant",
  indexes: [
    // For keyset pages of the list.
    { name: "participant_name", properties: ["name", "guid"] },
    { name: "participant_kind_name", properties: ["kind", "name", "guid"] },
  ],
  checks: [
    oneOf("participant", "kind", participantKinds),
    oneOf("participant", "callback_body_format", callbackBodyFormats),
    oneOf("participant", "callback_alg", callbackAlgs),
    oneOf("participant", "status", participantStatuses),
    oneOf("participant", "deep_link_content", deepLinkContents),
    check(
      "participant_bank_check",
      `kind <> 'bank' or (bic is not null and uid is null and servicing_bank_guid is null
        and roles <@ array[${quoted(bankRoles)}]::text[])`,
    ),
    check(
      "participant_merchant_check",
      "kind <> 'merchant' or (uid is not null and bic is null and servicing_bank_guid is not null and roles = '{}'::text[])",
    ),
    check("participant_fee_check", "fee_basis_points >= 0 and fee_basis_points <= 10000"),
  ],
  properties: {
    guid: p.uuid().primary(),
    kind: text().$type<ParticipantKind>(),
    name: text(),
    taxCode: text(),
    bic: text().strictNullable().unique("participant_bic_unique"),
    uid: text().strictNullable().unique("participant_uid_unique"),
    roles: p.array().$type<BankRole[]>(),
    iban: text(),
    mcc: text().strictNullable(),
    servicingBankGuid: () =>
      p
        .manyToOne(ParticipantEntity)
        .mapToPk()
        .fieldName("servicing_bank_guid")
        .deleteRule("no action")
        .strictNullable(),
    callbackUrls: p.json<CallbackUrls>(),
    callbackBodyFormat: text().$type<CallbackBodyFormat>(),
    jwksUrl: text().strictNullable(),
    email: text(),
    deepLinkPrefix: text().strictNullable(),
    logoUrl: text().strictNullable(),
    redirectUrl: text().strictNullable(),
    feeBasisPoints: p.integer(),
    version: p.integer(),
    createdAt: instant(),
    updatedAt: instant(),
    requiresBodySha256: p.boolean().default(false),
    callbackAlg: text().$type<CallbackAlg>().default("RS256"),
    status: text().$type<ParticipantStatus>().default("active"),
    deepLinkContent: text().$type<DeepLinkContent>().default("signed_order"),
  },
});

/** A key of a participant. Rows are added and retired; their instants tell which of them are valid. */
export const ParticipantKeyEntity = defineEntity({
  name: "ParticipantKey",
  tableName: "participant_key",
  indexes: [
    { name: "participant_key_kid", properties: ["participantGuid", "kid"] },
    // Anyone may send a kid, and looking for its bank must not read the keys of all merchants.
    {
      name: "participant_key_bank_kid",
      expression:
        "create index participant_key_bank_kid on participant_key (kid) where participant_kind = 'bank' and use = 'sig'",
    },
    // No two parties may have the same key, under whatever kid.
    {
      name: "participant_key_numbers",
      expression: "create index participant_key_numbers on participant_key ((jwk - '{kid,alg,use}'::text[]))",
    },
  ],
  checks: [
    oneOf("participant_key", "participant_kind", participantKinds),
    oneOf("participant_key", "use", keyUses),
    check("participant_key_kid_check", "kid = jwk->>'kid'"),
    check("participant_key_retire_check", "retire_at >= active_from"),
  ],
  properties: {
    id: p.bigint("number").primary().autoincrement().generated("identity"),
    participantGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("participant_guid").deleteRule("no action"),
    /** Copied from the participant, which never changes it. */
    participantKind: text().$type<ParticipantKind>(),
    use: text().$type<KeyUse>(),
    kid: text(),
    jwk: p.json<PublicJwk>(),
    activeFrom: instant(),
    retireAt: instant().strictNullable(),
    seenAt: instant().strictNullable(),
    /** The actor, named as in the audit trail. */
    addedBy: text(),
    addedWith: text().strictNullable(),
  },
});

/** The logo of a participant, copied from where it was registered: once it was copied it is not due any more. */
export const ParticipantLogoEntity = defineEntity({
  name: "ParticipantLogo",
  tableName: "participant_logo",
  indexes: [
    { name: "participant_logo_next", properties: ["nextAt"] },
    // Pages name a logo by its digest.
    { name: "participant_logo_sha256", properties: ["sha256"] },
  ],
  checks: [
    check("participant_logo_failures_check", "failures >= 0 and (failures = 0 or problem is not null)"),
    check("participant_logo_image_check", "(sha256 is null) = (image is null) and (sha256 is null or next_at is null)"),
  ],
  properties: {
    participantGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("participant_guid").deleteRule("no action").primary(),
    url: text(),
    /** When it is copied next; a running copying has moved it (lease). */
    nextAt: instant().strictNullable(),
    failures: p.integer(),
    /** What was wrong with the address or the picture. */
    problem: text().strictNullable(),
    sha256: text().strictNullable(),
    /** A PNG that we drew. */
    image: p.blob().strictNullable(),
  },
});

/** The key set that a merchant publishes: when it was read, and when it will be read next. */
export const PublishedKeySetEntity = defineEntity({
  name: "PublishedKeySet",
  tableName: "published_key_set",
  indexes: [{ name: "published_key_set_next", properties: ["nextAt"] }],
  checks: [check("published_key_set_failures_check", "failures >= 0 and (failures = 0 or problem is not null)")],
  properties: {
    participantGuid: () =>
      p.manyToOne(ParticipantEntity).mapToPk().fieldName("participant_guid").deleteRule("no action").primary(),
    url: text(),
    nextAt: instant(),
    /** When the last reading began (lease). */
    askedAt: instant().strictNullable(),
    /** When it was last read successfully. */
    readAt: instant().strictNullable(),
    /** Failed readings since then. */
    failures: p.integer(),
    /** What was wrong with the address or the set. */
    problem: text().strictNullable(),
  },
});
