import type { Request } from "express";
import { accessTokenHeader, counterpartyHeader, requestDigestHeader, requestIdHeader } from "../wire/metadata.ts";
import type { CallMetadata } from "./context.ts";
import { RestRefusal } from "./errors.ts";
import { requestDigest } from "./requestBytes.ts";
import { rpcOptions } from "./rpcOptions.ts";

/** What shows the core whose request it is. Nothing of it is verified here: the core does that. */
export function partyCall(
  request: Request,
  requestId: string,
  isChange: boolean,
  counterpartyGuid: unknown,
): CallMetadata {
  // The header of the request is called as the metadata of the call is.
  const token = request.get(accessTokenHeader);
  // Without a token the core would take the call for one of the translator's own, which may read an order.
  if (token === undefined) throw new RestRefusal("AUTHORIZATION_FAILED");
  const headers = {
    [requestIdHeader]: requestId,
    [accessTokenHeader]: token,
    ...(typeof counterpartyGuid === "string" && { [counterpartyHeader]: counterpartyGuid }),
    ...(isChange && { [requestDigestHeader]: requestDigest(request).toString("base64url") }),
  };
  return { ...rpcOptions, headers };
}
