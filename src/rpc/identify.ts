import { createHash } from "node:crypto";
import { answerCache, cachedAnswer } from "../answerCache.ts";
import type { Service } from "../domain/credential.ts";
import type { Identify } from "./authorize.ts";

/** How long a revoked credential may still be accepted (TTL of the cache). */
const believedMs = 2_000;
const mostBelieved = 1_000;

/** Calls from within this process come from its own REST edge. */
export const ourselves: Identify = async () => ({ name: "this process", scopes: ["gateway"] });

/**
 * Authenticates services by `authorization: Bearer SECRET`. Valid secrets are cached for two seconds under their digest; the secret
 * itself is stored nowhere. `serviceOf` looks a secret up.
 */
export function identifyBearer(serviceOf: (secret: string) => Promise<Service | undefined>): Identify {
  const believed = answerCache<Service | undefined>(believedMs, mostBelieved);
  return (header) => {
    const [, secret] = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(header.get("authorization") ?? "") ?? [];
    if (secret === undefined) return Promise.resolve(undefined);
    const digest = createHash("sha256").update(secret).digest("base64");
    const service = cachedAnswer(believed, digest, () => serviceOf(secret));
    // A miss is not cached: the credential may be made in the next moment.
    service.then((found) => found === undefined && believed.delete(digest)).catch(() => undefined);
    return service;
  };
}
