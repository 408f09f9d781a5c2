import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { CompactSign, compactVerify, createLocalJWKSet, importJWK, type JSONWebKeySet } from "jose";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { BankRole } from "../../gen/dcm/v1/participant_pb.ts";
import { makeIban } from "../../src/sandbox/samples.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// A test of addresses, and the proof of keys, by a receiver that knows the contract and jose alone (wire contract, section 8).

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

const participants = () => platform.operators().participants;

type Ping = { kind: string | undefined; claims: Record<string, unknown> };

/** Answers a ping with its challenge, signed by these keys, or with whatever `answer` makes of it. */
async function startReceiver(keys: readonly KeyPair[], answer?: (proof: object) => [status: number, body: string]) {
  const pings: Ping[] = [];
  const server = createServer(async (request, response) => {
    const { jwt } = JSON.parse(await text(request)) as { jwt: string };
    const published = await fetch(`${platform.url()}/api/v1/.well-known/jwks.json`);
    const jwks = (await published.json()) as JSONWebKeySet;
    const { payload } = await compactVerify(jwt, createLocalJWKSet(jwks));
    const claims = JSON.parse(new TextDecoder().decode(payload)) as Record<string, unknown>;
    pings.push({ kind: request.headers["x-callback-kind"] as string, claims });
    const bytes = new TextEncoder().encode(JSON.stringify({ challenge: claims.challenge }));
    const jwts = await Promise.all(
      keys.map(async ({ privateJwk, alg, kid }) =>
        new CompactSign(bytes).setProtectedHeader({ alg, kid }).sign(await importJWK(privateJwk, alg)),
      ),
    );
    const [status, body] = answer?.({ jwts }) ?? [200, JSON.stringify({ jwts })];
    response.writeHead(status).end(body);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, pings };
}

let bic = 500_000;
function bankWith(keys: readonly KeyPair[], callbackUrls: object) {
  bic += 1;
  return {
    name: "Proving Bank",
    taxCode: "12345678",
    bic: String(bic),
    roles: [BankRole.INITIATOR, BankRole.RECIPIENT],
    iban: makeIban(String(bic), 1),
    callbackUrls: {
      $typeName: "dcm.v1.CallbackUrls" as const,
      base: "",
      payIn: "",
      payOut: "",
      credit: "",
      expiration: "",
      grossSettlement: "",
      ...callbackUrls,
    },
    signingJwks: keys.map(({ publicJwk }) => JSON.stringify(publicJwk)),
  };
}

test("each address is tested once, and answers what it proves; nothing of it is a callback", async () => {
  const keys = [await generateKeyPair("RS256"), await generateKeyPair("ES256")];
  const receiver = await startReceiver(keys);
  const other = await startReceiver([]);
  const urls = { base: `${receiver.url}/all`, payIn: `${receiver.url}/all`, credit: `${other.url}/credit` };
  const { bank } = await participants().registerBank({ bank: bankWith(keys, urls) });
  const { results } = await participants().pingParticipant({ guid: bank?.guid ?? "" });
  expect(results).toMatchObject([
    { urlNames: ["base", "pay_in"], url: `${receiver.url}/all`, outcome: "accepted", httpStatus: 200 },
    { urlNames: ["credit"], url: `${other.url}/credit`, outcome: "accepted", provenKids: [] },
  ]);
  expect(results[0]?.provenKids.toSorted()).toEqual(keys.map(({ kid }) => kid).sort());
  expect(receiver.pings).toMatchObject([{ kind: "ping", claims: { aud: bank?.guid, callback_kind: "ping" } }]);
  expect(receiver.pings[0]?.claims.challenge).not.toBe(other.pings[0]?.claims.challenge);
  expect(await platform.rows("select from callback where receiver_guid = $1", bank?.guid)).toEqual([]);
});

test.each<[what: string, answer: (proof: object) => [number, string], expected: object]>([
  ["refuses", () => [404, "no such path"], { outcome: "refused", httpStatus: 404, answer: "no such path" }],
  ["redirects", () => [302, ""], { outcome: "redirected", httpStatus: 302 }],
  ["answers something else", () => [204, ""], { outcome: "accepted", httpStatus: 204, provenKids: [] }],
  ["answers no JSON", () => [200, "{"], { outcome: "accepted", answer: "{", provenKids: [] }],
  ["answers a list that is none", () => [200, '{"jwts":7}'], { provenKids: [] }],
  ["answers what is no token", () => [200, '{"jwts":[1,null,"a.b.c",{}]}'], { provenKids: [] }],
  ["proves it with a failure", (proof) => [500, JSON.stringify(proof)], { outcome: "server_error", provenKids: [] }],
])("an address that %s", async (_, answer, expected) => {
  const key = await generateKeyPair("RS256");
  const receiver = await startReceiver([key], answer);
  const { bank } = await participants().registerBank({ bank: bankWith([key], { base: receiver.url }) });
  const { results } = await participants().pingParticipant({ guid: bank?.guid ?? "" });
  expect(results).toMatchObject([expected]);
});

test("an address where nobody listens is said to be one, and an unknown participant too", async () => {
  const key = await generateKeyPair("RS256");
  const { bank } = await participants().registerBank({ bank: bankWith([key], { base: "http://127.0.0.1:1/" }) });
  const { results } = await participants().pingParticipant({ guid: bank?.guid ?? "" });
  expect(results).toMatchObject([{ outcome: "connect_refused", httpStatus: 0, problem: expect.stringMatching(/./) }]);
  await expect(participants().pingParticipant({ guid: crypto.randomUUID() })).rejects.toThrow("no such participant");
});

test("a registration with proof is stored when every address proves every key, and else not", async () => {
  const keys = [await generateKeyPair("RS256"), await generateKeyPair("RS256")];
  const [first] = keys as [KeyPair];
  const knowing = await startReceiver(keys);
  const half = await startReceiver([first]);
  const stranger = await startReceiver([await generateKeyPair("RS256", first.kid)]);
  const register = (callbackUrls: object) =>
    participants().registerBank({ bank: bankWith(keys, callbackUrls), prove: true });
  await expect(register({ base: half.url })).rejects.toThrow(/base does not prove the key/);
  await expect(register({ base: knowing.url, payOut: stranger.url })).rejects.toThrow(/pay_out does not prove the key/);
  await expect(register({ base: "http://127.0.0.1:1/" })).rejects.toThrow(/base does not take a ping/);
  const { bank } = await register({ base: knowing.url });
  expect(bank?.signingJwks).toHaveLength(2);
});

test("a proof is good for its own challenge alone", async () => {
  const key = await generateKeyPair("RS256");
  let old: string | undefined;
  const replaying = await startReceiver([key], (proof) => {
    old ??= JSON.stringify(proof);
    return [200, old];
  });
  const { bank } = await participants().registerBank({ bank: bankWith([key], { base: replaying.url }) });
  const proven = async () => (await participants().pingParticipant({ guid: bank?.guid ?? "" })).results[0]?.provenKids;
  expect([await proven(), await proven()]).toEqual([[key.kid], []]);
});

test("a key can be added with proof, by whoever answers for the participant", async () => {
  const key = await generateKeyPair("RS256");
  const next = await generateKeyPair("RS256");
  const held: KeyPair[] = [key];
  const receiver = await startReceiver(held);
  const { bank } = await participants().registerBank({ bank: bankWith([key], { base: receiver.url }), prove: true });
  const wish = { guid: bank?.guid ?? "", jwk: JSON.stringify(next.publicJwk), prove: true };
  await expect(participants().addParticipantKey(wish)).rejects.toThrow(/does not prove the key/);
  held.push(next);
  expect(await participants().addParticipantKey(wish)).toMatchObject({ kid: next.kid });
});
