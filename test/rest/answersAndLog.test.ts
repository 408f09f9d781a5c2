import { afterAll, beforeAll, expect, test } from "vitest";
import { access, ask, BANK_GUID, makeKeys, ORDER_ID, postJson, type Rest, startRest } from "./fixture.ts";

let rest: Rest;
let keys: Awaited<ReturnType<typeof makeKeys>>;
beforeAll(async () => {
  keys = await makeKeys();
  rest = await startRest(keys, { statements: { select_order: () => [] } });
});
afterAll(() => rest.stop());

const path = `/api/v1/merchants/order/nbu/json?id=${ORDER_ID}`;

/** What the last request has left in the log. */
async function loggedOf(asking: Promise<unknown>): Promise<Record<string, unknown>> {
  await asking;
  return JSON.parse(rest.lines.findLast((line) => line.includes('"request"')) ?? "{}");
}

test("the log has the address of who shows no good token, and of nobody else", async () => {
  const stranger = await loggedOf(ask(rest, path, { headers: await access(keys.stranger) }));
  expect([stranger.status, stranger.address]).toEqual([401, "127.0.0.1"]);
  const lost = await loggedOf(ask(rest, "/nowhere"));
  expect([lost.code, lost.address]).toEqual(["ROUTE_NOT_FOUND", undefined]);
  const served = await loggedOf(ask(rest, "/openapi.json"));
  expect([served.code, served.address]).toEqual([undefined, undefined]);
});

test("only a body that begins like a token is told how a bare token is sent", async () => {
  const toPay = `/api/v1/counterparty/${BANK_GUID}/payment-message`;
  const errorOf = async (body: string) => (await ask(rest, toPay, postJson(body, await access(keys.bank)))).json.error;
  expect(await errorOf('{"jwt": e30.e30.e30}')).toBe("the body is not JSON");
  expect(await errorOf(" e30.e30.e30")).toBe("the body is not JSON; a bare JWS is sent as application/jwt");
});

test("a page that is known already is answered without its text, its type and its policies", async () => {
  const first = await ask(rest, "/docs");
  const again = await ask(rest, "/docs", { headers: { "If-None-Match": String(first.headers.get("etag")) } });
  expect([first.status, again.status, again.text]).toEqual([200, 304, ""]);
  for (const name of ["content-type", "content-security-policy", "x-frame-options"]) {
    expect([first.headers.has(name), again.headers.has(name)], name).toEqual([true, false]);
  }
});
