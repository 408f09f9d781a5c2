import { createSecureServer, createServer, type ServerHttp2Session } from "node:http2";
import type { AddressInfo } from "node:net";
import type { ConnectRouter } from "@connectrpc/connect";
import { compressionGzip, connectNodeAdapter } from "@connectrpc/connect-node";
import { ServerReflection } from "../../gen/grpc/reflection/v1/reflection_pb.ts";
import { ServerReflection as OldServerReflection } from "../../gen/grpc/reflection/v1alpha/reflection_pb.ts";
import { Health } from "../../gen/health/v1/health_pb.ts";
import type { Core } from "../core/core.ts";
import type { Tracing } from "../observe/tracing.ts";
import { requireCredential } from "./authorize.ts";
import { healthHandlers } from "./health.ts";
import { identifyBearer } from "./identify.ts";
import { logRequests, mapErrors, type RpcLog, serverInterceptors } from "./interceptors.ts";
import { reflectionHandlers } from "./reflection.ts";
import { coreServices, routesOf } from "./routes.ts";
import { compileConstraints } from "./validation.ts";

export type RpcTls = { cert: string; key: string };

export type RpcServerOptions = {
  core: Core;
  host: string;
  /** 0: any free port. */
  port: number;
  /** Certificate chain and private key, both PEM; undefined: without TLS. */
  tls?: RpcTls | undefined;
  log: RpcLog;
  /** Whether all dependencies of the core are there, for the health service. */
  isReady: () => Promise<boolean>;
  tracing?: Tracing;
  /** How long open calls may take to end after close(); then their connections are cut. */
  drainTimeoutMs?: number;
};

export type RpcServer = { url: string; close(): Promise<void> };

/** The REST edge takes bodies of 64 KiB; a request that carries one and the token in it fits well. Of compressed ones it is what
 * they unfold to. */
const readMaxBytes = 256 * 1024;

/** The most concurrent calls of one connection: as many as the core lets wait before it refuses; a client queues the rest. */
const maxConcurrentStreams = 2_000;

/** Serves the core on HTTP/2 to gRPC, gRPC-Web and Connect clients. */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { host, log, tls, drainTimeoutMs = 10_000 } = options;
  // Answers are compressed for clients that ask for it. Our own REST edge does not: nearby processes gain nothing by it.
  const handler = connectNodeAdapter({ routes: routes(options), readMaxBytes, acceptCompression: [compressionGzip] });
  const settings = { maxConcurrentStreams };
  const server = tls ? createSecureServer({ ...tls, settings }, handler) : createServer({ settings }, handler);
  const sessions = new Set<ServerHttp2Session>();
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
    // The calls of a broken connection fail by themselves, but an `error` event without a listener would end the process.
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
        // GOAWAY: open calls finish, new ones go to another connection.
        for (const session of sessions) session.close();
      }),
  };
}

/**
 * The core's services, with the standard ones of gRPC. Health needs no credential, because load balancers have none; reflection
 * needs one, of any scope.
 */
function routes({ core, log, tracing, isReady }: RpcServerOptions): (router: ConnectRouter) => void {
  const rows = coreServices(core);
  const identify = identifyBearer(core.serviceOf);
  const ours = rows.map(({ service }) => service);
  compileConstraints(ours);
  const forAll = [logRequests(log), mapErrors(log)];
  const forServices = [...forAll, requireCredential(identify)];
  const reflection = reflectionHandlers([...ours, Health, ServerReflection, OldServerReflection]);
  const names = ours.map(({ typeName }) => typeName);
  return (router) => {
    routesOf(rows, serverInterceptors({ log, identify, identity: core.identity, tracing }))(router);
    router.service(Health, healthHandlers(names, isReady), { interceptors: forAll });
    router.service(ServerReflection, reflection, { interceptors: forServices });
    router.service(OldServerReflection, reflection, { interceptors: forServices });
  };
}
