import { advisoryLocks } from "../db/advisoryLocks.ts";
import type { Database } from "../db/database.ts";
import type { Sql } from "../db/pool.ts";
import { type Refusal, refuse } from "../domain/errors.ts";
import type { Participant } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { isGuid } from "./guid.ts";
import { readParticipants, selectParticipants } from "./participantRows.ts";

/**
 * One change of participants at a time, whatever the process: no two of them may take the same key or kid, and each decides
 * over what it reads. Changes are rare; nothing slow happens under the lock.
 */
const lockParticipants = { name: "lock_participants", text: "select pg_advisory_xact_lock($1)" };

/** The last change that this process was asked for. */
const lastChange = new WeakMap<Database, Promise<unknown>>();

/**
 * Runs a change of participants, alone. Those of one process wait here, without a connection: however many are asked for, they
 * hold one in all. A statement of its own takes the lock: what follows sees what others have done.
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

/** The participant as it stands. */
export async function storedParticipant(sql: Sql, guid: string): Promise<Participant | undefined> {
  if (!isGuid(guid)) return undefined;
  const [found] = await readParticipants(sql, selectParticipants, [guid, null, null]);
  return found;
}

export const unknownParticipant = () => refuse("PARTICIPANT_NOT_FOUND", "no such participant", { field: "guid" });

/**
 * One change of a participant, decided over what stands, as long as that has the expected version (undefined: any); answers what
 * stands then. `change` refuses before it writes anything.
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
