import type { Interceptor, Transport } from "@connectrpc/connect";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { noTracing, type Tracing } from "../observe/tracing.ts";

/** Longer than any statement may run, so that the core's own answer arrives before this deadline. */
const callTimeoutMs = 35_000;

/** The deadline for a closing, whose statements may take ten minutes each (`Database.transaction`). */
export const closingTimeoutMs = 610_000;

/**
 * Calls a core in another process: gRPC over one HTTP/2 connection, which is checked with pings and reopened when it was lost.
 * `ca`: the certificate authority (PEM) of the core's certificate, if it is not a well-known one.
 */
export function remoteTransport(
  coreUrl: string,
  token: string | undefined,
  tracing: Tracing = noTracing,
  ca?: string,
): Transport & { close(): void } {
  const pings = { pingIntervalMs: 10_000, pingTimeoutMs: 5_000 };
  const sessionManager = new Http2SessionManager(coreUrl, pings, ca === undefined ? {} : { ca });
  const transport = createGrpcTransport({
    baseUrl: coreUrl,
    interceptors: [sendToken(token), sendTrace(tracing)],
    defaultTimeoutMs: callTimeoutMs,
    // Both ends are ours and close to each other, so compression would only cost time.
    acceptCompression: [],
    sessionManager,
  });
  return { ...transport, close: () => sessionManager.abort() };
}

/** Sends the running span along as the parent of the core's. */
export function sendTrace(tracing: Tracing): Interceptor {
  return (next) => (request) => {
    const trace = tracing.current();
    if (trace !== undefined) request.header.set("traceparent", trace);
    return next(request);
  };
}

function sendToken(token: string | undefined): Interceptor {
  return (next) => (request) => {
    if (token) request.header.set("authorization", `Bearer ${token}`);
    return next(request);
  };
}
