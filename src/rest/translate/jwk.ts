import type { components } from "../../../gen/rest/types.ts";

type Jwk = components["schemas"]["Jwk"];

const MEMBERS = ["alg", "e", "n", "crv", "x", "y", "kid", "kty", "use"] as const;

/** A registered key as it is shown: its public members and nothing else, whatever was registered. */
export function publicJwk(text: string, options: { alg: boolean }): Jwk | undefined {
  if (text === "") return undefined;
  const given = JSON.parse(text) as Record<string, unknown>;
  const shown = MEMBERS.filter((name) => given[name] !== undefined && (options.alg || name !== "alg"));
  return Object.fromEntries(shown.map((name) => [name, given[name]])) as Jwk;
}
