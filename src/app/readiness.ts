import { Code } from "@connectrpc/connect";
import type { DependencyState } from "../rest/context.ts";
import type { CoreClients } from "../wire/coreClients.ts";
import type { LocalCore } from "./localCore.ts";

const probeTimeoutMs = 2_000;

/** What this process needs, and whether it is there; a missing queue delays callbacks but stops nothing. */
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
    // Addresses and credentials can stand in such messages; the code says enough.
    const code = (error as { code?: unknown }).code;
    if (code === Code.Unauthenticated || code === Code.PermissionDenied) {
      return { dependency, ok: false, problem: "does not take this process's credential (RPC_TOKEN)" };
    }
    return { dependency, ok: false, problem: typeof code === "string" ? code : "no answer" };
  }
}
