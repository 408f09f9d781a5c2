import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { metricsReaders } from "../observe/metrics.ts";
import type { DependencyState } from "../rest/context.ts";
import { createEventStreams } from "../rest/eventStreams.ts";
import { createRestServer } from "../rest/httpServer.ts";
import { createRestApp } from "../rest/server.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import { publicUrlOf, type Run } from "./run.ts";

/** The listen backlog: the most that Linux allows. With a shorter one, a burst of new connections has some of them reset. */
const connectionBacklog = 4_096;

type RestNeeds = { clients: CoreClients; ready: () => Promise<DependencyState[]> };

/** Starts the role rest; from then on the process knows its public address. */
export async function startRest(run: Run, { clients, ready }: RestNeeds): Promise<void> {
  const { config, log, metrics, tracing, edges, urls } = run;
  const eventStreams = createEventStreams();
  metrics.watchEventStreams(eventStreams.count);
  const app = createRestApp({
    clients,
    // A getter, because with port 0 the address is known only once the server listens.
    get publicUrl() {
      return publicUrlOf(run);
    },
    log,
    readiness: ready,
    metricsText: metrics.text,
    mayReadMetrics: metricsReaders(config.metricsAllowCidrs),
    requestDone: metrics.requestDone,
    eventStreams,
    maxEventStreams: config.maxEventStreams,
    tracing,
    openapi: {
      yaml: join(import.meta.dirname, "../../openapi/dcm.v1.yaml"),
      json: join(import.meta.dirname, "../../gen/rest/openapi.json"),
    },
  });
  const server = createRestServer(app, log);
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen({ port: config.restPort, host: config.restHost, backlog: connectionBacklog }, () => resolve());
  });
  urls.rest = `http://localhost:${(server.address() as AddressInfo).port}`;
  edges.push(
    () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        eventStreams.endAll();
        server.closeIdleConnections();
        // The stop does not wait for callers that keep a request open longer than any of ours takes.
        setTimeout(() => server.closeAllConnections(), 15_000).unref();
      }),
  );
}
