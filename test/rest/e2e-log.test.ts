import { randomUUID } from "node:crypto";
import { expect, test } from "vitest";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { registerBank } from "../../src/sandbox/onboarding.ts";
import { SAMPLE_PAYER } from "../../src/sandbox/samples.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { acceptedClaims, access, forged, messagesUrl, orderClaims, ordersUrl, post, withMember } from "./forge.ts";

/** Everything that goes right or wrong for a caller, once. */
async function liveThroughADay(platform: Platform): Promise<void> {
  const { initiator, recipient, merchant } = platform;
  const claims = await acceptedClaims(platform);
  const fresh = (changes = {}) => ({
    ...claims,
    jti: randomUUID(),
    payment_message_external_id: randomUUID(),
    ...changes,
  });
  const submit = async (jwt: string, headers?: Record<string, string>) =>
    post(messagesUrl(platform), { jwt }, headers ?? (await access(initiator.key)));

  // Tokens in every place that a log could copy them from.
  const order = await signJws(orderClaims(platform), merchant.key);
  await fetch(`${ordersUrl(platform)}?jwt=${order}&custom=true`, { method: "POST" });
  await fetch(`${platform.url()}/api/v1/${order}`);
  await fetch(`${ordersUrl(platform)}?jwt=${order}&jwt=${order}`, { method: "POST" });
  await post(ordersUrl(platform), `{"jwt": "${order}`);
  await post(ordersUrl(platform), { jwt: forged.algNone(orderClaims(platform), merchant.key.kid) });

  // Accounts, ciphertexts and telephones in refused messages.
  await submit(await signJws(claims, initiator.key));
  await submit(await signJws(fresh(), initiator.key));
  await submit(
    await signJws(withMember(fresh(), "debtor.debtor_account", "UA000000000000000000000000000"), initiator.key),
  );
  await submit(await signJws(withMember(fresh(), "debtor.debtor_phone", "+3806612345671234567"), initiator.key));
  await submit(await signJws(fresh(), recipient.key));
  await submit(await signJws(fresh(), initiator.key), { "Cx-Authorization": order });
  const text = JSON.stringify({ jwt: await signJws(fresh(), initiator.key) });
  await post(messagesUrl(platform), `${text}{`, await access(initiator.key));

  // Endpoints that answer with what they were sent.
  merchant.answers("pay-in", (call) => ({ status: 422, body: JSON.stringify(call.claims) }));
  initiator.answers("pay-out", "reset", { status: 500, body: order }, 404);
  await platform.pays();
  await platform.endsAllCallbacks();

  // Operators who are wrong.
  const stranger = remoteTransport(platform.rpcUrl(), "a-token-that-is-not-the-right-one");
  await expect(createClients(stranger).participants.listParticipants({})).rejects.toThrow();
  stranger.close();
  const onboarding = { participants: platform.operators().participants, restUrl: platform.url() };
  await expect(registerBank(onboarding, initiator, { guid: randomUUID(), bic: recipient.bic })).rejects.toThrow();
}

test("whatever happens, the log at its most talkative holds no token, no account, no ciphertext, no telephone, no secret", async () => {
  await using platform = await startPlatform({ asProcess: true, environment: { LOG_LEVEL: "trace" } });
  await liveThroughADay(platform);
  const [callback] = await platform.rows<{ guid: string }>("select guid from callback where kind = 'pay_out' limit 1");
  const ciphertexts = await platform.rows<Record<string, string>>(
    "select debtor_name, debtor_tax_number, creditor_name, creditor_tax_number, nonce, encrypted_key from payment_message",
  );
  await platform.stop();
  const log = platform.output();

  // It is a log: one JSON object a line, and what happened can be followed by its guids.
  const lines = log.trim().split("\n");
  expect(lines.length).toBeGreaterThan(50);
  for (const line of lines) expect(() => JSON.parse(line), line).not.toThrow();
  expect(log).toMatch(new RegExp(`"callbackGuid":"${callback?.guid}".*"attempt":1`));

  expect(log, "a JWS").not.toMatch(/eyJ[\w-]{8,}\.[\w-]{8,}/);
  expect(log, "an account").not.toMatch(/UA\d{27}/);
  expect(log, "a telephone").not.toMatch(/\+380\d{6,}/);
  const secrets = [
    ...ciphertexts.flatMap((row) => Object.values(row)),
    ...Object.values(SAMPLE_PAYER),
    platform.operatorToken ?? "",
    "a-token-that-is-not-the-right-one",
    new URL(platform.databaseUrl).password,
  ].filter((secret) => secret !== "");
  for (const secret of secrets) expect(log.includes(secret), `the log holds ${secret}`).toBe(false);
});
