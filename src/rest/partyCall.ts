import type { Request } from "express";
import { accessTokenHeader, counterpartyHeader, requestDigestHeader, requestIdHeader } from "../wire/metadata.ts";
import type { CallMetadata } from "./context.ts";
import { RestRefusal } from "./errors.ts";
import { requestDigest } from "./requestBytes.ts";
import { rpcOptions } from "./rpcOptions.ts";

/** The metadata by which the core authenticates the bank or merchant. Nothing is verified here. */
export function partyCall(
  request: Request,
  requestId: string,
  isChange: boolean,
  counterpartyGuid: unknown,
): CallMetadata {
  // The HTTP header has the same name as the metadata.
  const token = request.get(accessTokenHeader);
  // Without a token the core would take this for a call of the service itself, which has rights of its own.
  if (token === undefined) throw new RestRefusal("AUTHORIZATION_FAILED");
  const headers = {
    [requestIdHeader]: requestId,
    [accessTokenHeader]: token,
    ...(typeof counterpartyGuid === "string" && { [counterpartyHeader]: counterpartyGuid }),
    ...(isChange && { [requestDigestHeader]: requestDigest(request).toString("base64url") }),
  };
  return { ...rpcOptions, headers };
}
