import type { Request } from "express";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { PaymentMessageRequest } from "../../src/domain/paymentMessage.ts";
import { keepBodyBytes, requestDigest } from "../../src/rest/requestBytes.ts";
import { bodyDigest, createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  type Keys,
  MESSAGE_GUID,
  makeKeys,
  NOW,
  participants,
  postJson,
  type Rest,
  startRest,
} from "./fixture.ts";

let keys: Keys;
/** Before this one the bank need not bind its bodies; before the other one it must. */
let rest: Rest;
let demanding: Rest;
let body: string;
const submitted: PaymentMessageRequest[] = [];

const counterparty = `/api/v1/counterparty/${BANK_GUID}`;
const MESSAGES = `${counterparty}/payment-message`;

beforeAll(async () => {
  keys = await makeKeys();
  body = JSON.stringify({ jwt: await signJws(exampleClaims("PaymentMessageClaims"), keys.bank) });
  const fakes = {
    core: {
      submitPaymentMessage: async (request: PaymentMessageRequest) => {
        submitted.push(request);
        return { guid: MESSAGE_GUID };
      },
    },
    callbacks: { listCallbacks: () => ({}) },
    settlements: { listRegisters: () => ({}) },
  };
  rest = await startRest(keys, fakes);
  const [bank, ...others] = participants(keys);
  demanding = await startRest(keys, { ...fakes, registered: [{ ...bank, requiresBodySha256: true }, ...others] });
});
afterAll(() => Promise.all([rest.stop(), demanding.stop()]));

const missed = `${counterparty}/callbacks/missed?since=2023-12-10T00:00:00Z`;
const settlements = `${counterparty}/gross-settlement`;
const sha256 = (text: string) => bodyDigest(Buffer.from(text));

async function bound(bodySha256: unknown, key = keys.bank): Promise<Record<string, string>> {
  return { "Cx-Authorization": await createAccessToken(key, NOW, "bound", { body_sha256: bodySha256 } as Claims) };
}

const refusal = (code: string, field: string) => ({ error: "Access credentials are invalid", code, field });

describe("body_sha256", () => {
  test("the digest of the body's bytes passes, of zero bytes where there is no body", async () => {
    expect((await ask(rest, MESSAGES, postJson(body, await bound(sha256(body))))).status).toBe(201);
    expect((await ask(rest, missed, { headers: await bound(sha256("")) })).status).toBe(200);
  });

  test.each<[string, () => unknown]>([
    ["of another body", () => sha256("{}")],
    ["of the same JSON in other bytes", () => sha256(` ${body}`)],
    ["with padding", () => `${sha256(body)}=`],
    ["cut short", () => sha256(body).slice(0, 42)],
    ["in hexadecimal", () => Buffer.from(sha256(body), "base64url").toString("hex")],
    ["that is empty", () => ""],
    ["that is null", () => null],
    ["that is a list", () => [sha256(body)]],
  ])("a digest %s is refused by its name", async (_what, claim) => {
    const { status, json } = await ask(rest, MESSAGES, postJson(body, await bound(claim())));
    expect([status, json]).toEqual([401, refusal("TOKEN_BODY_MISMATCH", "body_sha256")]);
  });

  test("it counts on reads as well, in the words of either family", async () => {
    const headers = await bound(sha256("another"));
    expect((await ask(rest, missed, { headers })).json).toEqual(refusal("TOKEN_BODY_MISMATCH", "body_sha256"));
    const { status, json } = await ask(rest, settlements, { headers });
    expect([status, json]).toEqual([
      401,
      { error: "TOKEN_BODY_MISMATCH", description: "Access credentials are invalid" },
    ]);
  });

  test("who does not hold the key is not told what the token binds", async () => {
    const { json } = await ask(rest, MESSAGES, postJson(body, await bound(sha256("another"), keys.stranger)));
    expect(json).toEqual({ error: "Access credentials are invalid", code: "AUTHORIZATION_FAILED" });
  });
});

describe("a bank that requires body_sha256 of itself", () => {
  test("changes nothing without it, by either path", async () => {
    for (const path of [MESSAGES, "/api/v1/payment_message"]) {
      const { status, json } = await ask(demanding, path, postJson(body, await access(keys.bank)));
      expect([status, json]).toEqual([401, refusal("TOKEN_INCOMPLETE", "body_sha256")]);
    }
  });

  test("changes with it, and reads without it", async () => {
    expect((await ask(demanding, MESSAGES, postJson(body, await bound(sha256(body))))).status).toBe(201);
    expect((await ask(demanding, missed, { headers: await access(keys.bank) })).status).toBe(200);
  });
});

describe("the request that a token came with", () => {
  async function digestOf(path: string, text: string, headers: Record<string, string>): Promise<string> {
    expect((await ask(rest, path, postJson(text, headers))).status).toBe(201);
    return Buffer.from(submitted.at(-1)?.accessToken.requestDigest ?? []).toString("hex");
  }

  test("has one digest however often it comes, and another when its path, query or body differs by a byte", async () => {
    const headers = await access(keys.bank);
    const first = await digestOf(MESSAGES, body, headers);
    expect(first).toMatch(/^[0-9a-f]{64}$/);
    expect(await digestOf(MESSAGES, body, { ...headers, Accept: "application/json" })).toBe(first);
    const others = [
      await digestOf("/api/v1/payment_message", body, headers),
      await digestOf(`${MESSAGES}?trace=1`, body, headers),
      await digestOf(MESSAGES, `${body} `, headers),
    ];
    expect(new Set([first, ...others]).size).toBe(4);
  });

  function digest(method: string, url: string, text = ""): string {
    const [path] = url.split("?");
    const request = { method, path, originalUrl: url } as Request;
    keepBodyBytes(request, undefined, Buffer.from(text));
    return Buffer.from(requestDigest(request)).toString("hex");
  }

  test.each([
    ["another method", ["POST", "/a"], ["PUT", "/a"]],
    ["what moves from the method to the path", ["POST", "1:/a"], ["POST1", ":/a"]],
    ["what moves from the path to the query", ["POST", "/ab"], ["POST", "/a?b"]],
    ["what moves from the query to the body", ["POST", "/a?b", "c"], ["POST", "/a?bc", ""]],
    ["a query that holds a question mark", ["POST", "/a?b?c"], ["POST", "/a?b"]],
  ] as [string, Parameters<typeof digest>, Parameters<typeof digest>][])(
    "%s makes another digest",
    (_what, one, other) => {
      expect(digest(...one)).not.toBe(digest(...other));
    },
  );
});
