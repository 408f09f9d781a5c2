import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Request } from "express";

/** The raw bytes of each body: digests are computed over these, and cannot be from the parsed body. */
const bodies = new WeakMap<IncomingMessage, Uint8Array>();

/** The `verify` hook of the body parser. */
export function keepBodyBytes(request: IncomingMessage, _response: unknown, bytes: Uint8Array): void {
  bodies.set(request, bytes);
}

/** The raw body; empty if it is absent or the operation does not read it. */
export const bodyOf = (request: Request) => bodies.get(request) ?? new Uint8Array();

/**
 * The digest by which the core tells a retry from another request with the same token (replay): SHA-256 over method, path, query
 * and body. Each part is preceded by its length, so that no two different requests yield the same bytes.
 */
export function requestDigest(request: Request): Buffer {
  const query = request.originalUrl.indexOf("?");
  const parts = [
    Buffer.from(request.method),
    Buffer.from(request.path),
    Buffer.from(query === -1 ? "" : request.originalUrl.slice(query + 1)),
    bodyOf(request),
  ];
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.byteLength}:`).update(part);
  return hash.digest();
}
