import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, test, vi } from "vitest";
import { CallbackAlg, type CallbackUrls } from "../../gen/dcm/v1/participant_pb.ts";
import { type SandboxBank, type SandboxMerchant, startBank, startMerchant } from "../../src/sandbox/participants.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { startForeignReceiver } from "../support/foreignReceiver.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { type Platform, type QueueKind, startPlatform } from "../support/platform.ts";

// Keys change under load, with two nodes: whoever keeps to the contract is refused nothing and can verify everything.

const maxAgeSeconds = 2;
const environment = { JWKS_MAX_AGE_SECONDS: String(maxAgeSeconds) };
/** The platform's keys that are known to receivers are read again by every node within this time (`readEveryMs`). */
const announceSeconds = 5;

const urlsOf = (base: string) => ({ base }) as unknown as CallbackUrls;

/** The same party at both nodes, as it signs with one key. */
type Faces<Party> = [first: Party, second: Party];

/** Pays orders one after the other, with whoever signs now, at both nodes in turn; collects what is not as it should be. */
function startLoad(faces: { bank: Faces<SandboxBank>; merchant: Faces<SandboxMerchant> }) {
  const stopped = new AbortController();
  const refused: string[] = [];
  const paid: string[] = [];
  async function payer(place: number) {
    for (let turn = place; !stopped.signal.aborted; turn += 1) {
      const [merchant, bank] = [faces.merchant[turn % 2], faces.bank[(turn >> 1) % 2]];
      if (merchant === undefined || bank === undefined) return;
      const created = await merchant.creates();
      if (!created.ok) refused.push(`order: ${created.status} ${JSON.stringify(created.body)}`);
      else {
        const message = await bank.submits(created.body);
        if (message.ok) paid.push(message.body.guid);
        else refused.push(`message: ${message.status} ${JSON.stringify(message.body)}`);
      }
      await delay(20);
    }
  }
  const payers = Promise.all(
    [0, 1, 2].map((place) => payer(place).catch((error: Error) => void refused.push(error.message))),
  );
  return {
    faces,
    refused,
    paid,
    async stop() {
      stopped.abort();
      await payers;
    },
  };
}

describe.each<QueueKind>(["local", "rabbitmq"])(
  "keys that change under load, two nodes, queue %s",
  { timeout: 120_000 },
  (queue) => {
    test("of the platform, of banks and of a merchant: no request is refused, no callback cannot be verified", async () => {
      await using platform = await startPlatform({ queue, environment });
      await using second = runGatewayProcess(["start"], { ...platform.environment, LOG_LEVEL: "info" });
      const [, secondUrl = ""] = await second.says(/"rest":"([^"]+)"/);
      const urls = [platform.url(), secondUrl.replace("localhost", "127.0.0.1")] as const;
      await using foreign = await startForeignReceiver(() => urls[1]);
      const { participants, platform: keys } = platform.operators();

      const [bankKey, nextBankKey, shopKey, nextShopKey] = (await Promise.all(
        Array.from({ length: 4 }, () => generateKeyPair("RS256")),
      )) as [KeyPair, KeyPair, KeyPair, KeyPair];
      const callbackUrls = urlsOf(`${foreign.url}/callbacks`);
      const bank = await platform.newBank(
        { name: "Rotating Initiator", roles: ["initiator"], key: bankKey },
        { callbackUrls },
      );
      const recipient = await platform.newBank(
        { name: "Rotating Recipient", roles: ["recipient"] },
        { callbackUrls, callbackAlg: CallbackAlg.ES256 },
      );
      foreign.publishes(shopKey.publicJwk);
      const jwksUrl = `${foreign.url}/jwks.json`;
      const shop = await platform.newMerchant(
        { name: "Rotating Shop", bank: recipient, key: shopKey },
        { callbackUrls, jwksUrl },
      );

      const opened: { stop(): Promise<void> }[] = [];
      const bankFaces = async (key: KeyPair) => facesOf(() => startBank({ guid: bank.guid, bic: bank.bic, key }));
      const shopFaces = async (key: KeyPair) => facesOf(() => startMerchant({ uid: shop.uid, bank: recipient, key }));
      async function facesOf<Party extends SandboxBank | SandboxMerchant>(
        start: () => Promise<Party>,
      ): Promise<Faces<Party>> {
        const faces: Faces<Party> = [await start(), await start()];
        faces.forEach((face, place) => {
          face.joins({ url: urls[place] ?? "" });
          opened.push(face);
        });
        return faces;
      }

      const load = startLoad({ bank: await bankFaces(bankKey), merchant: await shopFaces(shopKey) });
      const paysOn = async (count = 6) => {
        const before = load.paid.length;
        await vi.waitFor(() => expect(load.paid.length - before).toBeGreaterThanOrEqual(count), { timeout: 30_000 });
      };
      await paysOn();

      // The platform, for both algorithms that its receivers asked for.
      for (const alg of [CallbackAlg.RS256, CallbackAlg.ES256]) await keys.rotatePlatformKey({ alg, announceSeconds });
      await paysOn();

      // The initiator bank, by itself, with a key that is good at once.
      const retireOthersAt = new Date(Date.now() + 3_000);
      expect(await load.faces.bank[0].client().addKey(nextBankKey.publicJwk, retireOthersAt)).toMatchObject({
        status: 201,
      });
      load.faces.bank = await bankFaces(nextBankKey);
      await paysOn();

      // The merchant, by what it publishes: both, then the new one alone.
      const readsSet = () => platform.rows("update published_key_set set next_at = now()");
      const { participant } = await participants.getParticipant({ by: { case: "uid", value: shop.uid } });
      const kidsOfShop = async () => {
        const { keys: all } = await participants.listParticipantKeys({ guid: participant?.guid ?? "" });
        return all.filter(({ retireAt }) => retireAt === undefined).map(({ kid }) => kid);
      };
      foreign.publishes(shopKey.publicJwk, nextShopKey.publicJwk);
      await readsSet();
      await vi.waitFor(async () => expect(await kidsOfShop()).toContain(nextShopKey.kid), { timeout: 10_000 });
      load.faces.merchant = await shopFaces(nextShopKey);
      await paysOn();
      foreign.publishes(nextShopKey.publicJwk);
      await readsSet();
      await vi.waitFor(async () => expect(await kidsOfShop()).toEqual([nextShopKey.kid]), { timeout: 10_000 });

      // The recipient bank's key, which personal data is encrypted for: its operator adds one and retires the other.
      const encryption = await generateKeyPair("RS256");
      const jwk = JSON.stringify(encryption.publicJwk);
      await participants.addParticipantKey({ guid: recipient.guid, jwk });
      await paysOn();
      await participants.retireParticipantKey({ guid: recipient.guid, kid: recipient.key.kid });
      await paysOn();
      await signsWithNewKeys(platform);
      await paysOn(12);
      await load.stop();

      await platform.endsAllCallbacks(60_000);
      expect(load.refused).toEqual([]);
      expect(foreign.calls.filter(({ problem }) => problem !== undefined)).toEqual([]);
      const successes = await platform.rows(
        "select from payment_message where guid = any($1) and status = 'success'",
        load.paid,
      );
      expect(successes).toHaveLength(load.paid.length);
      // Both old and new keys have signed, of either algorithm.
      expect(new Set(foreign.calls.map(({ kid }) => kid)).size).toBe(4);
      for (const { keys: good } of [await participants.listParticipantKeys({ guid: bank.guid })]) {
        expect(good.map(({ kid, retireAt }) => [kid, retireAt !== undefined])).toEqual([
          [nextBankKey.kid, false],
          [bankKey.kid, true],
        ]);
      }
      await Promise.all(opened.map((party) => party.stop()));
    });
  },
);

/** What was announced signs by now. */
async function signsWithNewKeys(platform: Platform): Promise<void> {
  const { platform: keys } = platform.operators();
  const states = async () => (await keys.listPlatformKeys({})).keys.map(({ state }) => state);
  await vi.waitFor(async () => expect(await states()).not.toContain(1), { timeout: 15_000, interval: 200 });
}
