import { create, toJson } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import {
  AddCredentialResponseSchema,
  type Credential,
  CredentialSchema,
  ListCredentialsResponseSchema,
} from "../../gen/dcm/v1/credential_service_pb.ts";
import { nameOf, scopes } from "../wire/enums.ts";
import type { Action, Answer, Call } from "./action.ts";
import { allRowsOf } from "./pages.ts";
import { table, when } from "./table.ts";
import { countOf, namedOf } from "./values.ts";

const json = { useProtoFieldName: true, alwaysEmitImplicit: true } as const;

const dayMs = 86_400_000;
const defaultDays = 365;
const mostDays = 3_650;

const scopesOf = (credential: Credential) =>
  credential.scopes.map((scope) => nameOf(scopes, scope) ?? "unknown").join(", ");

async function add(call: Call): Promise<Answer> {
  const [name = ""] = call.positionals;
  const days = countOf(call, "days", defaultDays, mostDays);
  const wanted = namedOf(call, "scope", scopes);
  const expiresAt = timestampFromDate(new Date(call.now.getTime() + days * dayMs));
  const answer = await call.clients.credentials.addCredential({ name, scopes: wanted, expiresAt });
  return {
    json: toJson(AddCredentialResponseSchema, answer, json),
    lines: [answer.secret, `Give it to ${name} as RPC_TOKEN; nobody can read it again. It is good for ${days} days.`],
  };
}

async function list(call: Call): Promise<Answer> {
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

async function revoke(call: Call): Promise<Answer> {
  const [name = ""] = call.positionals;
  const { credential } = await call.clients.credentials.revokeCredential({ name });
  if (credential === undefined) throw new Error("the core answered without a credential");
  return {
    json: toJson(CredentialSchema, credential, json),
    lines: [`${name} is revoked; what it calls is refused within two seconds.`],
  };
}

export const serviceActions = {
  add: {
    positionals: ["NAME"],
    options: {
      scope: {
        type: "string",
        multiple: true,
        value: Object.keys(scopes).join("|"),
        help: "What it may do: gateway for a role rest that runs apart, reader to look, operator to run the platform.",
      },
      days: { type: "string", value: "N", help: `How long it is good. Default: ${defaultDays}, at most ${mostDays}.` },
    },
    help: "Make a credential and print its secret, this once.",
    run: add,
  },
  list: { positionals: [], options: {}, help: "List all credentials; secrets are kept nowhere.", run: list },
  revoke: { positionals: ["NAME"], options: {}, help: "Make a credential useless.", run: revoke },
} as const satisfies Record<string, Action>;
