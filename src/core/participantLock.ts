import { advisoryLocks } from "../db/advisoryLocks.ts";
import type { Database } from "../db/database.ts";
import type { Sql } from "../db/pool.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { readParticipants, selectParticipants } from "./participantRows.ts";

/**
 * An advisory lock that lets one transaction at a time change participants, in all processes: no two of them may take the same key
 * or kid, and each decides by what it reads. Changes are rare, and nothing slow happens under the lock.
 */
const lockParticipants = { name: "lock_participants", text: "select pg_advisory_xact_lock($1)" };

/** The end of the queue of changes in this process. */
const lastChange = new WeakMap<Database, Promise<unknown>>();

/**
 * Runs a change of participants alone. Changes of one process queue here without a connection, so that however many are asked for,
 * they hold one connection in all. The lock has a statement of its own: the next ones then see what others have committed.
 */
export function changingParticipants<T>({ db }: CoreContext, work: (sql: Sql) => Promise<T>): Promise<T> {
  const change = () =>
    db.transaction(async (sql) => {
      await sql(lockParticipants, [advisoryLocks.participants]);
      return work(sql);
    });
  const mine = (lastChange.get(db) ?? Promise.resolve()).then(change, change);
  lastChange.set(db, mine);
  return mine;
}

/** The participant as it is stored now. */
export async function storedParticipant(sql: Sql, guid: string): Promise<Participant | undefined> {
  if (!isGuid(guid)) return undefined;
  const [found] = await readParticipants(sql, selectParticipants, [guid, null, null]);
  return found;
}

export const unknownParticipant = () => refuse("PARTICIPANT_NOT_FOUND", "no such participant", { field: "guid" });

/**
 * Changes a participant under the lock, if it has the expected version (optimistic locking; undefined: any); answers it as it is
 * stored afterwards. If `change` refuses, it must do so before it writes anything.
 */
export async function changeParticipant(
  context: CoreContext,
  guid: string,
  expectedVersion: number | undefined,
  change: (sql: Sql, found: Participant) => Promise<Refusal | undefined>,
): Promise<Participant | Refusal> {
  const refused = await changingParticipants(context, async (sql) => {
    const found = await storedParticipant(sql, guid);
    if (found === undefined) return unknownParticipant();
    if (found.status === "closed") return refuse("PARTICIPANT_CLOSED", "the participant is closed", { field: "guid" });
    if (expectedVersion !== undefined && expectedVersion !== found.version) {
      const message = `the participant has version ${found.version} and not ${expectedVersion}: somebody else has changed it`;
      return refuse("PARTICIPANT_CHANGED", message, { field: "version" });
    }
    return change(sql, found);
  });
  return refused ?? (await storedParticipant(context.db.sql, guid)) ?? unknownParticipant();
}
