import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import type { Request } from "express";

/** What the body parser read, byte by byte: digests are over these, which the parsed body does not tell any more. */
const bodies = new WeakMap<IncomingMessage, Uint8Array>();

/** For the body parser, as its `verify`. */
export function keepBodyBytes(request: IncomingMessage, _response: unknown, bytes: Uint8Array): void {
  bodies.set(request, bytes);
}

/** A body that is absent, or that the operation does not read, has no bytes. */
export const bodyOf = (request: Request) => bodies.get(request) ?? new Uint8Array();

/**
 * By what the core tells a retry from another request with the same token: the SHA-256 digest of everything that says what is
 * asked for. Each part stands behind its length, so that no two requests make the same text.
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
