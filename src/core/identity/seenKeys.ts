import type { CoreContext } from "../context.ts";

const keepStatement = {
  name: "keep_seen_keys",
  text: `
    update participant_key k set seen_at = seen.at
    from unnest($1::bigint[], $2::timestamptz[]) as seen(id, at)
    where k.id = seen.id and (k.seen_at is null or k.seen_at < seen.at - interval '1 minute')`,
};

/**
 * Remembers which keys were used, so that an operator can see whether an old one can be retired. Collected in memory and written in
 * one statement: verifying a signature costs none, and a crash loses a minute at most. This is no cache that may evict: an entry
 * must stay until it is written, and there are never more of them than registered keys.
 */
export function createSeenKeys(context: CoreContext) {
  const seen = new Map<number, Date>();
  return {
    note(keyId: number): void {
      seen.set(keyId, context.now());
    },
    async keep(): Promise<void> {
      if (seen.size === 0) return;
      const noted = [...seen].sort(([one], [other]) => one - other);
      seen.clear();
      await context.db.sql(keepStatement, [noted.map(([id]) => id), noted.map(([, at]) => at)]);
    },
  };
}
