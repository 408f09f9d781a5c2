import { decodeJwt, decodeProtectedHeader } from "jose";
import { beforeEach, expect, onTestFinished, test } from "vitest";
import type { GetOrderResponse } from "../../gen/dcm/v1/order_service_pb.ts";
import { createCore } from "../../src/core/core.ts";
import { masterKeyOf } from "../../src/core/masterKey.ts";
import { followPlatformKeys } from "../../src/core/platformKeyRing.ts";
import { ensurePlatformKeys } from "../../src/core/platformKeyStart.ts";
import { verifyJws } from "../../src/sdk/jws.ts";
import { importKeySet } from "../../src/sdk/keys.ts";
import { accepted, createOrder, openPlatform, operator, type Platform, registerParties, setClock } from "./platform.ts";

// An order's details are signed once and stored, and again only when their key signs no more.

const masterKey = masterKeyOf(Buffer.alloc(32, "own"));
const hourMs = 3_600_000;

let platform: Platform;
beforeEach(async () => {
  platform = await openPlatform();
  onTestFinished(() => platform.close());
});

type Node = Awaited<ReturnType<typeof startNode>>;

/** A process of the platform with its real keys, which counts what it signs. `slowly`: resolves when it may go on to sign. */
async function startNode(slowly: () => Promise<void> = async () => {}) {
  await ensurePlatformKeys(platform.db, { current: masterKey }, { older: async () => undefined, maxAgeSeconds: 3_600 });
  const log = { warn: () => {}, error: () => {} };
  const { now } = platform.context;
  const keys = await followPlatformKeys({ sql: platform.db.sql, now, masterKey, log });
  onTestFinished(() => keys.stop());
  const count = { signed: 0 };
  const sign: typeof keys.sign = async (...what) => {
    count.signed += 1;
    await slowly();
    return keys.sign(...what);
  };
  const core = createCore({ ...platform.context, platformKeys: { ...keys, sign } });
  return { core, keys, count };
}

/** A new order as it is read. */
async function newOrder(): Promise<GetOrderResponse> {
  const { merchant } = await registerParties(platform);
  const { id } = await createOrder(platform, merchant);
  return accepted(await platform.core.getOrder(id));
}

const view = ({ core }: Node, order: GetOrderResponse) => core.signedDetails(order);
const kidOf = (jws: string) => decodeProtectedHeader(jws).kid;
const isVerifiable = async ({ keys }: Node, jws: string) =>
  (await verifyJws(jws, await importKeySet({ keys: keys.jwks() }))).ok;
const rotate = async ({ core }: Node, atOnce: boolean) =>
  accepted(await core.rotatePlatformKey(operator, { alg: "RS256", announceSeconds: 0, atOnce })).key.kid;
const inHours = (hours: number) => setClock(platform, new Date(Date.now() + hours * hourMs));

test("two views, one signature, also through another process; another order has its own", async () => {
  const [first, second] = [await startNode(), await startNode()];
  const [order, other] = [await newOrder(), await newOrder()];
  const id = order.order?.id;
  const jws = await view(first, order);
  expect(decodeJwt(jws)).toMatchObject({ id });
  await inHours(1);
  expect(await view(first, order)).toBe(jws);
  expect(await view(second, order)).toBe(jws);
  expect([first.count.signed, second.count.signed]).toEqual([1, 0]);
  expect(decodeJwt(await view(second, other))).toMatchObject({ id: other.order?.id });
  expect(await platform.rows("select order_guid, kid, jws from signed_order where order_guid = $1", id)).toEqual([
    { order_guid: id, kid: kidOf(jws), jws },
  ]);
});

test("of several that sign at the same moment the first one's token is everybody's", async () => {
  let signing = 0;
  let begin = () => {};
  const all = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const node = await startNode(() => {
    signing += 1;
    if (signing === 5) begin();
    return all;
  });
  const order = await newOrder();
  // Each claims something else, so that each would be a token of its own.
  const views = await Promise.all(
    ["1", "2", "3", "4", "5"].map((creditorAccount) => view(node, { ...order, creditorAccount })),
  );
  expect(node.count.signed).toBe(5);
  expect(new Set(views).size).toBe(1);
  expect(await view(node, order)).toBe(views[0]);
});

test("a key that is announced changes nothing; once the old one signs no more the details are signed anew, once", async () => {
  const [node, other] = [await startNode(), await startNode()];
  const order = await newOrder();
  const jws = await view(node, order);
  const next = await rotate(node, false);
  expect(await view(node, order)).toBe(jws);
  // The announcement is over, and the old key is still published: whoever opens its link by now can verify it for a while.
  await inHours(25);
  const anew = await view(node, order);
  expect([kidOf(anew), kidOf(jws) === next]).toEqual([next, false]);
  expect([await isVerifiable(node, jws), await isVerifiable(node, anew)]).toEqual([true, true]);
  await other.keys.refresh();
  expect(await view(other, order)).toBe(anew);
  expect([node.count.signed, other.count.signed]).toEqual([2, 0]);
  await inHours(24 * 300);
  const late = await view(node, order);
  expect([late, await isVerifiable(node, late)]).toEqual([anew, true]);
});

test("a key that is taken away at once takes its tokens with it", async () => {
  const node = await startNode();
  const order = await newOrder();
  const jws = await view(node, order);
  const next = await rotate(node, true);
  expect(await isVerifiable(node, jws)).toBe(false);
  const anew = await view(node, order);
  expect([kidOf(anew), await isVerifiable(node, anew)]).toEqual([next, true]);
});

test("of several that replace a token of a retired key the first one's is everybody's, and a late one replaces nothing", async () => {
  let hold = async () => {};
  const node = await startNode(() => hold());
  const order = await newOrder();
  await view(node, order);
  await rotate(node, true);
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  hold = () => held;
  const late = view(node, { ...order, creditorAccount: "late" });
  await expect.poll(() => node.count.signed).toBe(2);
  hold = async () => {};
  const anew = await view(node, { ...order, creditorAccount: "in time" });
  release();
  expect(await late).toBe(anew);
  expect(await view(node, order)).toBe(anew);
});
