import type { components } from "../../gen/rest/types.ts";
import type { CoreContext } from "../core/context.ts";
import { PING_KIND } from "../sdk/callbacks.ts";
import type { CallbackClient } from "./client.ts";
import { type Signer, sealEnvelope } from "./envelope.ts";

type PingParts = { client: CallbackClient; signer: Signer; now: () => Date; newGuid: () => string };

/** Sends a ping exactly as a callback is sent: same envelope, same address guard, same deadline. */
export function createPing({ client, signer, now, newGuid }: PingParts): CoreContext["ping"] {
  return async (receiver, url, challenge) => {
    const marked = { guid: newGuid(), kind: PING_KIND, at: now() };
    const claims: Omit<components["schemas"]["PingClaims"], keyof components["schemas"]["CallbackClaims"]> = {
      challenge,
    };
    const content = { form: "signed", claims } as const;
    const { answer, ...result } = await client.post(
      url,
      await sealEnvelope(content, marked, receiver, signer, newGuid),
    );
    return { ...result, ...(answer !== undefined && { body: answer }) };
  };
}
