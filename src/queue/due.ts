import type { CallbackQueue, Lane, Ticket } from "./queue.ts";

/** The lane of a due callback; its very first attempt never queues behind retries. */
function laneOf({ series, attempt }: Ticket): Lane {
  return series === 1 && attempt === 0 ? "first" : "retry";
}

/** Publishes due callbacks, each to its lane; rejects if the queue did not take all of them. */
export async function publishDue(queue: CallbackQueue, due: readonly Ticket[]): Promise<void> {
  const byLane = Map.groupBy(due, laneOf);
  await Promise.all([...byLane].map(([lane, tickets]) => queue.publish(lane, tickets)));
}
