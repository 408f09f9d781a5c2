import { setImmediate } from "node:timers/promises";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createParties, goodKeys, type Party } from "../../../src/core/identity/parties.ts";
import { rereadOnDemandMs } from "../../../src/core/keySets.ts";
import type { Participant, PublicJwk } from "../../../src/domain/participant.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { fakeContext, keyOf, registered } from "./fakeContext.ts";

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["performance"] });
  // The cache takes an instant of 0 for none.
  vi.advanceTimersByTime(1);
});
afterEach(() => void vi.useRealTimers());

const guid = "0198c0de-0000-7000-8000-000000000001";

const shopWith = (key: KeyPair, change: Partial<Participant> = {}) =>
  registered({
    kind: "merchant",
    guid,
    name: "Shop",
    uid: "shop",
    signingJwks: [key.publicJwk as PublicJwk],
    ...change,
  });

const kidsOf = (party: Party | undefined) => party?.keys.map(({ kid }) => kid);

/** A party that was found with one key, and the parties that know it. `lookUps` counts what the database was asked for. */
async function known(change: Partial<Participant> = {}) {
  const shops = [shopWith(await generateKeyPair("ES256", "old"), change)];
  let lookUps = 0;
  let hurried = 0;
  const lookUp = vi.fn(async () => shops.filter(() => ++lookUps > 0));
  const parties = createParties(
    fakeContext([], {
      statements: {
        select_participants: lookUp as unknown as () => unknown[],
        hurry_key_set: () => {
          hurried += 1;
          return [];
        },
      },
    }),
  );
  const party = (await parties.find({ uid: "shop" })) as Party;
  const renew = async (kid: string, version: number) => {
    shops[0] = shopWith(await generateKeyPair("ES256", kid), { ...change, version });
  };
  return { parties, party, renew, lookUp, lookUps: () => lookUps, hurried: () => hurried };
}

test("whoever was changed is known as it is now once it is looked up anew, and to everybody two seconds later", async () => {
  const [old, next, last] = await Promise.all(["old", "next", "last"].map((kid) => generateKeyPair("ES256", kid)));
  const shops = [shopWith(old as KeyPair)];
  const change = (key: KeyPair | undefined, version: number) => {
    shops[0] = shopWith(key as KeyPair, { version });
  };
  const parties = createParties(fakeContext(shops));
  const kids = async () => kidsOf(await parties.find({ uid: "shop" }));
  expect(await kids()).toEqual(["old"]);
  change(next, 2);
  vi.advanceTimersByTime(1_999);
  expect(await kids()).toEqual(["old"]);
  parties.forget();
  expect(await kids()).toEqual(["next"]);
  change(last, 3);
  vi.advanceTimersByTime(2_001);
  expect(await kids()).toEqual(["last"]);
});

test("whoever is unknown is known in the moment of being registered", async () => {
  const shops: Participant[] = [];
  const parties = createParties(fakeContext(shops));
  expect(await parties.find({ uid: "shop" })).toBeUndefined();
  shops.push(shopWith(await generateKeyPair("ES256")));
  expect(await parties.find({ uid: "shop" })).toBeDefined();
});

test("a key verifies until the instant at which it is retired, and no version has to tell", async () => {
  const { publicJwk } = await generateKeyPair("ES256", "going");
  const shop = { ...shopWith(await generateKeyPair("ES256", "staying")) };
  shop.keys.push(keyOf(publicJwk, { id: 2, retireAt: new Date(5_000) }));
  const party = (await createParties(fakeContext([shop])).find({ guid })) as Party;
  const goodAt = (ms: number) => goodKeys(party, new Date(ms)).map(({ kid }) => kid);
  expect([goodAt(4_999), goodAt(5_000)]).toEqual([["staying", "going"], ["staying"]]);
});

test("keys for encryption verify nothing", async () => {
  const { publicJwk } = await generateKeyPair("RS256", "for encryption");
  const shop = shopWith(await generateKeyPair("ES256", "signs"));
  shop.keys.push(keyOf(publicJwk, { id: 2, use: "enc" }));
  expect(kidsOf(await createParties(fakeContext([shop])).find({ guid }))).toEqual(["signs"]);
});

test("whose signature does not verify is looked up anew: as it is now, or undefined when it is what it was", async () => {
  const { parties, party, renew } = await known();
  expect(await parties.changed(party)).toBeUndefined();
  await renew("next", 2);
  const changed = await parties.changed(party);
  expect(kidsOf(changed)).toEqual(["next"]);
  // Everybody knows it from then on, by every name.
  expect(kidsOf(await parties.find({ uid: "shop" }))).toEqual(["next"]);
  expect(await parties.changed(changed as Party)).toBeUndefined();
});

test("however many ask at once for one party, the database is asked twice: for those that came first, and once for all later ones", async () => {
  const { parties, party, renew, lookUp, lookUps } = await known();
  const before = lookUps();
  let answer = () => {};
  lookUp.mockImplementationOnce(async () => {
    await new Promise<void>((resolve) => {
      answer = resolve;
    });
    return [shopWith(await generateKeyPair("ES256", "old"))];
  });
  const first = parties.changed(party);
  await setImmediate();
  // The answer that is under way may be older than what these have seen.
  const later = Array.from({ length: 100 }, () => parties.changed(party));
  await renew("next", 2);
  answer();
  expect(await first).toBeUndefined();
  expect((await Promise.all(later)).map(kidsOf)).toEqual(Array(100).fill(["next"]));
  expect([lookUp.mock.calls.length - 1, lookUps() - before]).toEqual([2, 1]);
});

test("a look-up that fails fails its askers alone, and the next one asks again", async () => {
  const { parties, party, renew, lookUp } = await known();
  lookUp.mockRejectedValueOnce(new Error("the database is gone"));
  await expect(parties.changed(party)).rejects.toThrow("the database is gone");
  await renew("next", 2);
  expect(kidsOf(await parties.changed(party))).toEqual(["next"]);
});

test("a key set is hurried when its party is what it was, at most once in 30 s", async () => {
  const { parties, party, hurried } = await known({ jwksUrl: "https://shop.example/jwks.json" });
  for (let times = 0; times < 5; times += 1) await parties.changed(party);
  expect(hurried()).toBe(1);
  vi.advanceTimersByTime(rereadOnDemandMs);
  await parties.changed(party);
  expect(hurried()).toBe(1);
  vi.advanceTimersByTime(1);
  await parties.changed(party);
  expect(hurried()).toBe(2);
  expect(rereadOnDemandMs).toBe(30_000);
});

test("a key set is not hurried for a party that has changed, and of whoever publishes none there is none", async () => {
  const publishing = await known({ jwksUrl: "https://shop.example/jwks.json" });
  await publishing.renew("next", 2);
  await publishing.parties.changed(publishing.party);
  const { parties, party, hurried } = await known();
  await parties.changed(party);
  expect([publishing.hurried(), hurried()]).toEqual([0, 0]);
});
