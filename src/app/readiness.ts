import { Code } from "@connectrpc/connect";
import type { DependencyState } from "../rest/context.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import type { LocalCore } from "./localCore.ts";

const probeTimeoutMs = 2_000;

/** The dependencies of this process and whether they are available. Without the queue callbacks are late, but nothing stops. */
export async function readiness(local: LocalCore | undefined, clients: CoreClients): Promise<DependencyState[]> {
  if (local === undefined) {
    return [await probe("core", clients.participants.listParticipants({ pageSize: 1 }, { timeoutMs: probeTimeoutMs }))];
  }
  const { database, queue } = local;
  return [
    await probe("database", database.ping(probeTimeoutMs)),
    queue.isReady()
      ? { dependency: "queue", ok: true }
      : { dependency: "queue", ok: false, problem: "not connected; callbacks wait in the database" },
  ];
}

async function probe(dependency: string, answer: Promise<unknown>): Promise<DependencyState> {
  try {
    await answer;
    return { dependency, ok: true };
  } catch (error) {
    // The message may contain addresses and credentials, so only the error code is shown.
    const code = (error as { code?: unknown }).code;
    if (code === Code.Unauthenticated || code === Code.PermissionDenied) {
      return { dependency, ok: false, problem: "does not take this process's credential (RPC_TOKEN)" };
    }
    return { dependency, ok: false, problem: typeof code === "string" ? code : "no answer" };
  }
}
