import { beforeAll, expect, test } from "vitest";
import { createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import type { BankActor } from "../../../src/domain/actor.ts";
import { isRefusal } from "../../../src/domain/errors.ts";
import type { PublicJwk } from "../../../src/domain/participant.ts";
import { createAccessToken } from "../../../src/sdk/access.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { fakeContext, fakePlatformKeys, registered } from "./fakeContext.ts";

// A long answer is read page by page, each page with the token of the first; this is how that token stays good for it.

const bankGuid = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
const start = new Date("2026-01-31T12:00:00Z");
const minutesLater = (minutes: number) => new Date(start.getTime() + minutes * 60_000);

let key: KeyPair;
let now: Date;
let identity: Identity;
let token: string;

function identityWith(secret: Uint8Array): Identity {
  const bank = registered({
    guid: bankGuid,
    kind: "bank",
    name: "Reading Bank",
    signingJwks: [key.publicJwk as PublicJwk],
  });
  const platformKeys = { ...fakePlatformKeys, secret };
  return createIdentity(fakeContext([bank], { now: () => now, platformKeys }));
}

beforeAll(async () => {
  key = await generateKeyPair("ES256", "bank-key");
  identity = identityWith(Buffer.alloc(32, 1));
  token = await createAccessToken(key, start, "read-1");
});

const presented = {
  counterpartyGuid: bankGuid,
  isChange: false,
  isForSuspended: false,
  body: new Uint8Array(),
  requestDigest: new Uint8Array(),
};

async function judged(changes: { token?: string; continuation?: string; isChange?: boolean }): Promise<string> {
  const actor = await identity.bankOf({ ...presented, token, ...changes });
  return isRefusal(actor) ? actor.refused : "good";
}

/** What the first page gave to go on with. */
async function continuationOf(asker = identity, given = token): Promise<string> {
  now = start;
  return asker.continuationOf((await asker.bankOf({ ...presented, token: given })) as BankActor);
}

test("a read goes on with the token that it began with, and without the continuation it does not", async () => {
  const continuation = await continuationOf();
  now = minutesLater(6);
  expect(await judged({})).toBe("TOKEN_STALE");
  expect(await judged({ continuation })).toBe("good");
});

test("what a read goes on with is good as of its beginning, however often it is handed on, and for six hours", async () => {
  const continuation = await continuationOf();
  now = minutesLater(5 * 60);
  const later = identity.continuationOf((await identity.bankOf({ ...presented, token, continuation })) as BankActor);
  expect(later).toBe(continuation);
  now = minutesLater(6 * 60);
  expect(await judged({ continuation })).toBe("good");
  now = minutesLater(6 * 60 + 1);
  expect(await judged({ continuation })).toBe("TOKEN_STALE");
});

test("it opens no change, no other token, and only the platform can write it", async () => {
  const continuation = await continuationOf();
  const another = await createAccessToken(key, start, "read-2");
  const ofAnother = await continuationOf(identity, another);
  const ofAnotherPlatform = await continuationOf(identityWith(Buffer.alloc(32, 2)));
  now = minutesLater(6);
  const [beganMs, mac] = continuation.split(".");
  expect(await judged({ continuation, isChange: true })).toBe("TOKEN_STALE");
  for (const wrong of [ofAnother, ofAnotherPlatform, `${Number(beganMs) + 1}.${mac}`, `${beganMs}.`, "", "soon"]) {
    expect([wrong, await judged({ continuation: wrong })]).toEqual([wrong, "TOKEN_STALE"]);
  }
});
