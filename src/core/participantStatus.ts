import type { Sql } from "../db/pool.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import { isRefusal, type Refusal, refuse } from "../domain/errors.ts";
import type { Participant, ParticipantStatus } from "../domain/participant.ts";
import type { CoreContext } from "./context.ts";
import { followKeySet } from "./keySets.ts";
import { retireKeys } from "./participantKeys.ts";
import { changeParticipant, storedParticipant } from "./participantLock.ts";
import { type ChangeOfParticipant, replaceParticipant, rowOf } from "./participantRows.ts";

/** A participant, and the version that it must have (optimistic locking; undefined: any). */
export type ParticipantVersion = { guid: string; version: number | undefined };

/** Suspends a participant (wire contract, section 8); idempotent. */
export function suspendParticipant(context: CoreContext, actor: Actor, whom: ParticipantVersion) {
  return changeStatus(context, actor, whom, { act: "participant_suspended", from: "active", to: "suspended" });
}

/** Lifts a suspension; idempotent. */
export function resumeParticipant(context: CoreContext, actor: Actor, whom: ParticipantVersion) {
  return changeStatus(context, actor, whom, { act: "participant_resumed", from: "suspended", to: "active" });
}

/**
 * Closes a suspended participant for ever and retires all its keys; idempotent. Refused while payments, registers or merchants
 * still depend on it. Nothing new can begin for a suspended participant, so what this looks for can only become less meanwhile.
 */
export async function closeParticipant(
  context: CoreContext,
  actor: Actor,
  whom: ParticipantVersion,
): Promise<Participant | Refusal> {
  const closed = await changeStatus(context, actor, whom, {
    act: "participant_closed",
    from: "suspended",
    to: "closed",
  });
  const isClosedAlready = isRefusal(closed) && closed.refused === "PARTICIPANT_CLOSED";
  return isClosedAlready ? ((await storedParticipant(context.db.sql, whom.guid)) ?? closed) : closed;
}

type StatusChange = { act: ChangeOfParticipant; from: ParticipantStatus; to: ParticipantStatus };

function changeStatus(
  context: CoreContext,
  actor: Actor,
  { guid, version }: ParticipantVersion,
  { act, from, to }: StatusChange,
): Promise<Participant | Refusal> {
  return changeParticipant(context, guid, version, async (sql, found) => {
    if (found.status === to) return undefined;
    if (found.status !== from) {
      return refuse("PARTICIPANT_NOT_SUSPENDED", "the participant is not suspended", { field: "guid" });
    }
    const inUse = to === "closed" ? await inUseProblem(sql, found) : undefined;
    if (inUse !== undefined) return inUse;
    const by = { name: actorName(actor) };
    const changed = { ...found, status: to, version: found.version + 1 };
    const replaced = await sql(replaceParticipant(act), [rowOf(changed), by.name]);
    if (replaced.length === 0) return refuse("OVERLOADED", "the participant is being changed; try again");
    if (to === "closed") {
      await retireKeys(sql, found, found.keys, null, by);
      await followKeySet(sql, { guid, jwksUrl: null });
    }
    return undefined;
  });
}

// Each count uses an index. Pending payments are found by their unfinished callbacks, of which there are few.
const selectUses = {
  name: "select_participant_uses",
  text: `
    select
      (select count(distinct m.guid)::int from callback c join payment_message m on m.guid = c.payment_message_guid
        where c.state in ('waiting', 'in_flight', 'dead') and m.status = 'pending'
          and $1 in (m.debtor_agent_guid, m.creditor_agent_guid, m.merchant_guid)) as payments,
      (select count(*)::int from payment_message m where m.status = 'success' and m.register_id is null
        and $1 in (m.debtor_agent_guid, m.creditor_agent_guid)) as unsettled,
      (select count(*)::int from settlement_register r where $1 in (r.debtor_agent_guid, r.creditor_agent_guid)
        and r.status in ('closing', 'sent', 'sent_internal', 'processing')) as registers,
      (select count(*)::int from payment_order o where o.status = 'created'
        and $1 in (o.merchant_guid, o.creditor_agent_guid)) as orders,
      (select count(*)::int from participant p where p.servicing_bank_guid = $1 and p.status <> 'closed') as merchants`,
};

const useSentences = {
  payments: "payments under way",
  unsettled: "payments that are in no register yet",
  registers: "registers that are not paid",
  orders: "orders that can still be paid",
  merchants: "merchants that are not closed",
} as const;

type Use = keyof typeof useSentences;

async function inUseProblem(sql: Sql, { guid }: Participant): Promise<Refusal | undefined> {
  const [uses = {}] = await sql<Partial<Record<Use, number>>>(selectUses, [guid]);
  const found = Object.entries(uses)
    .filter(([, count]) => count > 0)
    .map(([use, count]) => `${useSentences[use as Use]}: ${count}`);
  if (found.length === 0) return undefined;
  return refuse("PARTICIPANT_IN_USE", `the participant still has ${found.join(", ")}`, { field: "guid" });
}
