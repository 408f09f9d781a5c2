import { type Refusal, refuse } from "./errors.ts";

/** What a service may do. Every method of the RPC contract names the scopes that may call it. */
export const scopes = ["gateway", "reader", "operator"] as const;
export type Scope = (typeof scopes)[number];

/** A service that presented a valid credential, or this process itself. */
export type Service = { name: string; scopes: readonly Scope[] };

/** What is wrong with a credential to be made, or undefined. Its expiry is judged in the insert, by the database's clock. */
export function credentialProblem(wanted: Service): Refusal | undefined {
  if (!/^[a-z0-9][a-z0-9._-]{0,63}$/.test(wanted.name)) {
    const message = "name must have 1 to 64 small letters, digits, dots, dashes and underscores";
    return refuse("INVALID_REQUEST", message, { field: "name" });
  }
  if (wanted.scopes.length === 0) return refuse("INVALID_REQUEST", "scopes is missing", { field: "scopes" });
  return undefined;
}
