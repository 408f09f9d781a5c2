import { createCallbackClient } from "../callbacks/client.ts";
import { attemptsAtOnce, startWorker } from "../callbacks/worker.ts";
import { startChores } from "../chores.ts";
import type { LocalCore } from "./localCore.ts";
import { publicUrlOf, type Run, signerOf } from "./run.ts";

/** Starts the role worker: delivers callbacks and runs the scheduled chores. */
export async function startWork(run: Run, { core, queue, platformKeys, newGuid }: LocalCore): Promise<void> {
  const { config, log, guard, metrics, tracing, edges } = run;
  const { attemptTimeoutMs } = config.retryPolicy;
  const client = createCallbackClient({ guard, attemptTimeoutMs, connectionsPerOrigin: attemptsAtOnce });
  const worker = await startWorker({
    core,
    queue,
    client,
    signer: signerOf(config, platformKeys),
    publicUrl: () => publicUrlOf(run),
    newGuid,
    republishAfterMs: config.republishAfterMs,
    log,
    observer: metrics.delivery,
    tracing,
  });
  edges.push(async () => {
    await worker.stop();
    await client.close();
  });
  metrics.watchInFlight(worker.inFlight);
  const chores = startChores({ core, queue, log, reconciled: metrics.reconciled });
  edges.push(chores.stop);
}
