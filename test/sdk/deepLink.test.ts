import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { readDeepLink } from "../../src/sdk/deepLink.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";

const [platform, stranger] = await Promise.all([
  generateKeyPair("ES256", "platform"),
  generateKeyPair("ES256", "other"),
]);
const keys = [{ kid: platform.kid, alg: platform.alg, key: platform.publicKey }];

test("readDeepLink: what the platform signed names the order, and carries what to show", async () => {
  const details = { id: randomUUID(), amt: 21, cur: "UAH", recn: "Kyiv Books" };
  expect(await readDeepLink(await signJws(details, platform), keys)).toEqual({
    ok: true,
    orderId: details.id,
    details,
  });
});

test.each([
  ["signed by a stranger", () => signJws({ id: randomUUID() }, stranger), "unknown_key"],
  [
    "signed by a stranger under the platform's name",
    () => signJws({ id: randomUUID() }, { ...stranger, kid: platform.kid }),
    "signature",
  ],
  ["the bare id of an order", async () => randomUUID(), "malformed"],
  ["an id with something before it", () => signJws({ id: `x${randomUUID()}` }, platform), "no_order"],
  ["an id with something behind it", () => signJws({ id: `${randomUUID()}x` }, platform), "no_order"],
  ["an id that is no text", () => signJws({ id: [randomUUID()] }, platform), "no_order"],
  ["a register's callback", () => signJws({ id: "1005261" }, platform), "no_order"],
  ["a payment's callback", () => signJws({ order_id: randomUUID() }, platform), "no_order"],
])("readDeepLink: %s is no order", async (_what, content, problem) => {
  expect(await readDeepLink(await content(), keys)).toEqual({ ok: false, problem });
});
