import { type Timestamp, timestampDate } from "@bufbuild/protobuf/wkt";
import { createLocalJWKSet, decodeProtectedHeader, jwtVerify } from "jose";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { type Core, createCore } from "../../src/core/core.ts";
import { masterKeyOf, opened, sealed } from "../../src/core/masterKey.ts";
import { followPlatformKeys, type KeyRing } from "../../src/core/platformKeyRing.ts";
import { ensurePlatformKeys, type MasterKeys, recoverPlatformKeys } from "../../src/core/platformKeyStart.ts";
import type { Database } from "../../src/db/database.ts";
import type { Actor } from "../../src/domain/actor.ts";
import { type CallbackAlg, callbackAlgs } from "../../src/domain/participant.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { auditActs, nameOf, platformKeyStates, callbackAlgs as wireAlgs } from "../../src/wire/enums.ts";
import { accepted, openPlatform, operator, type Platform, reasonOf, setClock } from "./platform.ts";

const masterKey = (fill: string) => masterKeyOf(Buffer.alloc(32, fill));
const own = masterKey("own");
const lost = masterKey("lost");
const hour = 3_600_000;
const maxAgeSeconds = 3_600;

/** A platform of this test alone. */
async function newPlatform(): Promise<Platform> {
  const platform = await openPlatform();
  onTestFinished(() => platform.close());
  return platform;
}

/** What a process of the platform has of the keys after its start. */
type Node = { keys: KeyRing; core: Core; told: string[] };

const start = (db: Pick<Database, "transaction">, masterKeys: MasterKeys = { current: own }, older?: KeyPair) =>
  ensurePlatformKeys(db, masterKeys, { older: async () => older, maxAgeSeconds });

async function startNode(
  platform: Platform,
  masterKeys: MasterKeys = { current: own },
  older?: KeyPair,
): Promise<Node> {
  await start(platform.db, masterKeys, older);
  return follow(platform, masterKeys);
}

async function follow(platform: Platform, { current }: MasterKeys = { current: own }): Promise<Node> {
  const told: string[] = [];
  const { now } = platform.context;
  const tell = (fields: object, message: string) => void told.push(`${JSON.stringify(fields)} ${message}`);
  const log = { warn: tell, error: tell };
  const keys = await followPlatformKeys({ sql: platform.db.sql, now, masterKey: current, log });
  onTestFinished(() => keys.stop());
  const context = { ...platform.context, platformKeys: keys, jwksMaxAgeSeconds: maxAgeSeconds };
  return { keys, core: createCore(context), told };
}

const kidsOf = ({ keys }: Node) => keys.jwks().map(({ kid }) => kid);

/** What another process signs with now, found out from a token. */
const signsWith = async ({ keys }: Node, alg?: CallbackAlg) =>
  decodeProtectedHeader(await keys.sign({ told: "something" }, alg)).kid;

const rotate = async ({ core }: Node, wish: { alg?: CallbackAlg; announceSeconds?: number; atOnce?: boolean } = {}) =>
  core.rotatePlatformKey(operator, { alg: "RS256", announceSeconds: 0, atOnce: false, ...wish });

const statesOf = async ({ core }: Node, alg: CallbackAlg = "RS256") =>
  Object.fromEntries(
    (await core.listPlatformKeys())
      .filter((key) => key.alg === wireAlgs[alg])
      .map((key) => [key.kid, nameOf(platformKeyStates, key.state)]),
  );

const problemOf = (work: Promise<unknown>) =>
  work.then(
    () => "",
    (error: Error) => error.message,
  );

describe("the first start", () => {
  test("makes a key of each algorithm that signs at once, and jose verifies what they sign", async () => {
    const node = await startNode(await newPlatform());
    expect(node.keys.jwks().map(({ alg }) => alg)).toEqual([...callbackAlgs]);
    const published = createLocalJWKSet({ keys: node.keys.jwks() as never });
    for (const alg of callbackAlgs) {
      const { payload, protectedHeader } = await jwtVerify(await node.keys.sign({ amount: 21 }, alg), published);
      expect([protectedHeader.alg, payload]).toEqual([alg, { amount: 21 }]);
      expect(Object.values(await statesOf(node, alg))).toEqual(["active"]);
    }
    expect(decodeProtectedHeader(await node.keys.sign({})).alg).toBe("RS256");
  });

  test("two processes that start together make one set, and sign with the same keys", async () => {
    const platform = await newPlatform();
    const [first, second] = await Promise.all([startNode(platform), startNode(platform)]);
    expect(kidsOf(first)).toHaveLength(callbackAlgs.length);
    expect(kidsOf(second)).toEqual(kidsOf(first));
    for (const alg of callbackAlgs) expect(await signsWith(second, alg)).toBe(await signsWith(first, alg));
  });

  test("a private key is never in the table as it is, nor among what is published", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const rows = await platform.rows<{ kid: string; private_key: Buffer }>("select * from platform_key");
    const shown = JSON.stringify([
      rows.map((row) => ({ ...row, private_key: row.private_key.toString("latin1") })),
      node.keys.jwks(),
    ]);
    for (const { kid, private_key } of rows) {
      const jwk = JSON.parse(opened(own, kid, private_key) ?? "");
      expect(jwk.d).toMatch(/^[\w-]{40,}$/);
      for (const member of ["d", "p", "q", "dp", "dq", "qi"]) {
        if (jwk[member] !== undefined) expect(shown).not.toContain(jwk[member]);
      }
    }
    expect(shown).not.toContain('"d"');
  });

  test("the key that a version before kept in a file goes on to sign; those beside it sign after one max-age", async () => {
    const platform = await newPlatform();
    const older = await generateKeyPair("RS256", "from-the-file");
    const node = await startNode(platform, { current: own }, older);
    expect(await signsWith(node)).toBe("from-the-file");
    expect(await statesOf(node)).toEqual({ "from-the-file": "active" });
    expect(Object.values(await statesOf(node, "ES256"))).toEqual(["announced"]);
    await setClock(platform, new Date(Date.now() + maxAgeSeconds * 1_000 + 1_000));
    expect(Object.values(await statesOf(node, "ES256"))).toEqual(["active"]);
    expect(Object.values(await statesOf(node, "EdDSA"))).toEqual(["active"]);
  });

  test("the file is not read any more where there are keys", async () => {
    const platform = await newPlatform();
    await start(platform.db);
    const older = vi.fn();
    await ensurePlatformKeys(platform.db, { current: own }, { older, maxAgeSeconds });
    expect(older).not.toHaveBeenCalled();
  });
});

test("listSigningKeys: the published keys, and for how long readers may cache them", async () => {
  const node = await startNode(await newPlatform());
  expect(node.core.listSigningKeys()).toEqual({ jwks: node.keys.jwks(), maxAgeSeconds });
});

test("listPlatformKeys: in pages, each key once; nothing comes after a key that there is not", async () => {
  const { core } = await startNode(await newPlatform());
  const kids = async (page?: { limit?: number; after?: string }) =>
    (await core.listPlatformKeys(page)).map(({ kid }) => kid);
  const all = await kids();
  expect(all).toHaveLength(callbackAlgs.length);
  expect(await kids({ limit: 2 })).toEqual(all.slice(0, 2));
  expect(await kids({ limit: 2, after: all[0] ?? "" })).toEqual(all.slice(1, 3));
  expect(await kids({ after: all.at(-1) ?? "" })).toEqual([]);
  expect(await kids({ after: "nobody's" })).toEqual([]);
});

test("listPlatformKeys: a key is shown with its instants, and without its private part", async () => {
  const node = await startNode(await newPlatform());
  const began = Date.now();
  const [before] = await node.core.listPlatformKeys();
  expect([before?.retireAt, before?.unpublishAt]).toEqual([undefined, undefined]);
  const { key, retired } = accepted(await rotate(node));
  const [old] = retired;
  const at = (instant?: Timestamp) => Math.round(((instant ? timestampDate(instant).getTime() : 0) - began) / hour);
  expect([at(key.createdAt), at(key.activeFrom), at(old?.retireAt), at(old?.unpublishAt)]).toEqual([0, 24, 24, 48]);
  const members = [
    "$typeName",
    "activeFrom",
    "alg",
    "createdAt",
    "createdBy",
    "kid",
    "retireAt",
    "state",
    "unpublishAt",
  ];
  expect(members).toEqual(expect.arrayContaining(Object.keys(key)));
});

describe("a rotation", () => {
  test("goes from announced to active, and of the old key to retiring and retired, by the clock alone", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const [old = ""] = kidsOf(node);
    const began = Date.now();
    const { key, retired } = accepted(await rotate(node));
    expect(retired.map(({ kid }) => kid)).toEqual([old]);
    // From here on nothing is read: what happens is the clock's doing.
    await node.keys.stop();
    const seen = async (hours: number) => {
      await setClock(platform, new Date(began + hours * hour + 60_000));
      return [await statesOf(node), await signsWith(node), kidsOf(node).slice(0, -2)];
    };
    expect(await seen(0)).toEqual([{ [old]: "active", [key.kid]: "announced" }, old, [old, key.kid]]);
    expect(await seen(23)).toEqual([{ [old]: "active", [key.kid]: "announced" }, old, [old, key.kid]]);
    expect(await seen(24)).toEqual([{ [old]: "retiring", [key.kid]: "active" }, key.kid, [key.kid, old]]);
    expect(await seen(47)).toEqual([{ [old]: "retiring", [key.kid]: "active" }, key.kid, [key.kid, old]]);
    expect(await seen(48)).toEqual([{ [old]: "retired", [key.kid]: "active" }, key.kid, [key.kid]]);
  });

  test("is learnt by the other processes within seconds", async () => {
    const platform = await newPlatform();
    const [first, second] = [await startNode(platform), await startNode(platform)];
    const { key } = accepted(await rotate(first));
    expect(kidsOf(first)).toContain(key.kid);
    await vi.waitFor(() => expect(kidsOf(second)).toContain(key.kid), { timeout: 10_000, interval: 100 });
    expect(await signsWith(second)).not.toBe(key.kid);
  });

  test("of an algorithm whose rotation is under way is refused, of another one it is not", async () => {
    const node = await startNode(await newPlatform());
    accepted(await rotate(node));
    expect(reasonOf(await rotate(node))).toBe("KEY_ROTATION_UNDER_WAY");
    expect(reasonOf(await rotate(node, { alg: "ES256" }))).toBe("accepted");
  });

  test("of two at the same moment one wins", async () => {
    const platform = await newPlatform();
    const [first, second] = [await startNode(platform), await startNode(platform)];
    const answers = await Promise.all([first, second, first, second].map((node) => rotate(node, { alg: "ES256" })));
    expect(answers.map(reasonOf).toSorted()).toEqual([...Array(3).fill("KEY_ROTATION_UNDER_WAY"), "accepted"]);
    expect(Object.values(await statesOf(first, "ES256")).toSorted()).toEqual(["active", "announced"]);
  });

  test("is not announced for less time than receivers remember the keys", async () => {
    const node = await startNode(await newPlatform());
    const answer = await rotate(node, { announceSeconds: maxAgeSeconds - 1 });
    expect(answer).toMatchObject({ refused: "INVALID_REQUEST", field: "announce_seconds" });
    expect(Object.keys(await statesOf(node))).toHaveLength(1);
  });

  test("at once: the new key signs and nothing of before is published, also while a rotation is under way", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const [old = ""] = kidsOf(node);
    const announced = accepted(await rotate(node)).key.kid;
    const { key, retired } = accepted(await rotate(node, { atOnce: true }));
    expect(retired.map(({ kid, state }) => [kid, nameOf(platformKeyStates, state)]).toSorted()).toEqual(
      [announced, old].map((kid) => [kid, "retired"]).toSorted(),
    );
    expect(await signsWith(node)).toBe(key.kid);
    expect(kidsOf(node)).not.toContain(old);
    expect(kidsOf(node)).not.toContain(announced);
    await setClock(platform, new Date(Date.now() + 25 * hour));
    expect(await statesOf(node)).toEqual({ [old]: "retired", [announced]: "retired", [key.kid]: "active" });
  });

  test("is written down with whose it was, and every change of a key has its entry", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const [old = ""] = kidsOf(node);
    const olena: Actor = { kind: "service", name: "olena", scopes: ["operator"] };
    const wish = { alg: "RS256" as const, announceSeconds: 0, atOnce: false };
    const { key } = accepted(await node.core.rotatePlatformKey(olena, wish));
    const entries = await node.core.listAuditEntries({}, { limit: 10 });
    const told = entries.map(({ actor, act, object }) => [actor, nameOf(auditActs, act), object]);
    expect(told.slice(0, 2).toSorted()).toEqual([
      ["olena", "platform_key_announced", key.kid],
      ["olena", "platform_key_retired", old],
    ]);
    expect(told.slice(2).map(([actor, act]) => [actor, act])).toEqual(
      callbackAlgs.map(() => ["platform", "platform_key_announced"]),
    );
    const digests = await platform.rows<{ kid: string; digest: string }>(
      "select kid, encode(audit_digest(to_jsonb(k) - 'private_key' - 'master_key_id'), 'hex') as digest from platform_key k",
    );
    for (const { object, digestAfter } of entries.slice(0, 2)) {
      expect(digestAfter).toEqual(digests.find(({ kid }) => kid === object)?.digest);
    }
    const made = entries.find((entry) => entry.object === old && entry.act === auditActs.platform_key_announced);
    const ended = entries.find((entry) => entry.object === old && entry.act === auditActs.platform_key_retired);
    expect(ended?.digestBefore).toEqual(made?.digestAfter);
  });

  test("is not made by a process whose master key is not that of the keys any more", async () => {
    const platform = await newPlatform();
    const left = await startNode(platform, { current: lost });
    await start(platform.db, { current: own, previous: lost });
    await expect(rotate(left)).rejects.toThrow("under another master key");
  });

  test("is made beside a retired key that stayed under a master key of before", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const atOnce = { announceSeconds: 0, atOnce: true };
    accepted(await rotate(node, atOnce));
    await platform.rows("update platform_key set master_key_id = $1 where retire_at is not null", lost.id);
    accepted(await rotate(node, atOnce));
  });
});

describe("the master key", () => {
  test("a process with another one refuses to start, and says which it has and which it needs", async () => {
    const platform = await newPlatform();
    await start(platform.db);
    const problem = await problemOf(start(platform.db, { current: lost }));
    for (const text of [own.id, lost.id, "DCM_MASTER_KEY_PREVIOUS", "npm run dcm -- keys recover"]) {
      expect(problem).toContain(text);
    }
    for (const fill of ["own", "lost"]) {
      const bytes = Buffer.alloc(32, fill);
      for (const form of ["base64", "base64url", "hex", "latin1"] as const)
        expect(problem).not.toContain(bytes.toString(form).slice(0, 12));
    }
  });

  test("a key whose row was changed is not taken for one under another master key", async () => {
    const platform = await newPlatform();
    await start(platform.db);
    await platform.rows(
      "update platform_key set private_key = set_byte(private_key, 40, get_byte(private_key, 40) # 1)",
    );
    expect(await problemOf(start(platform.db))).toContain("were changed or damaged");
  });

  test("gives every process the same secret and fingerprint, and neither tells the other or the key", () => {
    const [first, second] = [masterKey("own"), masterKey("own")];
    expect([second.id, second.secret]).toEqual([first.id, first.secret]);
    expect(first.id).not.toBe(lost.id);
    expect(first.secret).not.toEqual(lost.secret);
    const hex = [first.secret, first.encryptionKey, Buffer.alloc(32, "own")].map((bytes) =>
      Buffer.from(bytes).toString("hex"),
    );
    expect(new Set([...hex, first.id].map((text) => text.slice(0, 16))).size).toBe(4);
  });

  test.each([0, 31, 33])("of %i bytes is none: it has 32", (length) => {
    expect(() => masterKeyOf(Buffer.alloc(length))).toThrow("a master key has 32 bytes");
  });

  test("a private key opens in its own row only", () => {
    const bytes = sealed(own, "first", "secret");
    expect(opened(own, "first", bytes)).toBe("secret");
    expect(opened(own, "second", bytes)).toBeUndefined();
    expect(opened(lost, "first", bytes)).toBeUndefined();
    expect(opened(own, "first", bytes.subarray(1))).toBeUndefined();
    for (const length of [0, 3, 20, 28]) expect(opened(own, "first", Buffer.alloc(length))).toBeUndefined();
    expect(sealed(own, "first", "secret")).not.toEqual(bytes);
  });

  test("changed by DCM_MASTER_KEY_PREVIOUS, the keys stay the same; that is written down, and then the one before opens nothing", async () => {
    const platform = await newPlatform();
    const before = await startNode(platform, { current: lost });
    const kids = kidsOf(before);
    const after = await startNode(platform, { current: own, previous: lost });
    expect(kidsOf(after)).toEqual(kids);
    for (const alg of callbackAlgs) expect(await signsWith(after, alg)).toBe(await signsWith(before, alg));
    const [entry] = await after.core.listAuditEntries({ acts: ["platform_keys_reencrypted"] }, { limit: 5 });
    expect(entry).toMatchObject({ actor: "platform", object: own.id, digestBefore: "", digestAfter: "" });
    expect(await problemOf(start(platform.db, { current: lost }))).toContain(own.id);
    // Starting again with both changes nothing.
    expect(await start(platform.db, { current: own, previous: lost })).toMatchObject({ reencrypted: 0 });
  });

  test("a process that runs on with the one before signs with what it knows, and says what it cannot open", async () => {
    const platform = await newPlatform();
    const left = await startNode(platform, { current: lost });
    const [old = ""] = kidsOf(left);
    const changed = await startNode(platform, { current: own, previous: lost });
    const { key } = accepted(await rotate(changed, { announceSeconds: maxAgeSeconds }));
    await left.keys.refresh();
    await setClock(platform, new Date(Date.now() + 2 * hour));
    expect(await signsWith(changed)).toBe(key.kid);
    expect(await signsWith(left)).toBe(old);
    expect(kidsOf(left)).toContain(key.kid);
    await left.keys.refresh();
    expect(left.told).toHaveLength(1);
    expect(left.told[0]).toContain(key.kid);
  });

  test("lost: new keys sign at once, the unreadable ones are published for a day and then never again", async () => {
    const platform = await newPlatform();
    const before = await startNode(platform, { current: lost });
    const old = kidsOf(before);
    const announced = accepted(await rotate(before)).key.kid;
    const done = await recoverPlatformKeys(platform.db, own, maxAgeSeconds);
    expect(done.lost.map(({ kid }) => kid).toSorted()).toEqual([...old, announced].toSorted());
    expect(done.made.map(({ alg }) => alg).toSorted()).toEqual([...callbackAlgs].toSorted());
    const node = await startNode(platform);
    for (const { kid, alg } of done.made) expect(await signsWith(node, alg)).toBe(kid);
    expect(kidsOf(node)).toEqual(expect.arrayContaining(old));
    expect(kidsOf(node)).not.toContain(announced);
    expect(node.told).toHaveLength(old.length);
    await setClock(platform, new Date(Date.now() + 24 * hour + 60_000));
    expect(kidsOf(node).toSorted()).toEqual(done.made.map(({ kid }) => kid).toSorted());
  });

  test("not lost: nothing is recovered", async () => {
    const platform = await newPlatform();
    const node = await startNode(platform);
    const kids = kidsOf(node);
    await expect(recoverPlatformKeys(platform.db, own, maxAgeSeconds)).rejects.toThrow("Nothing is to be recovered");
    await node.keys.refresh();
    expect(kidsOf(node)).toEqual(kids);
  });
});

test("while the keys cannot be read, those that are known go on; it is told once, and the next read is the good one", async () => {
  const platform = await newPlatform();
  const node = await startNode(platform);
  const [kid] = kidsOf(node);
  await platform.rows("alter table platform_key rename to moved");
  await vi.waitFor(() => expect(node.told).toHaveLength(1), { timeout: 10_000, interval: 100 });
  await expect(node.keys.refresh()).rejects.toThrow();
  expect(await signsWith(node)).toBe(kid);
  await platform.rows("alter table moved rename to platform_key");
  const other = await startNode(platform);
  const { key } = accepted(await rotate(other));
  await vi.waitFor(() => expect(kidsOf(node)).toContain(key.kid), { timeout: 10_000, interval: 100 });
  expect(node.told).toHaveLength(1);
});
