import { beforeAll, beforeEach, expect, test } from "vitest";
import type { CoreContext, PingAnswer } from "../../src/core/context.ts";
import { pingParticipant, proofProblem } from "../../src/core/ping.ts";
import type { Participant, PublicJwk } from "../../src/domain/participant.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { fakeContext, keyOf, registered } from "./identity/fakeContext.ts";
import { accepted } from "./platform.ts";

const guid = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
const now = new Date("2026-05-10T10:00:00Z");
const [first, second] = ["https://bank.example/callbacks", "https://bank.example/pay-in"];

let keys: { mine: KeyPair; next: KeyPair; foreign: KeyPair };
let bank: Participant;
let pinged: { url: string; challenge: string }[];
/** What the addresses answer; by default they sign the challenge with both keys of the bank. */
let answers: (url: string, challenge: string) => Promise<PingAnswer>;
let context: CoreContext;

const signed = async (challenge: string, ...pairs: KeyPair[]): Promise<PingAnswer> => ({
  outcome: "accepted",
  durationMs: 12.6,
  httpStatus: 200,
  body: JSON.stringify({ jwts: await Promise.all(pairs.map((key) => signJws({ challenge }, key))) }),
});

beforeAll(async () => {
  const made = await Promise.all(["mine", "next", "foreign"].map((kid) => generateKeyPair("ES256", kid)));
  keys = { mine: made[0], next: made[1], foreign: made[2] } as typeof keys;
});

beforeEach(() => {
  pinged = [];
  answers = (_, challenge) => signed(challenge, keys.mine, keys.next);
  bank = registered({
    kind: "bank",
    guid,
    name: "Bank",
    callbackUrls: { base: first, pay_in: second, pay_out: first },
    signingJwks: [keys.mine.publicJwk, keys.next.publicJwk],
  });
  context = fakeContext([bank], {
    now: () => now,
    ping: (_, url, challenge) => {
      pinged.push({ url, challenge });
      return answers(url, challenge);
    },
  });
});

const jwks = () => [keys.mine, keys.next].map(({ publicJwk }) => publicJwk as PublicJwk);
const proof = () => proofProblem(context, bank, jwks());

test("pingParticipant: each address is pinged once, whatever it serves, with a challenge of its own", async () => {
  const results = accepted(await pingParticipant(context, guid));
  expect(pinged.map(({ url }) => url)).toEqual([first, second]);
  const challenges = pinged.map(({ challenge }) => Buffer.from(challenge, "base64url"));
  expect(challenges.map(({ length }) => length)).toEqual([32, 32]);
  expect(challenges[0]).not.toEqual(challenges[1]);
  expect(results).toMatchObject([
    { urlNames: ["base", "pay_out"], url: first, outcome: "accepted", httpStatus: 200, problem: "" },
    { urlNames: ["pay_in"], url: second, outcome: "accepted", httpStatus: 200, problem: "" },
  ]);
  for (const { durationMs, provenKids } of results) {
    expect(durationMs).toBe(13);
    expect(provenKids).toEqual(["mine", "next"]);
  }
});

test("pingParticipant: a key that is retired proves nothing any more", async () => {
  const retired = keyOf(keys.next.publicJwk as PublicJwk, { id: 2, retireAt: now });
  bank.keys = [keyOf(keys.mine.publicJwk as PublicJwk), retired];
  const [result] = accepted(await pingParticipant(context, guid));
  expect(result?.provenKids).toEqual(["mine"]);
});

test("pingParticipant: an address that cannot be reached is told with the problem, and proves nothing", async () => {
  answers = async (_, challenge) => {
    const { body = "" } = await signed(challenge, keys.mine);
    return { outcome: "connect_refused", durationMs: 1, problem: "connection refused", body };
  };
  expect(accepted(await pingParticipant(context, guid))).toMatchObject([
    { outcome: "connect_refused", httpStatus: 0, problem: "connection refused", provenKids: [] },
    { outcome: "connect_refused" },
  ]);
});

test("pingParticipant: of a long answer 4 096 characters are shown", async () => {
  answers = async () => ({ outcome: "accepted", durationMs: 1, httpStatus: 200, body: "x".repeat(4_097) });
  const [result] = accepted(await pingParticipant(context, guid));
  expect(result).toMatchObject({ answer: "x".repeat(4_096), provenKids: [] });
});

test("pingParticipant: an answer without a body is shown as empty", async () => {
  answers = async () => ({ outcome: "accepted", durationMs: 1, httpStatus: 204 });
  const [result] = accepted(await pingParticipant(context, guid));
  expect(result).toMatchObject({ answer: "", provenKids: [] });
});

test.each([guid.replace("0b", "1c"), "no guid"])("pingParticipant: %s is nobody", async (unknown) => {
  expect(await pingParticipant(context, unknown)).toMatchObject({ refused: "PARTICIPANT_NOT_FOUND", field: "guid" });
});

test("proofProblem: an address that signs its challenge with every key has no problem", async () => {
  expect(await proof()).toBeUndefined();
});

test.each([
  ["with one key only", (_: string, challenge: string) => signed(challenge, keys.mine)],
  ["with a key of somebody else", (_: string, challenge: string) => signed(challenge, keys.mine, keys.foreign)],
  ["another challenge", () => signed("another", keys.mine, keys.next)],
  [
    "behind eight other proofs",
    (_: string, challenge: string) => signed(challenge, ...Array(8).fill(keys.mine), keys.next),
  ],
])("proofProblem: an address that signs %s leaves a key unproven", async (_what, answer) => {
  answers = answer;
  const missing = await proof();
  expect(missing).toMatchObject({ refused: "INVALID_CALLBACK_URL", field: "callback_urls.base", elsewhere: true });
  expect(missing?.message).toMatch(/^callback_urls\.base does not prove the key (mine|next) by its answer to a ping$/);
});

test("proofProblem: the eighth proof of an answer still counts", async () => {
  answers = (_, challenge) => signed(challenge, ...Array(7).fill(keys.mine), keys.next);
  expect(await proof()).toBeUndefined();
});

test.each(["no JSON", "null", "[]", "{}", '{"jwts":"text"}', '{"jwts":[1,null]}'])(
  "proofProblem: the answer %s has no proof",
  async (body) => {
    answers = async () => ({ outcome: "accepted", durationMs: 1, httpStatus: 200, body });
    expect(await proof()).toMatchObject({ message: expect.stringContaining("does not prove the key mine") });
  },
);

test("proofProblem: one address does not speak for another", async () => {
  answers = (url, challenge) => signed(url === first ? challenge : (pinged[0]?.challenge ?? ""), keys.mine, keys.next);
  expect(await proof()).toMatchObject({ field: "callback_urls.pay_in" });
});

test.each<[Partial<PingAnswer>, string]>([
  [{ outcome: "connect_refused", problem: "connection refused" }, "connection refused"],
  [{ outcome: "refused", httpStatus: 404 }, "it answers 404"],
])("proofProblem: %j is no answer to a ping", async (answer, text) => {
  answers = async (_, challenge) => ({ ...(await signed(challenge, keys.mine, keys.next)), ...answer });
  expect(await proof()).toEqual({
    refused: "INVALID_CALLBACK_URL",
    message: `callback_urls.base does not take a ping: ${text}`,
    field: "callback_urls.base",
    elsewhere: true,
  });
});
