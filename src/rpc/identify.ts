import { createHash } from "node:crypto";
import type { Service } from "../domain/credential.ts";
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
  const believed = new Map<string, { service: Promise<Service | undefined>; since: number }>();
  return (header) => {
    const [, secret] = /^Bearer ([\x21-\x7e]{1,256})$/i.exec(header.get("authorization") ?? "") ?? [];
    if (secret === undefined) return Promise.resolve(undefined);
    const digest = createHash("sha256").update(secret).digest("base64");
    const known = believed.get(digest);
    const now = performance.now();
    if (known !== undefined && now - known.since < believedMs) return known.service;
    const service = serviceOf(secret);
    believed.delete(digest);
    believed.set(digest, { service, since: now });
    // A map keeps the order of insertion, so the first is the oldest.
    if (believed.size > mostBelieved) believed.delete(believed.keys().next().value ?? "");
    const forget = () => believed.delete(digest);
    // Whoever is nobody now may be somebody in the next moment.
    service.then((found) => found === undefined && forget(), forget);
    return service;
  };
}
