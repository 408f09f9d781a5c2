import { createHash } from "node:crypto";
import type { Service } from "../domain/credential.ts";
import { recall, rememberedAnswers } from "../recall.ts";
import type { Identify } from "./authorize.ts";

/** So long a credential that was revoked may still be taken for a good one. */
const believedMs = 2_000;
const mostBelieved = 1_000;

/** Whoever calls from within this process is its own REST edge. */
export const ourselves: Identify = async () => ({ name: "this process", scopes: ["gateway"] });

/**
 * Identifies services by `authorization: Bearer SECRET`. Good ones are remembered for two seconds, by their digest: secrets
 * are kept nowhere. `serviceOf` answers whose secret it is.
 */
export function identifyBearer(serviceOf: (secret: string) => Promise<Service | undefined>): Identify {
  const believed = rememberedAnswers<Service | undefined>(believedMs, mostBelieved);
  return (header) => {
    const [, secret] = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(header.get("authorization") ?? "") ?? [];
    if (secret === undefined) return Promise.resolve(undefined);
    const digest = createHash("sha256").update(secret).digest("base64");
    const service = recall(believed, digest, () => serviceOf(secret));
    // Whoever is nobody now may be somebody in the next moment.
    service.then((found) => found === undefined && believed.delete(digest)).catch(() => undefined);
    return service;
  };
}
