import { afterAll, beforeAll, expect, test } from "vitest";
import {
  BankRole,
  CallbackAlg,
  CallbackBodyFormat,
  type CallbackUrls,
  DeepLinkContent,
  type Participant,
} from "../../gen/dcm/v1/participant_pb.ts";
import { UpdateParticipantRequestSchema } from "../../gen/dcm/v1/participant_service_pb.ts";
import { makeIban } from "../../src/sandbox/samples.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// Every field of a participant can be changed, by name, in an operator's name (wire contract, section 8).

let platform: Platform;
let serial = 600_000;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const participants = () => platform.operators().participants;

function stored(kind: "bank" | "merchant"): Promise<Participant> {
  serial += 1;
  return kind === "bank" ? newBank() : newMerchant();
}

async function newBank(): Promise<Participant> {
  const bank = await platform.newBank({ name: `Bank ${serial}`, roles: ["initiator"] });
  const { participant } = await participants().getParticipant({ by: { case: "guid", value: bank.guid } });
  return participant as Participant;
}

async function newMerchant(): Promise<Participant> {
  const shop = await platform.newMerchant({ name: `Shop ${serial}`, bank: platform.recipient });
  const { participant } = await participants().getParticipant({ by: { case: "uid", value: shop.uid } });
  return participant as Participant;
}

const urls = (base: string) => ({ base, payIn: "", payOut: "", credit: "", expiration: "", grossSettlement: "" });
/** A key as the core prints it, with its members in one order. */
async function jwk(alg: "RS256" | "ES256" = "RS256"): Promise<string> {
  const { publicJwk } = await generateKeyPair(alg);
  return JSON.stringify(publicJwk, Object.keys(publicJwk).sort());
}

/** A value for every field, and of which kind of participant it is. */
const changes: Record<string, { of: "bank" | "merchant"; value: () => unknown }> = {
  callbackUrls: { of: "bank", value: () => urls("http://127.0.0.1:9/elsewhere") as CallbackUrls },
  signingJwks: { of: "bank", value: async () => [await jwk("ES256")] },
  encryptionJwk: { of: "bank", value: () => jwk() },
  name: { of: "bank", value: () => "Renamed" },
  deepLinkPrefix: { of: "bank", value: () => "renamed://pay/" },
  logoUrl: { of: "merchant", value: () => "https://shop.example/logo.png" },
  feeBasisPoints: { of: "bank", value: () => 17 },
  callbackBodyFormat: { of: "bank", value: () => CallbackBodyFormat.TEXT },
  iban: { of: "merchant", value: () => makeIban("305299", 4) },
  requiresBodySha256: { of: "bank", value: () => true },
  callbackAlg: { of: "merchant", value: () => CallbackAlg.EDDSA },
  taxCode: { of: "bank", value: () => "87654321" },
  bic: { of: "bank", value: () => String(serial) },
  uid: { of: "merchant", value: () => `renamed-${serial}` },
  roles: { of: "bank", value: () => [BankRole.INITIATOR, BankRole.RECIPIENT] },
  mcc: { of: "merchant", value: () => "5999" },
  servicingBankGuid: { of: "merchant", value: async () => (await platform.newBank({ name: "Other Bank" })).guid },
  jwksUrl: { of: "merchant", value: () => "http://127.0.0.1:9/jwks.json" },
  email: { of: "bank", value: () => "new@bank.example" },
  redirectUrl: { of: "merchant", value: () => "https://shop.example/elsewhere" },
  deepLinkContent: { of: "bank", value: () => DeepLinkContent.ORDER_ID },
};

test("there is a value here for every field that the contract lets change", () => {
  const fields = UpdateParticipantRequestSchema.fields.map(({ localName }) => localName);
  expect(Object.keys(changes).sort()).toEqual(fields.filter((name) => name !== "guid" && name !== "version").sort());
});

test.each(Object.entries(changes))("%s is changed, and nothing else", async (field, { of, value }) => {
  const before = await stored(of);
  const wanted = await value();
  const { participant } = await participants().updateParticipant({
    guid: before.guid,
    version: before.version,
    [field]: wanted,
  });
  const { version, updatedAt: _updatedAt, ...after } = participant as Participant;
  const { version: old, updatedAt: _before, ...unchanged } = before;
  expect(version).toBe(old + 1n);
  expect({ value: after[field as keyof typeof after] }).toMatchObject({ value: wanted });
  expect({ ...after, [field]: undefined }).toEqual({ ...unchanged, [field]: undefined });
});

test.each(["deepLinkPrefix", "logoUrl", "redirectUrl", "jwksUrl"] as const)(
  "an empty %s takes it away",
  async (field) => {
    const { guid } = await stored("merchant");
    const { value } = changes[field] as { value: () => unknown };
    const { participant: given } = await participants().updateParticipant({ guid, [field]: value() });
    expect(given?.[field]).toBe(value());
    const { participant: taken } = await participants().updateParticipant({ guid, [field]: "" });
    expect(taken?.[field]).toBe("");
  },
);

test("a change that gives nothing is refused, and so is one that was decided over another version", async () => {
  const { guid, version } = await stored("bank");
  await expect(participants().updateParticipant({ guid })).rejects.toThrow("nothing is given that would change");
  await expect(participants().updateParticipant({ guid, signingJwks: [] })).rejects.toThrow("nothing is given");
  await participants().updateParticipant({ guid, version, name: "First" });
  await expect(participants().updateParticipant({ guid, version, name: "Second" })).rejects.toThrow(
    /has version 2 and not 1/,
  );
  const { participant } = await participants().getParticipant({ by: { case: "guid", value: guid } });
  expect(participant?.name).toBe("First");
});

test.each([
  "file:///etc/passwd",
  "https://10.0.0.1/jwks.json",
  "http://shop.example/jwks.json",
  "javascript:alert(1)",
  "gopher://127.0.0.1/",
])("a key set at %s is refused, also beside keys that are given", async (jwksUrl) => {
  const { guid } = await stored("merchant");
  await expect(participants().updateParticipant({ guid, jwksUrl })).rejects.toThrow(/jwks_url/);
  await expect(
    platform.newMerchant({ name: "With a key as well", bank: platform.recipient }, { jwksUrl }),
  ).rejects.toThrow(/jwks_url/);
});
