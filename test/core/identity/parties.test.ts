import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { keysOf } from "../../../src/callbacks/keySet.ts";
import { createParties } from "../../../src/core/identity/parties.ts";
import type { Participant, PublicJwk } from "../../../src/domain/participant.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { fakeContext, registered } from "./fakeContext.ts";

const afterTheSetIsOld = 6 * 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

type Answer = () => unknown[] | { problem: string };

const shopWith = (key: KeyPair, change: Partial<Participant> = {}) =>
  registered({
    kind: "merchant",
    guid: "0198c0de-0000-7000-8000-000000000001",
    name: "Shop",
    uid: "shop",
    signingJwks: [key.publicJwk as PublicJwk],
    ...change,
  });

/** A merchant that was registered with one key and publishes others. */
async function publishing(key: KeyPair) {
  let address: Answer = () => [];
  const merchant = shopWith(key, { jwksUrl: "https://shop.example/jwks.json" });
  const parties = createParties(fakeContext([merchant], { fetchJwks: async () => address() }));
  return {
    publish: (answer: Answer) => {
      address = answer;
      vi.advanceTimersByTime(afterTheSetIsOld);
    },
    kids: async () => (await parties.find({ uid: "shop" }))?.keys.map(({ kid }) => kid),
  };
}

test.each<[what: string, answer: Answer]>([
  ["does not answer", () => ({ problem: "does not answer" })],
  ["answers something else", () => keysOf({ error: "maintenance" })],
  ["answers nothing that is an object", () => keysOf(null)],
])("an address that %s: the registered keys count until it gave a set, then that set", async (_what, answer) => {
  const shop = await publishing(await generateKeyPair("ES256", "registered"));
  const { publicJwk } = await generateKeyPair("ES256", "published");
  shop.publish(answer);
  expect(await shop.kids()).toEqual(["registered"]);
  shop.publish(() => keysOf({ keys: [publicJwk] }));
  expect(await shop.kids()).toEqual(["published"]);
  shop.publish(answer);
  expect(await shop.kids()).toEqual(["published"]);
});

test("who publishes no key any more has withdrawn every key", async () => {
  const shop = await publishing(await generateKeyPair("ES256", "registered"));
  shop.publish(() => keysOf({ keys: [] }));
  expect(await shop.kids()).toEqual([]);
});

test("whoever was changed is known as it is now once it is looked up anew, and to everybody two seconds later", async () => {
  const [old, next, last] = await Promise.all(["old", "next", "last"].map((kid) => generateKeyPair("ES256", kid)));
  const shops = [shopWith(old as KeyPair)];
  const change = (key: KeyPair | undefined, version: number) => {
    shops[0] = shopWith(key as KeyPair, { version });
  };
  const parties = createParties(fakeContext(shops));
  const kids = async () => (await parties.find({ uid: "shop" }))?.keys.map(({ kid }) => kid);
  expect(await kids()).toEqual(["old"]);
  change(next, 2);
  expect(await kids()).toEqual(["old"]);
  parties.forget();
  expect(await kids()).toEqual(["next"]);
  change(last, 3);
  vi.advanceTimersByTime(2_000);
  expect(await kids()).toEqual(["last"]);
});

test("whoever is unknown is known in the moment of being registered", async () => {
  const shops: Participant[] = [];
  const parties = createParties(fakeContext(shops));
  expect(await parties.find({ uid: "shop" })).toBeUndefined();
  shops.push(shopWith(await generateKeyPair("ES256")));
  expect(await parties.find({ uid: "shop" })).toBeDefined();
});
