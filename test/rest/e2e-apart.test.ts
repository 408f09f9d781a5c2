import { randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import { signJws, verifyJws } from "../../src/sdk/jws.ts";
import { importKeySet } from "../../src/sdk/keys.ts";
import { runGatewayProcess } from "../support/gatewayProcess.ts";
import { addPayments } from "../support/manyPayments.ts";
import { type Platform, startPlatform } from "../support/platform.ts";
import { access, orderClaims, post } from "./forge.ts";

// A REST edge in a process of its own knows neither the database nor the operator's credential.

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.[Symbol.asyncDispose]());

async function credential(scope: Scope, name = `rest-${randomUUID()}`): Promise<string> {
  const expiresAt = timestampFromDate(new Date(Date.now() + 3_600_000));
  const wanted = { name, scopes: [scope], expiresAt };
  return (await platform.operators().credentials.addCredential(wanted)).secret;
}

/** Starts a REST edge with a credential; answers its address. */
const startEdge = async (secret: string) => (await startEdgeIn(secret)).url;

async function startEdgeIn(secret: string): Promise<{ url: string; folder: string }> {
  const folder = join(tmpdir(), `dcm-edge-${randomUUID()}`);
  const edge = runGatewayProcess(["start", "--role", "rest"], {
    REST_HOST: "127.0.0.1",
    REST_PORT: "0",
    PUBLIC_URL: "http://dcm.example",
    DATA_DIR: folder,
    CORE_URL: platform.rpcUrl(),
    RPC_TOKEN: secret,
    LOG_LEVEL: "info",
  });
  onTestFinished(async () => {
    await edge.kill("SIGTERM");
    await rm(folder, { recursive: true, force: true });
  });
  const [, url = ""] = await edge.says(/"rest":"([^"]+)"/);
  return { url: url.replace("localhost", "127.0.0.1"), folder };
}

async function payThrough(url: string): Promise<string> {
  const participants = [platform.initiator, platform.recipient, platform.merchant];
  onTestFinished(() => {
    for (const participant of participants) participant.joins({ url: platform.url() });
  });
  for (const participant of participants) participant.joins({ url });
  return platform.pays();
}

test("with a gateway's credential it takes orders and payment messages", async () => {
  const url = await startEdge(await credential(Scope.GATEWAY));
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
  await payThrough(url);
  await platform.endsAllCallbacks();
});

test("with a reader's credential it may change nothing", async () => {
  const url = await startEdge(await credential(Scope.READER));
  const before = await platform.rows("select count(*) from payment_order");
  await expect(payThrough(url)).rejects.toThrow("500");
  expect(await platform.rows("select count(*) from payment_order")).toEqual(before);
});

test("it holds no key: nothing is in its folder, and the platform's keys and signatures come from the core", async () => {
  const { url, folder } = await startEdgeIn(await credential(Scope.GATEWAY));
  const jwks = await (await fetch(`${url}/api/v1/.well-known/jwks.json`)).json();
  expect(jwks).toEqual(await (await fetch(`${platform.url()}/api/v1/.well-known/jwks.json`)).json());
  const jwt = await signJws(orderClaims(platform), platform.merchant.key);
  const created = (await (await post(`${url}/api/v1/merchants/order?custom=true`, { jwt })).json()) as { jwt: string };
  expect(await verifyJws(created.jwt, await importKeySet(jwks))).toMatchObject({ ok: true });
  expect(await readdir(folder).catch(() => [])).toEqual([]);
});

test("a credential that is revoked while a register is read through it: the answer is cut off, and taken for whole by nobody", async () => {
  const guid = await platform.pays();
  await platform.endsAllCallbacks();
  const id = await platform.registerOf(guid);
  const { remove } = await addPayments(platform.rows, id, 40_000);
  onTestFinished(remove);
  const name = `captured-${randomUUID()}`;
  const url = await startEdge(await credential(Scope.GATEWAY, name));
  const { guid: bank, key } = platform.initiator;
  const register = `${url}/api/v1/counterparty/${bank}/gross-settlement/${id}`;
  const answer = await fetch(register, { headers: await access(key) });
  const reader = answer.body?.getReader();
  expect([answer.status, (await reader?.read())?.done]).toEqual([200, false]);
  await platform.operators().credentials.revokeCredential({ name });
  const rest = async () => {
    while ((await reader?.read())?.done === false);
  };
  await expect(rest()).rejects.toThrow();
  const later = await fetch(register, { headers: await access(key) });
  expect(later.status).toBe(500);
});

test("with none that is good it is not ready, and says why", async () => {
  const url = await startEdge("dcm_a-secret-of-nobody");
  const answer = await fetch(`${url}/readyz`);
  expect([answer.status, await answer.text()]).toEqual([503, expect.stringContaining("credential (RPC_TOKEN)")]);
});

test("a page that one process shows hears of a payment that another one accepted, and of its end", async () => {
  const edges = await Promise.all([
    startEdge(await credential(Scope.GATEWAY)),
    startEdge(await credential(Scope.GATEWAY)),
  ]);
  const order = await platform.merchant.order();
  const events = edges.map((url) => fetch(`${url}/api/v1/merchants/order/events?id=${order.id}`));
  const streams = await Promise.all(events);
  await platform.initiator.pays(order);
  // Each ends by itself once the order is over.
  const seen = await Promise.all(streams.map((answer) => answer.text()));
  for (const text of seen) {
    expect([...text.matchAll(/"state":"(\w+)"/g)].map(([, state]) => state)).toEqual(["waiting", "processing", "paid"]);
  }
});

test("what somebody else writes into the channel of news stops nobody from hearing", async () => {
  const order = await platform.merchant.order();
  const url = await startEdge(await credential(Scope.GATEWAY));
  const stream = await fetch(`${url}/api/v1/merchants/order/events?id=${order.id}`);
  for (const notice of [
    "nonsense",
    '[null, 7, {"orderGuid": 1}]',
    `[{"orderGuid": "${order.id}", "state": "refunded"}]`,
  ]) {
    await platform.rows("select pg_notify('dcm_order_changes', $1)", notice);
  }
  await platform.initiator.pays(order);
  const states = [...(await stream.text()).matchAll(/"state":"(\w+)"/g)].map(([, state]) => state);
  expect(states).toEqual(["waiting", "processing", "paid"]);
});
