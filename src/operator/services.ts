import { create, toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AddCredentialResponseSchema,
  type Credential,
  CredentialSchema,
  ListCredentialsResponseSchema,
} from "../../gen/dcm/v1/credential_service_pb.ts";
import { nameOf, scopes } from "../wire/enums.ts";
import type { Answer, Call } from "./action.ts";
import { allRowsOf } from "./pages.ts";
import { table, when } from "./table.ts";
import { namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const dayMs = 86_400_000;

const scopesOf = (credential: Credential) =>
  credential.scopes.map((scope) => nameOf(scopes, scope) ?? "unknown").join(", ");

export async function add(call: Call): Promise<Answer> {
  const [name = ""] = call.positionals;
  const days = Number(call.text("days"));
  const wanted = namedOf(call, "scope", scopes);
  const expiresAt = timestampFromDate(new Date(call.now.getTime() + days * dayMs));
  const answer = await call.clients.credentials.addCredential({ name, scopes: wanted, expiresAt });
  return {
    json: toJson(AddCredentialResponseSchema, answer, json),
    lines: [answer.secret, `Give it to ${name} as RPC_TOKEN; nobody can read it again. It is good for ${days} days.`],
  };
}

export async function list(call: Call): Promise<Answer> {
  const credentials = await allRowsOf(async (page) => {
    const { credentials: rows, nextPageToken } = await call.clients.credentials.listCredentials(page);
    return { rows, nextPageToken };
  });
  const rows = credentials.map((credential) => [
    credential.name,
    scopesOf(credential),
    stateOf(credential, call.now),
    when(credential.expiresAt),
    when(credential.createdAt),
  ]);
  return {
    json: toJson(ListCredentialsResponseSchema, create(ListCredentialsResponseSchema, { credentials }), json),
    lines: table(["NAME", "SCOPES", "STATE", "EXPIRES", "MADE"], rows),
  };
}

function stateOf({ revokedAt, expiresAt }: Credential, now: Date): string {
  if (revokedAt !== undefined) return "revoked";
  return expiresAt !== undefined && timestampDate(expiresAt) <= now ? "expired" : "good";
}

export async function revoke(call: Call): Promise<Answer> {
  const [name = ""] = call.positionals;
  const { credential } = await call.clients.credentials.revokeCredential({ name });
  if (credential === undefined) throw new Error("the core answered without a credential");
  return {
    json: toJson(CredentialSchema, credential, json),
    lines: [`${name} is revoked; what it calls is refused within two seconds.`],
  };
}
