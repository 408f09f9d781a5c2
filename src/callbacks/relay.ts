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
function laneOf(callback: DueCallback): Lane {
  return callback.series === 1 && callback.attempt === 0 ? "first" : "retry";
}

/** Publishes due callbacks by lane; rejects when the queue did not take them all. */
export async function publishDue(queue: CallbackQueue, callbacks: readonly DueCallback[]): Promise<void> {
  const byLane = Map.groupBy(callbacks, laneOf);
  await Promise.all([...byLane].map(([lane, tickets]) => queue.publish(lane, tickets)));
}

/**
 * One look for waiting callbacks that nobody looks after (never published, or lost with the broker). Answers true when there
 * is probably more.
 */
export async function relayOnce(core: Core, queue: CallbackQueue, log: DeliveryLog): Promise<boolean> {
  if (!queue.isReady()) return false;
  const depths = await queue.depths();
  if (depths.first + depths.retry > queueHighWater) return false;
  const waiting = await core.takeOverdueCallbacks(pageSize);
  if (waiting.length === 0) return false;
  log.info({ callbacks: waiting.length }, "overdue callbacks are published again");
  await publishDue(queue, waiting);
  return waiting.length === pageSize;
}

/** One look for attempts whose process ended before it recorded them. Answers true when there is probably more. */
export async function countLost(core: Core, log: DeliveryLog): Promise<boolean> {
  const lost = await core.recordLostAttempts(pageSize);
  if (lost > 0) log.warn({ lost }, "attempts whose process ended are counted as lost");
  return lost === pageSize;
}
