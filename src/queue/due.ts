import type { CallbackQueue, Lane, Ticket } from "./queue.ts";

/** The lane of a callback that is due: the very first attempt never queues behind retries. */
function laneOf({ series, attempt }: Ticket): Lane {
  return series === 1 && attempt === 0 ? "first" : "retry";
}

/** Publishes due callbacks by lane; rejects when the queue did not take them all. */
export async function publishDue(queue: CallbackQueue, due: readonly Ticket[]): Promise<void> {
  const byLane = Map.groupBy(due, laneOf);
  await Promise.all([...byLane].map(([lane, tickets]) => queue.publish(lane, tickets)));
}
