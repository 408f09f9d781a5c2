import type { Transport } from "@connectrpc/connect";
import type { Core } from "../../src/core/core.ts";
import { type Scope, scopes } from "../../src/domain/credential.ts";
import { createInProcessTransport } from "../../src/rpc/inProcess.ts";
import { type RpcLog, serverInterceptors } from "../../src/rpc/interceptors.ts";
import { coreServices } from "../../src/rpc/routes.ts";

/** Calls a core of this process as a service that has these scopes. */
export function transportOf(core: Core, log: RpcLog, name: string, has: readonly Scope[]): Transport {
  const identify = async () => ({ name, scopes: has });
  return createInProcessTransport(coreServices(core), serverInterceptors({ log, identify, identity: core.identity }));
}

/** The same as a service that has every scope. */
export const transportOfAnybody = (core: Core, log: RpcLog): Transport => transportOf(core, log, "anybody", scopes);
