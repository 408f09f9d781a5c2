import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { type PublishedKeySet, PublishedKeySetSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import type { Sql } from "../db/pool.ts";
import { isRefusal } from "../domain/errors.ts";
import { maxKeysOfOneKid, type Participant, type PublicJwk } from "../domain/participant.ts";
import { instantOrUnset } from "../wire/values.ts";
import { whole } from "../wire/whole.ts";
import type { CoreContext } from "./context.ts";
import { sharedKeysProblem, storableKey } from "./participantChecks.ts";
import { addKeys, keyDifference, keysChanged, retireKeys } from "./participantKeys.ts";
import { changingParticipants, storedParticipant } from "./participantLock.ts";
import { readingLeaseMs, waitAfterFailures } from "./published.ts";

// The key sets that merchants publish (wire contract, sections 3 and 8). They are polled by a chore and never fetched while a
// request waits. The last set that was read counts in every process: an address that is down neither withdraws a key nor brings one
// back.

/**
 * How often a set is read again, give or take a tenth (jitter), so that sets that were registered together do not stay together.
 */
const rereadMs = 5 * 60_000;
/** The least time between two readings caused by an unknown key: otherwise a stranger could cause one with every unknown kid. */
export const rereadOnDemandMs = 30_000;
/** The most keys of a set that are looked at: each unknown signature costs a try per key. */
const maxPublishedKeys = 16;

const follow = {
  name: "follow_key_set",
  text: `
    insert into published_key_set as known (participant_guid, url, next_at, failures) values ($1, $2, now(), 0)
    on conflict (participant_guid) do update set url = excluded.url, next_at = now(), failures = 0, problem = null
    where known.url <> excluded.url`,
};

const unfollow = { name: "unfollow_key_set", text: "delete from published_key_set where participant_guid = $1" };

/** Begins to follow the key set that the participant publishes, or stops where it publishes none and its keys are registered. */
export async function followKeySet(sql: Sql, { guid, jwksUrl }: Pick<Participant, "guid" | "jwksUrl">): Promise<void> {
  if (jwksUrl === null) await sql(unfollow, [guid]);
  else await sql(follow, [guid, jwksUrl]);
}

const hurry = {
  name: "hurry_key_set",
  text: `
    update published_key_set
    set next_at = least(next_at, greatest(now(), asked_at + $2 * interval '1 millisecond'))
    where participant_guid = $1 and failures = 0 and next_at > now()`,
};

/** Has a set read soon, because its party may have changed it. While its address fails, the waits of the back-off stay. */
export async function hurryKeySet({ db }: CoreContext, guid: string): Promise<void> {
  await db.hot(hurry, [guid, rereadOnDemandMs]);
}

const leaseDueSets = {
  name: "take_key_sets",
  text: `
    update published_key_set s set asked_at = now(), next_at = now() + $2 * interval '1 millisecond'
    from (
      select participant_guid from published_key_set where next_at <= now() order by next_at limit $1
      for update skip locked
    ) due where s.participant_guid = due.participant_guid
    returning s.participant_guid as guid, s.url, s.failures`,
};

const recordReading = {
  name: "keep_key_set",
  text: `
    update published_key_set set failures = $3, problem = $4, next_at = now() + $5 * interval '1 millisecond',
      read_at = case when $3 = 0 then now() else read_at end
    where participant_guid = $1 and url = $2`,
};

type DueSet = Pick<Row<"published_key_set">, "url" | "failures"> & { guid: string };

/** The result of a reading, for the log. */
export type ReadKeySet = { guid: string; changed: boolean; problem?: string };

/**
 * Reads the key sets that are due, at most `limit`, all at once; a lease lets one process alone read each. `random`, 0 to 1,
 * spreads the next readings.
 */
export async function readKeySets(context: CoreContext, limit: number, random: () => number): Promise<ReadKeySet[]> {
  const due = await context.db.sql<DueSet>(leaseDueSets, [limit, readingLeaseMs]);
  return Promise.all(due.map((set) => readKeySet(context, set, random())));
}

async function readKeySet(context: CoreContext, set: DueSet, random: number): Promise<ReadKeySet> {
  const { guid, url } = set;
  const jwks = await context.fetchJwks(url);
  if ("problem" in jwks) {
    const failures = set.failures + 1;
    await context.db.sql(recordReading, [guid, url, failures, jwks.problem, waitAfterFailures(failures)]);
    return { guid, changed: false, problem: jwks.problem };
  }
  const { keys, problem } = await usableKeys(context, jwks);
  return changingParticipants(context, async (sql) => {
    const waitMs = rereadMs * (0.9 + 0.2 * random);
    const holder = await storedParticipant(sql, guid);
    if (holder === undefined || holder.jwksUrl !== url || holder.status === "closed") return { guid, changed: false };
    const { own, problem: foreign } = await ownKeys(sql, holder, keys);
    const leftOut = problem ?? foreign;
    await sql(recordReading, [guid, url, 0, leftOut ?? null, waitMs]);
    const changed = await replaceKeys(sql, holder, own);
    return { guid, changed, ...(leftOut !== undefined && { problem: leftOut }) };
  });
}

/** The keys that can be used. Unsuitable keys, and those beyond the limit, are left out with a problem; the others count. */
async function usableKeys(context: CoreContext, jwks: readonly unknown[]) {
  const keys: PublicJwk[] = [];
  let problem = jwks.length > maxPublishedKeys ? `has more than ${maxPublishedKeys} keys` : undefined;
  for (const jwk of jwks.slice(0, maxPublishedKeys)) {
    if ((jwk as { use?: unknown } | null)?.use === "enc") continue;
    const key = await storableKey(context, jwk, "a key of the set");
    if (isRefusal(key)) problem ??= key.message;
    else if (keys.filter(({ kid }) => kid === key.kid).length < maxKeysOfOneKid) keys.push(key);
  }
  return { keys, problem };
}

/** Leaves out the keys that another party has already. */
async function ownKeys(sql: Sql, holder: Participant, keys: readonly PublicJwk[]) {
  const own: PublicJwk[] = [];
  let problem: string | undefined;
  for (const key of keys) {
    const shared = await sharedKeysProblem(sql, holder, [key], "the set");
    if (shared === undefined) own.push(key);
    else problem ??= shared.message;
  }
  return { own, problem };
}

/** Makes the set the participant's keys. An empty set is taken as it is: its party has withdrawn every key. */
async function replaceKeys(sql: Sql, holder: Participant, keys: readonly PublicJwk[]): Promise<boolean> {
  const { missing, superfluous } = keyDifference(holder, "sig", keys);
  if (missing.length === 0 && superfluous.length === 0) return false;
  const by = { name: holder.guid };
  await addKeys(sql, holder, missing, by);
  await retireKeys(sql, holder, superfluous, null, by);
  await keysChanged(sql, holder);
  return true;
}

/** Columns that an answer does not show: whose set it is, and when it was leased. */
const notShown = ["participantGuid", "askedAt"] as const satisfies (keyof Row<"published_key_set">)[];

type KeySetRow = Omit<Row<"published_key_set">, (typeof notShown)[number]>;

function toKeySet({ readAt, nextAt, problem, ...same }: KeySetRow): PublishedKeySet {
  return whole(PublishedKeySetSchema, {
    ...same,
    readAt: instantOrUnset(readAt),
    nextAt: timestampFromDate(nextAt),
    problem: problem ?? "",
  });
}

const selectKeySet = {
  name: "select_key_set",
  text: `
    select ${columns("published_key_set", { of: "s", but: notShown })}
    from published_key_set s where s.participant_guid = $1`,
};

/** The state of the key set that a participant publishes; undefined if it publishes none. */
export async function getKeySet({ db }: CoreContext, guid: string): Promise<PublishedKeySet | undefined> {
  const [found] = await db.sql<KeySetRow>(selectKeySet, [guid]);
  return found && toKeySet(found);
}
