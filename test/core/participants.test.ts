import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exampleKeys } from "../../gen/rest/exampleKeys.ts";
import { createCore } from "../../src/core/core.ts";
import { selectBanksWithKid } from "../../src/core/participantRows.ts";
import type { Registration } from "../../src/core/participants.ts";
import { jwksOf, type KeyUse, type Participant, type PublicJwk } from "../../src/domain/participant.ts";
import { refusedTexts, takenTexts } from "../support/texts.ts";
import {
  accepted,
  bankRegistration,
  merchantRegistration,
  openPlatform,
  operator,
  type Platform,
  reasonOf,
  serial,
} from "./platform.ts";

let platform: Platform;

beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

const kids = (count: number) => Array.from({ length: count }, (_, place) => ({ kid: `k${place}` }));
const kidsOf = (participant: Participant, use: KeyUse = "sig") => jwksOf(participant, use).map(({ kid }) => kid);

const register = (registration: Registration, core = platform.core) => core.registerParticipant(operator, registration);

describe("registerParticipant", () => {
  test("a bank is stored as given, with public keys only, a guid and version 1", async () => {
    const registration = bankRegistration({ signingJwks: [{ kid: "k1", d: "secret" }] });
    const bank = accepted(await register(registration));
    const { signingJwks: _keys, encryptionJwk: _key, deepLinkContent: _none, ...stated } = registration;
    expect(bank).toMatchObject({
      ...stated,
      guid: bank.guid,
      version: 1,
      status: "active",
      keys: [{ kid: "k1", use: "sig", retireAt: null, addedBy: operator.name }],
    });
    expect(JSON.stringify(await platform.rows("select * from participant_key"))).not.toContain("secret");
    expect(accepted(await platform.core.getParticipant({ guid: bank.guid }))).toMatchObject({ ...bank });
  });

  test("the same content again answers the first registration, so a retry is safe", async () => {
    const registration = bankRegistration();
    const first = accepted(await register(registration));
    expect(accepted(await register(registration)).guid).toBe(first.guid);
    expect(accepted(await register({ ...registration, guid: first.guid })).guid).toBe(first.guid);
  });

  test("the same keys in another order are the same content", async () => {
    const registration = bankRegistration();
    const [one, other] = [{ kid: `a-${serial()}` }, { kid: `b-${serial()}` }];
    const { guid } = accepted(await register({ ...registration, signingJwks: [one, other] }));
    for (const signingJwks of [
      [one, other],
      [other, one],
    ]) {
      expect(accepted(await register({ ...registration, signingJwks })).guid).toBe(guid);
    }
    expect(await register({ ...registration, signingJwks: [one] })).toMatchObject({
      refused: "PARTICIPANT_EXISTS",
      fields: ["signing_jwks"],
    });
  });

  test("a merchant without a uid gets one, and its retry by guid finds it", async () => {
    const bank = accepted(await register(bankRegistration()));
    const guid = "0198c0de-0000-7000-8000-000000000001";
    const registration = merchantRegistration(bank, { guid, uid: null });
    const merchant = accepted(await register(registration));
    expect(merchant.uid).toBe(guid);
    expect(accepted(await register(registration)).guid).toBe(guid);
    expect(await register({ ...registration, uid: "another" })).toMatchObject({
      refused: "PARTICIPANT_EXISTS",
      field: "uid",
    });
  });

  test("a repeat by guid need not state the uid that the merchant was given", async () => {
    const bank = accepted(await register(bankRegistration()));
    const registration = merchantRegistration(bank, { guid: "0198c0de-0000-7000-8000-000000000003" });
    const { uid } = accepted(await register(registration));
    expect(accepted(await register({ ...registration, uid: null })).uid).toBe(uid);
  });

  test.each<[string, Partial<Registration>]>([
    ["another name", { name: "Another" }],
    ["other URLs", { callbackUrls: { base: "https://elsewhere.example" } }],
    ["another key", { signingJwks: [{ kid: "another" }] }],
    ["another wish about bodies", { requiresBodySha256: true }],
    ["another guid", { guid: "0198c0de-0000-7000-8000-000000000002" }],
  ])("a known bank code with %s is refused", async (_, changes) => {
    const registration = bankRegistration();
    accepted(await register(registration));
    expect(reasonOf(await register({ ...registration, ...changes }))).toBe("PARTICIPANT_EXISTS");
  });

  test("of equal registrations at once, in two processes, one is stored and all hear its guid", async () => {
    const second = await platform.secondCore();
    const registration = bankRegistration();
    const answers = await Promise.all([
      register(registration),
      register(registration, second),
      register(registration),
      register(registration, second),
    ]);
    expect(new Set(answers.map((answer) => accepted(answer).guid)).size).toBe(1);
  });

  const refusals: ReadonlyArray<[what: string, changes: Partial<Registration>, refused: string, field: string]> = [
    ["a kid with a line break", { signingJwks: [{ kid: "a\nb" }] }, "INVALID_KEY", "signing_jwks"],
    ["a weak key", { signingJwks: [{ kid: "k", weak: true }] }, "INVALID_KEY", "signing_jwks"],
    ["a weak encryption key", { encryptionJwk: { kid: "k", weak: true } }, "INVALID_KEY", "encryption_jwk"],
    ["five keys", { signingJwks: kids(5) }, "INVALID_KEY", "signing_jwks"],
    ["a kid that is there twice", { signingJwks: [{ kid: "1" }, { kid: "1", n: "2" }] }, "INVALID_KEY", "signing_jwks"],
    ["no key", { signingJwks: [] }, "INVALID_KEY", "signing_jwks"],
    [
      "a callback URL that the guard refuses",
      { callbackUrls: { base: "https://b.example", pay_in: "https://private.example" } },
      "INVALID_CALLBACK_URL",
      "callback_urls.pay_in",
    ],
    [
      "no URL for a callback that its role gets",
      { callbackUrls: { pay_in: "https://b.example", pay_out: "https://b.example" } },
      "INVALID_CALLBACK_URL",
      "callback_urls.credit",
    ],
    ["a bank code of five digits", { bic: "12345", iban: "UA213223130000026007233566001" }, "INVALID_REQUEST", "bic"],
    ["no role", { roles: [] }, "INVALID_REQUEST", "roles"],
    ["no name", { name: "" }, "INVALID_REQUEST", "name"],
    ...refusedTexts.map(([what, name]): [string, Partial<Registration>, string, string] => [
      `a name with ${what}`,
      { name },
      "INVALID_REQUEST",
      "name",
    ]),
    ["a name of 141 characters", { name: "💳".repeat(141) }, "INVALID_REQUEST", "name"],
    ["a tax code of two lines", { taxCode: "12\u2028" }, "INVALID_REQUEST", "tax_code"],
    [
      "a redirect to another host than it seems",
      { redirectUrl: "https://a:b@c.example/" },
      "INVALID_REQUEST",
      "redirect_url",
    ],
    ["a wrong account", { iban: "UA000000000000000000000000001" }, "INVALID_REQUEST", "iban"],
    ["a guid that is none", { guid: "bank" }, "INVALID_REQUEST", "guid"],
    ["a fee above the amount", { feeBasisPoints: 10_001 }, "INVALID_REQUEST", "fee_basis_points"],
  ];

  test.each(takenTexts)("a name may have %s", async (_, name) => {
    expect(accepted(await register(bankRegistration({ name }))).name).toBe(name);
  });

  test("a name counts characters, not their halves; an account may have letters", async () => {
    const wish = { name: "💳".repeat(140), iban: "UA45305299ABCDEFGHIJKLMNOPQRS" };
    expect(accepted(await register(bankRegistration(wish)))).toMatchObject(wish);
  });

  test("what was registered before there was a rule can be changed in everything else", async () => {
    const { guid } = accepted(await register(bankRegistration()));
    await platform.rows(
      "update participant set name = $2, redirect_url = 'https://a:b@c.example/' where guid = $1",
      guid,
      "two\u2028lines",
    );
    const changed = accepted(await platform.core.updateParticipant(operator, guid, { email: "new@bank.example" }));
    expect(changed).toMatchObject({ name: "two\u2028lines", email: "new@bank.example" });
    expect(await platform.core.updateParticipant(operator, guid, { name: "other\u2028lines" })).toMatchObject({
      field: "name",
    });
  });

  test.each(refusals)("%s is refused", async (_, changes, refused, field) => {
    expect(await register(bankRegistration(changes))).toMatchObject({ refused, field });
  });

  test("with a proof, a new participant whose addresses do not sign is not stored; a known one is not asked again", async () => {
    const registration = bankRegistration();
    const proven = () => platform.core.registerParticipant(operator, registration, { prove: true });
    expect(await proven()).toMatchObject({ refused: "INVALID_CALLBACK_URL", field: "callback_urls.base" });
    expect(reasonOf(await platform.core.getParticipant({ bic: registration.bic ?? "" }))).toBe("PARTICIPANT_NOT_FOUND");
    const first = await platform.core.ensureParticipant(operator, registration);
    expect(first).toMatchObject({ alreadyExisted: false });
    expect(accepted(await proven()).guid).toBe(accepted(first).participant.guid);
    expect(await platform.core.ensureParticipant(operator, registration)).toMatchObject({ alreadyExisted: true });
  });

  test("a callback URL has at most 2000 characters", async () => {
    const url = (length: number) => "https://bank.example/".padEnd(length, "x");
    expect(await register(bankRegistration({ callbackUrls: { base: url(2_001) } }))).toEqual({
      refused: "INVALID_CALLBACK_URL",
      message: "callback_urls.base is longer than 2000 characters",
      field: "callback_urls.base",
    });
    expect(reasonOf(await register(bankRegistration({ callbackUrls: { base: url(2_000) } })))).toBe("accepted");
  });

  test("a key of the contract's examples is nobody's, whatever it is called", async () => {
    const { kid: _kid, ...numbers } = Object.values(exampleKeys)[0] as PublicJwk;
    const core = createCore({ ...platform.context, publicKey: async () => ({ ...numbers, kid: "own", alg: "RS256" }) });
    expect(await register(bankRegistration(), core)).toMatchObject({
      refused: "INVALID_KEY",
      message: "signing_jwks is a key of the contract's examples, whose private half is published",
    });
  });

  test("a new bank's deep links hold the signed order, unless it asks for the id; a repeat that says nothing of it is no other content", async () => {
    const silent = bankRegistration();
    expect(accepted(await register(silent)).deepLinkContent).toBe("signed_order");
    const asking = bankRegistration({ deepLinkContent: "order_id" });
    const bank = accepted(await register(asking));
    expect(bank.deepLinkContent).toBe("order_id");
    // So the participants file of before there was a choice still names the bank that it named.
    expect(accepted(await register({ ...asking, deepLinkContent: null }))).toMatchObject({ ...bank });
    expect(await register({ ...asking, deepLinkContent: "signed_order" })).toMatchObject({
      refused: "PARTICIPANT_EXISTS",
      field: "deep_link_content",
    });
  });

  test("only a bank with deep links says what they hold", async () => {
    const refusal = { refused: "INVALID_REQUEST", field: "deep_link_content" };
    const update = (guid: string, change: Parameters<typeof platform.core.updateParticipant>[2]) =>
      platform.core.updateParticipant(operator, guid, change);
    const noLinks = { deepLinkPrefix: null, deepLinkContent: "order_id" } as const;
    expect(await register(bankRegistration(noLinks))).toMatchObject(refusal);
    const bank = accepted(await register(bankRegistration({ deepLinkPrefix: null })));
    expect(await register(merchantRegistration(bank, noLinks))).toMatchObject(refusal);
    expect(await update(bank.guid, { deepLinkContent: "order_id" })).toMatchObject(refusal);
    const merchant = accepted(await register(merchantRegistration(bank)));
    expect(await update(merchant.guid, { deepLinkContent: "signed_order" })).toMatchObject(refusal);
    const linked = accepted(await update(bank.guid, { deepLinkPrefix: "bank://pay/", deepLinkContent: "order_id" }));
    expect(linked).toMatchObject({ deepLinkPrefix: "bank://pay/", deepLinkContent: "order_id" });
    // Links that are taken away and come back are what they were.
    accepted(await update(bank.guid, { deepLinkPrefix: null }));
    expect(accepted(await update(bank.guid, { deepLinkPrefix: "bank://new/" })).deepLinkContent).toBe("order_id");
  });

  test("a bank cannot take the kid of another bank's key, neither at its registration nor later", async () => {
    const first = accepted(await register(bankRegistration({ signingJwks: [{ kid: "taken" }] })));
    const second = accepted(await register(bankRegistration({ signingJwks: [{ kid: "mine" }] })));
    const signingJwks = [{ kid: "mine" }, { kid: "taken" }];
    const refusal = { refused: "INVALID_KEY", field: "signing_jwks" };
    expect(await register(bankRegistration({ signingJwks }))).toMatchObject(refusal);
    expect(await platform.core.updateParticipant(operator, second.guid, { signingJwks })).toMatchObject(refusal);
    expect(await platform.core.getParticipant({ kid: "taken" })).toMatchObject({ guid: first.guid });
    // A merchant is found by its uid, so its kids are its own affair.
    accepted(await register(merchantRegistration(first, { signingJwks: [{ kid: "taken", n: "of the merchant" }] })));
  });

  test("nobody can have the key that another party has, whatever it is called", async () => {
    const key = { kid: "at first", n: "the same" };
    const renamed = { signingJwks: [{ kid: "by another", n: "the same" }] };
    const bank = accepted(await register(bankRegistration({ signingJwks: [key] })));
    const merchant = accepted(await register(merchantRegistration(bank)));
    const refusal = { refused: "INVALID_KEY", message: "signing_jwks has a key that another party has" };
    expect(await register(bankRegistration(renamed))).toMatchObject(refusal);
    const encryptionJwk = { ...key, kid: "to encrypt for", use: "enc" };
    const encryption = { refused: "INVALID_KEY", message: "encryption_jwk has a key that another party has" };
    expect(await register(bankRegistration({ encryptionJwk }))).toMatchObject(encryption);
    const other = accepted(await register(bankRegistration()));
    expect(await platform.core.updateParticipant(operator, other.guid, { encryptionJwk })).toMatchObject(encryption);
    expect(await register(merchantRegistration(bank, renamed))).toMatchObject(refusal);
    expect(await register(merchantRegistration(bank, { ...renamed, uid: bank.bic }))).toMatchObject(refusal);
    expect(await platform.core.updateParticipant(operator, merchant.guid, renamed)).toMatchObject(refusal);
    const publishing = createCore({ ...platform.context, fetchJwks: async () => renamed.signingJwks });
    const jwksUrl = "https://shop.example/same.json";
    expect(
      await publishing.registerParticipant(operator, merchantRegistration(bank, { jwksUrl, signingJwks: [] })),
    ).toMatchObject({
      refused: "INVALID_KEY",
      field: "jwks_url",
    });
    // It may call its own key otherwise.
    accepted(await platform.core.updateParticipant(operator, bank.guid, renamed));
  });

  test.each(["", "a\nb", "\u0085", "\ud83d", "u".repeat(65)])("a merchant cannot be called %j", async (uid) => {
    const bank = accepted(await register(bankRegistration()));
    expect(await register(merchantRegistration(bank, { uid }))).toMatchObject({
      refused: "INVALID_REQUEST",
      field: "uid",
    });
  });

  test("a merchant needs a recipient bank that services it", async () => {
    const initiator = accepted(await register(bankRegistration({ roles: ["initiator"] })));
    const unknown = "0198c0de-0000-7000-8000-00000000ffff";
    for (const servicingBankGuid of [initiator.guid, unknown]) {
      expect(await register(merchantRegistration(initiator, { servicingBankGuid }))).toMatchObject({
        refused: "PARTICIPANT_NOT_FOUND",
        field: "servicing_bank_guid",
      });
    }
  });

  test("a merchant that publishes its keys is registered with those", async () => {
    const bank = accepted(await register(bankRegistration()));
    // The encryption key that is published beside it is none to sign with.
    const jwksUrl = "https://shop.example/jwks.json";
    const merchant = accepted(await register(merchantRegistration(bank, { jwksUrl, signingJwks: [] })));
    expect(kidsOf(merchant)).toEqual(["published"]);
  });

  const jwksUrl = "https://shop.example/jwks.json";
  const unresolved = { text: "has a host name that does not resolve", ofHost: true };

  /** The core of a process that reaches only what is given here. */
  const cutOff = (reached: Partial<Platform["context"]> = {}) =>
    createCore({
      ...platform.context,
      fetchJwks: async () => ({ problem: "could not be read: nobody answers" }),
      callbackUrlProblem: async () => unresolved,
      ...reached,
    });

  test("of a known participant nothing is fetched: its keys and the names of its hosts may be anything by now", async () => {
    const bank = accepted(await register(bankRegistration()));
    const registration = merchantRegistration(bank, { jwksUrl, signingJwks: [] });
    const { guid } = accepted(await register(registration));
    accepted(await platform.core.updateParticipant(operator, guid, { signingJwks: [{ kid: "rotated" }] }));
    const again = accepted(await register(registration, cutOff()));
    expect([again.guid, kidsOf(again)]).toEqual([guid, ["rotated"]]);
  });

  test("every field in which a known participant differs is told by its name in the documents", async () => {
    const bank = accepted(await register(bankRegistration()));
    const registration = merchantRegistration(bank);
    accepted(await register(registration));
    const changes = { taxCode: "1", callbackUrls: { base: "https://b.example" }, signingJwks: [{ kid: "other" }] };
    const fields = ["tax_code", "callback_urls", "signing_jwks"];
    const refusal = { refused: "PARTICIPANT_EXISTS", field: "tax_code", fields };
    expect(await register({ ...registration, ...changes }, cutOff())).toMatchObject(refusal);
  });

  const published = (...keys: object[]) => ({ fetchJwks: async () => keys, callbackUrlProblem: async () => undefined });

  test.each<[what: string, reached: Partial<Platform["context"]>, refused: string, field: string]>([
    ["a host name that does not resolve", {}, "INVALID_CALLBACK_URL", "callback_urls.base"],
    ["a key set that cannot be read", { callbackUrlProblem: async () => undefined }, "INVALID_KEY", "jwks_url"],
    ["a weak published key", published({ kid: "k", weak: true }), "INVALID_KEY", "jwks_url"],
    ["a published kid with U+0000", published({ kid: "k\0" }), "INVALID_KEY", "jwks_url"],
    ["a published kid with half a character", published({ kid: "k\ud800" }), "INVALID_KEY", "jwks_url"],
    ["no published key", published(), "INVALID_KEY", "jwks_url"],
    ["five published keys", published(...kids(5)), "INVALID_KEY", "jwks_url"],
  ])("%s is told as the fault of whoever publishes it", async (_, reached, refused, field) => {
    const bank = accepted(await register(bankRegistration()));
    const answer = await register(merchantRegistration(bank, { jwksUrl, signingJwks: [] }), cutOff(reached));
    expect(answer).toMatchObject({ refused, field, elsewhere: true });
  });

  test.each<[what: string, changes: Partial<Registration>, field: string]>([
    ["a wrong account", { iban: "UA1" }, "iban"],
    [
      "a URL that can never be right",
      { callbackUrls: { base: "https://a.example", pay_in: "ftp:" } },
      "callback_urls.pay_in",
    ],
    ["a bank that is unknown", { servicingBankGuid: "0198c0de-0000-7000-8000-00000000ffff" }, "servicing_bank_guid"],
  ])("%s is told before what others publish", async (_, changes, field) => {
    const bank = accepted(await register(bankRegistration()));
    const core = cutOff({
      callbackUrlProblem: async (url) => (url === "ftp:" ? { text: "is no URL", ofHost: false } : unresolved),
    });
    const answer = await register(merchantRegistration(bank, { jwksUrl, signingJwks: [], ...changes }), core);
    expect(answer).toMatchObject({ field });
    expect(answer).not.toHaveProperty("elsewhere");
  });
});

describe("getParticipant", () => {
  test("a bank is found by guid, bank code and the kid of a signing key, a merchant by its uid", async () => {
    const bank = accepted(await register(bankRegistration({ signingJwks: [{ kid: "a" }, { kid: "found-by-kid" }] })));
    const merchant = accepted(await register(merchantRegistration(bank)));
    const found = async (key: Parameters<typeof platform.core.getParticipant>[0]) =>
      accepted(await platform.core.getParticipant(key)).guid;
    expect(await found({ guid: bank.guid })).toBe(bank.guid);
    expect(await found({ bic: bank.bic ?? "" })).toBe(bank.guid);
    expect(await found({ kid: "found-by-kid" })).toBe(bank.guid);
    expect(await found({ uid: merchant.uid ?? "" })).toBe(merchant.guid);
    expect(reasonOf(await platform.core.getParticipant({ guid: "no guid" }))).toBe("PARTICIPANT_NOT_FOUND");
  });

  test("a stranger's kid is looked up in an index, not in every participant", async () => {
    const { text } = selectBanksWithKid;
    const plan = await platform.db.transaction(async (sql) => {
      // With a handful of rows PostgreSQL would rather read them all.
      await sql({ name: "", text: "set local enable_seqscan = off" });
      return sql({ name: "", text: `explain ${text.replace("$1", "'x'")}` });
    });
    expect(JSON.stringify(plan)).toContain("participant_key_bank_kid");
  });

  test("a kid that two banks share finds nobody, and a merchant's kid finds no bank", async () => {
    const bank = accepted(await register(bankRegistration({ signingJwks: [{ kid: "shared" }] })));
    const other = accepted(await register(bankRegistration()));
    // No registration leaves this behind; somebody's own hand could.
    await platform.rows(
      "update participant_key set kid = 'shared', jwk = jwk || '{\"kid\": \"shared\"}' where participant_guid = $1",
      other.guid,
    );
    accepted(await register(merchantRegistration(bank, { signingJwks: [{ kid: "merchant's" }] })));
    for (const kid of ["shared", "merchant's", "unknown", ""]) {
      expect(reasonOf(await platform.core.getParticipant({ kid }))).toBe("PARTICIPANT_NOT_FOUND");
    }
  });
});

describe("updateParticipant", () => {
  test("new keys replace the old ones, which are remembered; the version grows", async () => {
    const bank = accepted(await register(bankRegistration({ signingJwks: [{ kid: "first" }] })));
    const changed = accepted(
      await platform.core.updateParticipant(operator, bank.guid, {
        signingJwks: [{ kid: "second" }],
        encryptionJwk: { kid: "enc" },
      }),
    );
    expect(changed.version).toBe(2);
    expect([kidsOf(changed), kidsOf(changed, "enc")]).toEqual([["second"], ["enc"]]);
    const again = accepted(
      await platform.core.updateParticipant(operator, bank.guid, { encryptionJwk: { kid: "enc-2" } }),
    );
    const keys = await platform.core.listParticipantKeys(bank.guid);
    expect(keys.map(({ kid, retireAt }) => [kid, retireAt !== null])).toEqual([
      ["enc-2", false],
      ["enc", true],
      ["second", false],
      ["first", true],
    ]);
    expect(again.version).toBe(3);
    expect(reasonOf(await platform.core.getParticipant({ kid: "first" }))).toBe("PARTICIPANT_NOT_FOUND");
    expect(accepted(await platform.core.getParticipant({ guid: bank.guid }))).toMatchObject({ version: 3 });
  });

  test("a key that stays is the key that it was", async () => {
    const bank = accepted(await register(bankRegistration({ signingJwks: [{ kid: "stays" }] })));
    const changed = accepted(
      await platform.core.updateParticipant(operator, bank.guid, { signingJwks: [{ kid: "stays" }, { kid: "added" }] }),
    );
    expect(kidsOf(changed)).toEqual(["added", "stays"]);
    expect(changed.keys[1]).toEqual(bank.keys[0]);
  });

  test("what is not given stays as it is", async () => {
    const bank = accepted(await register(bankRegistration()));
    const changed = accepted(await platform.core.updateParticipant(operator, bank.guid, { name: "Renamed" }));
    const { version, updatedAt, name, ...rest } = changed;
    expect(name).toBe("Renamed");
    expect(rest).toEqual(expect.objectContaining(unchangedPart(bank)));
    expect([version, updatedAt.getTime() >= bank.updatedAt.getTime()]).toEqual([2, true]);
  });

  function unchangedPart(participant: Participant) {
    const { version: _version, updatedAt: _updatedAt, name: _name, ...rest } = participant;
    return rest;
  }

  test.each<[string, Parameters<Platform["core"]["updateParticipant"]>[2], string]>([
    ["a weak key", { signingJwks: [{ kid: "k", weak: true }] }, "INVALID_KEY"],
    [
      "a callback URL that the guard refuses",
      { callbackUrls: { base: "https://private.example" } },
      "INVALID_CALLBACK_URL",
    ],
    ["a wrong account", { iban: "UA1" }, "INVALID_REQUEST"],
    ["an empty name", { name: "" }, "INVALID_REQUEST"],
  ])("%s is refused and changes nothing", async (_, change, reason) => {
    const bank = accepted(await register(bankRegistration()));
    expect(reasonOf(await platform.core.updateParticipant(operator, bank.guid, change))).toBe(reason);
    expect(accepted(await platform.core.getParticipant({ guid: bank.guid }))).toMatchObject({ ...bank });
  });

  test("two changes at once both take effect", async () => {
    const bank = accepted(await register(bankRegistration()));
    const second = await platform.secondCore();
    await Promise.all([
      platform.core.updateParticipant(operator, bank.guid, { name: "New name" }),
      second.updateParticipant(operator, bank.guid, { feeBasisPoints: 7 }),
    ]).then((answers) => answers.map(accepted));
    expect(accepted(await platform.core.getParticipant({ guid: bank.guid }))).toMatchObject({
      name: "New name",
      feeBasisPoints: 7,
      version: 3,
    });
  });

  test("an unknown guid is refused", async () => {
    expect(reasonOf(await platform.core.updateParticipant(operator, "nobody", { name: "x" }))).toBe(
      "PARTICIPANT_NOT_FOUND",
    );
  });
});

describe("listParticipants", () => {
  test("by name and guid, page by page, of the kind and role that are asked for", async () => {
    const prefix = `List ${serial()}`;
    const names = ["c", "a", "b", "a"];
    for (const name of names)
      accepted(await register(bankRegistration({ name: `${prefix} ${name}`, roles: ["initiator"] })));
    const listed: Participant[] = [];
    for (let after: Participant | undefined; ; after = listed.at(-1)) {
      const page = await platform.core.listParticipants({ kind: "bank", role: "initiator" }, { limit: 2, after });
      if (page.length === 0) break;
      listed.push(...page);
    }
    const mine = listed.filter(({ name }) => name.startsWith(prefix));
    expect(mine.map(({ name }) => name.slice(-1))).toEqual(["a", "a", "b", "c"]);
    expect(new Set(mine.map(({ guid }) => guid)).size).toBe(4);
    const merchants = await platform.core.listParticipants({ kind: "merchant" }, { limit: 100 });
    expect(merchants.every(({ kind }) => kind === "merchant")).toBe(true);
    const all = await platform.core.listParticipants({}, { limit: 500 });
    expect(new Set(all.map(({ kind }) => kind))).toEqual(new Set(["bank", "merchant"]));
    const recipients = await platform.core.listParticipants({ role: "recipient" }, { limit: 500 });
    expect(recipients.some(({ name }) => name.startsWith(prefix))).toBe(false);
  });
});
