import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import type { Core } from "../core/core.ts";
import type { Tracing } from "../tracing.ts";
import { identifyBearer } from "./identify.ts";
import { type RpcLog, serverInterceptors } from "./interceptors.ts";
import { coreServices, routesOf } from "./routes.ts";

export type RpcTls = { cert: string; key: string };

export type RpcServerOptions = {
  core: Core;
  host: string;
  /** 0: any free port. */
  port: number;
  /** Certificate chain and private key, both PEM; undefined: without TLS. */
  tls?: RpcTls | undefined;
  log: RpcLog;
  tracing?: Tracing;
  /** How long open calls may take to end after close(); then their connections are cut. */
  drainTimeoutMs?: number;
};

export type RpcServer = { url: string; close(): Promise<void> };

/** The REST edge takes bodies of 64 KiB; a request that carries one and the token in it fits well. */
const readMaxBytes = 256 * 1024;

/** Calls of one connection at a time: as many as the core lets wait before it refuses; a client queues the rest. */
const maxConcurrentStreams = 2_000;

/** Serves the core on HTTP/2 to gRPC, gRPC-Web and Connect clients. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { core, host, log, tls, drainTimeoutMs = 10_000 } = options;
  const handler = connectNodeAdapter({
    routes: routesOf(coreServices(core)),
    interceptors: serverInterceptors({
      log,
      identify: identifyBearer(core.serviceOf),
      identity: core.identity,
      tracing: options.tracing,
    }),
    readMaxBytes,
    // A compressed request could unfold to far more than was sent; between near processes it saves nothing.
    acceptCompression: [],
  });
  const settings = { maxConcurrentStreams };
  const server = tls ? createSecureServer({ ...tls, settings }, handler) : createServer({ settings }, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // A broken connection ends its own calls; without a listener it would end the process.
    session.on("error", (error) => log.debug({ err: error }, "rpc connection"));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(options.port, host, resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    url: `${tls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`,
    close: () =>
      new Promise<void>((resolve) => {
        const deadline = setTimeout(() => {
          for (const session of sessions) session.destroy();
        }, drainTimeoutMs);
        server.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        // Says goodbye: open calls end in peace, new ones go to another connection.
        for (const session of sessions) session.close();
      }),
  };
}
