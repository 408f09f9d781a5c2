import { type Timestamp, timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { createRouterTransport, type ServiceImpl } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { DeepLinkContent, KeyUse, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { openConsole } from "./console.ts";

const someGuid = "3aa202bc-6b20-445d-8969-8274b11c66d0";
const dayMs = 86_400_000;

/** A core that answers this and nothing else. */
function fakeConsole(answers: Partial<ServiceImpl<typeof ParticipantService>>) {
  return openConsole(createClients(createRouterTransport(({ service }) => service(ParticipantService, answers))));
}

const publicKey = async (kid?: string) => {
  const { publicJwk } = await generateKeyPair("ES256");
  const { kid: _, ...bare } = publicJwk;
  return kid === undefined ? bare : { ...bare, kid };
};

describe("wrong calls ask nothing of the core", () => {
  const key = { kty: "RSA", kid: "one" };
  test.each<[what: string, args: (string | object)[], complaint: RegExp]>([
    ["no signing keys", ["update", someGuid, { name: "Renamed", signing_jwks: [] }], /signing_jwks is empty/],
    ["the same in the other spelling", ["update", someGuid, { signingJwks: [] }], /signingJwks is empty/],
    ["no roles", ["update", someGuid, { roles: [] }], /roles is empty, which would change nothing/],
    [
      "a member that nobody knows",
      ["update", someGuid, { colour: "red" }],
      /UpdateParticipantRequest as JSON: .*colour/,
    ],
    ["a change of somebody else", ["update", someGuid, { guid: someGuid.replace("3", "4") }], /is about 4aa202bc-/],
    ["two versions", ["update", someGuid, { version: "3" }, "--version", "4"], /is about version 3 and not about 4/],
    ["several keys", ["add-key", someGuid, [key]], /does not hold one JSON Web Key/],
    ["a day", ["add-key", someGuid, key, "--retire-others-in", "2026-01-31"], /2026-01-31 is not a duration like 30m/],
    ["no unit", ["add-key", someGuid, key, "--retire-others-in", "30"], /--retire-others-in 30 is not a duration/],
  ])("%s", async (_, args, complaint) => {
    const { code, complaints } = await fakeConsole({}).run("participants", ...args);
    expect([code, complaints[0]]).toEqual([2, expect.stringMatching(complaint)]);
  });
});

describe("what is asked of the core", () => {
  /** Remembers when the keys of what was asked retire. */
  function recordingConsole() {
    const asked: { at: Timestamp | undefined; id?: bigint }[] = [];
    const participant = { guid: someGuid, kind: ParticipantKind.BANK };
    const console = fakeConsole({
      addParticipantKey({ retireOthersAt }) {
        asked.push({ at: retireOthersAt });
        return { kid: "new" };
      },
      retireParticipantKey({ at, id }) {
        asked.push({ at, id });
        return { participant };
      },
      getParticipant: () => ({ participant }),
      listParticipantKeys: () => ({}),
    });
    return { asked, run: (...args: (string | object)[]) => console.json("participants", ...args) };
  }

  test.each([
    ["90s", 90_000],
    ["30m", 30 * 60_000],
    ["24h", dayMs],
    ["7d", 7 * dayMs],
  ])("a key and the others of its use retire %s from now on", async (duration, ms) => {
    const { asked, run } = recordingConsole();
    const before = Date.now();
    await run("add-key", someGuid, { kty: "RSA" }, "--retire-others-in", duration);
    await run("retire-key", someGuid, "old", "--in", duration);
    const after = Date.now();
    expect(asked).toHaveLength(2);
    for (const { at } of asked) {
      const instantMs = at === undefined ? 0 : timestampDate(at).getTime();
      expect(instantMs).toBeGreaterThanOrEqual(before + ms);
      expect(instantMs).toBeLessThanOrEqual(after + ms);
    }
  });

  test("0s is an instant that has passed by every clock; without an option the others stay, and a key retires at once", async () => {
    const { asked, run } = recordingConsole();
    await run("add-key", someGuid, { kty: "RSA" }, "--retire-others-in", "0s");
    await run("add-key", someGuid, { kty: "RSA" });
    await run("retire-key", someGuid, "old", "--id", "7");
    expect(asked).toEqual([{ at: timestampFromDate(new Date(0)) }, { at: undefined }, { at: undefined, id: 7n }]);
  });
});

test("what a bank's deep links hold is shown, and changed without a file", async () => {
  const asked: unknown[] = [];
  const participant = {
    guid: someGuid,
    kind: ParticipantKind.BANK,
    deepLinkPrefix: "bank://pay/",
    deepLinkContent: DeepLinkContent.ORDER_ID,
  };
  const console = fakeConsole({
    getParticipant: () => ({ participant }),
    listParticipantKeys: () => ({}),
    updateParticipant({ guid, deepLinkContent, requiresBodySha256 }) {
      asked.push([guid, deepLinkContent, requiresBodySha256]);
      return { participant: { ...participant, deepLinkContent } };
    },
  });
  const shown = async (...args: string[]) => (await console.run("participants", ...args)).lines.join("\n");
  expect(await shown("show", someGuid)).toMatch(/^deep link content +order_id$/m);
  expect(await shown("update", someGuid, "--deep-link-content", "signed_order")).toMatch(
    /^deep link content +signed_order$/m,
  );
  expect(asked).toEqual([[someGuid, DeepLinkContent.SIGNED_ORDER, undefined]]);
  const { code, complaints } = await console.run("participants", "update", someGuid, "--deep-link-content", "qr");
  expect([code, complaints[0]]).toEqual([2, expect.stringMatching(/qr is not one of signed_order, order_id/)]);
});

test("show: whatever names and problems hold, each stays on its line; what a key set's reading came to is told", async () => {
  const at = (ms: number) => timestampFromDate(new Date(ms));
  const key = { use: KeyUse.SIG, addedBy: "olena", activeFrom: at(0) };
  const console = fakeConsole({
    getParticipant: () => ({
      participant: { guid: someGuid, kind: ParticipantKind.MERCHANT, name: "Books\u001b[2J", uid: "a\nb" },
    }),
    listParticipantKeys: () => ({
      keys: [
        { ...key, id: 4n, kid: "k\u202e4", addedBy: someGuid, addedWith: "k3", seenAt: at(dayMs) },
        { ...key, id: 3n, kid: "k3", retireAt: timestampFromDate(new Date("2999-01-01")) },
        { ...key, id: 2n, kid: "k2", retireAt: at(dayMs) },
      ],
      keySet: { url: "https://shop.example/jwks", nextAt: at(dayMs), failures: 3, problem: "nobody\r\nanswers" },
    }),
  });
  const { lines } = await console.run("participants", "show", someGuid);
  expect(lines).toContainEqual(expect.stringMatching(/^name +Books\\u\{1b\}\[2J$/));
  expect(lines).toContainEqual(expect.stringMatching(/^uid +a\\nb$/));
  expect(lines.slice(lines.indexOf("") + 1).map((line) => line.replace(/ +/g, " "))).toEqual([
    "ID KID USE STATE ADDED BY WITH SEEN",
    "4 k\\u{202e}4 sig good 1970-01-01T00:00:00.000Z the merchant k3 1970-01-02T00:00:00.000Z",
    "3 k3 sig retires at 2999-01-01T00:00:00.000Z 1970-01-01T00:00:00.000Z olena – never",
    "2 k2 sig retired at 1970-01-02T00:00:00.000Z 1970-01-01T00:00:00.000Z olena – never",
    "",
    "key set https://shop.example/jwks",
    "read last never",
    "read next 1970-01-02T00:00:00.000Z",
    "failures since 3",
    "problem nobody\\u{d}\\nanswers",
  ]);
  expect(await console.json("participants", "show", someGuid)).toMatchObject({
    participant: { guid: someGuid },
    keys: [{ id: "4", added_with: "k3" }, { id: "3" }, { id: "2" }],
    key_set: { url: "https://shop.example/jwks", failures: 3 },
  });
});

test("add-key, show: it is said that a published key set overrules what is added, and that older keys are not shown", async () => {
  const key = { use: KeyUse.SIG, kid: "k" };
  const console = fakeConsole({
    addParticipantKey: () => ({ kid: "k" }),
    getParticipant: () => ({ participant: { guid: someGuid, kind: ParticipantKind.MERCHANT } }),
    listParticipantKeys: () => ({ keys: Array(100).fill(key), keySet: { url: "https://shop.example/jwks" } }),
  });
  const { lines } = await console.run("participants", "add-key", someGuid, { kty: "RSA" });
  expect(lines.at(-1)).toBe("It publishes its keys: what its key set holds when it is read next counts instead.");
  const shown = await console.run("participants", "show", someGuid);
  expect(shown.lines).toContain("Older keys than these 100 are not shown.");
});

describe("what an operator does", () => {
  let platform: Platform;
  let console: ReturnType<typeof openConsole>;
  beforeAll(async () => {
    platform = await startPlatform();
    console = openConsole(platform.operators());
  });
  afterAll(() => platform?.[Symbol.asyncDispose]());

  type Shown = { guid: string; name: string; uid: string; version: string; status: string };
  type ShownKey = { id: string; kid: string; use: string; retire_at?: string };
  const shown = async (...by: string[]) => {
    const { participant, keys } = await console.json("participants", "show", ...by);
    return { ...(participant as Shown), keys: keys as ShownKey[] };
  };
  /** As somebody states it who registers it. */
  async function stated(...by: string[]) {
    const { participant } = await console.json("participants", "show", ...by);
    const { created_at, updated_at, version, ...others } = participant as Shown & { [time: string]: unknown };
    return others;
  }
  const guidOfMerchant = async () => {
    const { participants } = await console.json("participants", "list", "--kind", "merchant");
    return (participants as Shown[])[0]?.guid ?? "";
  };

  test("show and list: found by guid, bank code, uid and key; listed as a table", async () => {
    const guid = await guidOfMerchant();
    const { uid, name } = await shown(guid);
    expect(name).toBe("Kyiv Books");
    expect(await shown("--uid", uid)).toMatchObject({ guid });
    expect(await shown("--bic", platform.recipient.bic)).toMatchObject({ name: "Kobzar Bank" });
    expect(await shown("--kid", "recipient")).toMatchObject({ name: "Kobzar Bank", keys: [{ kid: "recipient" }] });
    const { lines } = await console.run("participants", "list", "--role", "initiator");
    expect(lines).toHaveLength(2);
    expect(lines[0]).toMatch(/^GUID +KIND +STATUS +NAME +BIC\/UID +ROLES$/);
    expect(lines[1]).toMatch(/ {2}bank {2}active {2}Dnipro Bank {2}\d{6} +initiator$/);
  });

  test("list: of a long name only the beginning, so that the columns beside it stay in sight", async () => {
    const bank = await platform.newBank({ name: `Long\u202e${"x".repeat(120)}`, roles: ["recipient"] });
    const { lines } = await console.run("participants", "list", "--role", "recipient");
    const line = lines.find((one) => one.includes(bank.bic));
    expect(line).toContain(`  Long\\u{202e}${"x".repeat(42)}…  ${bank.bic}`);
    expect((await shown("--bic", bank.bic)).name).toHaveLength(125);
  });

  test("register: again with the same content is safe; with other content the next step is named", async () => {
    const bank = await stated("--bic", platform.initiator.bic);
    expect(await console.json("participants", "register-bank", bank)).toMatchObject({ guid: bank.guid });
    const { code, complaints } = await console.run("participants", "register-bank", { ...bank, name: "Another" });
    expect(code).toBe(1);
    expect(complaints).toEqual([
      expect.stringMatching(/^PARTICIPANT_EXISTS: /),
      expect.stringMatching(/`participants show`.*`participants update GUID FILE`/),
    ]);
  });

  test("update: a bank is told to bind the bodies of its requests, with a file or without one", async () => {
    const bank = await stated("--bic", platform.recipient.bic);
    const { guid } = bank;
    const requires = ["--requires-body-sha256", "yes"];
    const changed = await console.run("participants", "update", guid, ...requires);
    expect(changed.lines).toContainEqual(expect.stringMatching(/^requires body_sha256 +yes$/));
    const file = { ...bank, requires_body_sha256: false };
    expect(await console.json("participants", "register-bank", file, ...requires)).toMatchObject({
      requires_body_sha256: true,
    });
    expect(await console.json("participants", "update", guid, { requires_body_sha256: false })).toMatchObject({
      requires_body_sha256: false,
    });
  });

  test("update: one without the URLs of its role is refused with the field", async () => {
    const guid = await guidOfMerchant();
    const change = { callback_urls: { pay_in: "http://127.0.0.1:9/pay-in" } };
    const { code, complaints } = await console.run("participants", "update", guid, change);
    expect([code, complaints[0]]).toEqual([
      1,
      "INVALID_CALLBACK_URL: callback_urls.expiration is missing: a merchant needs it, or callback_urls.base",
    ]);
  });

  test("update: happens to the version that was given, by option or file, and tells the new one", async () => {
    const guid = await guidOfMerchant();
    const version = Number((await shown(guid)).version);
    const done = await console.run("participants", "update", guid, { mcc: "5942" }, "--version", String(version));
    expect(done.lines[0]).toBe(`The participant is changed. Its version is ${version + 1}.`);
    expect(done.lines).toContainEqual(expect.stringMatching(/^mcc +5942$/));
    for (const late of [[{ mcc: "5411" }, "--version", String(version)], [{ mcc: "5411", version }]]) {
      const { code, complaints } = await console.run("participants", "update", guid, ...late);
      expect([code, complaints]).toEqual([
        1,
        [expect.stringMatching(/^PARTICIPANT_CHANGED: /), expect.stringContaining("`participants show GUID`")],
      ]);
    }
    const any = await console.json("participants", "update", guid, { mcc: "5411" }, "--version", "0");
    expect(any).toMatchObject({ mcc: "5411", version: String(version + 2) });
  });

  test("add-key, retire-key: a key is rotated, with an overlap, also one that keeps its name", async () => {
    const { guid } = await shown("--bic", platform.initiator.bic);
    const added = await console.run(
      ...(["participants", "add-key", guid, await publicKey("next"), "--retire-others-in", "24h"] as const),
    );
    expect(added.lines[0]).toBe("The participant has the key next.");
    expect(added.lines.slice(3)).toEqual([
      expect.stringMatching(/^\d+ +next +sig +good +\S+Z +operator +– +never$/),
      expect.stringMatching(/^\d+ +initiator +sig +retires at \S+Z +\S+Z +operator +– +/),
    ]);
    await console.json("participants", "add-key", guid, await publicKey("next"));
    const both = await console.run("participants", "retire-key", guid, "next");
    expect([both.code, both.complaints]).toEqual([
      1,
      [expect.stringMatching(/^KEY_NOT_FOUND: .*give the number/), expect.stringContaining("with their numbers")],
    ]);
    const [, first] = (await shown(guid)).keys.filter(({ kid }) => kid === "next");
    const later = await console.run("participants", "retire-key", guid, "next", "--id", first?.id ?? "", "--in", "30m");
    expect(later.lines[0]).toBe("The key next will be retired.");
    const retired = await console.run("participants", "retire-key", guid, "next", "--id", first?.id ?? "");
    expect(retired.lines[0]).toBe("The key next is retired.");
    expect(retired.lines[4]).toMatch(new RegExp(`^${first?.id} +next +sig +retired at `));
  });

  test("add-key, retire-key: a key without a kid is called by its thumbprint; a kid may begin with a dash", async () => {
    const { guid } = await shown("--bic", platform.initiator.bic);
    const { kid } = await console.json("participants", "add-key", guid, await publicKey());
    expect(kid).toMatch(/^[\w-]{43}$/);
    await console.json("participants", "add-key", guid, await publicKey("-k"));
    expect((await console.run("participants", "retire-key", guid, "-k")).code).toBe(2);
    expect((await console.run("participants", "retire-key", guid, "--", "-k")).lines[0]).toBe("The key -k is retired.");
  });

  test("retire-key: who is left without a key to sign with is named", async () => {
    const bank = await platform.newBank({ name: "Keyless Bank", roles: ["initiator"] });
    const { guid, keys } = await shown("--bic", bank.bic);
    const { lines } = await console.run("participants", "retire-key", guid, "--", keys[0]?.kid ?? "");
    expect(lines.at(-1)).toBe("No key is good that it could sign with: whatever it sends is refused.");
    expect((await console.run("participants", "show", guid)).lines.at(-1)).toBe(lines.at(-1));
  });

  test("suspend, resume, close: what each refusal asks for next is named, and again is safe", async () => {
    const bank = await platform.newBank({ name: "Leaving Bank", roles: ["recipient"] });
    const shop = await platform.newMerchant({ name: "Leaving Shop", bank });
    const { guid } = await shown("--bic", bank.bic);
    const uid = shop.uid;
    const merchantGuid = (await shown("--uid", uid)).guid;
    const refused = async (...args: string[]) => {
      const { code, complaints } = await console.run("participants", ...args);
      return [code, ...complaints.map((line) => line.replace(/: .*/, ""))];
    };

    expect(await refused("close", guid)).toEqual([
      1,
      "PARTICIPANT_NOT_SUSPENDED",
      "`participants suspend GUID` comes first.",
    ]);
    expect(await refused("suspend", guid, "--version", "7")).toContain("PARTICIPANT_CHANGED");
    const suspended = await console.run("participants", "suspend", guid, "--version", "1");
    expect(suspended.lines[0]).toBe("The participant is suspended. Its version is 2.");
    expect(suspended.lines).toContainEqual(expect.stringMatching(/^status +suspended$/));
    expect(await console.json("participants", "suspend", guid)).toMatchObject({ version: "2" });
    const resumed = await console.run("participants", "resume", guid);
    expect(resumed.lines[0]).toBe("The participant takes part again. Its version is 3.");

    await console.json("participants", "suspend", guid);
    expect(await refused("close", guid)).toEqual([
      1,
      "PARTICIPANT_IN_USE",
      expect.stringContaining("close its merchants"),
    ]);
    await console.json("participants", "suspend", merchantGuid);
    await console.json("participants", "close", merchantGuid);
    const closed = await console.run("participants", "close", guid);
    expect(closed.lines[0]).toBe("The participant is closed, for ever. Its version is 5.");
    expect(await console.json("participants", "close", guid)).toMatchObject({ status: "PARTICIPANT_STATUS_CLOSED" });
    expect(await refused("resume", guid)).toEqual([1, "PARTICIPANT_CLOSED", expect.stringContaining("for ever")]);
    const { lines } = await console.run("participants", "list", "--role", "recipient");
    expect(lines).toContainEqual(expect.stringMatching(/ {2}closed {2,}Leaving Bank /));
  });
});
