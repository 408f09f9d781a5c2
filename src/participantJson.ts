import type { JsonValue } from "@bufbuild/protobuf";

/** Keys are JSON texts in the Protobuf contract; in files people write them as objects, which this turns into texts. */
export function keysAsText(entry: unknown): JsonValue {
  if (typeof entry !== "object" || entry === null) return entry as JsonValue;
  const asText = (key: unknown) => (typeof key === "string" ? key : JSON.stringify(key));
  const participant = { ...entry } as Record<string, unknown>;
  for (const name of ["signing_jwks", "signingJwks"]) {
    const keys = participant[name];
    if (Array.isArray(keys)) participant[name] = keys.map(asText);
  }
  for (const name of ["encryption_jwk", "encryptionJwk"]) {
    if (participant[name] !== undefined) participant[name] = asText(participant[name]);
  }
  return participant as JsonValue;
}
