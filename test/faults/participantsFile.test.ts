import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { startBank, startMerchant } from "../../src/sandbox/participants.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { startPlatform } from "../support/platform.ts";

/** Publishes a key set until it is closed. */
async function publish(keys: object[]) {
  const server = createServer((_, response) => response.end(JSON.stringify({ keys })));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`, close };
}

test("the gateway starts although a merchant of its file publishes nothing any more and another one never did", async () => {
  const folder = await mkdtemp(join(tmpdir(), "dcm-participants-"));
  const bank = await startBank();
  const published = await publish([(await generateKeyPair("ES256")).publicJwk]);
  try {
    const [known, stranger] = await Promise.all([startMerchant({ bank }), startMerchant({ bank })]);
    const entry = ({ uid, iban, taxCode }: typeof known, jwksUrl: string) => ({
      ...{ uid, iban, taxCode, name: "Shop", mcc: "5411", servicingBankGuid: bank.guid, jwksUrl },
      callbackUrls: { base: "http://127.0.0.1:9/" },
    });
    const { guid, bic, iban, taxCode } = bank;
    const content = {
      banks: [
        {
          ...{ guid, bic, iban, taxCode, name: "Bank", roles: ["BANK_ROLE_RECIPIENT"] },
          callbackUrls: { base: "http://127.0.0.1:9/" },
          signingJwks: [bank.key.publicJwk],
        },
      ],
      merchants: [entry(known, published.url), entry(stranger, "http://127.0.0.1:9/jwks.json")],
    };
    const file = join(folder, "participants.json");
    await writeFile(file, JSON.stringify(content));
    await using platform = await startPlatform({ environment: { DCM_PARTICIPANTS: file } });
    await published.close();
    await platform.stop();
    await platform.start();
    const { participants } = await platform.operators().participants.listParticipants({});
    const uids = participants.map(({ uid }) => uid);
    expect([known, stranger].map(({ uid }) => uids.includes(uid))).toEqual([true, false]);
    await Promise.all([known.stop(), stranger.stop()]);
  } finally {
    await bank.stop();
    await rm(folder, { recursive: true });
  }
});
