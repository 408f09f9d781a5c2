import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pino } from "pino";
import { beforeEach, describe, expect, onTestFinished, test } from "vitest";
import { type Core, createCore } from "../../src/core/core.ts";
import { loadParticipants } from "../../src/participantsFile.ts";
import { iban, openPlatform, operator, type Platform, serial } from "../core/platform.ts";

const unresolved = { text: "has a host name that does not resolve", ofHost: true };
const nobodyAnswers = { problem: "could not be read: nobody answers" };

let platform: Platform;
/** A process that reaches no key set and no name server. */
let cutOff: Core;
beforeEach(async () => {
  platform = await openPlatform({
    publicKey: async (jwk) => {
      const { kid = "", ...others } = jwk as { kid?: string };
      return { kty: "RSA", alg: "RS256", kid, n: `n of ${kid}`, ...others };
    },
  });
  onTestFinished(() => platform.close());
  cutOff = createCore({
    ...platform.context,
    fetchJwks: async () => nobodyAnswers,
    callbackUrlProblem: async () => unresolved,
  });
});

const bankGuid = "0198c0de-0000-7000-8000-0000000000b1";

function bank(changes: object = {}) {
  const bic = serial();
  return {
    ...{ guid: bankGuid, name: "Kobzar Bank", taxCode: "12345678", bic, iban: iban(bic, "1") },
    roles: ["BANK_ROLE_RECIPIENT"],
    callbackUrls: { base: "https://bank.example/dcm" },
    signingJwks: [{ kty: "RSA", kid: `key-${bic}` }],
    ...changes,
  };
}

/** Unless something else is said it publishes its keys. */
function merchant(uid: string, changes: object = {}) {
  return {
    ...{ uid, name: "Kyiv Books", taxCode: "87654321", iban: iban("322313", "1"), mcc: "5411" },
    servicingBankGuid: bankGuid,
    callbackUrls: { base: `https://${uid}.example/dcm` },
    jwksUrl: `https://${uid}.example/jwks.json`,
    ...changes,
  };
}

/** What a process logs while it loads a file with this content. */
async function load(content: object | string, core = platform.core) {
  const folder = await mkdtemp(join(tmpdir(), "dcm-participants-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const file = join(folder, "participants.json");
  await writeFile(file, typeof content === "string" ? content : JSON.stringify(content));
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line));
  await loadParticipants(core, file, pino({ base: null, timestamp: false }, { write }));
  return { warnings: lines.filter(({ level }) => level === 40), counts: lines.at(-1) };
}

const registeredUids = async () =>
  (await platform.core.listParticipants({ kind: "merchant" }, { limit: 500 })).map(({ uid }) => uid).sort();

describe("participants of a file", () => {
  test("are registered, and known at the next start, which asks nothing of them", async () => {
    const content = { banks: [bank()], merchants: [merchant("one"), merchant("two")] };
    expect(await load(content)).toMatchObject({ warnings: [], counts: { added: 3, known: 0 } });
    expect(await load(content, cutOff)).toMatchObject({ warnings: [], counts: { added: 0, known: 3, differing: 0 } });
    expect(await registeredUids()).toEqual(["one", "two"]);
  });

  test("that were changed since, or rotated the keys they publish, do not stop a start and stay as they are", async () => {
    const content = { banks: [bank()], merchants: [merchant("one")] };
    await load(content);
    const { guid } = (await platform.core.listParticipants({ kind: "merchant" }, { limit: 1 }))[0] ?? { guid: "" };
    await platform.core.updateParticipant(operator, bankGuid, { signingJwks: [{ kid: "rotated" }], name: "Renamed" });
    await platform.core.updateParticipant(operator, guid, { signingJwks: [{ kid: "rotated too" }] });
    const { warnings, counts } = await load(content, cutOff);
    expect(warnings).toMatchObject([
      {
        entry: "bank 1",
        party: content.banks[0]?.bic,
        fields: ["name", "signing_jwks"],
        msg: expect.stringContaining("`participants update`"),
      },
    ]);
    expect(counts).toMatchObject({ added: 0, known: 1, differing: 1, leftOut: 0 });
    expect(await platform.core.getParticipant({ guid: bankGuid })).toMatchObject({ name: "Renamed", version: 2 });
  });

  test.each([
    ["whose key set cannot be read", { fetchJwks: async () => nobodyAnswers }, "jwks_url"],
    ["that publishes no key", { fetchJwks: async () => [] }, "jwks_url"],
    ["whose host does not resolve", { callbackUrlProblem: async () => unresolved }, "callback_urls.base"],
  ])("a new one %s is left out with a warning; the others are registered", async (_, reached, field) => {
    await load({ banks: [bank()] });
    const broken: Partial<Platform["context"]> = reached;
    const core = createCore({
      ...platform.context,
      fetchJwks: (url) =>
        (url.includes("broken") && broken.fetchJwks ? broken.fetchJwks : platform.context.fetchJwks)(url),
      callbackUrlProblem: async (url) => (url.includes("broken") ? broken.callbackUrlProblem?.(url) : undefined),
    });
    const { warnings, counts } = await load({ merchants: [merchant("broken"), merchant("sound")] }, core);
    expect(warnings).toMatchObject([
      { entry: "merchant 1", party: "broken", field, msg: expect.stringContaining("`participants register-merchant`") },
    ]);
    expect(counts).toMatchObject({ added: 1, leftOut: 1 });
    expect(await registeredUids()).toEqual(["sound"]);
  });

  test("merchants of a bank that is left out are left out with it", async () => {
    const merchants = [merchant("one", { signingJwks: [{ kty: "RSA", kid: "one" }] })];
    const callbackUrlProblem = async (url: string) => (url.includes("bank.example") ? unresolved : undefined);
    const core = createCore({ ...platform.context, callbackUrlProblem });
    const { warnings, counts } = await load({ banks: [bank()], merchants }, core);
    expect(warnings).toMatchObject([
      { entry: "bank 1", field: "callback_urls.base" },
      { entry: "merchant 1", party: "one", field: "servicing_bank_guid" },
    ]);
    expect(counts).toMatchObject({ added: 0, leftOut: 2 });
  });

  test("stay suspended at the next start, whatever status the file gives them", async () => {
    const content = { banks: [bank({ status: "PARTICIPANT_STATUS_CLOSED" })] };
    await load(content);
    const whom = { guid: bankGuid, version: undefined };
    expect(await platform.core.suspendParticipant(operator, whom)).toMatchObject({ status: "suspended", version: 2 });
    expect(await load(content)).toMatchObject({ warnings: [], counts: { known: 1 } });
    expect(await platform.core.getParticipant(whom)).toMatchObject({ status: "suspended", version: 2 });
  });

  test("have keys of every kind, written as objects or as texts", async () => {
    const jwks = [
      { kty: "RSA", kid: "rsa" },
      { kty: "EC", crv: "P-256", kid: "ec" },
      { kty: "OKP", crv: "Ed25519", kid: "okp" },
    ];
    await load({ banks: [bank({ signingJwks: [jwks[0], JSON.stringify(jwks[1]), jwks[2]] })] });
    const known = await platform.core.getParticipant({ guid: bankGuid });
    expect(known).toMatchObject({ keys: jwks.map((jwk) => ({ use: "sig", kid: jwk.kid, jwk })) });
  });
});

describe("what only the file's author can have got wrong stops the start", () => {
  test.each<[what: string, content: object | string, complaint: RegExp]>([
    ["no JSON", "{", /participants\.json is not JSON$/],
    ["a list that is none", { banks: {} }, /participants\.json: banks and merchants must be lists/],
    ["an unknown member", { banks: [bank({ colour: "red" })] }, /participants\.json: bank 1: .*colour/],
    ["a wrong account", { banks: [bank({ iban: "UA1" })] }, /participants\.json: bank 1: iban /],
    ["a wrong bank code", { banks: [bank({ bic: "1" })] }, /participants\.json: bank 1: bic /],
    ["a key that is none", { banks: [bank({ signingJwks: ["{"] })] }, /participants\.json: bank 1: .*signing_jwks/],
    ["a member that is not for it", { merchants: [merchant("one", { bic: "123456" })] }, /merchant 1: .*bic/],
    [
      "a merchant that a second start could not know again",
      { merchants: [merchant("", { uid: undefined })] },
      /uid is m/,
    ],
    [
      "a bank that publishes its keys",
      { banks: [bank({ jwksUrl: "https://bank.example/jwks" })] },
      /bank 1: jwks_url is/,
    ],
    ["a bank that nobody knows", { merchants: [merchant("one")] }, /merchant 1: servicing_bank_guid/],
  ])("%s", async (_, content, complaint) => {
    await expect(load(content, cutOff)).rejects.toThrow(complaint);
  });

  test("a URL that can never be right, also of one whose keys cannot be read", async () => {
    const core = createCore({
      ...platform.context,
      fetchJwks: async () => nobodyAnswers,
      callbackUrlProblem: async () => ({ text: "is not a URL", ofHost: false }),
    });
    await load({ banks: [bank()] });
    const started = load({ merchants: [merchant("one")] }, core);
    await expect(started).rejects.toThrow(/merchant 1: callback_urls\.base is not a URL$/);
  });
});
