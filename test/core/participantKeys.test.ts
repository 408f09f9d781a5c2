import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Core, createCore } from "../../src/core/core.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { Registration } from "../../src/core/participants.ts";
import { advisoryLocks } from "../../src/db/advisoryLocks.ts";
import type { AccessToken } from "../../src/domain/accessToken.ts";
import { jwksOf, type Participant } from "../../src/domain/participant.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import {
  accepted,
  bankActor,
  bankRegistration,
  createOrder,
  type GivenKey,
  merchantRegistration,
  minutesMs,
  modulus,
  openPlatform,
  operator,
  type Platform,
  paymentRequest,
  reasonOf,
  registerParties,
  secondsFrom,
  serial,
  setClock,
  tokenOf,
} from "./platform.ts";

let platform: Platform;
beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

const newBank = async (changes: Partial<Registration> = {}) =>
  accepted(await platform.core.registerParticipant(operator, bankRegistration({ roles: ["initiator"], ...changes })));
const newMerchant = async (changes: Partial<Registration> = {}) =>
  accepted(await platform.core.registerParticipant(operator, merchantRegistration(await recipient(), changes)));
const recipient = (changes: Partial<Registration> = {}) => newBank({ roles: ["recipient"], ...changes });

const newKey = (changes: Partial<GivenKey> = {}): GivenKey => ({ kid: `key-${serial()}`, ...changes });
const ecKey = (changes: Partial<GivenKey> = {}) => newKey({ kty: "EC", alg: "ES256", ...changes });

const add = ({ guid }: { guid: string }, jwk: unknown, retireOthersAt: Date | null = null, core = platform.core) =>
  core.addParticipantKey(operator, guid, { jwk, retireOthersAt });
const retire = ({ guid }: { guid: string }, kid: string | undefined, at: Date | null = null, id?: number) =>
  platform.core.retireParticipantKey(operator, guid, { kid: kid ?? "", at, id });

const read = async ({ guid }: { guid: string }) => accepted(await platform.core.getParticipant({ guid }));
const kidsOf = ({ keys }: Participant, use = "sig") => keys.filter((key) => key.use === use).map(({ kid }) => kid);

/** Everything that a change of keys changes. */
async function stateOf({ guid }: { guid: string }) {
  const keys = await platform.core.listParticipantKeys(guid);
  const [{ entries } = { entries: 0 }] = await platform.rows<{ entries: number }>(
    "select count(*) as entries from audit_entry where object = $1",
    guid,
  );
  return { keys, entries, participant: await read({ guid }) };
}

/** What is refused changes nothing. */
async function isRefused(who: { guid: string }, work: () => Promise<unknown>, refusal: object) {
  const before = await stateOf(who);
  expect(await work()).toMatchObject(refusal);
  expect(await stateOf(who)).toEqual(before);
}

const hour = minutesMs(60);

describe("addParticipantKey", () => {
  test("several keys are good at once, the newest first, and each addition is a version", async () => {
    const bank = await newBank();
    const [second, third] = [newKey(), newKey()];
    expect(await add(bank, second)).toEqual({ kid: second.kid });
    accepted(await add(bank, third));
    const changed = await read(bank);
    expect(kidsOf(changed)).toEqual([third.kid, second.kid, ...kidsOf(bank)]);
    expect(changed.version).toBe(3);
    expect(changed.keys[0]).toMatchObject({
      use: "sig",
      retireAt: null,
      seenAt: null,
      addedBy: "tests",
      addedWith: null,
    });
  });

  test("a key for encryption is one beside those that sign", async () => {
    const bank = await recipient();
    const jwk = newKey({ use: "enc" });
    accepted(await add(bank, jwk));
    const changed = await read(bank);
    expect([kidsOf(changed), kidsOf(changed, "enc")]).toEqual([kidsOf(bank), [jwk.kid]]);
    expect(reasonOf(await platform.core.getParticipant({ kid: jwk.kid }))).toBe("PARTICIPANT_NOT_FOUND");
  });

  test("at most four of one use", async () => {
    const bank = await newBank({ encryptionJwk: newKey() });
    for (let count = 1; count < 4; count += 1) accepted(await add(bank, newKey()));
    await isRefused(bank, () => add(bank, newKey()), {
      refused: "INVALID_KEY",
      message: "with jwk the participant has more than 4 keys",
      field: "jwk",
    });
    await isRefused(bank, () => add(bank, newKey(), new Date(Date.now() + hour)), { refused: "INVALID_KEY" });
    for (let count = 1; count < 4; count += 1) accepted(await add(bank, newKey({ use: "enc" })));
    await isRefused(bank, () => add(bank, newKey({ use: "enc" })), { refused: "INVALID_KEY" });
  });

  test("a fifth key is good where it replaces the others at once", async () => {
    const bank = await newBank();
    for (let count = 1; count < 4; count += 1) accepted(await add(bank, newKey()));
    const last = newKey();
    accepted(await add(bank, last, new Date(0)));
    expect(kidsOf(await read(bank))).toEqual([last.kid]);
  });

  test("a key for encryption is an RSA key", async () => {
    const bank = await newBank();
    await isRefused(bank, () => add(bank, ecKey({ use: "enc" })), {
      refused: "INVALID_KEY",
      message: "jwk is for encryption and not an RSA key",
      field: "jwk",
    });
  });

  test("with a proof, a key that the addresses do not sign with is not added; nobody unknown is asked", async () => {
    const bank = await newBank();
    const wish = { jwk: newKey(), retireOthersAt: null, prove: true };
    const problem = { refused: "INVALID_CALLBACK_URL", field: "callback_urls.base", elsewhere: true };
    await isRefused(bank, () => platform.core.addParticipantKey(operator, bank.guid, wish), problem);
    const answer = await platform.core.addParticipantKey(operator, "0198c0de-0000-7000-8000-00000000ffff", wish);
    expect(reasonOf(answer)).toBe("PARTICIPANT_NOT_FOUND");
  });

  test("at most two of one kid, of one use", async () => {
    const bank = await newBank();
    const { kid } = bank.keys[0] ?? newKey();
    accepted(await add(bank, { kid, n: "next" }));
    await isRefused(bank, () => add(bank, { kid, n: "third" }), {
      refused: "INVALID_KEY",
      message: "with jwk the participant has more than 2 keys of one kid",
    });
    accepted(await add(bank, { kid, n: "for encryption", use: "enc" }));
    expect(kidsOf(await read(bank))).toEqual([kid, kid]);
  });

  test("a key that is there already is answered and changes nothing", async () => {
    const bank = await newBank({ signingJwks: [newKey(), newKey()] });
    const before = await stateOf(bank);
    const jwk = before.participant.keys[1]?.jwk;
    expect(await add(bank, jwk, null)).toEqual({ kid: jwk?.kid });
    expect(await stateOf(bank)).toEqual(before);
  });

  test("with a key that is there already the others retire as asked, once", async () => {
    const bank = await newBank({ signingJwks: [newKey(), newKey()] });
    const [first, second] = bank.keys.map(({ jwk }) => jwk);
    const later = new Date(Date.now() + 2 * hour);
    const soon = secondsFrom(new Date(), 3_600);
    for (const at of [later, soon, later, soon]) expect(await add(bank, second, at)).toEqual({ kid: second?.kid });
    const { keys, version } = await read(bank);
    expect(keys.map(({ kid, retireAt }) => [kid, retireAt])).toEqual([
      [first?.kid, soon],
      [second?.kid, null],
    ]);
    expect(version).toBe(bank.version + 2);
    expect(await add(bank, second, new Date(0))).toEqual({ kid: second?.kid });
    expect(kidsOf(await read(bank))).toEqual([second?.kid]);
  });

  test("a key is there only as it is: with other numbers, another alg, or for another use it is another one", async () => {
    const bank = await newBank();
    const [{ kid, n } = newKey()] = jwksOf(bank, "sig");
    accepted(await add(bank, { kid, n, alg: "PS256" }));
    accepted(await add(bank, { kid, n, use: "enc" }));
    expect((await read(bank)).keys.map(({ use, jwk }) => [use, jwk.alg])).toEqual([
      ["enc", "RS256"],
      ["sig", "PS256"],
      ["sig", "RS256"],
    ]);
  });

  test("a key that was retired can come back, as a key of its own", async () => {
    const bank = await newBank();
    const jwk = newKey();
    accepted(await add(bank, jwk));
    accepted(await retire(bank, jwk.kid));
    expect(await add(bank, jwk)).toEqual({ kid: jwk.kid });
    expect(kidsOf(await read(bank))).toEqual([jwk.kid, ...kidsOf(bank)]);
    expect(await platform.core.listParticipantKeys(bank.guid)).toHaveLength(3);
  });

  const refusals: [what: string, jwk: () => Promise<unknown>, message: string][] = [
    ["a weak key", async () => newKey({ weak: true }), "jwk has fewer than 2048 bits"],
    ["a key without a good kid", async () => ({ n: "n" }), "jwk has no good kid"],
    [
      "a key for encryption that is no RSA key",
      async () => ecKey({ use: "enc" }),
      "jwk is for encryption and not an RSA key",
    ],
    [
      "the key of another bank, whatever it is called",
      async () => newKey({ n: `n of ${(await newBank()).keys[0]?.kid}` }),
      "jwk has a key that another party has",
    ],
    [
      "the key of a merchant",
      async () => newKey({ n: `n of ${(await newMerchant()).keys[0]?.kid}` }),
      "jwk has a key that another party has",
    ],
    [
      "the key of another bank for encryption",
      async () => newKey({ n: `n of ${(await newBank()).keys[0]?.kid}`, use: "enc" }),
      "jwk has a key that another party has",
    ],
    [
      "the kid of another bank",
      async () => ({ kid: (await newBank()).keys[0]?.kid, n: "other" }),
      "jwk has the kid of another bank's key",
    ],
  ];
  test.each(refusals)("%s is refused", async (_what, jwk, message) => {
    const bank = await newBank();
    const given = await jwk();
    await isRefused(bank, () => add(bank, given), { refused: "INVALID_KEY", message, field: "jwk" });
  });

  test("what is retired, another party may have; the kid of a merchant or of a key for encryption is nobody's", async () => {
    const other = await newBank();
    const merchant = await newMerchant();
    const [gone, enc] = [newKey(), newKey({ use: "enc" })];
    accepted(await add(other, gone));
    accepted(await retire(other, gone.kid));
    accepted(await add(other, enc));
    const bank = await newBank();
    accepted(await add(bank, gone));
    accepted(await add(bank, { kid: enc.kid, n: "another" }));
    accepted(await add(bank, { kid: merchant.keys[0]?.kid, n: "yet another" }));
  });

  test.each([
    ["one key", (n: number) => newKey({ n: `contended ${n}` })],
    ["one kid", (n: number) => ({ kid: `contended-${n}`, n: `n of ${serial()}` })],
  ])("of two banks that add %s at the same moment, in two processes, one wins", async (_what, key) => {
    const second = await platform.secondCore();
    for (let round = 0; round < 8; round += 1) {
      const banks = [await newBank(), await newBank()] as const;
      const answers = await Promise.all([add(banks[0], key(round)), add(banks[1], key(round), null, second)]);
      expect(answers.map(reasonOf).sort()).toEqual(["INVALID_KEY", "accepted"]);
    }
  });

  test("many keys at once in two processes: as many are good as may be, and each is a version", async () => {
    const second = await platform.secondCore();
    const bank = await newBank();
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, place) => add(bank, newKey(), null, place % 2 ? second : platform.core)),
    );
    expect(answers.filter((answer) => reasonOf(answer) === "accepted")).toHaveLength(3);
    const { keys, version } = await read(bank);
    expect([keys.length, version]).toEqual([4, 4]);
  });

  test("nobody unknown and nobody closed gets a key", async () => {
    const unknown = { guid: platform.context.newGuid() };
    for (const who of [unknown, { guid: "nobody" }]) {
      expect(await add(who, newKey())).toMatchObject({ refused: "PARTICIPANT_NOT_FOUND", field: "guid" });
      expect(await retire(who, "any")).toMatchObject({ refused: "PARTICIPANT_NOT_FOUND", field: "guid" });
    }
    const closed = await newBank();
    accepted(await platform.core.suspendParticipant(operator, { guid: closed.guid, version: undefined }));
    accepted(await platform.core.closeParticipant(operator, { guid: closed.guid, version: undefined }));
    for (const work of [() => add(closed, newKey()), () => add(closed, closed.keys[0]?.jwk)]) {
      await isRefused(closed, work, { refused: "PARTICIPANT_CLOSED" });
    }
    await isRefused(closed, () => retire(closed, closed.keys[0]?.kid), { refused: "PARTICIPANT_CLOSED" });
  });
});

describe("retire_others_at", () => {
  const retirementsOf = async (who: { guid: string }) =>
    (await platform.core.listParticipantKeys(who.guid)).map(({ retireAt }) => retireAt);

  test("an instant to come is the end of the others of that use, by the clock alone and without a version", async () => {
    const bank = await newBank({ signingJwks: [newKey(), newKey()], encryptionJwk: newKey() });
    const at = secondsFrom(new Date(), 600);
    const jwk = newKey();
    accepted(await add(bank, jwk, at));
    const planned = await read(bank);
    expect([planned.version, kidsOf(planned)]).toEqual([2, [jwk.kid, ...kidsOf(bank)]]);
    expect(await retirementsOf(bank)).toEqual([null, at, at, null]);
    await setClock(platform, new Date(at.getTime() - 5_000));
    expect(kidsOf(await read(bank))).toHaveLength(3);
    await setClock(platform, at);
    const later = await read(bank);
    expect([later.version, kidsOf(later), kidsOf(later, "enc")]).toEqual([2, [jwk.kid], kidsOf(bank, "enc")]);
  });

  test("an instant that has passed means now: no key was retired before it was", async () => {
    const bank = await newBank();
    const [before] = await platform.rows<{ now: Date }>("select clock_timestamp() as now");
    accepted(await add(bank, newKey(), new Date(0)));
    const [, retired] = await retirementsOf(bank);
    expect(retired?.getTime()).toBeGreaterThanOrEqual(before?.now.getTime() ?? Number.NaN);
    expect(retired?.getTime()).toBeLessThanOrEqual(Date.now() + 1);
  });

  test("an earlier end stays, a later one comes forward", async () => {
    const bank = await newBank({ signingJwks: [newKey(), newKey(), newKey()] });
    const [first, second, third] = bank.keys;
    const [soon, at, late] = [600, 1_200, 1_800].map((seconds) => secondsFrom(new Date(), seconds));
    accepted(await retire(bank, first?.kid, soon));
    accepted(await retire(bank, second?.kid, late));
    accepted(await add(bank, newKey(), at));
    const [added, ...others] = (await read(bank)).keys;
    expect(added?.retireAt).toBeNull();
    expect(others.map(({ id, retireAt }) => [id, retireAt])).toEqual([
      [first?.id, soon],
      [second?.id, at],
      [third?.id, at],
    ]);
  });
});

describe("keys of one kid", () => {
  test("both verify until the old one is retired", async () => {
    const [old, next] = await Promise.all([generateKeyPair("ES256", "same"), generateKeyPair("ES256", "same")]);
    const own = await openPlatform({ publicKey: async (jwk) => jwk as never });
    try {
      const merchantKeys = { signingJwks: [old.publicJwk] };
      const registered = async (registration: Registration) =>
        accepted(await own.core.registerParticipant(operator, registration));
      const bank = await registered(
        bankRegistration({ signingJwks: [(await generateKeyPair("RS256", "b")).publicJwk] }),
      );
      const merchant = await registered(merchantRegistration(bank, merchantKeys));
      const now = Math.floor(Date.now() / 1_000);
      const claims = { sub: merchant.uid, amt: 1, cur: "UAH", ref: "r", prp: "p", url: "https://s.example", iat: now };
      const order = async (key: typeof old) =>
        reasonOf(await own.core.identity.orderOf(await signJws({ ...claims, exp: now + 600 }, key)));
      expect([await order(old), await order(next)]).toEqual(["accepted", "AUTHORIZATION_FAILED"]);
      accepted(
        await own.core.addParticipantKey(operator, merchant.guid, { jwk: next.publicJwk, retireOthersAt: null }),
      );
      expect([await order(old), await order(next)]).toEqual(["accepted", "accepted"]);
      const [oldKey] = merchant.keys;
      accepted(await own.core.retireParticipantKey(operator, merchant.guid, { kid: "same", id: oldKey?.id, at: null }));
      own.core.identity.forget();
      expect([await order(old), await order(next)]).toEqual(["AUTHORIZATION_FAILED", "accepted"]);
      // When each was used last is written down to the minute.
      const seen = async () => (await own.core.listParticipantKeys(merchant.guid)).map(({ seenAt }) => seenAt);
      expect(await seen()).toEqual([null, null]);
      await own.core.identity.keepSeenKeys();
      const first = await seen();
      expect(first).toEqual([expect.any(Date), expect.any(Date)]);
      await order(next);
      await own.core.identity.keepSeenKeys();
      expect(await seen()).toEqual(first);
      own.clock.aheadMs = minutesMs(2);
      await order(next);
      await own.core.identity.keepSeenKeys();
      expect(await seen()).toEqual([
        expect.toSatisfy((at: Date) => at > new Date(Date.now() + minutesMs(1))),
        first[1],
      ]);
    } finally {
      await own.close();
    }
  });

  test("the number tells which of them is retired", async () => {
    const bank = await newBank();
    const [old] = bank.keys;
    accepted(await add(bank, { kid: old?.kid, n: "told by number" }));
    await isRefused(bank, () => retire(bank, old?.kid), { refused: "KEY_NOT_FOUND", field: "id" });
    await isRefused(bank, () => retire(bank, old?.kid, null, 1_000_000), { refused: "KEY_NOT_FOUND", field: "kid" });
    accepted(await retire(bank, old?.kid, null, old?.id));
    expect((await read(bank)).keys.map(({ jwk }) => jwk.n)).toEqual([modulus("told by number")]);
  });
});

describe("retireParticipantKey", () => {
  test("at once: the key is gone in the answer, and stays in the list with its end", async () => {
    const bank = await newBank({ signingJwks: [newKey(), newKey()] });
    const [first, second] = bank.keys;
    const changed = accepted(await retire(bank, first?.kid));
    expect([kidsOf(changed), changed.version]).toEqual([[second?.kid], 2]);
    const listed = await platform.core.listParticipantKeys(bank.guid);
    expect(listed.map(({ kid, retireAt }) => [kid, retireAt !== null])).toEqual([
      [first?.kid, true],
      [second?.kid, false],
    ]);
    expect(reasonOf(await platform.core.getParticipant({ kid: first?.kid ?? "" }))).toBe("PARTICIPANT_NOT_FOUND");
  });

  test("at an instant to come: good until then, by the clock alone; the instant may be moved either way", async () => {
    const bank = await newBank();
    const [{ kid } = newKey()] = bank.keys;
    const at = (seconds: number) => secondsFrom(new Date(), seconds);
    accepted(await retire(bank, kid, at(600)));
    accepted(await retire(bank, kid, at(1_200)));
    const planned = accepted(await retire(bank, kid, at(900)));
    expect([planned.version, planned.keys[0]?.retireAt]).toEqual([4, at(900)]);
    await setClock(platform, at(901));
    const later = await read(bank);
    expect([later.version, later.keys]).toEqual([4, []]);
    expect(await retire(bank, kid)).toEqual(later);
  });

  test("a key of somebody else, or of nobody, is not found", async () => {
    const [bank, other] = [await newBank(), await newBank()];
    for (const kid of [other.keys[0]?.kid, "unknown"]) {
      await isRefused(bank, () => retire(bank, kid), { refused: "KEY_NOT_FOUND", field: "kid" });
    }
  });

  test("whoever waits for the lock while a key is retired does not retire it again, nor takes it for one that is there", async () => {
    const bank = await newBank();
    const jwk = newKey();
    accepted(await add(bank, jwk));
    const [second, third] = [await platform.secondCore(), await platform.secondCore()];
    const [taken, holding] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const held = platform.db.transaction(async (sql) => {
      await sql({ name: "", text: `select pg_advisory_xact_lock(${advisoryLocks.participants})` });
      taken.resolve();
      await holding.promise;
    });
    await taken.promise;
    const waiting = `select from pg_locks where locktype = 'advisory' and not granted and objid = ${advisoryLocks.participants}
      and database = (select oid from pg_database where datname = current_database())`;
    const until = (count: number) =>
      expect
        .poll(async () => (await platform.db.hot({ name: "", text: waiting })).length, { timeout: 5_000 })
        .toBe(count);
    const wish = { kid: jwk.kid, at: null };
    const first = platform.core.retireParticipantKey(operator, bank.guid, wish);
    await until(1);
    const again = second.retireParticipantKey(operator, bank.guid, wish);
    await until(2);
    const back = third.addParticipantKey(operator, bank.guid, { jwk, retireOthersAt: null });
    await until(3);
    holding.resolve();
    await held;
    expect([reasonOf(await first), reasonOf(await again), reasonOf(await back)]).toEqual([
      "accepted",
      "accepted",
      "accepted",
    ]);
    const now = await read(bank);
    // Added, retired once, and added again.
    expect([kidsOf(now), now.version]).toEqual([[jwk.kid, ...kidsOf(bank)], bank.version + 3]);
  });
});

test("however many changes wait for that of another process, this one has connections for all else", async () => {
  const other = await platform.secondCore();
  const bank = await newBank();
  const [taken, holding] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const held = (async () => {
    const { db } = platform.context;
    await db.transaction(async (sql) => {
      await sql({ name: "", text: `select pg_advisory_xact_lock(${advisoryLocks.participants})` });
      taken.resolve();
      await holding.promise;
    });
  })();
  await taken.promise;
  // Two ordinary connections are all that a process of these tests has.
  const waiting = Array.from({ length: 5 }, () => add(bank, newKey(), null, other));
  for (let times = 0; times < 5; times += 1) expect(await other.listParticipantKeys(bank.guid)).toHaveLength(1);
  holding.resolve();
  await held;
  expect((await Promise.all(waiting)).filter((answer) => reasonOf(answer) === "accepted")).toHaveLength(3);
});

describe("a recipient bank is never left without an RSA key", () => {
  const lacking = "a recipient bank would be left without an RSA key that payments can be encrypted for";
  const later = (hours: number) => new Date(Date.now() + hours * hour);
  const refused = (field: string) => ({ refused: "INVALID_KEY", message: lacking, field });

  test.each([null, new Date(0), later(1)])("its only one is not retired at %s", async (at) => {
    const bank = await recipient();
    accepted(await add(bank, ecKey()));
    await isRefused(bank, () => retire(bank, bank.keys[0]?.kid, at), refused("kid"));
  });

  test.each([new Date(0), later(1)])("nor replaced by one that is none at %s", async (at) => {
    const bank = await recipient();
    await isRefused(bank, () => add(bank, ecKey(), at), refused("retire_others_at"));
    accepted(await add(bank, ecKey()));
    accepted(await add(bank, newKey(), at));
  });

  test("nor do several plans, one after the other, come to that", async () => {
    const bank = await recipient({ signingJwks: [newKey(), newKey()] });
    const [first, second] = bank.keys;
    accepted(await retire(bank, first?.kid, later(2)));
    await isRefused(bank, () => retire(bank, second?.kid, later(1)), refused("kid"));
    await isRefused(bank, () => add(bank, ecKey(), later(1)), refused("retire_others_at"));
    await isRefused(bank, () => platform.core.updateParticipant(operator, bank.guid, { signingJwks: [first?.jwk] }), {
      refused: "INVALID_KEY",
      message: lacking,
    });
    accepted(await add(bank, newKey({ use: "enc" })));
    accepted(await retire(bank, second?.kid, later(1)));
    accepted(await add(bank, ecKey(), later(1)));
  });

  test("a key for encryption whose end is planned does not count", async () => {
    const bank = await recipient({ encryptionJwk: newKey() });
    accepted(await retire(bank, kidsOf(bank, "enc")[0], later(1)));
    await isRefused(bank, () => add(bank, ecKey(), new Date(0)), refused("retire_others_at"));
    accepted(await platform.core.updateParticipant(operator, bank.guid, { encryptionJwk: null }));
  });

  test("a bank that becomes a recipient has one, and keeps it", async () => {
    const bank = await newBank({ signingJwks: [ecKey(), newKey()] });
    const become = () => platform.core.updateParticipant(operator, bank.guid, { roles: ["recipient"] });
    accepted(await retire(bank, bank.keys[1]?.kid, later(1)));
    await isRefused(bank, become, { refused: "INVALID_KEY", message: lacking });
    accepted(await retire(bank, bank.keys[1]?.kid));
    await isRefused(bank, become, { refused: "INVALID_KEY" });
    accepted(await add(bank, newKey()));
    accepted(await become());
  });

  test("an initiator bank and a merchant may be without any key", async () => {
    for (const party of [await newBank(), await newMerchant()]) {
      expect(accepted(await retire(party, party.keys[0]?.kid)).keys).toEqual([]);
      // Whatever has nothing to do with keys still changes.
      accepted(await platform.core.updateParticipant(operator, party.guid, { name: "Without keys" }));
    }
  });
});

describe("updateParticipant", () => {
  test("what says nothing of keys leaves all of them, of both uses", async () => {
    const bank = await recipient({ encryptionJwk: newKey() });
    accepted(await add(bank, newKey({ use: "enc" })));
    accepted(await add(bank, newKey()));
    const before = await read(bank);
    const renamed = accepted(await platform.core.updateParticipant(operator, bank.guid, { name: "Renamed" }));
    expect(renamed.keys).toEqual(before.keys);
    const rotated = accepted(await platform.core.updateParticipant(operator, bank.guid, { signingJwks: [newKey()] }));
    expect(kidsOf(rotated, "enc")).toEqual(kidsOf(before, "enc"));
  });

  test("the same key with another alg replaces it", async () => {
    const bank = await newBank();
    const jwk = { ...bank.keys[0]?.jwk, alg: "PS256" };
    const changed = accepted(await platform.core.updateParticipant(operator, bank.guid, { signingJwks: [jwk] }));
    expect(changed.keys.map((key) => key.jwk.alg)).toEqual(["PS256"]);
  });
});

describe("addOwnKey", () => {
  const addOwn = (bank: Participant, jwk: unknown, token: AccessToken, core: Core = platform.core) =>
    core.addOwnKey(bankActor(bank, token), { jwk, retireOthersAt: null, signedWith: "the old one" });
  const newToken = (request = 1) => tokenOf(`own-${serial()}`, request);
  const isUsed = async ({ jti }: AccessToken) =>
    (await platform.rows("select from used_access_token where jti = $1", jti)).length > 0;

  test("the key is kept with who added it and by which of its keys, and the token is used up", async () => {
    const bank = await newBank();
    const [jwk, token] = [newKey(), newToken()];
    expect(await addOwn(bank, jwk, token)).toEqual({ kid: jwk.kid });
    expect((await read(bank)).keys[0]).toMatchObject({
      kid: jwk.kid,
      addedBy: bank.guid,
      addedWith: "the old one",
    });
    expect(await isUsed(token)).toBe(true);
  });

  test("a retry with the same token is answered and changes nothing, in another process too; another request with it is a replay", async () => {
    const bank = await newBank();
    const second = await platform.secondCore();
    const [jwk, token] = [newKey(), newToken()];
    accepted(await addOwn(bank, jwk, token));
    const before = await stateOf(bank);
    const now = await read(bank);
    expect(await addOwn(now, jwk, token, second)).toEqual({ kid: jwk.kid });
    expect(await stateOf(bank)).toEqual(before);
    const other = { ...token, requestDigest: new Uint8Array(32).fill(2) };
    for (const given of [newKey(), jwk]) {
      await isRefused(bank, () => addOwn(now, given, other), { refused: "TOKEN_REPLAYED", field: "jti" });
    }
  });

  test("the token is used up only when something changed", async () => {
    const bank = await newBank();
    const tokens = [newToken(), newToken(), newToken()] as const;
    accepted(await addOwn(bank, bank.keys[0]?.jwk, tokens[0]));
    expect(reasonOf(await addOwn(bank, newKey({ weak: true }), tokens[1]))).toBe("INVALID_KEY");
    const taken = { kid: (await newBank()).keys[0]?.kid, n: "n" };
    expect(reasonOf(await addOwn(bank, taken, tokens[2]))).toBe("INVALID_KEY");
    for (const token of tokens) expect(await isUsed(token)).toBe(false);
  });

  test("a token that is too old by the database's clock adds nothing", async () => {
    const bank = await newBank();
    const token = tokenOf(`own-${serial()}`, 1, secondsFrom(new Date(), -301));
    await isRefused(bank, () => addOwn(bank, newKey(), token), { refused: "TOKEN_STALE", field: "iat" });
  });

  test("a bank that was changed since it was verified is verified anew before its key is added", async () => {
    const bank = await newBank();
    accepted(await add(bank, newKey()));
    const before = await stateOf(bank);
    const token = newToken();
    await expect(addOwn(bank, newKey(), token)).rejects.toThrow(PartyChanged);
    // Not even a key that is there is answered to whom it may be no more.
    await expect(addOwn(bank, bank.keys[0]?.jwk, token)).rejects.toThrow(PartyChanged);
    expect([await stateOf(bank), await isUsed(token)]).toEqual([before, false]);
  });

  test("a token that a payment message uses up at the same moment is decided again, and is a replay", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    const token = newToken(1);
    const { db } = platform.context;
    let raced = 0;
    const core = createCore({
      ...platform.context,
      db: {
        ...db,
        transaction: (work) =>
          db.transaction((sql) =>
            work(async (statement, values) => {
              const rows = await sql<never>(statement, values);
              if (statement.name === "select_access_token" && raced++ === 0) {
                const request = paymentRequest(platform, parties, order, { accessToken: token });
                accepted(await platform.core.submitPaymentMessage(request));
              }
              return rows;
            }),
          ),
      },
    });
    const other = { ...token, requestDigest: new Uint8Array(32).fill(2) };
    await isRefused(parties.initiator, () => addOwn(parties.initiator, newKey(), other, core), {
      refused: "TOKEN_REPLAYED",
    });
    expect(raced).toBe(2);
  });
});

test("a merchant comes to no bank that is closed, also when that happens while it is registered", async () => {
  const close = async ({ guid }: Participant) => {
    accepted(await platform.core.suspendParticipant(operator, { guid, version: undefined }));
    accepted(await platform.core.closeParticipant(operator, { guid, version: undefined }));
  };
  const [closed, closing] = [await recipient(), await recipient()];
  await close(closed);
  const refusal = { refused: "PARTICIPANT_NOT_FOUND", field: "servicing_bank_guid" };
  expect(await platform.core.registerParticipant(operator, merchantRegistration(closed))).toMatchObject(refusal);
  const merchant = await newMerchant();
  expect(
    await platform.core.updateParticipant(operator, merchant.guid, { servicingBankGuid: closed.guid }),
  ).toMatchObject(refusal);
  const core = createCore({
    ...platform.context,
    fetchJwks: async () => {
      await close(closing);
      return [newKey()];
    },
  });
  const late = merchantRegistration(closing, { jwksUrl: "https://shop.example/late", signingJwks: [] });
  expect(await core.registerParticipant(operator, late)).toMatchObject(refusal);
});

test("a change of a participant waits neither for a closing nor for a rotation of the platform's keys", async () => {
  expect(new Set(Object.values(advisoryLocks)).size).toBe(Object.keys(advisoryLocks).length);
  const bank = await newBank();
  const { participants: _own, ...others } = advisoryLocks;
  await platform.db.transaction(async (sql) => {
    for (const lock of Object.values(others)) await sql({ name: "", text: `select pg_advisory_xact_lock(${lock})` });
    expect(await add(bank, newKey())).toMatchObject({ kid: expect.any(String) });
  });
});
