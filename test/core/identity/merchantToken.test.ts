import { beforeAll, beforeEach, expect, test } from "vitest";
import { createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import { isRefusal } from "../../../src/domain/errors.ts";
import type { Participant, PublicJwk } from "../../../src/domain/participant.ts";
import { createAccessToken } from "../../../src/sdk/access.ts";
import type { Claims } from "../../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { fakeContext, keyOf, registered } from "./fakeContext.ts";

// A merchant's Cx-Authorization names it by its uid and is signed with a key of it: the keys decide, as they do for its orders.

const now = new Date("2023-12-10T10:12:12Z");
const shop = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
const bank = "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21";

let keys: { shop: KeyPair; next: KeyPair; other: KeyPair; bank: KeyPair };
let parties: Participant[];
let hurried: unknown[];
let identity: Identity;

beforeAll(async () => {
  const names = ["shop", "next", "other", "bank"] as const;
  const made = await Promise.all(names.map(async (name) => [name, await generateKeyPair("ES256", name)] as const));
  keys = Object.fromEntries(made) as typeof keys;
});

const merchant = (changes: Partial<Participant>, ...pairs: KeyPair[]) =>
  registered({
    kind: "merchant",
    guid: shop,
    uid: "shop-1",
    name: "Shop",
    keys: pairs.map(({ publicJwk }, place) => keyOf(publicJwk as PublicJwk, { id: place + 1 })),
    ...changes,
  });

beforeEach(() => {
  hurried = [];
  parties = [
    merchant({}, keys.shop),
    merchant({ guid: "623e460b-9ffd-41df-8000-000000000001", uid: "shop-2" }, keys.other),
    registered({
      kind: "bank",
      guid: bank,
      uid: "bank",
      name: "Bank",
      bic: "306500",
      signingJwks: [keys.bank.publicJwk],
    }),
  ];
  const hurry = (values: readonly unknown[]) => {
    hurried.push(values[0]);
    return [];
  };
  identity = createIdentity(fakeContext(parties, { now: () => now, statements: { hurry_key_set: hurry } }));
});

const presented = { isChange: false, isForSuspended: false, body: new Uint8Array(), requestDigest: new Uint8Array() };

async function asked(key: KeyPair, claims: Claims = { iss: "shop-1" }, at = now): Promise<string | undefined> {
  const actor = await identity.merchantOf({ ...presented, token: await createAccessToken(key, at, "jti", claims) });
  return isRefusal(actor) ? actor.refused : actor.merchant.guid;
}

test("is its merchant's by the claim and the key together", async () => {
  expect(await asked(keys.shop)).toBe(shop);
  expect(await asked(keys.other, { iss: "shop-2" })).toBe("623e460b-9ffd-41df-8000-000000000001");
  for (const [key, claims] of [
    [keys.other, { iss: "shop-1" }],
    [keys.shop, { iss: "shop-2" }],
    [keys.bank, { iss: "shop-1" }],
    [keys.bank, { iss: bank }],
    // No bank is registered with a uid; one that had it would be none of the merchants all the same.
    [keys.bank, { iss: "bank" }],
    [keys.bank, {}],
    [keys.shop, {}],
    [keys.shop, { iss: shop }],
    [keys.shop, { sub: "shop-1" }],
  ] as const) {
    expect(await asked(key, claims)).toBe("AUTHORIZATION_FAILED");
  }
});

test("does not make its merchant a bank, whatever it names", async () => {
  for (const counterpartyGuid of [undefined, bank, shop]) {
    const token = await createAccessToken(keys.shop, now, "jti", { iss: "shop-1" });
    expect(await identity.bankOf({ ...presented, token, counterpartyGuid })).toMatchObject({
      refused: "AUTHORIZATION_FAILED",
    });
  }
});

test("a bank's token may have the claim: nobody reads it there", async () => {
  const token = await createAccessToken(keys.bank, now, "jti", { iss: "shop-1" });
  expect(await identity.bankOf({ ...presented, token, counterpartyGuid: bank })).toMatchObject({ kind: "bank" });
});

test("is judged by its times once the signature is good, and not before", async () => {
  const old = new Date(now.getTime() - 301_000);
  expect(await asked(keys.shop, { iss: "shop-1" }, old)).toBe("TOKEN_STALE");
  expect(await asked(keys.other, { iss: "shop-1" }, old)).toBe("AUTHORIZATION_FAILED");
});

test("a key that the merchant has since a moment ago is good at once, and one that it publishes elsewhere is fetched soon", async () => {
  expect(await asked(keys.shop)).toBe(shop);
  parties[0] = merchant({ version: 2, jwksUrl: "https://shop.example/jwks.json" }, keys.next);
  expect(await asked(keys.next)).toBe(shop);
  expect(await asked(keys.shop)).toBe("AUTHORIZATION_FAILED");
  expect(hurried).toEqual([shop]);
});

test("of a suspended merchant is refused as that, to whoever has signed it", async () => {
  parties[0] = merchant({ status: "suspended" }, keys.shop);
  expect(await asked(keys.shop)).toBe("PARTICIPANT_SUSPENDED");
  expect(await asked(keys.other)).toBe("AUTHORIZATION_FAILED");
});
