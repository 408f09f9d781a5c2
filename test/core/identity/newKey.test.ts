import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createIdentity, type Identity } from "../../../src/core/identity/identity.ts";
import { PartyChanged } from "../../../src/core/identity/partyChanged.ts";
import { selectParticipants } from "../../../src/core/participantRows.ts";
import type { BankActor } from "../../../src/domain/actor.ts";
import { isRefusal } from "../../../src/domain/errors.ts";
import type { Participant, PublicJwk } from "../../../src/domain/participant.ts";
import { createAccessToken } from "../../../src/sdk/access.ts";
import { signJws } from "../../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../../src/sdk/keys.ts";
import { exampleClaims } from "../../rest/fixture.ts";
import { fakeContext, keyOf, registered } from "./fakeContext.ts";

// A party is known as it was a moment ago. A key that it has since is good from the answer to its addition on all the same, and one
// that was withdrawn since signs nothing that changes something.

const now = new Date("2023-12-10T10:12:12Z");
const guid = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";

let keys: { old: KeyPair; next: KeyPair; renamed: KeyPair };
let banks: Participant[];
let written: unknown[][];
let identity: Identity;

beforeAll(async () => {
  const [old, next, renamed] = await Promise.all(
    ["same", "same", "renamed"].map((kid) => generateKeyPair("ES256", kid)),
  );
  keys = { old, next, renamed } as typeof keys;
});

const bankWith = (version: number, ...pairs: KeyPair[]) =>
  registered({
    kind: "bank",
    guid,
    name: "Bank",
    bic: "306500",
    version,
    keys: pairs.map(({ publicJwk }, place) => keyOf(publicJwk as PublicJwk, { id: place + 1 })),
  });

beforeEach(async () => {
  banks = [bankWith(1, keys.old)];
  written = [];
  const keep = (values: readonly unknown[]) => {
    written.push([...values]);
    return [];
  };
  identity = createIdentity(fakeContext(banks, { now: () => now, statements: { keep_seen_keys: keep } }));
  for (const named of [true, false]) expect(isRefusal(await bankOf(keys.old, named))).toBe(false);
});

async function bankOf(key: KeyPair, named: boolean) {
  return identity.bankOf({
    token: await createAccessToken(key, now, "jti"),
    counterpartyGuid: named ? guid : undefined,
    isChange: true,
    isForSuspended: false,
    body: new Uint8Array(),
    requestDigest: new Uint8Array(32),
  });
}

describe.each([
  ["whose path names it", true],
  ["that is found by the kid alone", false],
])("a bank %s", (_what, named) => {
  test("is known by a key of the same kid from the moment on at which it has it", async () => {
    banks[0] = bankWith(2, keys.next, keys.old);
    expect(await bankOf(keys.next, named)).toMatchObject({ kind: "bank", bank: { version: 2 } });
  });

  test("is known by a key of another kid as well", async () => {
    banks[0] = bankWith(2, keys.renamed, keys.old);
    expect(await bankOf(keys.renamed, named)).toMatchObject({ kind: "bank", bank: { version: 2 } });
  });

  test("is not known by a key that it has not", async () => {
    expect(await bankOf(keys.next, named)).toMatchObject({ refused: "AUTHORIZATION_FAILED" });
  });
});

describe("what a bank signs beside its access token", () => {
  const message = (key: KeyPair) => signJws({ ...exampleClaims("PaymentMessageClaims") }, key);
  const messageOf = async (actor: BankActor, key: KeyPair) =>
    identity.paymentMessageOf(actor, await message(key), new Uint8Array());

  test("with a key that it has since its access token was verified: both are verified anew", async () => {
    const actor = (await bankOf(keys.old, true)) as BankActor;
    banks[0] = bankWith(2, keys.next, keys.old);
    await expect(messageOf(actor, keys.next)).rejects.toThrow(PartyChanged);
    identity.forget();
    const anew = (await bankOf(keys.old, true)) as BankActor;
    expect(await messageOf(anew, keys.next)).toMatchObject({ callerVersion: 2 });
  });

  test("is verified as the version of its access token and no other", async () => {
    const actor = (await bankOf(keys.old, true)) as BankActor;
    banks[0] = bankWith(2, keys.next);
    identity.forget();
    for (const key of [keys.old, keys.next]) await expect(messageOf(actor, key)).rejects.toThrow(PartyChanged);
  });

  test("with a key of nobody is refused", async () => {
    const actor = (await bankOf(keys.old, true)) as BankActor;
    expect(await messageOf(actor, keys.next)).toMatchObject({ refused: "AUTHORIZATION_FAILED" });
  });
});

describe("keepSeenKeys", () => {
  test("writes down which keys were used since the last time, each once, and nothing when none was", async () => {
    banks[0] = bankWith(2, keys.next, keys.renamed);
    identity.forget();
    await identity.keepSeenKeys();
    written = [];
    await bankOf(keys.renamed, true);
    await bankOf(keys.renamed, true);
    await bankOf(keys.next, true);
    await bankOf(keys.old, true);
    await identity.keepSeenKeys();
    await identity.keepSeenKeys();
    expect(written).toEqual([
      [
        [1, 2],
        [now, now],
      ],
    ]);
  });
});

test("a forged token in the name of a bank costs one look-up, although its kid names the same bank", async () => {
  let asked = 0;
  const select = (values: readonly unknown[]) => {
    asked += 1;
    return banks.filter((bank) => bank.guid === values[0]);
  };
  const statements = { [selectParticipants.name]: select };
  identity = createIdentity(fakeContext(banks, { now: () => now, statements }));
  for (const named of [true, false]) expect(isRefusal(await bankOf(keys.old, named))).toBe(false);
  const before = asked;
  expect(await bankOf(keys.next, true)).toMatchObject({
    refused: "AUTHORIZATION_FAILED",
    seen: { tokenProblem: "signature" },
  });
  expect(asked - before).toBe(1);
});
