import { createHash } from "node:crypto";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { pino } from "pino";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { AuditEntry as PbAuditEntry } from "../../gen/dcm/v1/audit_service_pb.ts";
import { type Register, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import type { CoreContext } from "../../src/core/context.ts";
import { createCore } from "../../src/core/core.ts";
import type { Registration } from "../../src/core/participants.ts";
import type { Database } from "../../src/db/database.ts";
import type { Sql } from "../../src/db/pool.ts";
import { type Actor, platformActor } from "../../src/domain/actor.ts";
import type { AuditAct } from "../../src/domain/audit.ts";
import { ensureOperatorToken } from "../../src/operatorToken.ts";
import { loadParticipants } from "../../src/participantsFile.ts";
import { auditActs, nameOf } from "../../src/wire/enums.ts";
import { type PlanNode, planOf, touchedBy } from "./explain.ts";
import {
  accepted,
  bankActor,
  bankRegistration,
  callbackOf,
  createOrder,
  deliver,
  merchantRegistration,
  openPlatform,
  type Parties,
  type Platform,
  payWithSuccess,
  reasonOf,
  registerParties,
  serial,
  settlementPayment,
  tokenOf,
} from "./platform.ts";

const olena: Actor = { kind: "service", name: "olena", scopes: ["operator"] };
const petro: Actor = { kind: "service", name: "petro", scopes: ["operator"] };

/** As many tickets as the queue of these tests moves, whatever it is asked for. */
const tickets = 12;
let redriven = 0;
const redriveDeadLetters: CoreContext["redriveDeadLetters"] = async () => {
  redriven += 1;
  return tickets;
};

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  const fetchJwks = async (url: string) => [url.endsWith("constant") ? { kid: "constant" } : newKey()];
  platform = await openPlatform({ redriveDeadLetters, fetchJwks });
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

const lastNumber = async () =>
  (await platform.rows<{ last: number }>("select coalesce(max(number), 0) as last from audit_entry"))[0]?.last ?? 0;

const actOf = ({ act }: PbAuditEntry) => nameOf(auditActs, act);

/** An entry, its act by its name. */
type AuditEntry = Omit<PbAuditEntry, "act"> & { act: AuditAct | undefined };

/** What the work adds to the trail, oldest first. */
async function entriesOf(work: () => Promise<unknown>): Promise<AuditEntry[]> {
  const last = await lastNumber();
  await work();
  const listed = await platform.core.listAuditEntries({}, { limit: 500 });
  const added = listed.filter(({ number }) => number > last).reverse();
  return added.map((entry) => ({ ...entry, act: actOf(entry) }));
}

const sha256 = (text: string) => createHash("sha256").update(text, "utf8").digest("hex");

/** The digest of what an auditor reads of a table: the text of the rows as jsonb, with instants in UTC. */
async function digestOfRow(text: string, ...values: unknown[]): Promise<string> {
  return platform.db.transaction(async (sql) => {
    await sql({ name: "", text: "set local timezone to 'UTC'" });
    await sql({ name: "", text: "set local bytea_output to 'hex'" });
    const [row] = await sql<{ content: string }>({ name: "", text }, values);
    return row === undefined ? "" : sha256(row.content);
  });
}

const digestIn = (table: string, key: string, value: string) =>
  digestOfRow(`select to_jsonb(t)::text as content from ${table} t where ${key}::text = $1`, value);

const participantDigest = (guid: string) => digestIn("participant", "guid", guid);
const credentialDigest = (name: string) => digestIn("service_credential", "name", name);
const callbackDigest = (guid: string) => digestIn("callback", "guid", guid);
const registerDigest = (id: string) => digestIn("settlement_register", "id", id);

type KeyDigest = { object: string; digest: string };

/** The digest of every key that anybody has or has had, by the key's number. */
async function keyDigests(): Promise<Map<number, KeyDigest>> {
  return platform.db.transaction(async (sql) => {
    await sql({ name: "", text: "set local timezone to 'UTC'" });
    const text = "select id, participant_guid as object, to_jsonb(k)::text as content from participant_key k";
    const rows = await sql<{ id: number; object: string; content: string }>({ name: "", text });
    return new Map(rows.map(({ id, object, content }) => [id, { object, digest: sha256(content) }]));
  });
}

/** What the trail must say of keys, if these were all before and those are all after. */
function keyEntries(before: Map<number, KeyDigest>, after: Map<number, KeyDigest>) {
  return [...after].flatMap(([id, { object, digest }]) => {
    const was = before.get(id)?.digest ?? "";
    if (digest === was) return [];
    const act = was === "" ? "participant_key_added" : "participant_key_retired";
    return [{ act, object, digestBefore: was, digestAfter: digest }];
  });
}

const instantOf = ({ at }: AuditEntry) => (at === undefined ? Number.NaN : timestampMs(at));

const isOfKey = ({ act }: AuditEntry) => act === "participant_key_added" || act === "participant_key_retired";

const dayDigest = (ids: readonly string[]) =>
  digestOfRow(
    `select coalesce(jsonb_agg(to_jsonb(r) order by r.day, r.increment), '[]')::text as content
      from settlement_register r where r.id = any($1)`,
    ids,
  );

// --------------------------------------------------------------------------------- what the changes below are made to

const inAYear = () => new Date(Date.now() + 365 * 86_400_000);

async function newCredential(): Promise<string> {
  const name = `service-${serial()}`;
  accepted(await platform.core.addCredential(petro, { name, scopes: ["reader"], expiresAt: inAYear() }));
  return name;
}

async function callbackInReview(): Promise<string> {
  const paid = await payWithSuccess(platform, parties);
  await deliver(platform, paid, "pay_out", "accepted");
  await deliver(platform, paid, "credit", "refused", "refused");
  return (await callbackOf(platform, paid, "credit")).guid;
}

async function newBank() {
  return accepted(await platform.core.registerParticipant(petro, bankRegistration()));
}

/** A past day that nobody has closed; a payment of 1 000 kopiykas on it. */
let daysUsed = 0;
async function dayWithPayment(of = parties): Promise<string> {
  daysUsed += 1;
  const day = new Date(Date.UTC(2026, 2, daysUsed)).toISOString().slice(0, 10);
  await payWithSuccess(platform, of, { amountMinor: 1_000, decidedAt: `${day}T09:00:00Z` });
  return day;
}

async function sentRegister(): Promise<Register> {
  const made = accepted(await platform.core.closeRegisters(petro, await dayWithPayment(), false));
  const found = made.find(({ status }) => status === RegisterStatus.SENT);
  if (found === undefined) throw new Error("no register was made");
  return found;
}

function statementOf(register: Register, externalId: string) {
  const { guid: callerGuid, version: callerVersion } = parties.initiator;
  const payment = settlementPayment(register, externalId);
  const accessToken = tokenOf(`settlement-${serial()}`);
  return { callerGuid, callerVersion, registerId: register.id, jws: "signed by the bank", accessToken, payment };
}

async function paidRegister(): Promise<Register> {
  const register = await sentRegister();
  const externalId = `P-${serial()}`;
  accepted(await platform.core.payRegister(statementOf(register, externalId)));
  accepted(await platform.core.confirmRegister({ ...statementOf(register, externalId), paymentStatus: "ACSC" }));
  return register;
}

/** A file that names a new bank. */
async function fileOf(bank: object): Promise<string> {
  const folder = await ownFolder();
  const file = join(folder, "participants.json");
  await writeFile(file, JSON.stringify({ banks: [bank] }));
  return file;
}

async function ownFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "dcm-audit-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

function bankInFile() {
  const { taxCode, bic, iban, callbackUrls, signingJwks } = bankRegistration();
  return {
    ...{ guid: platform.context.newGuid(), name: "Filed Bank", taxCode, bic, iban, callbackUrls, signingJwks },
    roles: ["BANK_ROLE_RECIPIENT"],
  };
}

// ---------------------------------------------------------------------------------------------------- every change

/** A change that is about to be made. */
type Change = {
  /** The objects whose entries are expected, in any order. */
  objects: string[];
  run: () => Promise<unknown>;
  /** The digest of an object's row at this moment; without it there is none. */
  digest?: (object: string) => Promise<string>;
  /** The entry has no digest of what was there before. */
  makes?: true;
  /** So many entries about keys come with it. */
  keys?: number;
};

type Case = [what: string, actor: string, act: AuditAct, prepare: () => Promise<Change>];

const registrations: Case[] = [
  [
    "registering a bank",
    "olena",
    "participant_registered",
    async () => {
      const guid = platform.context.newGuid();
      const signingJwks = [{ kid: `one-${serial()}` }, { kid: `two-${serial()}` }];
      const bank = bankRegistration({ guid, signingJwks, encryptionJwk: { kid: `enc-${serial()}` } });
      const run = () => platform.core.registerParticipant(olena, bank);
      return { objects: [guid], run, digest: participantDigest, makes: true, keys: 3 };
    },
  ],
  [
    "registering a merchant",
    "olena",
    "participant_registered",
    async () => {
      const guid = platform.context.newGuid();
      const merchant = merchantRegistration(parties.recipient, { guid });
      const run = () => platform.core.registerParticipant(olena, merchant);
      return { objects: [guid], run, digest: participantDigest, makes: true, keys: 1 };
    },
  ],
  [
    "registering a bank of the file",
    "platform",
    "participant_registered",
    async () => {
      const bank = bankInFile();
      const file = await fileOf(bank);
      const run = () => loadParticipants(platform.core, file, pino({ level: "silent" }));
      return { objects: [bank.guid], run, digest: participantDigest, makes: true, keys: 1 };
    },
  ],
  [
    "updating a participant",
    "olena",
    "participant_updated",
    async () => {
      const { guid } = await newBank();
      const run = () => platform.core.updateParticipant(olena, guid, { name: "Renamed", feeBasisPoints: 12 });
      return { objects: [guid], run, digest: participantDigest };
    },
  ],
];

/** A key that nobody has. */
const newKey = () => ({ kid: `key-${serial()}` });

async function newMerchant(changes: Partial<Registration> = {}) {
  return accepted(await platform.core.registerParticipant(petro, merchantRegistration(parties.recipient, changes)));
}

async function suspended() {
  const { guid } = await newBank();
  return accepted(await platform.core.suspendParticipant(petro, { guid, version: undefined }));
}

const keys: Case[] = [
  [
    "adding a key",
    "olena",
    "participant_key_added",
    async () => {
      const { guid } = await newBank();
      const jwk = newKey();
      const run = () => platform.core.addParticipantKey(olena, guid, { jwk, retireOthersAt: null });
      return { objects: [], run, keys: 1 };
    },
  ],
  [
    "adding a key instead of the others",
    "olena",
    "participant_key_added",
    async () => {
      const { guid } = await newBank();
      const jwk = newKey();
      const run = () => platform.core.addParticipantKey(olena, guid, { jwk, retireOthersAt: new Date() });
      return { objects: [], run, keys: 2 };
    },
  ],
  [
    "replacing the keys",
    "olena",
    "participant_key_added",
    async () => {
      const { guid } = await newBank();
      const signingJwks = [newKey(), newKey()];
      const run = () => platform.core.updateParticipant(olena, guid, { signingJwks });
      return { objects: [], run, keys: 3 };
    },
  ],
  [
    "replacing the keys with the name",
    "olena",
    "participant_updated",
    async () => {
      const { guid } = await newBank();
      const run = () => platform.core.updateParticipant(olena, guid, { name: "Renamed", signingJwks: [newKey()] });
      return { objects: [guid], run, digest: participantDigest, keys: 2 };
    },
  ],
  [
    "retiring a key",
    "olena",
    "participant_key_retired",
    async () => {
      const { guid } = await newBank();
      const jwk = newKey();
      accepted(await platform.core.addParticipantKey(petro, guid, { jwk, retireOthersAt: null }));
      const run = () => platform.core.retireParticipantKey(olena, guid, { ...jwk, at: null });
      return { objects: [], run, keys: 1 };
    },
  ],
  [
    "planning the end of a key",
    "olena",
    "participant_key_retired",
    async () => {
      const { guid } = await newBank();
      const jwk = newKey();
      accepted(await platform.core.addParticipantKey(petro, guid, { jwk, retireOthersAt: null }));
      const run = () => platform.core.retireParticipantKey(olena, guid, { ...jwk, at: inAYear() });
      return { objects: [], run, keys: 1 };
    },
  ],
];

/** By whom the parties themselves act: their guids, which the prepared change tells. */
const ownKeys: [what: string, count: number, prepare: () => Promise<{ guid: string; run: () => Promise<unknown> }>][] =
  [
    [
      "a key that a bank adds",
      1,
      async () => {
        const bank = await newBank();
        const actor = bankActor(bank, tokenOf(`own-key-${serial()}`));
        const wish = { jwk: newKey(), retireOthersAt: null, signedWith: "old" };
        return { guid: bank.guid, run: () => platform.core.addOwnKey(actor, wish) };
      },
    ],
    [
      "the keys that a merchant publishes",
      2,
      async () => {
        const { guid } = await newMerchant({ jwksUrl: "https://shop.example/keys", signingJwks: [] });
        return { guid, run: () => readSet(guid) };
      },
    ],
  ];

/** Reads this set alone. */
async function readSet(guid: string) {
  await platform.rows(
    "update published_key_set set next_at = case participant_guid when $1 then now() else 'infinity' end",
    guid,
  );
  const [read] = await platform.core.readKeySets(1, () => 0);
  return read;
}

const statuses: Case[] = [
  [
    "suspending",
    "olena",
    "participant_suspended",
    async () => {
      const { guid } = await newBank();
      const run = () => platform.core.suspendParticipant(olena, { guid, version: undefined });
      return { objects: [guid], run, digest: participantDigest };
    },
  ],
  [
    "resuming",
    "olena",
    "participant_resumed",
    async () => {
      const { guid } = await suspended();
      const run = () => platform.core.resumeParticipant(olena, { guid, version: undefined });
      return { objects: [guid], run, digest: participantDigest };
    },
  ],
  [
    "closing",
    "olena",
    "participant_closed",
    async () => {
      const { guid } = await suspended();
      accepted(await platform.core.addParticipantKey(petro, guid, { jwk: newKey(), retireOthersAt: null }));
      const run = () => platform.core.closeParticipant(olena, { guid, version: undefined });
      return { objects: [guid], run, digest: participantDigest, keys: 2 };
    },
  ],
];

const credentials: Case[] = [
  [
    "making a credential",
    "olena",
    "credential_added",
    async () => {
      const name = `service-${serial()}`;
      const wanted = { name, scopes: ["reader"] as const, expiresAt: inAYear() };
      const run = () => platform.core.addCredential(olena, wanted);
      return { objects: [name], run, digest: credentialDigest, makes: true };
    },
  ],
  [
    "making the first operator's credential",
    "platform",
    "credential_added",
    async () => {
      await platform.rows("delete from service_credential where name = 'operator'");
      const folder = await ownFolder();
      const run = () => ensureOperatorToken(platform.core, folder, new Date());
      return { objects: ["operator"], run, digest: credentialDigest, makes: true };
    },
  ],
  [
    "revoking a credential",
    "olena",
    "credential_revoked",
    async () => {
      const name = await newCredential();
      return { objects: [name], run: () => platform.core.revokeCredential(olena, name), digest: credentialDigest };
    },
  ],
];

const callbacks: Case[] = [
  [
    "replaying a callback",
    "olena",
    "callback_replayed",
    async () => {
      const guid = await callbackInReview();
      return { objects: [guid], run: () => platform.core.replayCallback(olena, guid), digest: callbackDigest };
    },
  ],
  [
    "letting a dead callback go on",
    "olena",
    "callback_replayed",
    async () => {
      const guid = await callbackInReview();
      await platform.rows("update callback set state = 'dead' where guid = $1", guid);
      return { objects: [guid], run: () => platform.core.replayCallback(olena, guid), digest: callbackDigest };
    },
  ],
  [
    "replaying three callbacks",
    "olena",
    "callback_replayed",
    async () => {
      const { guid: receiverGuid } = parties.recipient;
      await platform.core.replayCallbacks(petro, { receiverGuid });
      const objects = [await callbackInReview(), await callbackInReview(), await callbackInReview()];
      const run = () => platform.core.replayCallbacks(olena, { receiverGuid });
      return { objects, run, digest: callbackDigest };
    },
  ],
  [
    "resolving a callback",
    "olena",
    "callback_resolved",
    async () => {
      const guid = await callbackInReview();
      const run = () => platform.core.resolveCallback(olena, guid, "by phone");
      return { objects: [guid], run, digest: callbackDigest };
    },
  ],
  [
    "resolving a callback that somebody else has resolved",
    "olena",
    "callback_resolved",
    async () => {
      const guid = await callbackInReview();
      accepted(await platform.core.resolveCallback(petro, guid, "by phone"));
      const run = () => platform.core.resolveCallback(olena, guid, "by phone");
      return { objects: [guid], run, digest: callbackDigest };
    },
  ],
];

const settlements: Case[] = [
  [
    "reopening a register",
    "olena",
    "register_reopened",
    async () => {
      const { id } = await paidRegister();
      const run = () => platform.core.reopenRegister(olena, id, "it came back");
      return { objects: [id], run, digest: registerDigest };
    },
  ],
  [
    "closing a day",
    "olena",
    "day_closed",
    async () => {
      const day = await dayWithPayment();
      let ids: string[] = [];
      const run = async () => {
        ids = accepted(await platform.core.closeRegisters(olena, day, false)).map(({ id }) => id);
      };
      return { objects: [day], run, digest: () => dayDigest(ids), makes: true };
    },
  ],
  [
    "an adjustment of a day that is closed",
    "olena",
    "day_closed",
    async () => {
      const day = await dayWithPayment();
      accepted(await platform.core.closeRegisters(petro, day, false));
      await payWithSuccess(platform, parties, { decidedAt: `${day}T10:00:00Z` });
      let ids: string[] = [];
      const run = async () => {
        ids = accepted(await platform.core.closeRegisters(olena, day, false)).map(({ id }) => id);
      };
      return { objects: [day], run, digest: () => dayDigest(ids), makes: true };
    },
  ],
  [
    "closing a day that is not over",
    "olena",
    "day_closed",
    async () => {
      await payWithSuccess(platform, parties);
      const [today] = await platform.rows<{ day: string }>(
        "select (now() at time zone 'Europe/Kyiv')::date::text as day",
      );
      const day = today?.day ?? "";
      let ids: string[] = [];
      const run = async () => {
        ids = accepted(await platform.core.closeRegisters(olena, day, true)).map(({ id }) => id);
      };
      return { objects: [day], run, digest: () => dayDigest(ids), makes: true };
    },
  ],
  [
    "closing by the platform's clock",
    "platform",
    "day_closed",
    async () => {
      await platform.core.closeOverdueDays(platformActor);
      const day = await dayWithPayment();
      let ids: string[] = [];
      const run = async () => {
        expect(await platform.core.closeOverdueDays(platformActor)).toEqual({ days: [day], failures: [] });
        const made = await platform.rows<{ id: string }>(
          "select id from settlement_register where coalesce(adjusts_day, day) = $1::date",
          day,
        );
        ids = made.map(({ id }) => id);
      };
      return { objects: [day], run, digest: () => dayDigest(ids), makes: true };
    },
  ],
];

const changes = [...registrations, ...keys, ...statuses, ...credentials, ...callbacks, ...settlements];

describe("every change has its entry", () => {
  test.each(changes)("%s", async (_what, actor, act, prepare) => {
    const { objects, run, digest, makes, keys = 0 } = await prepare();
    const digests = async () =>
      new Map(await Promise.all(objects.map(async (key) => [key, await digest?.(key)] as const)));
    const before = await digests();
    const keysBefore = await keyDigests();
    const [from] = await platform.rows<{ now: Date }>("select clock_timestamp() as now");
    const entries = await entriesOf(async () => accepted(await run()));
    const [until] = await platform.rows<{ now: Date }>("select clock_timestamp() as now");
    const after = await digests();
    const ofKeys = entries.filter(isOfKey);
    expect(ofKeys).toMatchObject(keyEntries(keysBefore, await keyDigests()));
    expect(ofKeys).toHaveLength(keys);
    const others = entries.filter((entry) => !isOfKey(entry));
    expect(others.map(({ object }) => object).sort()).toEqual(objects.sort());
    for (const entry of others) {
      expect(entry).toMatchObject({ act });
      expect(entry.digestBefore, "before").toEqual(makes ? "" : before.get(entry.object));
      expect(entry.digestAfter, "after").toEqual(after.get(entry.object));
    }
    expect(entries.map((entry) => entry.act)).toContain(act);
    for (const entry of entries) {
      expect(entry.actor).toBe(actor);
      expect(entry.digestAfter).toHaveLength(64);
      expect(instantOf(entry)).toBeGreaterThanOrEqual(from?.now.getTime() ?? 0);
      expect(instantOf(entry)).toBeLessThanOrEqual(until?.now.getTime() ?? 0);
    }
    const numbers = entries.map(({ number }) => Number(number));
    const instants = `
      select count(distinct at) as instants from audit_entry where number = any($1) group by act order by 1 desc limit 1`;
    expect(await platform.rows(instants, numbers), "to the microsecond").toEqual([{ instants: 1 }]);
  });

  test.each(ownKeys)("%s: the entry is in the party's own name", async (_what, count, prepare) => {
    const { guid, run } = await prepare();
    const before = await keyDigests();
    const entries = await entriesOf(async () => accepted(await run()));
    expect(entries).toMatchObject(keyEntries(before, await keyDigests()));
    expect(entries.map(({ actor, object }) => [actor, object])).toEqual(Array(count).fill([guid, guid]));
  });

  test("asking for dead letters is written before they are moved, and how many were moved afterwards", async () => {
    const entries = await entriesOf(async () => {
      expect(await platform.core.redriveDeadLetters(olena, 1_000)).toBe(tickets);
    });
    const asked = { actor: "olena", digestBefore: "", digestAfter: "" };
    expect(entries).toMatchObject([
      { ...asked, act: "redrive_asked", object: "1000" },
      { ...asked, act: "redrive_done", object: "12" },
    ]);
  });

  test("a queue that fails leaves the entry of who asked", async () => {
    const failing = createCore({
      ...platform.context,
      redriveDeadLetters: () => Promise.reject(new Error("the broker is gone")),
    });
    const entries = await entriesOf(() => expect(failing.redriveDeadLetters(olena, 5)).rejects.toThrow("broker"));
    expect(entries).toMatchObject([{ act: "redrive_asked", object: "5" }]);
  });

  test("of a day on which there is nothing to settle it is the digest of no register", async () => {
    const alone = await openPlatform();
    onTestFinished(() => alone.close());
    await alone.core.registerParticipant(olena, bankRegistration({ roles: ["recipient"] }));
    expect(await alone.core.closeRegisters(olena, "2026-01-01", false)).toEqual([]);
    const [entry] = await alone.core.listAuditEntries({}, { limit: 1 });
    expect(entry).toMatchObject({ act: auditActs.day_closed, object: "2026-01-01", digestAfter: sha256("[]") });
  });
});

/** What does not change anything, and how it ends. */
const unchanging: [what: string, outcome: string, prepare: () => Promise<() => Promise<unknown>>][] = [
  [
    "registering the same again",
    "accepted",
    async () => {
      const registration = bankRegistration();
      accepted(await platform.core.registerParticipant(petro, registration));
      return () => platform.core.registerParticipant(olena, registration);
    },
  ],
  [
    "registering other content",
    "PARTICIPANT_EXISTS",
    async () => {
      const registration = bankRegistration();
      accepted(await platform.core.registerParticipant(petro, registration));
      return () => platform.core.registerParticipant(olena, { ...registration, name: "Other" });
    },
  ],
  [
    "registering what is refused",
    "INVALID_REQUEST",
    async () => () => platform.core.registerParticipant(olena, bankRegistration({ iban: "UA00" })),
  ],
  [
    "a file that is loaded again",
    "accepted",
    async () => {
      const file = await fileOf(bankInFile());
      const load = () => loadParticipants(platform.core, file, pino({ level: "silent" }));
      await load();
      return load;
    },
  ],
  [
    "updating nobody",
    "PARTICIPANT_NOT_FOUND",
    async () => () => platform.core.updateParticipant(olena, platform.context.newGuid(), { name: "Nobody" }),
  ],
  [
    "an update that is refused",
    "INVALID_REQUEST",
    async () => {
      const { guid } = await newBank();
      return () => platform.core.updateParticipant(olena, guid, { feeBasisPoints: 20_000 });
    },
  ],
  [
    "adding a key that is there",
    "accepted",
    async () => {
      const { guid, keys } = await newBank();
      const wish = { jwk: keys[0]?.jwk, retireOthersAt: new Date() };
      return () => platform.core.addParticipantKey(olena, guid, wish);
    },
  ],
  [
    "adding a weak key",
    "INVALID_KEY",
    async () => {
      const { guid } = await newBank();
      const wish = { jwk: { ...newKey(), weak: true }, retireOthersAt: null };
      return () => platform.core.addParticipantKey(olena, guid, wish);
    },
  ],
  [
    "a bank that adds a key that it has",
    "accepted",
    async () => {
      const bank = await newBank();
      const wish = { jwk: bank.keys[0]?.jwk, retireOthersAt: null, signedWith: "old" };
      return () => platform.core.addOwnKey(bankActor(bank, tokenOf(`own-key-${serial()}`)), wish);
    },
  ],
  [
    "retiring a key that is retired",
    "accepted",
    async () => {
      const { guid } = await newMerchant();
      const jwk = newKey();
      accepted(await platform.core.addParticipantKey(petro, guid, { jwk, retireOthersAt: null }));
      accepted(await platform.core.retireParticipantKey(petro, guid, { ...jwk, at: null }));
      return () => platform.core.retireParticipantKey(olena, guid, { ...jwk, at: null });
    },
  ],
  [
    "a key set that says what it said before",
    "accepted",
    async () => {
      const { guid } = await newMerchant({ jwksUrl: "https://shop.example/constant", signingJwks: [] });
      await readSet(guid);
      return () => readSet(guid);
    },
  ],
  [
    "suspending who is suspended",
    "accepted",
    async () => {
      const { guid } = await suspended();
      return () => platform.core.suspendParticipant(olena, { guid, version: undefined });
    },
  ],
  [
    "resuming who is active",
    "accepted",
    async () => {
      const { guid } = await newBank();
      return () => platform.core.resumeParticipant(olena, { guid, version: undefined });
    },
  ],
  [
    "closing who is active",
    "PARTICIPANT_NOT_SUSPENDED",
    async () => {
      const { guid } = await newBank();
      return () => platform.core.closeParticipant(olena, { guid, version: undefined });
    },
  ],
  [
    "closing who is closed",
    "accepted",
    async () => {
      const { guid } = await suspended();
      accepted(await platform.core.closeParticipant(petro, { guid, version: undefined }));
      return () => platform.core.closeParticipant(olena, { guid, version: undefined });
    },
  ],
  [
    "making a credential whose name is taken",
    "CREDENTIAL_EXISTS",
    async () => {
      const name = await newCredential();
      return () => platform.core.addCredential(olena, { name, scopes: ["reader"], expiresAt: inAYear() });
    },
  ],
  [
    "making a credential that has ended",
    "INVALID_REQUEST",
    async () => () =>
      platform.core.addCredential(olena, { name: `late-${serial()}`, scopes: ["reader"], expiresAt: new Date(0) }),
  ],
  [
    "a second start",
    "accepted",
    async () => {
      const folder = await ownFolder();
      await ensureOperatorToken(platform.core, folder, new Date());
      return () => ensureOperatorToken(platform.core, folder, new Date());
    },
  ],
  [
    "revoking again",
    "accepted",
    async () => {
      const name = await newCredential();
      accepted(await platform.core.revokeCredential(petro, name));
      return () => platform.core.revokeCredential(olena, name);
    },
  ],
  ["revoking nothing", "CREDENTIAL_NOT_FOUND", async () => () => platform.core.revokeCredential(olena, "nobody")],
  [
    "replaying what is on its way",
    "CALLBACK_NOT_REPLAYABLE",
    async () => {
      const guid = await callbackInReview();
      accepted(await platform.core.replayCallback(petro, guid));
      return () => platform.core.replayCallback(olena, guid);
    },
  ],
  [
    "replaying nothing",
    "CALLBACK_NOT_FOUND",
    async () => () => platform.core.replayCallback(olena, platform.context.newGuid()),
  ],
  [
    "replaying all of nothing",
    "accepted",
    async () => () => platform.core.replayCallbacks(olena, { receiverGuid: platform.context.newGuid() }),
  ],
  [
    "resolving as before",
    "accepted",
    async () => {
      const guid = await callbackInReview();
      accepted(await platform.core.resolveCallback(olena, guid, "by phone"));
      return () => platform.core.resolveCallback(olena, guid, "by phone");
    },
  ],
  [
    "resolving what is on its way",
    "CALLBACK_NOT_REPLAYABLE",
    async () => {
      const guid = await callbackInReview();
      accepted(await platform.core.replayCallback(petro, guid));
      return () => platform.core.resolveCallback(olena, guid, "by phone");
    },
  ],
  [
    "reopening what is not paid",
    "REGISTER_NOT_PAID",
    async () => {
      const { id } = await sentRegister();
      return () => platform.core.reopenRegister(olena, id, "it came back");
    },
  ],
  [
    "reopening nothing",
    "REGISTER_NOT_FOUND",
    async () => () => platform.core.reopenRegister(olena, "0101261", "it came back"),
  ],
  [
    "closing a day that is not over",
    "DAY_IS_NOT_OVER",
    async () => () => platform.core.closeRegisters(olena, "2099-01-01", false),
  ],
  [
    "closing a day again",
    "accepted",
    async () => {
      const day = await dayWithPayment();
      accepted(await platform.core.closeRegisters(petro, day, false));
      return () => platform.core.closeRegisters(olena, day, false);
    },
  ],
  [
    "the platform's clock when no day is owed",
    "accepted",
    async () => {
      await platform.core.closeOverdueDays(platformActor);
      return () => platform.core.closeOverdueDays(platformActor);
    },
  ],
];

describe("what changes nothing has no entry", () => {
  test.each(unchanging)("%s", async (_what, outcome, prepare) => {
    const run = await prepare();
    let answer: unknown;
    const entries = await entriesOf(async () => {
      answer = await run();
    });
    expect(reasonOf(answer)).toBe(outcome);
    expect(entries).toEqual([]);
  });

  test("nor has a payment's own course, nor what banks state about registers", async () => {
    const entries = await entriesOf(async () => {
      const paid = await payWithSuccess(platform, parties);
      await deliver(platform, paid, "pay_out", "accepted");
      await deliver(platform, paid, "credit", "refused", "refused");
      const order = await createOrder(platform, parties.merchant);
      await platform.rows("update payment_order set expires_at = now() where guid = $1", order.id);
      await platform.core.expireOrders(10);
      await platform.core.forgetAccessTokens(10);
      await platform.core.takeOverdueCallbacks(10);
    });
    expect(entries).toEqual([]);
    const settled = await entriesOf(paidRegister);
    expect(settled.map(({ act }) => act)).toEqual(["day_closed"]);
  });

  test("of equal changes at once one has an entry", async () => {
    const registration = bankRegistration();
    const name = await newCredential();
    const day = await dayWithPayment();
    const second = await platform.secondCore();
    const { guid } = await newBank();
    const jwk = newKey();
    const retired = newKey();
    accepted(await platform.core.addParticipantKey(petro, guid, { jwk: retired, retireOthersAt: null }));
    const [toSuspend, toClose] = [await newBank(), await suspended()];
    const entries = await entriesOf(() =>
      Promise.all([
        ...[platform.core, second].flatMap((core) => [
          core.registerParticipant(olena, registration),
          core.revokeCredential(olena, name),
          core.closeRegisters(olena, day, false),
          core.addParticipantKey(olena, guid, { jwk, retireOthersAt: null }),
          core.retireParticipantKey(olena, guid, { ...retired, at: null }),
          core.suspendParticipant(olena, { guid: toSuspend.guid, version: undefined }),
          core.closeParticipant(olena, { guid: toClose.guid, version: undefined }).then(accepted),
        ]),
      ]),
    );
    expect(entries.map(({ act }) => act).sort()).toEqual([
      "credential_revoked",
      "day_closed",
      "participant_closed",
      // Of the one that was registered, and the one that was added.
      "participant_key_added",
      "participant_key_added",
      // With the one that was closed, and the one that was retired.
      "participant_key_retired",
      "participant_key_retired",
      "participant_registered",
      "participant_suspended",
    ]);
  });
});

describe("the digests", () => {
  test("are over bytes that can be written by hand: members by length and name, instants in UTC", async () => {
    const name = `written-${serial()}`;
    const secret = "dcm_a-secret-that-is-known";
    const wanted = { name, scopes: ["reader", "operator"] as const, expiresAt: new Date("2030-01-31T08:00:00Z") };
    const [entry] = await entriesOf(() => platform.core.addCredential(olena, wanted, secret));
    const [made] = await platform.rows<{ at: string }>(
      `select to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US') as at from service_credential
        where name = $1`,
      name,
    );
    const at = `${made?.at.replace(/\.?0+$/, "")}+00:00`;
    const written =
      `{"name": "${name}", "scopes": ["reader", "operator"], "created_at": "${at}", ` +
      `"expires_at": "2030-01-31T08:00:00+00:00", "revoked_at": null, ` +
      `"secret_sha256": "\\\\x${sha256(secret)}"}`;
    expect(entry?.digestAfter).toEqual(sha256(written));
  });

  test("are the same in whatever way a session writes instants and bytes", async () => {
    const name = await newCredential();
    const digests = await platform.db.transaction(async (sql) => {
      const read = { name: "", text: "select audit_digest(c) as digest from service_credential c where name = $1" };
      const usual = await sql<{ digest: Buffer }>(read, [name]);
      await sql({ name: "", text: "set local timezone to 'Asia/Tokyo'" });
      const elsewhere = await sql<{ digest: Buffer }>(read, [name]);
      await sql({ name: "", text: "set local bytea_output to 'escape'" });
      const [escaped] = await sql<{ digest: string }>(
        { name: "", text: "select encode(audit_digest(c), 'hex') as digest from service_credential c where name = $1" },
        [name],
      );
      return [...usual, ...elsewhere].map(({ digest }) => digest.toString("hex")).concat(escaped?.digest ?? "");
    });
    expect(digests).toEqual(Array(3).fill(await credentialDigest(name)));
  });

  /** A change that waits for somebody's lock, and what that somebody does to the row first. */
  const waiting: [
    what: string,
    table: string,
    key: string,
    by: string,
    prepare: () => Promise<[string, () => Promise<unknown>]>,
  ][] = [
    [
      "updating a participant",
      "participant",
      "guid",
      "email = 'other@example.com'",
      async () => {
        const { guid } = await newBank();
        return [guid, () => platform.core.updateParticipant(olena, guid, { name: "Renamed" })];
      },
    ],
    [
      "suspending a participant",
      "participant",
      "guid",
      "email = 'other@example.com'",
      async () => {
        const { guid } = await newBank();
        return [guid, () => platform.core.suspendParticipant(olena, { guid, version: undefined })];
      },
    ],
    [
      "retiring a key",
      "participant_key",
      "id",
      "seen_at = now()",
      async () => {
        const { guid, keys } = await newMerchant();
        const [key] = keys;
        const run = () => platform.core.retireParticipantKey(olena, guid, { kid: key?.kid ?? "", at: null });
        return [String(key?.id), run];
      },
    ],
    [
      "revoking a credential",
      "service_credential",
      "name",
      "scopes = '{operator}'",
      async () => {
        const name = await newCredential();
        return [name, () => platform.core.revokeCredential(olena, name)];
      },
    ],
    [
      "resolving a callback",
      "callback",
      "guid",
      "reason = 'other'",
      async () => {
        const guid = await callbackInReview();
        return [guid, () => platform.core.resolveCallback(olena, guid, "by phone")];
      },
    ],
    [
      "replaying a callback",
      "callback",
      "guid",
      "reason = 'other'",
      async () => {
        const guid = await callbackInReview();
        return [guid, () => platform.core.replayCallback(olena, guid)];
      },
    ],
    [
      "reopening a register",
      "settlement_register",
      "id",
      "purpose = 'other'",
      async () => {
        const { id } = await paidRegister();
        return [id, () => platform.core.reopenRegister(olena, id, "it came back")];
      },
    ],
  ];

  test.each(waiting)("%s: what was is what the change replaced, also what came while it waited", async (...row) => {
    const [, table, key, by, prepare] = row;
    const [object, run] = await prepare();
    let replaced: string | undefined;
    const [entry] = await entriesOf(async () => {
      const { changing } = await platform.db.transaction(async (sql) => {
        await sql({ name: "", text: "set local timezone to 'UTC'" });
        const [content] = await sql<{ text: string }>(
          { name: "", text: `update ${table} t set ${by} where ${key}::text = $1 returning to_jsonb(t)::text as text` },
          [object],
        );
        replaced = sha256(content?.text ?? "");
        const started = run();
        await isWaitedFor(sql);
        return { changing: started };
      });
      accepted(await changing);
    });
    expect(entry?.digestBefore).toEqual(replaced);
  });
});

/** Resolves when another session waits for a lock of this transaction. */
async function isWaitedFor(sql: Sql): Promise<void> {
  const text = "select from pg_locks where not granted and pg_backend_pid() = any(pg_blocking_pids(pid))";
  while ((await sql({ name: "", text })).length === 0) await delay(10);
}

describe("a change and its entry are one", () => {
  const refusing = [
    `create or replace function test_refuse_entry() returns trigger language plpgsql as
      'begin raise exception ''no entry today''; end'`,
    "create trigger test_refuse_entry before insert on audit_entry for each statement execute function test_refuse_entry()",
  ];

  /** Everything that the changes change; a register that nobody sees is no change yet. */
  const stateOfAll = () =>
    Promise.all(
      [
        ...["participant", "participant_key", "fee_rate", "service_credential", "callback", "register_act"],
        ...["closed_day", "shown"],
      ].map((table) =>
        platform.rows(
          `with shown as (select * from settlement_register where status <> 'closing')
            select md5(string_agg(t::text, ',' order by t::text)) from ${table} t`,
        ),
      ),
    );

  test.each(changes)("%s does not happen where its entry cannot be written", async (_what, _actor, _act, prepare) => {
    const { run } = await prepare();
    const before = await stateOfAll();
    const announced = platform.due.length;
    for (const statement of refusing) await platform.rows(statement);
    try {
      expect(await entriesOf(() => expect(run()).rejects.toThrow())).toEqual([]);
    } finally {
      await platform.rows("drop trigger test_refuse_entry on audit_entry");
    }
    expect(await stateOfAll()).toEqual(before);
    expect(platform.due).toHaveLength(announced);
    accepted(await run());
    expect(await stateOfAll()).not.toEqual(before);
  });

  test.each(ownKeys)("%s: neither, where its entry cannot be written", async (_what, _count, prepare) => {
    const { run } = await prepare();
    const before = await stateOfAll();
    for (const statement of refusing) await platform.rows(statement);
    try {
      expect(await entriesOf(() => expect(run()).rejects.toThrow("no entry today"))).toEqual([]);
    } finally {
      await platform.rows("drop trigger test_refuse_entry on audit_entry");
    }
    expect(await stateOfAll()).toEqual(before);
    accepted(await run());
    expect(await stateOfAll()).not.toEqual(before);
  });

  test("no ticket is moved where the asking cannot be written", async () => {
    redriven = 0;
    for (const statement of refusing) await platform.rows(statement);
    try {
      await expect(platform.core.redriveDeadLetters(olena, 5)).rejects.toThrow("no entry today");
    } finally {
      await platform.rows("drop trigger test_refuse_entry on audit_entry");
    }
    expect(redriven).toBe(0);
  });

  const killConnection = { name: "", text: "select pg_terminate_backend(pg_backend_pid())" };

  /** A core whose process dies at the n-th step of its work on the database; begins and commits are steps as well. */
  function dyingAt(step: number) {
    let taken = 0;
    const die = async (sql: Sql) => {
      await sql(killConnection);
      throw new Error("unreachable: the connection has ended");
    };
    const isDue = () => {
      taken += 1;
      return taken >= step;
    };
    const db: Database = {
      ...platform.db,
      sql: async (statement, values) => (isDue() ? die(platform.db.sql) : platform.db.sql(statement, values)),
      transaction: async (work) => {
        if (isDue()) return die(platform.db.sql);
        return platform.db.transaction(async (sql) => {
          const result = await work(async (statement, values) => (isDue() ? die(sql) : sql(statement, values)));
          return isDue() ? die(sql) : result;
        });
      },
    };
    return { core: createCore({ ...platform.context, db }), wasReached: () => taken >= step };
  }

  const interrupted: [
    what: string,
    kind: string,
    prepare: () => Promise<[string, (core: typeof platform.core) => Promise<unknown>]>,
  ][] = [
    [
      "reopening a register",
      "reopened",
      async () => {
        const { id } = await paidRegister();
        return [id, (core) => core.reopenRegister(olena, id, "it came back")];
      },
    ],
    [
      "closing a day",
      "made",
      async () => {
        const day = await dayWithPayment();
        return [day, (core) => core.closeRegisters(olena, day, false)];
      },
    ],
  ];

  test.each(interrupted)(
    "%s: a process that dies at any step leaves both or neither",
    async (_what, kind, prepare) => {
      let step = 1;
      for (let isReached = true; isReached; step += 1) {
        const [object, run] = await prepare();
        const { core, wasReached } = dyingAt(step);
        const entries = await entriesOf(() => run(core).catch(() => undefined));
        isReached = wasReached();
        const acts = await platform.rows(
          `select from register_act a join settlement_register r on r.id = a.register_id
          where a.kind = $1 and $2 in (r.id, r.day::text, r.adjusts_day::text)`,
          kind,
          object,
        );
        expect([entries.length, acts.length], `step ${step}`).toBeOneOf([
          [0, 0],
          [1, 1],
        ]);
        if (!isReached) expect(entries).toHaveLength(1);
      }
      expect(step).toBeGreaterThan(8);
    },
    60_000,
  );
});

describe("entries are only ever added", () => {
  beforeAll(() => newCredential());

  test.each([
    ["update", "update audit_entry set actor = 'nobody'", "UPDATE"],
    ["update of no row", "update audit_entry set actor = 'nobody' where false", "UPDATE"],
    ["delete", "delete from audit_entry", "DELETE"],
    ["truncate", "truncate audit_entry", "TRUNCATE"],
    ["merge", "merge into audit_entry e using (values (1)) v(n) on true when matched then delete", "DELETE"],
  ])("%s is refused by the database", async (_what, statement, operation) => {
    const before = await platform.rows("select * from audit_entry order by number");
    await expect(platform.rows(statement)).rejects.toThrow(`audit_entry only grows: ${operation} is refused`);
    expect(await platform.rows("select * from audit_entry order by number")).toEqual(before);
  });

  test("also where triggers are left out, as replication does", async () => {
    const deleting = platform.db.transaction(async (sql) => {
      await sql({ name: "", text: "set local session_replication_role = replica" });
      await sql({ name: "", text: "delete from audit_entry" });
    });
    await expect(deleting).rejects.toThrow("audit_entry only grows");
  });

  const entry = (columns: string, values: string) =>
    `insert into audit_entry (at, actor, object, ${columns}) values (now(), 'a', 'o', ${values})`;
  const digest = (of: string) => `sha256('${of}')`;

  test.each([
    ["an act that is not in the list", entry("act", "'participant_praised'"), "audit_entry_act_check"],
    [
      "a change that changes nothing",
      entry("act, digest_before, digest_after", `'participant_updated', ${digest("a")}, ${digest("a")}`),
      "audit_entry_digests_check",
    ],
    [
      "a change of what was not there",
      entry("act, digest_after", `'participant_updated', ${digest("a")}`),
      "audit_entry_digests_check",
    ],
    [
      "something new that was there",
      entry("act, digest_before, digest_after", `'credential_added', ${digest("a")}, ${digest("b")}`),
      "audit_entry_digests_check",
    ],
    [
      "dead letters with a digest",
      entry("act, digest_after", `'redrive_done', ${digest("a")}`),
      "audit_entry_digests_check",
    ],
    ["a number that somebody chose", entry("act, number", "'redrive_done', 1"), "non-DEFAULT"],
  ])("%s is refused", async (_what, statement, problem) => {
    await expect(platform.rows(statement)).rejects.toThrow(problem);
  });
});

describe("the list", () => {
  let own: Platform;
  let guid: string;
  beforeAll(async () => {
    own = await openPlatform({ redriveDeadLetters });
    ({ guid } = accepted(await own.core.registerParticipant(petro, bankRegistration())));
    accepted(await own.core.updateParticipant(olena, guid, { name: "First" }));
    await moveClock("2027-02-01T08:00:00Z");
    accepted(await own.core.updateParticipant(olena, guid, { name: "Second" }));
    accepted(
      await own.core.addCredential(olena, { name: "first", scopes: ["reader"], expiresAt: new Date("2028-01-01") }),
    );
    await moveClock("2027-03-01T08:00:00Z");
    accepted(await own.core.revokeCredential(petro, "first"));
  });
  afterAll(() => own.close());

  /** For good: nobody else uses this platform. */
  const moveClock = (to: string) =>
    own.rows("update test_clock.shift set by = $1::timestamptz - pg_catalog.now()", new Date(to));

  const acts = async (...[filter, page]: Partial<Parameters<Platform["core"]["listAuditEntries"]>>) =>
    (await own.core.listAuditEntries(filter ?? {}, page ?? { limit: 10 })).map(actOf);

  test("is newest first", async () => {
    const updated = "participant_updated";
    expect(await acts()).toEqual([
      "credential_revoked",
      "credential_added",
      updated,
      updated,
      "participant_key_added",
      "participant_registered",
    ]);
  });

  test("is of an actor, of acts, of an object, since and until an instant", async () => {
    const february = new Date("2027-02-01T00:00:00Z");
    const march = new Date("2027-03-01T00:00:00Z");
    expect(await acts({ actor: "petro" })).toEqual([
      "credential_revoked",
      "participant_key_added",
      "participant_registered",
    ]);
    expect(await acts({ acts: ["credential_added", "participant_registered"] })).toEqual([
      "credential_added",
      "participant_registered",
    ]);
    expect(await acts({ object: "first" })).toEqual(["credential_revoked", "credential_added"]);
    expect(await acts({ since: march })).toEqual(["credential_revoked"]);
    expect(await acts({ since: february, until: march })).toEqual(["credential_added", "participant_updated"]);
    expect(await acts({ actor: "olena", object: guid, until: february })).toEqual(["participant_updated"]);
    expect(await acts({ actor: "nobody" })).toEqual([]);
  });

  test("goes on after a number", async () => {
    const [first, second] = await own.core.listAuditEntries({}, { limit: 2 });
    expect(await acts({}, { limit: 1, before: Number(first?.number) })).toEqual([second && actOf(second)]);
    expect(await acts({}, { limit: 10, before: Number(second?.number) })).toHaveLength(4);
  });

  test.each<[string, Parameters<Platform["core"]["listAuditEntries"]>[0]]>([
    ["nothing", {}],
    ["an actor", { actor: "actor-77" }],
    ["acts", { acts: ["redrive_asked"] }],
    ["an object", { object: "object-777" }],
    ["instants", { since: new Date("2001-01-01T00:00:00Z"), until: new Date("2001-01-01T00:10:00Z") }],
  ])("reads little of a long trail for %s", async (_what, filter) => {
    const long = await longTrail();
    let nodes: PlanNode[] = [];
    const sql: Sql = async (statement, values) => {
      nodes = await planOf(long.db.sql, statement, values ?? []);
      return [];
    };
    await createCore({ ...long.context, db: { ...long.db, sql } }).listAuditEntries(filter, { limit: 10 });
    expect(nodes.length).toBeGreaterThan(0);
    expect(Math.max(...nodes.map(touchedBy))).toBeLessThan(1_000);
  });

  let made: Promise<Platform> | undefined;
  /** 50 000 entries of 500 actors, one a second from the year 2001 on; a few of them ask for dead letters. */
  function longTrail(): Promise<Platform> {
    made ??= (async () => {
      await own.rows(`insert into audit_entry (at, actor, act, object, digest_before, digest_after)
        select '2001-01-01Z'::timestamptz + n * interval '1 second', 'actor-' || n % 500, 'callback_replayed', 'object-' || n,
          sha256('a'), sha256('b') from generate_series(1, 50000) n`);
      await own.rows(`insert into audit_entry (at, actor, act, object) select now(), 'rare', 'redrive_asked', '1'
        from generate_series(1, 5)`);
      await own.rows("analyze audit_entry");
      return own;
    })();
    return made;
  }
});
