import pg from "pg";
import { expect, onTestFinished, test } from "vitest";
import { isUnavailable } from "../../src/core/failure.ts";
import { accepted, bankRegistration, openPlatform, operator, type Platform, poolSize } from "../core/platform.ts";

/** A session that holds a lock on the participants, and ends the session that waits for it. */
async function lockParticipants(url: string, mode: string) {
  const holder = new pg.Client({ connectionString: url });
  await holder.connect();
  onTestFinished(() => holder.end());
  await holder.query(`begin; lock table participant in ${mode} mode`);
  return {
    // pg_locks tells what is, also inside a transaction; pg_stat_activity would repeat what it told first.
    async endsTheSessionThatWaits() {
      const end =
        "select pg_terminate_backend(pid) from pg_locks where not granted and relation = 'participant'::regclass";
      await expect.poll(async () => (await holder.query(end)).rowCount, { timeout: 3_000 }).toBe(1);
    },
    unlock: () => holder.query("rollback"),
  };
}

type Use = (platform: Platform, guid: string) => Promise<unknown>;

test.each<[useCase: string, locked: string, use: Use]>([
  ["registerParticipant", "exclusive", ({ core }) => core.registerParticipant(operator, bankRegistration())],
  ["updateParticipant", "exclusive", ({ core }, guid) => core.updateParticipant(operator, guid, { name: "Renamed" })],
  ["getParticipant", "access exclusive", ({ core }, guid) => core.getParticipant({ guid })],
  ["listParticipants", "access exclusive", ({ core }) => core.listParticipants({}, { limit: 1 })],
])(
  "%s: a connection that dies in the middle is not lost to the pool, and the caller hears that the database is not there",
  async (_, locked, use) => {
    const platform = await openPlatform();
    onTestFinished(() => platform.close());
    const { guid } = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const lock = await lockParticipants(platform.url, locked);
    for (let deaths = 0; deaths <= poolSize; deaths += 1) {
      const outcome = use(platform, guid).then(
        () => "done",
        (error: unknown) => (isUnavailable(error) ? "unavailable" : error),
      );
      await lock.endsTheSessionThatWaits();
      expect(await outcome).toBe("unavailable");
    }
    await lock.unlock();
    const uses = Array.from({ length: poolSize }, () => use(platform, guid));
    expect((await Promise.allSettled(uses)).map(({ status }) => status)).toEqual(uses.map(() => "fulfilled"));
  },
);
