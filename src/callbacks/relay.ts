import type { DueCallback } from "../core/context.ts";
import type { Core } from "../core/core.ts";
import type { CallbackQueue, Lane } from "../queue/queue.ts";
import type { DeliveryLog } from "./deliver.ts";

/** Rows that one look takes. */
const pageSize = 500;

/**
 * While this much waits in the queue, the relay adds nothing: a backlog waits in PostgreSQL, where it costs nothing, and
 * is not published again and again while the workers are behind. A second of work where each ticket counts, ten where a
 * message of many does.
 */
const queueHighWater = 1_000;

/** The lane of a callback that is due: the very first attempt never queues behind retries. */
export function laneOf(callback: DueCallback): Lane {
  return callback.series === 1 && callback.attempt === 0 ? "first" : "retry";
}

/** Publishes due callbacks by lane; rejects when the queue did not take them all. */
export async function publishDue(queue: CallbackQueue, callbacks: readonly DueCallback[]): Promise<void> {
  const byLane = Map.groupBy(callbacks, laneOf);
  await Promise.all([...byLane].map(([lane, tickets]) => queue.publish(lane, tickets)));
}

/**
 * One look for callbacks that nobody looks after (lost with the broker, leased by a process that died, never published).
 * Answers true when there is probably more.
 */
export async function relayOnce(core: Core, queue: CallbackQueue, log: DeliveryLog): Promise<boolean> {
  if (!queue.isReady()) return false;
  const depths = await queue.depths();
  if (depths.first + depths.retry > queueHighWater) return false;
  const { waiting, lost } = await core.takeOverdueCallbacks(pageSize);
  // First what was found waiting: it must not be late because a lost attempt cannot be recorded just now.
  if (waiting.length > 0) {
    log.info({ callbacks: waiting.length }, "overdue callbacks are published again");
    await publishDue(queue, waiting);
  }
  if (lost.length > 0) {
    log.warn({ lost: lost.length }, "attempts whose process ended are counted as lost");
    await core.recordLostAttempts(lost);
  }
  return waiting.length + lost.length === pageSize;
}
