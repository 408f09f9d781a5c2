import type { Given } from "../commandLine.ts";
import type { Config } from "../config.ts";
import type { Action } from "../operator/action.ts";
import { runAction } from "../operator/operator.ts";
import { callersCa, operatorsToken } from "../operatorToken.ts";
import { remoteTransport } from "../rpc/clients.ts";
import { createClients } from "../wire/coreClients.ts";
import { configOf } from "./configuration.ts";

/** Runs an operator's command, which calls the core of a running gateway. */
export async function operate(action: Action, given: Given): Promise<number> {
  const config = configOf([]);
  const coreUrl = config.coreUrl ?? rpcUrlOf(config);
  const transport = remoteTransport(coreUrl, await operatorsToken(config), undefined, await callersCa(config));
  try {
    return await runAction(action, given, {
      clients: createClients(transport),
      coreUrl,
      print: console.log,
      complain: console.error,
      // Loaded on demand, because it is the only command that opens the database.
      recoverKeys: async () => (await import("../keyRecovery.ts")).recoverKeys(config),
    });
  } finally {
    transport.close();
  }
}

/** The core's address; one that listens on all interfaces is called on loopback. */
function rpcUrlOf({ rpcHost, rpcPort, rpcTls }: Config): string {
  const host = ["0.0.0.0", "::"].includes(rpcHost) ? "127.0.0.1" : rpcHost;
  return `${rpcTls ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${rpcPort}`;
}
