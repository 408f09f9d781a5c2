import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { createAccessToken } from "../../src/sdk/access.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";
import { startPlatform } from "../support/platform.ts";
import { acceptedClaims, access, messagesUrl, orderClaims, ordersUrl, post } from "./forge.ts";

test("claims that the contract does not know are ignored, also when they are called what the core calls its own answers", async () => {
  await using platform = await startPlatform();
  const ours = {
    refused: "INTERNAL_ERROR",
    notTheirs: "signature",
    claims: {},
    message: 1,
    seen: { tokenProblem: "x" },
  };
  const order = await signJws(orderClaims(platform, ours), platform.merchant.key);
  const created = await post(ordersUrl(platform), { jwt: order });
  expect(created.status).toBe(201);
  const { id } = (await created.json()) as { id: string };
  const fresh = { jti: randomUUID(), payment_message_external_id: randomUUID(), order_id: id };
  const message = { ...(await acceptedClaims(platform)), ...fresh, ...ours };
  const { key } = platform.initiator;
  const token = await createAccessToken(key, new Date(), randomUUID(), ours);
  const paid = await post(messagesUrl(platform), { jwt: await signJws(message, key) }, { "Cx-Authorization": token });
  expect(paid.status).toBe(201);
});

test("an attack can be seen: a line has the address and the code, another one whose the token says it is and what is wrong", async () => {
  await using platform = await startPlatform({ asProcess: true, environment: { LOG_LEVEL: "info" } });
  const { initiator, recipient, merchant } = platform;
  const forger = await generateKeyPair("RS256", initiator.key.kid);
  const jwt = await signJws(await acceptedClaims(platform), initiator.key);
  const tooOld = new Date(Date.now() - 600_000);
  const refused: [what: object, ask: () => Promise<Response>][] = [
    [
      { tokenProblem: "signature", kid: forger.kid, party: initiator.guid },
      async () => post(messagesUrl(platform), { jwt }, await access(forger)),
    ],
    [
      { tokenProblem: "stale", kid: initiator.key.kid, party: initiator.guid },
      async () => post(messagesUrl(platform), { jwt }, await access(initiator.key, tooOld)),
    ],
    [
      { tokenProblem: "another_party", kid: recipient.key.kid, party: recipient.guid },
      async () => post(messagesUrl(platform), { jwt }, await access(recipient.key)),
    ],
    [
      { tokenProblem: "unknown_key", kid: merchant.key.kid, party: initiator.guid },
      async () =>
        post(
          messagesUrl(platform),
          { jwt: await signJws({}, { ...forger, kid: merchant.key.kid }) },
          await access(initiator.key),
        ),
    ],
    [{ tokenProblem: "malformed" }, async () => post(ordersUrl(platform), { jwt: "no.token" })],
    [
      { tokenProblem: "unknown_party", kid: forger.kid, party: "nobody" },
      async () => post(ordersUrl(platform), { jwt: await signJws(orderClaims(platform, { sub: "nobody" }), forger) }),
    ],
  ];
  const answers = [];
  for (const [seen, ask] of refused) {
    const response = await ask();
    answers.push({ seen, status: response.status, requestId: response.headers.get("x-request-id") });
  }
  await platform.stop();
  const lines = platform
    .output()
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  for (const { seen, status, requestId } of answers) {
    const of = (msg: string) => lines.find((line) => line.msg === msg && line.requestId === requestId);
    expect(of("a token was refused")).toMatchObject(seen);
    expect(of("request")).toMatchObject({ status, address: "127.0.0.1", code: expect.stringMatching(/^[A-Z_]+$/) });
  }
  expect(answers.map(({ status }) => status)).toEqual([401, 401, 403, 401, 401, 401]);
  // Whoever is served is written down by no address.
  expect(lines.filter(({ status }) => status === 201).map(({ address }) => address)).toEqual([undefined, undefined]);
});
