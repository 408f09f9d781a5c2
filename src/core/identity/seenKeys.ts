import type { CoreContext } from "../context.ts";

const keepStatement = {
  name: "keep_seen_keys",
  text: `
    update participant_key k set seen_at = seen.at
    from unnest($1::bigint[], $2::timestamptz[]) as seen(id, at)
    where k.id = seen.id and (k.seen_at is null or k.seen_at < seen.at - interval '1 minute')`,
};

/**
 * Which keys were used, for people who wonder whether an old one can go. Noted in memory and written down together: a signature
 * costs no statement, and what a crash loses is a minute. This is no cache: nothing may be forgotten before it is written down,
 * and there are never more of them than registered keys.
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
