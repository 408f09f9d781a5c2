import { randomUUID } from "node:crypto";
import { connect } from "node:net";
import { gzipSync } from "node:zlib";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { acceptedClaims, access, messagesUrl } from "./forge.ts";

// What HTTP libraries do when a connection drops: the same request, byte for byte, with the same Cx-Authorization.

let platform: Platform;
/** What an accepted payment message said: others are made from it. */
let accepted: Claims;

beforeAll(async () => {
  platform = await startPlatform();
  accepted = await acceptedClaims(platform);
});
afterEach(() => platform.endsAllCallbacks());
afterAll(() => platform?.[Symbol.asyncDispose]());

/** A payment message for an order of its own. */
async function message(): Promise<{ jwt: string; orderId: string }> {
  const { id } = await platform.merchant.order();
  const own = { jti: randomUUID(), payment_message_external_id: randomUUID(), order_id: id };
  return { jwt: await signJws({ ...accepted, ...own }, platform.initiator.key), orderId: id };
}

async function send(body: string | Uint8Array, headers: Record<string, string>, url = messagesUrl(platform)) {
  const bytes = Buffer.from(body);
  const response = await fetch(url, { method: "POST", headers, body: bytes });
  return { status: response.status, json: (await response.json()) as Record<string, unknown> };
}

const storedGuid = async (orderId: string) => {
  const rows = await platform.rows<{ guid: string }>("select guid from payment_message where order_guid = $1", orderId);
  return rows[0]?.guid;
};

type Form = [type: string, bodyOf: (jwt: string) => string];
const forms: Form[] = [
  ["application/json", (jwt) => JSON.stringify({ jwt })],
  ["application/jwt", (jwt) => jwt],
  ["application/jose", (jwt) => jwt],
  ["text/plain;charset=UTF-8", (jwt) => `${jwt}\n`],
];

describe.each(forms)("a payment message as %s", (type, bodyOf) => {
  test("50 at once are one 201 and 49 times 409 with its guid, and so is every later one", async () => {
    const { jwt, orderId } = await message();
    const headers = { "Content-Type": type, ...(await access(platform.initiator.key)) };
    const answers = await Promise.all(Array.from({ length: 50 }, () => send(bodyOf(jwt), headers)));
    const guid = await storedGuid(orderId);
    expect(answers.filter(({ status }) => status === 201)).toEqual([{ status: 201, json: { guid } }]);
    answers.push(await send(bodyOf(jwt), headers));
    // As many slashes as one likes: the path is the same.
    answers.push(await send(bodyOf(jwt), headers, messagesUrl(platform).replace("/api", "//api")));
    const again = answers.filter(({ status }) => status === 409);
    expect(again).toHaveLength(51);
    for (const { json } of again) expect(json.payment_message_guid).toBe(guid);
    await platform.endsAllCallbacks();
    expect(platform.recipient.calls("pay-in", { guid: guid as string })).toHaveLength(1);
  });

  test("a retry after an answer that was lost hears the guid that was in it", async () => {
    const { jwt, orderId } = await message();
    const headers = { "Content-Type": type, ...(await access(platform.initiator.key)) };
    await sendAndLeave(bodyOf(jwt), headers);
    await vi.waitFor(async () => expect(await storedGuid(orderId)).toBeDefined(), { timeout: 10_000 });
    const { status, json } = await send(bodyOf(jwt), headers);
    expect([status, json.payment_message_guid]).toEqual([409, await storedGuid(orderId)]);
  });
});

/** Sends a whole request and drops the connection before its answer can come. */
async function sendAndLeave(body: string, headers: Record<string, string>): Promise<void> {
  const { hostname, port, pathname } = new URL(messagesUrl(platform));
  const socket = connect(Number(port), hostname);
  const lines = Object.entries({ Host: hostname, ...headers, "Content-Length": Buffer.byteLength(body) });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  await new Promise<void>((sent) => socket.write(`POST ${pathname} HTTP/1.1\r\n${head}\r\n${body}`, () => sent()));
  socket.resetAndDestroy();
}

test("forms that are refused use nothing up: the same token is good for the same message in a form that is taken", async () => {
  const { jwt, orderId } = await message();
  const token = await access(platform.initiator.key);
  const json = JSON.stringify({ jwt });
  const refused: [status: number, body: string | Uint8Array, headers: Record<string, string>][] = [
    [400, jwt, { "Content-Type": "application/json" }],
    [400, JSON.stringify(jwt), { "Content-Type": "application/json" }],
    [400, json, { "Content-Type": "text/plain" }],
    [400, "", { "Content-Type": "application/jwt" }],
    [400, Buffer.from(json, "utf16le"), { "Content-Type": "application/json" }],
    [400, Buffer.from([0xff]), { "Content-Type": "application/jwt" }],
    [413, " ".repeat(65_537), { "Content-Type": "application/jwt" }],
    [415, json, { "Content-Type": "application/json; charset=latin1" }],
    [415, Buffer.from(json, "utf16le"), { "Content-Type": "application/json; charset=utf-16" }],
    [415, json, { "Content-Type": "application/xml" }],
    [415, gzipSync(json), { "Content-Type": "application/json", "Content-Encoding": "gzip" }],
  ];
  for (const [status, body, headers] of refused) {
    const answer = await send(body, { ...headers, ...token });
    expect([status, headers, answer.status]).toEqual([status, headers, status]);
  }
  expect(await storedGuid(orderId)).toBeUndefined();
  const taken = await send(jwt, { "Content-Type": "application/jwt", ...token });
  expect([taken.status, taken.json.guid]).toEqual([201, await storedGuid(orderId)]);
});

test("another form is another request: with the same token a replay, with a new one it hears the guid", async () => {
  const { jwt, orderId } = await message();
  const token = await access(platform.initiator.key);
  expect((await send(jwt, { "Content-Type": "application/jwt", ...token })).status).toBe(201);
  const other = { "Content-Type": "application/json" };
  const replay = await send(JSON.stringify({ jwt }), { ...other, ...token });
  expect([replay.status, replay.json.code]).toEqual([401, "TOKEN_REPLAYED"]);
  const retry = await send(JSON.stringify({ jwt }), { ...other, ...(await access(platform.initiator.key)) });
  expect([retry.status, retry.json.payment_message_guid]).toEqual([409, await storedGuid(orderId)]);
  // The media type is no part of what makes the request.
  const sameBytes = await send(jwt, { "Content-Type": "text/plain", ...token });
  expect([sameBytes.status, sameBytes.json.payment_message_guid]).toEqual([409, await storedGuid(orderId)]);
});
