import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { CoreContext } from "../../src/core/context.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import { rereadOnDemandMs } from "../../src/core/keySets.ts";
import type { Participant } from "../../src/domain/participant.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import {
  accepted,
  bankRegistration,
  type GivenKey,
  merchantRegistration,
  minutesMs,
  modulus,
  openPlatform,
  operator,
  type Platform,
  reasonOf,
  serial,
} from "./platform.ts";

const jwksUrl = "https://shop.example/jwks.json";
type Answer = Awaited<ReturnType<CoreContext["fetchJwks"]>>;

let platform: Platform;
let second: Core;
let bank: Participant;
let merchant: Participant;
/** What the address answers, and how often which one was asked. */
let answer: () => Answer | Promise<Answer>;
let asked: string[];
/** Moves the database's clock, without the test's own time. */
let movedMs: number;

beforeAll(async () => {
  platform = await openPlatform({
    fetchJwks: async (url) => {
      asked.push(url);
      return answer();
    },
  });
  second = await platform.secondCore();
  bank = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
});
afterAll(() => platform.close());

/** A merchant with the key `known`, whose set was just read. Those of the other tests are gone. */
beforeEach(async () => {
  movedMs = 0;
  await pass(0);
  await platform.rows("delete from published_key_set");
  await platform.rows(
    "update participant_key set active_from = '2000-01-01', retire_at = '2000-01-01' where participant_kind = 'merchant'",
  );
  answer = () => [{ kid: "known", n: "of the merchant" }];
  asked = [];
  merchant = accepted(
    await platform.core.registerParticipant(operator, merchantRegistration(bank, { jwksUrl, signingJwks: [] })),
  );
  expect(await readSets()).toMatchObject([{ guid: merchant.guid, changed: false }]);
  asked = [];
});

const readSets = (core = platform.core, limit = 10, random = 0.5) => core.readKeySets(limit, () => random);

async function pass(ms: number) {
  movedMs += ms;
  await platform.rows("update test_clock.shift set by = $1 * interval '1 millisecond'", movedMs);
  platform.clock.aheadMs = movedMs;
}

const keySet = async (core: Core = platform.core) => {
  const found = await core.getKeySet(merchant.guid);
  if (found === undefined) throw new Error("the merchant publishes no keys");
  return found;
};

/** How long it is until the set is due, in whole seconds of the database. */
async function dueInSeconds() {
  const [row] = await platform.rows<{ seconds: number }>(
    `select round(extract(epoch from next_at - now()))::int as seconds from published_key_set where participant_guid = $1`,
    merchant.guid,
  );
  return row?.seconds;
}

/** A few seconds less are the test's own time. */
const about = (seconds: number) => expect.toSatisfy((found: number) => found <= seconds && found > seconds - 5);

async function holder(core: Core = platform.core) {
  const { keys, version } = accepted(await core.getParticipant({ guid: merchant.guid }));
  return { kids: keys.map(({ kid }) => kid), version };
}

const isDue = () =>
  platform.rows("update published_key_set set next_at = now() where participant_guid = $1", merchant.guid);

/** The set is due and read. */
async function read(core: Core = platform.core) {
  await isDue();
  const [one, ...more] = await readSets(core);
  expect(more).toEqual([]);
  return one;
}

const key = (kid: string, changes: Partial<GivenKey> = {}): GivenKey => ({ kid, n: `n of ${kid}`, ...changes });

describe("what is read", () => {
  test("replaces the keys and counts a version; a key that stays is the one that it was", async () => {
    answer = () => [key("known", { n: "of the merchant" }), key("next")];
    expect(await read()).toEqual({ guid: merchant.guid, changed: true });
    expect(await holder()).toEqual({ kids: ["next", "known"], version: merchant.version + 1 });
    answer = () => [key("next"), key("for encryption", { use: "enc" })];
    expect(await read()).toEqual({ guid: merchant.guid, changed: true });
    expect(await holder()).toEqual({ kids: ["next"], version: merchant.version + 2 });
    const listed = await platform.core.listParticipantKeys(merchant.guid);
    expect(listed.map(({ kid, addedBy, retireAt }) => [kid, addedBy, retireAt !== null])).toEqual([
      ["next", merchant.guid, false],
      ["known", "tests", true],
    ]);
  });

  test("and is what was known changes nothing", async () => {
    expect(await read()).toEqual({ guid: merchant.guid, changed: false });
    expect(await holder()).toEqual({ kids: ["known"], version: merchant.version });
  });

  test("and is empty withdraws every key", async () => {
    answer = () => [];
    expect(await read()).toEqual({ guid: merchant.guid, changed: true });
    expect(await holder()).toEqual({ kids: [], version: merchant.version + 1 });
    expect(await keySet()).toMatchObject({ failures: 0, problem: "" });
  });

  test("a key that it has with another alg is another key, and one that it has twice is stored once", async () => {
    answer = () => [key("known", { n: "of the merchant", alg: "PS256" }), key("twice"), key("twice")];
    await read();
    expect((await holder()).kids).toEqual(["known", "twice"]);
    const listed = await platform.core.listParticipantKeys(merchant.guid);
    expect(listed.map(({ jwk }) => jwk.alg)).toEqual(["PS256", "RS256", "RS256"]);
  });

  test("two of one kid are a rotation; of more the first two count", async () => {
    answer = () => [key("same", { n: "1" }), key("same", { n: "2" }), key("same", { n: "3" })];
    await read();
    const { keys } = accepted(await platform.core.getParticipant({ guid: merchant.guid }));
    expect(keys.map(({ jwk }) => jwk.n)).toEqual([modulus("1"), modulus("2")]);
  });

  test("keys that verify nothing here, or are another party's, are left out; the others count, and the problem is told", async () => {
    answer = () => [key("weak", { weak: true }), key("good")];
    const weak = "a key of the set has fewer than 2048 bits";
    expect(await read()).toEqual({ guid: merchant.guid, changed: true, problem: weak });
    expect([(await holder()).kids, (await keySet()).problem]).toEqual([["good"], weak]);
    answer = () => [key("stolen", { n: `n of ${bank.keys[0]?.kid}` }), key("good"), key("also good")];
    const foreign = "the set has a key that another party has";
    expect(await read()).toEqual({ guid: merchant.guid, changed: true, problem: foreign });
    expect((await holder()).kids).toEqual(["also good", "good"]);
    // What is wrong with a key is no failure of the address.
    expect(await keySet()).toMatchObject({ problem: foreign, failures: 0 });
    answer = () => [key("good"), key("also good")];
    expect(await read()).toEqual({ guid: merchant.guid, changed: false });
    expect((await keySet()).problem).toBe("");
  });

  test("of a huge set the first 16 keys are looked at, and that is told", async () => {
    answer = () => Array.from({ length: 17 }, (_, place) => key(`many ${place}`));
    const problem = "has more than 16 keys";
    expect(await read()).toEqual({ guid: merchant.guid, changed: true, problem });
    const { kids } = await holder();
    expect([kids.length, kids.at(-1)]).toEqual([16, "many 15"]);
    answer = () => Array.from({ length: 16 }, (_, place) => key(`many ${place}`));
    expect(await read()).toEqual({ guid: merchant.guid, changed: false });
  });

  test.each([null, "text", 7, []])("%j in a set is no key and does not disturb the others", async (nonsense) => {
    answer = () => [nonsense, key("good")] as unknown[];
    expect(await read()).toMatchObject({ changed: true, problem: expect.any(String) });
    expect((await holder()).kids).toEqual(["good"]);
  });
});

describe("when a set is read", () => {
  test("five minutes after the last reading, give or take a tenth, and not before", async () => {
    for (const [random, seconds] of [
      [0, 270],
      [0.5, 300],
      [1, 330],
    ] as const) {
      await isDue();
      await readSets(platform.core, 10, random);
      expect(await dueInSeconds()).toEqual(about(seconds));
    }
    asked = [];
    await pass(320_000);
    expect([await readSets(), asked]).toEqual([[], []]);
    await pass(15_000);
    expect([(await readSets()).length, asked]).toEqual([1, [jwksUrl]]);
  });

  test("by one process alone, and as many at once as are asked for, the longest due first", async () => {
    for (const url of ["https://a.example/", "https://b.example/", "https://c.example/"]) {
      answer = () => [key(`of ${url}`)];
      accepted(
        await platform.core.registerParticipant(
          operator,
          merchantRegistration(bank, { jwksUrl: url, signingJwks: [] }),
        ),
      );
    }
    await platform.rows(
      "update published_key_set set next_at = now() - case url when 'https://a.example/' then interval '2 s' when 'https://b.example/' then interval '1 s' else interval '0' end",
    );
    asked = [];
    expect(await readSets(platform.core, 2)).toHaveLength(2);
    expect(asked).toEqual(["https://a.example/", "https://b.example/"]);
    await platform.rows("update published_key_set set next_at = now()");
    asked = [];
    const read = await Promise.all([readSets(), readSets(second), readSets(), readSets(second)]);
    expect(read.flat().map(({ guid }) => guid)).toHaveLength(4);
    expect(asked.sort()).toEqual([...new Set(asked)]);
  });

  test("while it is read nobody else reads it; of a process that died in the middle another one takes over a minute later", async () => {
    const { resolve, promise } = Promise.withResolvers<Answer>();
    answer = () => promise;
    await isDue();
    const reading = readSets();
    await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(1);
    await pass(50_000);
    expect(await readSets(second)).toEqual([]);
    await pass(11_000);
    answer = () => [key("read by another")];
    expect(await readSets(second)).toMatchObject([{ changed: true }]);
    resolve({ problem: "never answered" });
    await reading;
    expect((await holder()).kids).toEqual(["read by another"]);
  });

  test("at once when the merchant is registered, or comes to publish its keys", async () => {
    const other = accepted(await platform.core.registerParticipant(operator, merchantRegistration(bank)));
    accepted(await platform.core.updateParticipant(operator, other.guid, { jwksUrl: "https://other.example/" }));
    // What it had counts until its set is read.
    expect(accepted(await platform.core.getParticipant({ guid: other.guid })).keys).toEqual(other.keys);
    answer = () => [key("published by the other")];
    expect(await readSets()).toEqual([{ guid: other.guid, changed: true }]);
    expect(accepted(await platform.core.getParticipant({ guid: other.guid })).keys.map(({ kid }) => kid)).toEqual([
      "published by the other",
    ]);
  });

  test("a reading holds nobody up: changes of participants go on, and another merchant's orders too", async () => {
    const { resolve, promise } = Promise.withResolvers<Answer>();
    answer = () => promise;
    await isDue();
    const reading = readSets();
    await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(1);
    accepted(await platform.core.updateParticipant(operator, merchant.guid, { name: "Renamed meanwhile" }));
    resolve([key("next")]);
    expect(await reading).toEqual([{ guid: merchant.guid, changed: true }]);
    expect(accepted(await platform.core.getParticipant({ guid: merchant.guid }))).toMatchObject({
      name: "Renamed meanwhile",
      version: merchant.version + 2,
    });
  });
});

describe("a set that cannot be read", () => {
  const problem = "could not be read: nobody answers";

  test.each([problem, "answered no JSON", "is not a JSON Web Key Set", "could not be read: answered 503"])(
    "because it %s: what was read last counts, and the problem is told",
    async (said) => {
      const { readAt } = await keySet();
      answer = () => ({ problem: said });
      expect(await read()).toEqual({ guid: merchant.guid, changed: false, problem: said });
      expect(await holder()).toEqual({ kids: ["known"], version: merchant.version });
      expect(await keySet()).toMatchObject({ problem: said, failures: 1, readAt, url: jwksUrl });
    },
  );

  test("is read again after 30 s, 1, 2 … minutes, at most after an hour; after a success all is as before", async () => {
    answer = () => ({ problem });
    const waits: (number | undefined)[] = [];
    for (let failures = 1; failures <= 9; failures += 1) {
      await read();
      waits.push(await dueInSeconds());
    }
    expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600].map(about));
    expect((await keySet()).failures).toBe(9);
    answer = () => [key("known", { n: "of the merchant" })];
    await read();
    expect([await dueInSeconds(), await keySet()]).toMatchObject([about(300), { failures: 0, problem: "" }]);
    answer = () => ({ problem });
    await read();
    expect(await dueInSeconds()).toEqual(about(30));
  });

  test("after very many failures too", async () => {
    await platform.rows(
      "update published_key_set set failures = 100000, problem = 'x' where participant_guid = $1",
      merchant.guid,
    );
    answer = () => ({ problem });
    await read();
    expect(await dueInSeconds()).toEqual(about(3_600));
  });

  test("brings nothing back: what was withdrawn stays withdrawn, in another process and after a restart", async () => {
    answer = () => [key("next")];
    await read();
    answer = () => ({ problem });
    await read();
    for (const core of [platform.core, second, await platform.secondCore()]) {
      expect((await holder(core)).kids).toEqual(["next"]);
      expect((await keySet(core)).failures).toBe(1);
    }
    expect(await read(second)).toMatchObject({ changed: false });
    expect((await holder()).kids).toEqual(["next"]);
  });
});

describe("an unknown key", () => {
  /** An order of the merchant, signed with a key that it does not have. */
  async function orderWithUnknownKey(core = platform.core, uid = merchant.uid) {
    const stranger = await generateKeyPair("ES256", `unknown-${serial()}`);
    return core.identity.orderOf(await signJws({ sub: uid, ref: "r" }, stranger));
  }

  const hurriedDueInSeconds = async (core: Core) => {
    const answered = await orderWithUnknownKey(core);
    expect(reasonOf(answered)).toBe("AUTHORIZATION_FAILED");
    // Nobody waits for what it asks.
    const before = await dueInSeconds();
    await expect
      .poll(dueInSeconds, { timeout: 500 })
      .not.toBe(before)
      .catch(() => undefined);
    return dueInSeconds();
  };

  test("has the set read no sooner than 30 s after the last reading, and then at once", async () => {
    expect(await hurriedDueInSeconds(createCore(platform.context))).toEqual(about(rereadOnDemandMs / 1_000));
    await read();
    await pass(100_000);
    expect(await hurriedDueInSeconds(createCore(platform.context))).toEqual(about(0));
    answer = () => [key("next")];
    expect(await readSets()).toMatchObject([{ changed: true }]);
    expect(await dueInSeconds()).toEqual(about(300));
  });

  test("does not make later what is sooner", async () => {
    await platform.rows("update published_key_set set asked_at = now(), next_at = now() + interval '20 s'");
    expect(await hurriedDueInSeconds(createCore(platform.context))).toEqual(about(20));
  });

  test("does not shorten the waits after failures", async () => {
    answer = () => ({ problem: "is down" });
    for (const seconds of [30, 60, 120]) {
      await read();
      await pass(1_000);
      expect(await hurriedDueInSeconds(createCore(platform.context))).toEqual(about(seconds - 1));
    }
  });

  test("is refused at once although the address hangs: no order waits for one", async () => {
    answer = () => new Promise(() => undefined);
    const before = performance.now();
    for (let times = 0; times < 3; times += 1) {
      expect(reasonOf(await orderWithUnknownKey())).toBe("AUTHORIZATION_FAILED");
    }
    expect(performance.now() - before).toBeLessThan(2_000);
    expect(asked).toEqual([]);
  });
});

describe("an address that changes", () => {
  const next = "https://shop.example/next.json";

  test("is read at once, without the failures of the old one; until then what was read from the old one counts", async () => {
    answer = () => ({ problem: "is down" });
    await read();
    accepted(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl: next }));
    expect(await keySet()).toMatchObject({ url: next, failures: 0, problem: "" });
    expect((await holder()).kids).toEqual(["known"]);
    asked = [];
    answer = () => [key("next")];
    expect(await readSets()).toEqual([{ guid: merchant.guid, changed: true }]);
    expect([asked, (await holder()).kids]).toEqual([[next], ["next"]]);
  });

  test("given as it is changes nothing about when it is read", async () => {
    const before = await keySet();
    accepted(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl, name: "Other" }));
    expect(await keySet()).toEqual(before);
  });

  test("while the old one is read: what the old one says counts no more", async () => {
    for (const late of [[key("late")], { problem: "is down" }]) {
      const { resolve, promise } = Promise.withResolvers<Answer>();
      answer = () => promise;
      await isDue();
      const reading = readSets();
      await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(1);
      const url = `https://shop.example/${serial()}.json`;
      accepted(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl: url }));
      resolve(late);
      expect(await reading).toMatchObject([{ changed: false }]);
      expect((await holder()).kids).toEqual(["known"]);
      expect(await keySet()).toMatchObject({ url, failures: 0, problem: "" });
      expect(await dueInSeconds()).toEqual(about(0));
      asked = [];
    }
  });

  test("taken away leaves the keys as they are, for operators to change, and nothing is read any more", async () => {
    accepted(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl: null }));
    expect(await platform.core.getKeySet(merchant.guid)).toBeUndefined();
    expect((await holder()).kids).toEqual(["known"]);
    await pass(minutesMs(120));
    expect([await readSets(), asked]).toEqual([[], []]);
  });

  test("taken away from a merchant whose set is empty is refused: nobody could verify its orders", async () => {
    answer = () => [];
    await read();
    expect(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl: null })).toMatchObject({
      refused: "INVALID_KEY",
    });
  });

  test("taken away while it is read changes nothing any more", async () => {
    const { resolve, promise } = Promise.withResolvers<Answer>();
    answer = () => promise;
    await isDue();
    const reading = readSets();
    await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(1);
    accepted(await platform.core.updateParticipant(operator, merchant.guid, { jwksUrl: null }));
    resolve([key("late")]);
    expect(await reading).toMatchObject([{ changed: false }]);
    expect((await holder()).kids).toEqual(["known"]);
  });
});

describe("a merchant that is closed", () => {
  const close = async () => {
    accepted(await platform.core.suspendParticipant(operator, { guid: merchant.guid, version: undefined }));
    accepted(await platform.core.closeParticipant(operator, { guid: merchant.guid, version: undefined }));
  };

  test("has no set that is read any more", async () => {
    await close();
    await pass(minutesMs(120));
    expect([await readSets(), asked]).toEqual([[], []]);
    expect(await platform.core.getKeySet(merchant.guid)).toBeUndefined();
  });

  test("gets no keys from a reading that was under way", async () => {
    const { resolve, promise } = Promise.withResolvers<Answer>();
    answer = () => promise;
    await isDue();
    const reading = readSets();
    await expect.poll(() => asked.length, { timeout: 5_000 }).toBe(1);
    await close();
    resolve([key("late")]);
    expect(await reading).toMatchObject([{ changed: false }]);
    expect((await holder()).kids).toEqual([]);
  });

  test("a merchant that is suspended keeps being read: it may be resumed", async () => {
    accepted(await platform.core.suspendParticipant(operator, { guid: merchant.guid, version: undefined }));
    answer = () => [key("next")];
    expect(await read()).toMatchObject({ changed: true });
    expect((await holder()).kids).toEqual(["next"]);
  });
});
