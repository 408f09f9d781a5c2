import type { Transport } from "@connectrpc/connect";
import type { Core } from "../../src/core/core.ts";
import { scopes } from "../../src/domain/credential.ts";
import { createInProcessTransport } from "../../src/rpc/inProcess.ts";
import { type RpcLog, serverInterceptors } from "../../src/rpc/interceptors.ts";
import { coreServices } from "../../src/rpc/routes.ts";

/** Calls a core of this process as a service that may call everything. */
export function transportOfAnybody(core: Core, log: RpcLog): Transport {
  const anybody = async () => ({ name: "anybody", scopes });
  return createInProcessTransport(coreServices(core), serverInterceptors(log, anybody));
}
