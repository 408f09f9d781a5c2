import type { Request } from "express";
import { type CallMetadata, rpcOptions } from "./context.ts";
import { RestRefusal } from "./errors.ts";
import { requestDigest } from "./requestBytes.ts";

/** The header that carries a bank's access token, here and at the core (proto/dcm/v1/access.proto). */
const accessHeader = "cx-authorization";

/** What shows the core whose request it is. Nothing of it is verified here: the core does that. */
export function bankCall(
  request: Request,
  requestId: string,
  isChange: boolean,
  counterpartyGuid: unknown,
): CallMetadata {
  const token = request.get(accessHeader);
  // The core takes a call without a token for one of this process itself.
  if (token === undefined) throw new RestRefusal("AUTHORIZATION_FAILED");
  const headers = {
    "dcm-request-id": requestId,
    [accessHeader]: token,
    ...(typeof counterpartyGuid === "string" && { "dcm-counterparty": counterpartyGuid }),
    ...(isChange && { "dcm-request-digest": requestDigest(request).toString("base64url") }),
  };
  return { ...rpcOptions, headers };
}
