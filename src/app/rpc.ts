import { readFile } from "node:fs/promises";
import type { Transport } from "@connectrpc/connect";
import { callersCa, callersToken, ensureOperatorToken } from "../operatorToken.ts";
import { loadParticipants } from "../participantsFile.ts";
import type { DependencyState } from "../rest/context.ts";
import { remoteTransport } from "../rpc/clients.ts";
import { inProcessTransport } from "../rpc/inProcess.ts";
import { startRpcServer } from "../rpc/server.ts";
import type { LocalCore } from "./localCore.ts";
import type { Run } from "./run.ts";

/** Starts RPC, and before it what must exist by then: the first operator's credential, and the participants of the file. */
export async function startRpc(
  { config, log, tracing, edges, urls }: Run,
  { core }: LocalCore,
  ready: () => Promise<DependencyState[]>,
): Promise<void> {
  const { rpcHost: host, rpcPort: port } = config;
  const file = await ensureOperatorToken(core, config.dataDir, new Date());
  if (file !== undefined) log.info({ file }, "the operator's credential is here; the command line reads it");
  const tls = config.rpcTls && {
    cert: await readFile(config.rpcTls.certFile, "utf8"),
    key: await readFile(config.rpcTls.keyFile, "utf8"),
  };
  const rpc = await startRpcServer({
    core,
    host,
    port,
    tls,
    log,
    tracing,
    isReady: async () => (await ready()).every(({ ok }) => ok),
  });
  edges.push(() => rpc.close());
  urls.rpc = rpc.url;
  await loadParticipants(core, config.participantsFile, log);
}

/** The transport to the core: in this process, or at CORE_URL. */
export async function transportTo(
  { config, log, tracing, started }: Run,
  local: LocalCore | undefined,
): Promise<Transport> {
  if (config.coreUrl === undefined && local !== undefined) return inProcessTransport(local.core, log, tracing);
  const remote = remoteTransport(config.coreUrl ?? "", await callersToken(config), tracing, await callersCa(config));
  started.defer(async () => remote.close());
  return remote;
}
