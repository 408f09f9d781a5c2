import { advisoryLocks } from "../db/advisoryLocks.ts";
import { columns, type Row } from "../db/entities/entities.ts";
import type { Sql } from "../db/pool.ts";
import { type Actor, actorName } from "../domain/actor.ts";
import type { CallbackAlg } from "../domain/participant.ts";
import type { Retirement } from "../domain/platformKey.ts";
import type { KeyPair } from "../sdk/keys.ts";
import { digestOf, insertEntry } from "./audit.ts";
import type { SealedKey } from "./context.ts";

export type PlatformKeyRow = Row<"platform_key">;

/** The digest of a key row without its ciphertext, so that it stays the same when the key is encrypted under another master key. */
const digest = (row: string) => digestOf(`to_jsonb(${row}) - 'private_key' - 'master_key_id'`);

const lock = { name: "", text: "select pg_advisory_xact_lock($1)" };
const selectNow = { name: "", text: "select clock_timestamp() as now" };

/**
 * Takes the advisory lock, so that one transaction at a time decides about the keys; answers the instant to decide by. The lock has
 * a statement of its own, because the snapshot of a statement is older than a lock that it waits for.
 */
export async function lockPlatformKeys(sql: Sql): Promise<Date> {
  await sql(lock, [advisoryLocks.platformKeys]);
  const [row] = await sql<{ now: Date }>(selectNow);
  if (row === undefined) throw new Error("the database tells no time");
  return row.now;
}

const selectAll = {
  name: "select_platform_keys",
  text: `select ${columns("platform_key", { of: "k" })} from platform_key k order by created_at desc, alg, kid`,
};

const selectPublished = {
  name: "select_published_platform_keys",
  text: `
    select ${columns("platform_key", { of: "k" })} from platform_key k
    where unpublish_at is null or unpublish_at > now() order by created_at desc, kid`,
};

/** All keys, retired ones included, newest first. */
export const allPlatformKeys = (sql: Sql) => sql<PlatformKeyRow>(selectAll);

/** The keys that are published now. */
export const publishedPlatformKeys = (sql: Sql) => sql<PlatformKeyRow>(selectPublished);

const insert = {
  name: "insert_platform_key",
  text: `
    with made as (
      insert into platform_key (kid, alg, public_jwk, private_key, master_key_id, created_at, active_from)
      values ($1, $2, $3, $4, $5, $6, $7) returning *
    ), entry as (${insertEntry({
      act: "platform_key_announced",
      actor: "$8",
      object: "kid",
      digests: { after: digest("made") },
      from: "made",
    })}
    )
    select ${columns("platform_key", { of: "made" })} from made`,
};

export type NewKey = { pair: KeyPair; sealed: SealedKey; createdAt: Date; activeFrom: Date };

export async function insertPlatformKey(sql: Sql, actor: Actor, made: NewKey): Promise<PlatformKeyRow> {
  const { pair, sealed, createdAt, activeFrom } = made;
  const key = [pair.kid, pair.alg satisfies string as CallbackAlg, JSON.stringify(pair.publicJwk)];
  const values = [...key, sealed.privateKey, sealed.masterKeyId, createdAt, activeFrom, actorName(actor)];
  const [row] = await sql<PlatformKeyRow>(insert, values);
  if (row === undefined) throw new Error("the key was not stored");
  return row;
}

const retire = {
  name: "retire_platform_key",
  text: `
    with before as (
      select kid, ${digest("k")} as digest from platform_key k where kid = $1
    ), retired as (
      update platform_key set retire_at = $2, unpublish_at = $3 where kid = $1 returning *
    ), entry as (${insertEntry({
      act: "platform_key_retired",
      actor: "$4",
      object: "retired.kid",
      digests: { before: "before.digest", after: digest("retired") },
      from: "retired join before on before.kid = retired.kid",
    })}
    )
    select ${columns("platform_key", { of: "retired" })} from retired`,
};

/** Sets when keys retire and are no longer published; answers the rows as they are then. */
export async function retirePlatformKeys(sql: Sql, actor: Actor, retirements: readonly Retirement[]) {
  const retired: PlatformKeyRow[] = [];
  for (const { kid, retireAt, unpublishAt } of retirements) {
    retired.push(...(await sql<PlatformKeyRow>(retire, [kid, retireAt, unpublishAt, actorName(actor)])));
  }
  return retired;
}

const reencrypt = {
  name: "reencrypt_platform_key",
  text: "update platform_key set private_key = $2, master_key_id = $3 where kid = $1",
};

const noteReencryption = {
  name: "note_platform_keys_reencrypted",
  text: insertEntry({ act: "platform_keys_reencrypted", actor: "$1", object: "$2" }),
};

/** Stores the same keys, encrypted under another master key. */
export async function replaceSealed(
  sql: Sql,
  actor: Actor,
  masterKeyId: string,
  keys: ReadonlyArray<{ kid: string; privateKey: Buffer }>,
): Promise<void> {
  for (const { kid, privateKey } of keys) await sql(reencrypt, [kid, privateKey, masterKeyId]);
  await sql(noteReencryption, [actorName(actor), masterKeyId]);
}
