import { createHash, randomBytes } from "node:crypto";
import { type Credential, credentialProblem, type Scope, type Service } from "../domain/credential.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { CoreContext } from "./context.ts";

const columns = `name, scopes, expires_at as "expiresAt", created_at as "createdAt", revoked_at as "revokedAt"`;

// Processes that start together on one folder come with the same name and the same secret: either can be the one found taken.
const insertCredential = {
  name: "insert_credential",
  text: `
    insert into service_credential (name, scopes, secret_sha256, expires_at, created_at)
    select $1, $2, $3, $4::timestamptz, now() where $4::timestamptz > now()
    on conflict do nothing returning ${columns}`,
};

const selectTaken = {
  name: "select_taken_credential",
  text: "select from service_credential where name = $1 or secret_sha256 = $2",
};

const selectAll = { name: "select_credentials", text: `select ${columns} from service_credential order by name` };

const revoke = {
  name: "revoke_credential",
  text: `
    update service_credential set revoked_at = coalesce(revoked_at, now()) where name = $1 returning ${columns}`,
};

const selectService = {
  name: "select_service",
  text: `
    select name, scopes from service_credential
    where secret_sha256 = $1 and revoked_at is null and expires_at > now()`,
};

/** Nobody guesses 32 random bytes, so a plain digest of them tells nothing. */
export const newSecret = () => `dcm_${randomBytes(32).toString("base64url")}`;

const digestOf = (secret: string) => createHash("sha256").update(secret).digest();

export type WantedCredential = { name: string; scopes: readonly Scope[]; expiresAt: Date };

/** Makes a credential and answers its secret, which is not kept. `secret`: one that is there already. */
export async function addCredential(
  context: CoreContext,
  { name, scopes, expiresAt }: WantedCredential,
  secret = newSecret(),
): Promise<{ credential: Credential; secret: string } | Refusal> {
  const problem = credentialProblem({ name, scopes });
  if (problem !== undefined) return problem;
  const values = [name, [...new Set(scopes)], digestOf(secret), expiresAt];
  const [credential] = await context.db.sql<Credential>(insertCredential, values);
  if (credential !== undefined) return { credential, secret };
  const taken = await context.db.sql(selectTaken, [name, digestOf(secret)]);
  return taken.length === 0
    ? refuse("INVALID_REQUEST", "expires_at is not in the future", { field: "expires_at" })
    : refuse("CREDENTIAL_EXISTS", "name is in use; a revoked credential keeps its name", { field: "name" });
}

/** Every credential, by name. */
export function listCredentials(context: CoreContext): Promise<Credential[]> {
  return context.db.sql<Credential>(selectAll);
}

/** Makes a credential useless; again changes nothing. */
export async function revokeCredential(context: CoreContext, name: string): Promise<Credential | Refusal> {
  const [credential] = await context.db.sql<Credential>(revoke, [name]);
  return credential ?? refuse("CREDENTIAL_NOT_FOUND", "there is no credential of this name", { field: "name" });
}

/** Whose secret it is, as long as it is good by the database's clock. */
export async function serviceOf(context: CoreContext, secret: string): Promise<Service | undefined> {
  const [service] = await context.db.hot<Service>(selectService, [digestOf(secret)]);
  return service;
}
