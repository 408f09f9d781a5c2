import type { Sql } from "../db/pool.ts";
import type { CallbackAlg } from "../domain/participant.ts";
import { nextKeyChangeMs, platformKeyState, publishedKeys, signingKey } from "../domain/platformKey.ts";
import { repeat } from "../repeat.ts";
import { signJws } from "../sdk/jws.ts";
import { importKeyPair, type KeyPair } from "../sdk/keys.ts";
import type { PlatformKeys } from "./context.ts";
import { type MasterKey, opened, sealed } from "./masterKey.ts";
import { type PlatformKeyRow, publishedPlatformKeys } from "./platformKeyRows.ts";

/** How soon a process learns of a change by another one. It polls: reading a few rows by their ids costs next to nothing. */
const readEveryMs = 2_000;

export type KeyRing = PlatformKeys & { stop(): Promise<void> };

export type RingOptions = {
  sql: Sql;
  /** The database's clock. */
  now: () => Date;
  masterKey: MasterKey;
  log: Record<"warn" | "error", (fields: object, message: string) => void>;
};

/**
 * The platform's signing keys as this process knows them, polled from the database. What their instants bring about (a key begins
 * to sign, or is no longer published) follows from the clock without a read. Rejects when the first read fails.
 */
export async function followPlatformKeys({ sql, now, masterKey, log }: RingOptions): Promise<KeyRing> {
  let rows: PlatformKeyRow[] = [];
  /** Key pairs by kid, because importing a private key costs more than signing with it. */
  const pairs = new Map<string, KeyPair>();
  const unreadable = new Set<string>();
  /** What signs with each algorithm, and for how long that is so. */
  const signing = new Map<CallbackAlg, { pair: KeyPair; fromMs: number; untilMs: number }>();

  async function open({ kid, privateKey, masterKeyId }: PlatformKeyRow): Promise<void> {
    if (pairs.has(kid)) return;
    const text = opened(masterKey, kid, privateKey);
    if (text !== undefined) pairs.set(kid, await importKeyPair(JSON.parse(text)));
    else if (!unreadable.has(kid)) {
      unreadable.add(kid);
      const fields = { kid, masterKey: masterKeyId, ownMasterKey: masterKey.id };
      log.error(
        fields,
        "a signing key cannot be opened with this process's master key; another one signs in its place",
      );
    }
  }

  async function readOnce(): Promise<void> {
    const read = await publishedPlatformKeys(sql);
    for (const row of read) await open(row);
    for (const kid of pairs.keys()) if (!read.some((row) => row.kid === kid)) pairs.delete(kid);
    rows = read;
    signing.clear();
  }

  // Reads are serialised, so that an older answer that arrives late cannot undo a newer one.
  let reading = Promise.resolve();
  function refresh(): Promise<void> {
    reading = reading.catch(() => undefined).then(readOnce);
    return reading;
  }

  /** Every callback asks, so it is kept until a key is read anew or changes its state. */
  function pairFor(alg: CallbackAlg): KeyPair {
    const at = now();
    const kept = signing.get(alg);
    if (kept !== undefined && at.getTime() >= kept.fromMs && at.getTime() < kept.untilMs) return kept.pair;
    const readable = rows.filter(({ kid }) => pairs.has(kid));
    const kid = signingKey(readable, alg, at)?.kid;
    const pair = kid === undefined ? undefined : pairs.get(kid);
    if (pair === undefined) throw new Error(`the platform has no key to sign with ${alg}`);
    signing.set(alg, { pair, fromMs: at.getTime(), untilMs: nextKeyChangeMs(readable, at) });
    return pair;
  }

  await refresh();
  const following = repeat({
    everyMs: readEveryMs,
    round: refresh,
    pausesFirst: true,
    failed(problem, inARow) {
      // Logged once per series of failures: that the database is down is reported by everything that needs it.
      if (inARow === 1) log.warn({ problem }, "the signing keys cannot be read; those known go on");
    },
  });
  return {
    jwks: () => publishedKeys(rows, now()).map(({ publicJwk }) => publicJwk),
    sign: async (claims, alg = "RS256") => signJws(claims, pairFor(alg)),
    isActive: (kid) => rows.some((row) => row.kid === kid && platformKeyState(row, rows, now()) === "active"),
    secret: masterKey.secret,
    seal: (kid, text) => ({ privateKey: sealed(masterKey, kid, text), masterKeyId: masterKey.id }),
    refresh,
    stop: following.stop,
  };
}
