import { defineEntity, p } from "@mikro-orm/core";
import { type AuditAct, actsWithoutDigests, auditActs, makingActs } from "../../domain/audit.ts";
import { type Scope, scopes } from "../../domain/credential.ts";
import { type CallbackAlg, callbackAlgs, type PublicJwk } from "../../domain/participant.ts";
import { check, instant, oneOf, quoted, text } from "./columns.ts";

/** Access tokens that stored changes have used (against replay), until they are too old to be accepted anyway. */
export const UsedAccessTokenEntity = defineEntity({
  name: "UsedAccessToken",
  tableName: "used_access_token",
  indexes: [{ name: "used_access_token_expiry", properties: ["expiresAt"] }],
  properties: {
    participantGuid: p.uuid().primary(),
    jti: text().primary(),
    expiresAt: instant(),
    /** The digest of the request that used the token and may be retried with it; null if a node of an older version stored it. */
    requestDigest: p.blob().strictNullable(),
  },
});

/** A service that may call the core; of its secret only the SHA-256 digest is stored. */
export const ServiceCredentialEntity = defineEntity({
  name: "ServiceCredential",
  tableName: "service_credential",
  uniques: [{ name: "service_credential_secret_unique", properties: ["secretSha256"] }],
  checks: [check("service_credential_scopes_check", `scopes <@ array[${quoted(scopes)}]::text[] and scopes <> '{}'`)],
  properties: {
    name: text().primary(),
    scopes: p.array().columnType("text[]").$type<Scope[]>(),
    secretSha256: p.blob(),
    expiresAt: instant(),
    createdAt: instant(),
    revokedAt: instant().strictNullable(),
  },
});

/** A key that the platform signs with; its state follows from the instants (`domain/platformKey.ts`). */
export const PlatformKeyEntity = defineEntity({
  name: "PlatformKey",
  tableName: "platform_key",
  checks: [
    oneOf("platform_key", "alg", callbackAlgs),
    check("platform_key_end_check", "(retire_at is null) = (unpublish_at is null)"),
    check("platform_key_order_check", "retire_at <= unpublish_at"),
  ],
  properties: {
    kid: text().primary(),
    alg: text().$type<CallbackAlg>(),
    publicJwk: p.json().$type<PublicJwk>(),
    /** Encrypted under the master key (`core/masterKey.ts`). */
    privateKey: p.blob(),
    /** The fingerprint of that master key. */
    masterKeyId: text(),
    createdAt: instant(),
    activeFrom: instant(),
    /** Both null until a successor is announced. */
    retireAt: instant().strictNullable(),
    unpublishAt: instant().strictNullable(),
  },
});

/** The audit trail: who changed what, and when. Append-only: a trigger refuses every update and delete. */
export const AuditEntryEntity = defineEntity({
  name: "AuditEntry",
  tableName: "audit_entry",
  indexes: [
    { name: "audit_entry_actor", properties: ["actor", "at", "number"] },
    { name: "audit_entry_act", properties: ["act", "at", "number"] },
    { name: "audit_entry_object", properties: ["object", "at", "number"] },
    { name: "audit_entry_at", properties: ["at", "number"] },
  ],
  checks: [
    oneOf("audit_entry", "act", auditActs),
    // An act without a change has no entry.
    check(
      "audit_entry_digests_check",
      `case
        when act in (${quoted(actsWithoutDigests)}) then digest_before is null and digest_after is null
        when act in (${quoted(makingActs)}) then digest_before is null and digest_after is not null
        else digest_before is not null and digest_after is not null and digest_before <> digest_after
      end`,
    ),
  ],
  triggers: [
    {
      name: "append_only",
      timing: "before",
      // Truncate as well, which MikroORM does not see in the database.
      events: ["update", "delete"],
      forEach: "statement",
      body: "raise exception 'audit_entry only grows: % is refused', tg_op using errcode = 'insufficient_privilege'",
    },
  ],
  properties: {
    number: p.bigint("number").primary().autoincrement().generated("identity"),
    at: instant(),
    /** A bank's guid, the name of a credential, or `platform`. */
    actor: text(),
    act: text().$type<AuditAct>(),
    object: text(),
    digestBefore: p.blob().strictNullable(),
    digestAfter: p.blob().strictNullable(),
  },
});
