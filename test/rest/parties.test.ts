import { create } from "@bufbuild/protobuf";
import { createClient, createRouterTransport } from "@connectrpc/connect";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ParticipantKind, ParticipantSchema } from "../../gen/dcm/v1/participant_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import { createParties } from "../../src/rest/parties.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";

const jwksUrl = "https://shop.example/jwks.json";
const afterTheSetIsOld = 6 * 60_000;

beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => void vi.useRealTimers());

/** A merchant that was registered with one key and publishes others. */
async function publishing(registered: KeyPair) {
  let address: () => unknown = () => ({ keys: [] });
  const merchant = create(ParticipantSchema, {
    kind: ParticipantKind.MERCHANT,
    guid: "0198c0de-0000-7000-8000-000000000001",
    uid: "shop",
    version: 1n,
    jwksUrl,
    signingJwks: [JSON.stringify(registered.publicJwk)],
  });
  const transport = createRouterTransport((router) => {
    router.service(ParticipantService, { getParticipant: () => ({ participant: merchant }) });
  });
  const parties = createParties(createClient(ParticipantService, transport), async () => address());
  return {
    publish: (answer: () => unknown) => {
      address = answer;
      vi.advanceTimersByTime(afterTheSetIsOld);
    },
    kids: async () => (await parties.find({ case: "uid", value: "shop" }))?.keys.map(({ kid }) => kid),
  };
}

const unreachable = () => {
  throw new Error("does not answer");
};

test.each<[what: string, answer: () => unknown]>([
  ["does not answer", unreachable],
  ["answers something else", () => ({ error: "maintenance" })],
])("an address that %s: the registered keys count until it gave a set, then that set", async (_what, answer) => {
  const shop = await publishing(await generateKeyPair("ES256", "registered"));
  const { publicJwk } = await generateKeyPair("ES256", "published");
  shop.publish(answer);
  expect(await shop.kids()).toEqual(["registered"]);
  shop.publish(() => ({ keys: [publicJwk] }));
  expect(await shop.kids()).toEqual(["published"]);
  shop.publish(answer);
  expect(await shop.kids()).toEqual(["published"]);
});

test("who publishes no key any more has withdrawn every key", async () => {
  const shop = await publishing(await generateKeyPair("ES256", "registered"));
  shop.publish(() => ({ keys: [] }));
  expect(await shop.kids()).toEqual([]);
});
