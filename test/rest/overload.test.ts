import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { operations } from "../../gen/rest/operations.ts";
import { waitsForItsTurn } from "../../src/rest/admission.ts";
import { ask, type Keys, makeKeys, ORDER_ID, refusedByCore, startRest } from "./fixture.ts";

let keys: Keys;
beforeAll(async () => {
  keys = await makeKeys();
});

const status = `/api/v1/merchants/order/status?id=${ORDER_ID}`;

/** A translator that works on two requests at a time, whose core answers when it is let. */
async function startHeld() {
  const held: (() => void)[] = [];
  const rest = await startRest(
    keys,
    {
      orders: {
        getOrder: async () => {
          await new Promise<void>((resolve) => held.push(resolve));
          throw refusedByCore(ErrorReason.ORDER_NOT_FOUND);
        },
      },
    },
    { maxInFlight: 2 },
  );
  onTestFinished(() => rest.stop());
  return { rest, held };
}

test.each(Object.entries(operations))("whether %s waits for its turn follows from what it is for", (id, { path }) => {
  const isForOperators = /^get(Openapi|Docs|Health|Readiness|Metrics)/.test(id);
  for (const url of [path, path.toUpperCase(), `${path}?x=1`]) expect(waitsForItsTurn(url)).toBe(!isForOperators);
  expect(waitsForItsTurn(`http://shop.example${path}`)).toBe(true);
});

test("more requests than one process works on wait a second and are then told to come again", async () => {
  const { rest, held } = await startHeld();
  const working = [ask(rest, status), ask(rest, status)];
  await expect.poll(() => held.length).toBe(2);
  const startedAt = performance.now();
  const refused = await ask(rest, status);
  expect(refused).toMatchObject({ status: 503, json: { code: "OVERLOADED" } });
  expect(Object.fromEntries(refused.headers)).toMatchObject({
    "retry-after": "1",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-request-id": expect.stringMatching(/^[0-9a-f-]{36}$/),
  });
  expect(performance.now() - startedAt).toBeGreaterThan(900);
  const logged = rest.lines.map((line) => JSON.parse(line)).find((line) => line.status === 503);
  expect(logged.durationMs).toBeGreaterThan(900);
  expect(await ask(rest, "/healthz")).toMatchObject({ status: 200 });
  for (const finish of held) finish();
  expect((await Promise.all(working)).map((answer) => answer.status)).toEqual([400, 400]);
});

test("a request that names the whole URL waits like any other", async () => {
  const { rest, held } = await startHeld();
  const working = [ask(rest, status), ask(rest, status)];
  await expect.poll(() => held.length).toBe(2);
  const whole = get({ host: "127.0.0.1", port: new URL(rest.url).port, path: `http://shop.example${status}` });
  const [answer] = (await once(whole, "response")) as [IncomingMessage];
  answer.resume();
  expect(answer.statusCode).toBe(503);
  expect(held).toHaveLength(2);
  for (const finish of held) finish();
  await Promise.all(working);
});

test("a request that waits is worked on when another one ends, and one whose caller has gone is forgotten", async () => {
  const { rest, held } = await startHeld();
  const working = [ask(rest, status), ask(rest, status)];
  await expect.poll(() => held.length).toBe(2);
  const gone = fetch(`${rest.url}${status}`, { signal: AbortSignal.timeout(100) });
  await expect(gone).rejects.toThrow("timeout");
  const waiting = ask(rest, status);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect(held).toHaveLength(2);
  held[0]?.();
  await expect.poll(() => held.length).toBe(3);
  for (const finish of held) finish();
  expect((await Promise.all([...working, waiting])).map((answer) => answer.status)).toEqual([400, 400, 400]);
  const logged = rest.lines.map((line) => JSON.parse(line)).filter(({ status }) => status === 400);
  expect(logged).toHaveLength(3);
  for (const { durationMs } of logged) expect(durationMs, "waiting counts").toBeGreaterThan(90);
});
