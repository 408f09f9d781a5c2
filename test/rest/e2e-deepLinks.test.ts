import { afterAll, beforeAll, expect, test } from "vitest";
import { CallbackAlg, DeepLinkContent } from "../../gen/dcm/v1/participant_pb.ts";
import type { SandboxBank } from "../../src/sandbox/participants.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// From the payment page to the bank (wire contract, section 2, "Deep links").

let platform: Platform;
let older: SandboxBank;
beforeAll(async () => {
  platform = await startPlatform();
  // Before anybody opens a page, which knows the banks of some two seconds ago.
  older = await platform.newBank(
    { name: "Older Bank", roles: ["initiator"] },
    { deepLinkContent: DeepLinkContent.ORDER_ID },
  );
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const signaturesOf = (id: string) =>
  platform.rows<{ jws: string }>("select jws from signed_order where order_guid = $1", id);

async function orderWithDetails() {
  const { merchant } = platform;
  const now = Math.floor(Date.now() / 1000);
  const claims = {
    sub: merchant.uid,
    iat: now,
    exp: now + 900,
    amt: 21,
    cur: "UAH",
    ref: `r${now}`,
    prp: "Books",
    url: "https://a.example",
  };
  const jwt = await signJws(claims, merchant.key);
  const ask = async () => {
    const answer = await fetch(`${platform.url()}/api/v1/merchants/order?custom=true`, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ jwt }),
    });
    return (await answer.json()) as { id: string; jwt: string };
  };
  return { ...(await ask()), again: async () => (await ask()).jwt };
}

test("a payer follows the page's link to the bank, which verifies it and pays the order that it names", async () => {
  const { initiator, merchant } = platform;
  const order = await merchant.order();
  expect(await signaturesOf(order.id)).toEqual([]);
  const link = await initiator.linkTo(order);
  expect(link.startsWith(initiator.deepLinkPrefix)).toBe(true);
  expect(await signaturesOf(order.id)).toEqual([{ jws: link.slice(initiator.deepLinkPrefix.length) }]);
  const opened = await initiator.opens(link);
  expect(opened).toEqual({ id: order.id });
  const guid = await initiator.pays(opened);
  await initiator.receives("pay-out", { guid, status: "success" });
  await expect(initiator.linkTo(order)).rejects.toThrow("HTTP 200) has no link to the bank");
});

test("a bank of before there was a choice gets the order's id, and nobody else's link", async () => {
  const order = await platform.merchant.order();
  const link = await older.linkTo(order);
  expect(link).toBe(`${older.deepLinkPrefix}${order.id}`);
  expect(await older.opens(link)).toEqual({ id: order.id });
  await expect(older.opens(await platform.initiator.linkTo(order))).rejects.toThrow("one of another bank");
});

test("what the merchant draws itself is the same token, whoever asked for it first", async () => {
  const { initiator } = platform;
  const order = await orderWithDetails();
  expect(await initiator.linkTo(order)).toBe(`${initiator.deepLinkPrefix}${order.jwt}`);
  expect(await order.again()).toBe(order.jwt);
  expect(await initiator.opens(`${initiator.deepLinkPrefix}${order.jwt}`)).toEqual({ id: order.id });
});

test("a link that nobody of the platform signed is refused by the bank", async () => {
  const { initiator, merchant } = platform;
  const order = await merchant.order();
  const forged = await signJws({ id: order.id }, await generateKeyPair("RS256", "platform"));
  await expect(initiator.opens(initiator.deepLinkPrefix + forged)).rejects.toThrow("unknown_key");
});

test("emitters say what the links of each bank hold; a bank changes it for orders that exist", async () => {
  const emitters = async () => {
    const answer = await fetch(`${platform.url()}/api/v1/merchants/emitters`);
    const banks = (await answer.json()) as { bic: string; deeplink_prefix: string; deep_link_content: string }[];
    return Object.fromEntries(banks.map((bank) => [bank.bic, bank.deep_link_content]));
  };
  expect(await emitters()).toEqual({ [platform.initiator.bic]: "signed_order", [older.bic]: "order_id" });
  const order = await platform.merchant.order();
  const { participants } = platform.operators();
  await participants.updateParticipant({ guid: older.guid, deepLinkContent: DeepLinkContent.SIGNED_ORDER });
  await expect.poll(emitters, { timeout: 5_000 }).toMatchObject({ [older.bic]: "signed_order" });
  expect(await older.opens(await older.linkTo(order))).toEqual({ id: order.id });
});

test("when the platform's key has retired the page's link is signed anew, and can be verified", async () => {
  const { initiator } = platform;
  const order = await orderWithDetails();
  const before = await initiator.linkTo(order);
  await platform.operators().platform.rotatePlatformKey({ alg: CallbackAlg.RS256, atOnce: true });
  // The bank reads the keys again, and the old one is not among them.
  await initiator.opens(await initiator.linkTo(await platform.merchant.order()));
  await expect(initiator.opens(before)).rejects.toThrow("unknown_key");
  const after = await initiator.linkTo(order);
  expect(after).not.toBe(before);
  expect(await initiator.opens(after)).toEqual({ id: order.id });
  expect(`${initiator.deepLinkPrefix}${await order.again()}`).toBe(after);
  expect(await signaturesOf(order.id)).toHaveLength(1);
});
