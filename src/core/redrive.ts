import { type Actor, actorName } from "../domain/actor.ts";
import { insertEntry } from "./audit.ts";
import type { CoreContext } from "./context.ts";

const insertAsked = {
  name: "insert_redrive_asked",
  text: insertEntry({ act: "redrive_asked", actor: "$1", object: "$2" }),
};

const insertDone = {
  name: "insert_redrive_done",
  text: insertEntry({ act: "redrive_done", actor: "$1", object: "$2" }),
};

/**
 * Moves tickets of the system dead-letter queue back to the workers; 0 where no queue is configured. The queue cannot share a
 * transaction with the audit trail, so the request is written down before anything moves, and the number of moved tickets
 * afterwards.
 */
export async function redriveDeadLetters(context: CoreContext, actor: Actor, limit: number): Promise<number> {
  if (context.redriveDeadLetters === undefined) return 0;
  const name = actorName(actor);
  await context.db.sql(insertAsked, [name, String(limit)]);
  const moved = await context.redriveDeadLetters(limit);
  await context.db.sql(insertDone, [name, String(moved)]);
  return moved;
}
