import { timestampDate } from "@bufbuild/protobuf/wkt";
import {
  type AddCredentialRequest,
  type CredentialService,
  ListCredentialsRequestSchema,
} from "../../../gen/dcm/v1/credential_service_pb.ts";
import type { Core } from "../../core/core.ts";
import type { WantedCredential } from "../../core/credentials.ts";
import { scopes } from "../../wire/enums.ts";
import type { WholeAnswers } from "../../wire/whole.ts";
import { actorOf } from "../caller.ts";
import { unlessRefused } from "../errors.ts";
import { named, required } from "../fields.ts";
import { askedPage, cutPage, keys } from "../pages.ts";

export const credentialHandlers = (core: Core): WholeAnswers<typeof CredentialService> => ({
  async addCredential(request, context) {
    return unlessRefused(await core.addCredential(actorOf(context), wantedCredential(request)));
  },
  async listCredentials(request) {
    const asked = askedPage({ schema: ListCredentialsRequestSchema, isKey: keys.text, whenZero: 100 }, request);
    const found = await core.listCredentials({ limit: asked.limit + 1, after: asked.after?.[0] });
    const { page, nextPageToken } = cutPage(found, asked, ({ name }) => [name]);
    return { credentials: page, nextPageToken };
  },
  async revokeCredential({ name }, context) {
    return { credential: unlessRefused(await core.revokeCredential(actorOf(context), name)) };
  },
});

function wantedCredential(request: AddCredentialRequest): WantedCredential {
  return {
    name: request.name,
    scopes: request.scopes.map((scope) => named(scopes, scope)),
    expiresAt: timestampDate(required(request.expiresAt)),
  };
}
