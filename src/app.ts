import { startLocalCore } from "./app/localCore.ts";
import { readiness } from "./app/readiness.ts";
import { startRest } from "./app/rest.ts";
import { startRpc, transportTo } from "./app/rpc.ts";
import type { AppParts, Run } from "./app/run.ts";
import { startWork } from "./app/worker.ts";
import type { Config, Role } from "./config.ts";
import type { Logger } from "./observe/log.ts";
import { createMetrics, metricsReaders } from "./observe/metrics.ts";
import { startOpsServer } from "./observe/opsServer.ts";
import { noTracing, type Tracing } from "./observe/tracing.ts";
import { createAddressGuard } from "./outbound/address.ts";
import type { DependencyState } from "./rest/context.ts";
import { createClients } from "./wire/coreClients.ts";

export type App = {
  urls: Run["urls"];
  /** Drains: accepted work is finished, or left in the database, where the next start finds it. */
  stop(): Promise<void>;
};

/** The composition root: starts the roles of this process. `main` and the tests both call it. */
export async function startApp(config: Config, log: Logger, parts: AppParts = {}): Promise<App> {
  // Everything is stopped in the opposite order of its start, also when the start fails half-way.
  const started = new AsyncDisposableStack();
  try {
    const urls = await startRoles(config, log, parts, started);
    let stopping: Promise<void> | undefined;
    return {
      urls,
      stop() {
        stopping ??= started.disposeAsync();
        return stopping;
      },
    };
  } catch (error) {
    await started.disposeAsync();
    throw error;
  }
}

async function startRoles(config: Config, log: Logger, parts: AppParts, started: AsyncDisposableStack) {
  const runs = (role: Role) => config.roles.includes(role);
  const tracing = await startTracing(config);
  started.defer(() => tracing.stop());
  const guard = createAddressGuard({ allowCidrs: [...config.callbackAllowCidrs] });
  const urls = { rest: "", rpc: config.coreUrl ?? "", ops: "" };
  const run: Run = { config, log, parts, guard, metrics: createMetrics(), tracing, started, edges: [], urls };
  const local = runs("core") || runs("worker") ? await startLocalCore(run) : undefined;
  started.defer(async () => void (await Promise.all(run.edges.map((end) => end()))));
  const clients = createClients(await transportTo(run, local));
  const ready = () => readiness(local, clients);
  if (runs("core") && local !== undefined) await startRpc(run, local, ready);
  if (runs("worker") && local !== undefined) await startWork(run, local);
  if (runs("rest")) await startRest(run, { clients, ready });
  if (config.opsPort !== undefined) await startOps(run, config.opsPort, ready);
  return urls;
}

/** Loads the exporter only where a collector is configured, so that others do not pay for OpenTelemetry's SDK. */
async function startTracing({ otlpEndpoint }: Config): Promise<Tracing> {
  if (otlpEndpoint === undefined) return noTracing;
  const { startOtlpTracing } = await import("./observe/otlpTracing.ts");
  return startOtlpTracing(otlpEndpoint, "dcm-gateway");
}

async function startOps(
  { config, metrics, started, urls }: Run,
  port: number,
  ready: () => Promise<DependencyState[]>,
) {
  const mayReadMetrics = metricsReaders(config.metricsAllowCidrs);
  const ops = await startOpsServer({ port, metricsText: metrics.text, mayReadMetrics, readiness: ready });
  started.defer(() => ops.close());
  urls.ops = `http://localhost:${ops.port}`;
}
