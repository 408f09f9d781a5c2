import { createHash } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type Credential, CredentialSchema } from "../../gen/dcm/v1/credential_service_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import { query, rowsOf, selected } from "../db/query.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { credentialProblem, type Scope, type Service } from "../domain/credential.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import { scopes as pbScopes } from "../wire/enums.ts";
import { instantOrUnset } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";
import { newSecret } from "./credentialSecret.ts";

const notShown = ["secretSha256"] as const satisfies (keyof Row<"service_credential">)[];

type CredentialRow = Omit<Row<"service_credential">, (typeof notShown)[number]>;

const credentialColumns = (of: string) => columns("service_credential", { of, but: notShown });

function toCredential({ scopes, expiresAt, createdAt, revokedAt, ...same }: CredentialRow): Credential {
  return whole(CredentialSchema, {
    ...same,
    scopes: scopes.map((scope) => pbScopes[scope]),
    expiresAt: timestampFromDate(expiresAt),
    createdAt: timestampFromDate(createdAt),
    revokedAt: instantOrUnset(revokedAt),
  });
}

// Processes that start together on one folder bring the same name and the same secret, so either of the two may conflict.
const insertCredential = {
  name: "insert_credential",
  text: `
    with inserted as (
      insert into service_credential (name, scopes, secret_sha256, expires_at, created_at)
      select $1, $2, $3, $4::timestamptz, now() where $4::timestamptz > now()
      on conflict do nothing returning *, ${digestOf("service_credential")} as digest
    ), entry as (${insertEntry({
      act: "credential_added",
      actor: "$5",
      object: "name",
      digests: { after: "digest" },
      from: "inserted",
    })}
    )
    select ${credentialColumns("inserted")} from inserted`,
};

const selectTaken = {
  name: "select_taken_credential",
  text: "select from service_credential where name = $1 or secret_sha256 = $2",
};

const selectNamed = { name: "select_credential_name", text: "select from service_credential where name = $1" };

const revoke = {
  name: "revoke_credential",
  text: `
    with before as (
      select name, ${digestOf("c")} as digest from service_credential c where name = $1 for no key update
    ), revoked as (
      update service_credential c set revoked_at = coalesce(c.revoked_at, now()) from before where c.name = before.name
      returning c.*, ${digestOf("c")} as digest
    ), entry as (${insertEntry({
      act: "credential_revoked",
      actor: "$2",
      object: "revoked.name",
      digests: { before: "before.digest", after: "revoked.digest" },
      from: "revoked join before on before.name = revoked.name",
    })}
    )
    select ${credentialColumns("revoked")} from revoked`,
};

const selectService = {
  name: "select_service",
  text: `
    select name, scopes from service_credential
    where secret_sha256 = $1 and revoked_at is null and expires_at > now()`,
};

const secretDigest = (secret: string) => createHash("sha256").update(secret).digest();

export type WantedCredential = { name: string; scopes: readonly Scope[]; expiresAt: Date };

/** Makes a credential and answers its secret, which is not stored. `secret`: use this one instead of a new one. */
export async function addCredential(
  context: CoreContext,
  actor: Actor,
  { name, scopes, expiresAt }: WantedCredential,
  secret = newSecret(),
): Promise<{ credential: Credential; secret: string } | Refusal> {
  const problem = credentialProblem({ name, scopes });
  if (problem !== undefined) return problem;
  const values = [name, [...new Set(scopes)], secretDigest(secret), expiresAt, actorName(actor)];
  const [added] = await context.db.sql<CredentialRow>(insertCredential, values);
  if (added !== undefined) return { credential: toCredential(added), secret };
  const taken = await context.db.sql(selectTaken, [name, secretDigest(secret)]);
  return taken.length === 0
    ? refuse("INVALID_REQUEST", "expires_at is not in the future", { field: "expires_at" })
    : refuse("CREDENTIAL_EXISTS", "name is in use; a revoked credential keeps its name", { field: "name" });
}

/** Whether a credential of this name exists, revoked and expired ones included. */
export async function isCredentialName(context: CoreContext, name: string): Promise<boolean> {
  return (await context.db.sql(selectNamed, [name])).length > 0;
}

/** Lists credentials by name; `after` is the last name of the previous page. */
export async function listCredentials(
  { db }: CoreContext,
  { limit = 100, after = "" }: { limit?: number; after?: string | undefined } = {},
): Promise<Credential[]> {
  const page = query
    .selectFrom("service_credential as c")
    .select(selected<CredentialRow>(credentialColumns("c")))
    .where("c.name", ">", after)
    .orderBy("c.name")
    .limit(limit);
  return (await rowsOf(db.sql, page)).map(toCredential);
}

/** Revokes a credential; idempotent. */
export async function revokeCredential(
  context: CoreContext,
  actor: Actor,
  name: string,
): Promise<Credential | Refusal> {
  const [revoked] = await context.db.sql<CredentialRow>(revoke, [name, actorName(actor)]);
  if (revoked !== undefined) return toCredential(revoked);
  return refuse("CREDENTIAL_NOT_FOUND", "there is no credential of this name", { field: "name" });
}

/** The service that a secret belongs to, if its credential is valid by the database's clock. */
export async function serviceOf(context: CoreContext, secret: string): Promise<Service | undefined> {
  const [service] = await context.db.hot<Service>(selectService, [secretDigest(secret)]);
  return service;
}
