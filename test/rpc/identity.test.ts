import { randomBytes } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Participant } from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import { scopes } from "../../src/domain/credential.ts";
import { createInProcessTransport } from "../../src/rpc/inProcess.ts";
import { coreServices } from "../../src/rpc/routes.ts";
import { bodyDigest } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import { accepted, type Platform, operator as person, serial } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import { transportOf } from "./inProcess.ts";
import {
  asBank,
  asMerchant,
  keyOf,
  newOrder,
  onItsPath,
  openPlatformOfSigners,
  orderClaims,
  paymentClaims,
  pays,
  registerBankAndMerchant,
  type Shown,
  type Sides,
  signedOrder,
  signedPaymentMessage,
} from "./messages.ts";

let platform: Platform;
let gateway: CoreClients;
let reader: CoreClients;
let operator: CoreClients;
let sides: Sides;
let others: Sides;
let bank: Participant;
let stranger: KeyPair;

const silent = { debug: () => {}, info: () => {}, error: () => {} };

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  [gateway, reader, operator] = scopes.map((scope) =>
    createClients(transportOf(platform.core, silent, `a ${scope}`, [scope])),
  ) as [CoreClients, CoreClients, CoreClients];
  sides = await registerBankAndMerchant(operator);
  others = await registerBankAndMerchant(operator);
  stranger = await generateKeyPair("RS256", "of nobody");
  ({ bank } = sides);
});
afterAll(() => platform.close());

const submit = async (claims: Claims, shown: Shown = {}) =>
  gateway.paymentMessages.submitPaymentMessage(
    { jws: await signJws(claims, shown.key ?? keyOf(bank)) },
    await asBank(bank, shown),
  );
/** A good payment message for a new order. */
const submitNew = async (shown: Shown = {}) =>
  submit(paymentClaims(sides, await newOrder(gateway, sides.merchant)), shown);
const readOrder = async (of: Participant, shown: Shown = {}) =>
  gateway.orders.getOrder({ orderId: await newOrder(gateway, sides.merchant) }, await asBank(of, shown));

const unauthenticated = { code: Code.Unauthenticated, reason: "AUTHORIZATION_FAILED", field: "" };
const forbidden = { code: Code.PermissionDenied, reason: "FORBIDDEN" };

describe("a bank's token", () => {
  test("is taken for its bank's, with its path or without one", async () => {
    await expect(readOrder(bank)).resolves.toBeDefined();
    await expect(readOrder(bank, { counterparty: bank.guid.toUpperCase() })).resolves.toBeDefined();
  });

  test.each<[string, () => Promise<unknown>]>([
    ["of a key that nobody has registered", () => readOrder(bank, { key: stranger })],
    [
      "of another key that calls itself like the bank's",
      () => readOrder(bank, { key: { ...stranger, kid: keyOf(bank).kid } }),
    ],
    [
      "of a merchant for its own path",
      () => readOrder(bank, { key: keyOf(sides.merchant), counterparty: sides.merchant.guid }),
    ],
    ["of a merchant", () => readOrder(bank, { key: keyOf(sides.merchant) })],
    ["of nobody for a bank's path", () => readOrder(bank, { key: stranger, counterparty: bank.guid })],
    ["that is none", () => gateway.orders.getOrder({ orderId: "" }, { headers: { "cx-authorization": "secret" } })],
  ])("%s says nothing but that it is not good", async (_, call) => {
    expect(await errorOf(call())).toMatchObject(unauthenticated);
  });

  test("of one bank is good, but not for the path of another one", async () => {
    const call = readOrder(bank, { counterparty: others.bank.guid });
    expect(await errorOf(call)).toMatchObject(forbidden);
    expect(await errorOf(submitNew({ counterparty: others.bank.guid }))).toMatchObject(forbidden);
  });

  test.each([
    ["TOKEN_AUDIENCE", "aud", { aud: "another platform" }],
    ["TOKEN_EXPIRED", "exp", { exp: 1_000 }],
    ["TOKEN_BODY_MISMATCH", "body_sha256", { body_sha256: bodyDigest(Buffer.from("another body")) }],
  ])("its holder hears %s of a good signature", async (reason, field, claims) => {
    expect(await errorOf(readOrder(bank, { claims }))).toMatchObject({ code: Code.Unauthenticated, reason, field });
  });

  test("that binds the body binds what is processed: the message has to come from that body", async () => {
    const claims = paymentClaims(sides, await newOrder(gateway, sides.merchant));
    const [jws, another] = await Promise.all([claims, { ...claims, amount: 1 }].map((of) => signJws(of, keyOf(bank))));
    const body = Buffer.from(JSON.stringify({ jwt: jws }));
    const bound = { claims: { body_sha256: bodyDigest(body) } };
    const call = async (message: { jws?: string | undefined; body?: Uint8Array }) =>
      gateway.paymentMessages.submitPaymentMessage(
        { jws: "", ...message } as { jws: string },
        await asBank(bank, bound),
      );
    expect(await errorOf(call({ jws: another, body }))).toMatchObject({ reason: "INVALID_REQUEST", field: "jwt" });
    expect(await errorOf(call({ jws }))).toMatchObject({ reason: "TOKEN_BODY_MISMATCH", field: "body_sha256" });
    await expect(call({ jws, body })).resolves.toBeDefined();
  });
});

describe("who may call", () => {
  test.each<[string, () => CoreClients]>([
    ["reader", () => reader],
    ["operator", () => operator],
  ])("a service with the scope %s brings no bank's token, not even where it may read itself", async (_, service) => {
    const { callbacks, orders } = service();
    const orderId = await newOrder(gateway, sides.merchant);
    await expect(orders.getOrder({ orderId })).resolves.toBeDefined();
    const shown = await asBank(bank);
    const answers = [orders.getOrder({ orderId }, shown), callbacks.listCallbacks({}, shown)].map(errorOf);
    for (const answer of await Promise.all(answers)) {
      expect(answer).toMatchObject({ code: Code.PermissionDenied, reason: undefined });
    }
  });

  test("a gateway without a token is told that a bank's is missing, where a bank may call", async () => {
    const calls = [
      gateway.paymentMessages.submitPaymentMessage({}),
      gateway.paymentMessages.getPaymentMessage({}),
      gateway.settlements.listRegisters({ bankGuid: bank.guid }),
      gateway.settlements.payRegister({}),
      gateway.callbacks.listCallbacks({}),
    ];
    for (const answer of await Promise.all(calls.map(errorOf))) expect(answer).toMatchObject(unauthenticated);
  });

  test("a gateway with a bank's token calls as that bank, and not what is for itself or for others", async () => {
    const [shown, order] = [await asBank(bank), await signedOrder(sides.merchant)];
    const calls = [
      gateway.participants.listParticipants({}, shown),
      gateway.settlements.closeRegisters({ day: "2026-01-01" }, shown),
      gateway.orders.createOrder(order, shown),
    ];
    for (const answer of await Promise.all(calls.map(errorOf))) {
      expect(answer).toMatchObject({ code: Code.PermissionDenied, reason: undefined });
    }
  });

  test("an order is its merchant's by its signature alone", async () => {
    const order = async (claims: Claims, key = keyOf(sides.merchant)) =>
      gateway.orders.createOrder(await signedOrder(sides.merchant, claims, key));
    await expect(order({})).resolves.toBeDefined();
    const calls = [
      order({}, stranger),
      order({}, keyOf(others.merchant)),
      order({}, keyOf(bank)),
      order({ sub: others.merchant.uid }),
      order({ sub: undefined }),
      gateway.orders.createOrder({}),
    ];
    for (const answer of await Promise.all(calls.map(errorOf))) expect(answer).toMatchObject(unauthenticated);
  });

  test("a payment message is its bank's by its own signature as well", async () => {
    const orderId = await newOrder(gateway, sides.merchant);
    for (const key of [stranger, keyOf(others.bank), keyOf(sides.merchant)]) {
      const message = await signedPaymentMessage(sides, orderId, {}, key);
      const call = gateway.paymentMessages.submitPaymentMessage(message, await asBank(bank));
      expect(await errorOf(call)).toMatchObject(unauthenticated);
    }
  });
});

test("a gateway reads of an order's payment what anybody may see; its banks and a reader read all of it", async () => {
  const orderId = await newOrder(gateway, sides.merchant);
  const message = await signedPaymentMessage(sides, orderId);
  const { guid } = await gateway.paymentMessages.submitPaymentMessage(message, await asBank(bank));
  const read = async (clients: CoreClients, shown = {}) =>
    (await clients.orders.getOrder({ orderId }, shown)).paymentMessage;
  const whole = await read(reader);
  expect(whole).toMatchObject({ guid, debtor: { account: expect.stringMatching(/^UA/) } });
  expect(await read(gateway, await asBank(bank))).toEqual(whole);
  const { amount, status, reason } = whole ?? {};
  expect(await read(gateway)).toEqual(
    create(PaymentMessageSchema, { guid, orderId, amount, status, reason } as object),
  );
});

test("a call whose signer is changed again and again is given up after five tries, and may come again", async () => {
  let tried = 0;
  const getPaymentMessage = async (): Promise<never> => {
    tried += 1;
    throw new PartyChanged();
  };
  const core = { ...platform.core, getPaymentMessage };
  const { paymentMessages } = createClients(transportOf(core, silent, "a gateway", ["gateway"]));
  const call = paymentMessages.getPaymentMessage({ by: { case: "guid", value: bank.guid } }, await asBank(bank));
  expect(await errorOf(call)).toMatchObject({ code: Code.ResourceExhausted, reason: "OVERLOADED" });
  expect(tried).toBe(5);
});

test("nothing is done for nobody: a handler that is reached without a caller fails", async () => {
  const { settlements } = createClients(createInProcessTransport(coreServices(platform.core), []));
  await expect(settlements.getRegister({ registerId: "1" })).rejects.toThrow("without a caller");
});

describe("what a bank lists", () => {
  beforeAll(async () => {
    for (const of of [sides, others]) await pays(gateway, of);
    // In Kyiv a day begins two or three hours before it does in UTC.
    const today = new Intl.DateTimeFormat("en-CA", { timeZone: "Europe/Kyiv" }).format();
    await platform.core.closeRegisters(person, today, true);
  });

  test("is its own, whether it says so or not; another bank's is forbidden", async () => {
    const list = async (bankGuid: string) => gateway.settlements.listRegisters({ bankGuid }, await asBank(bank));
    const own = await list("");
    expect(own.registers.map(({ debtorAgent }) => debtorAgent?.guid)).toEqual([bank.guid]);
    expect(await list(bank.guid.toUpperCase())).toEqual(own);
    expect(await errorOf(list(others.bank.guid))).toMatchObject({ ...forbidden, field: "bank_guid" });
  });

  test("of callbacks is what it was sent", async () => {
    const list = async (receiverGuid?: string) =>
      gateway.callbacks.listCallbacks(
        receiverGuid === undefined ? {} : { filter: { receiverGuid } },
        await onItsPath(bank),
      );
    const own = await list();
    expect(new Set(own.callbacks.map(({ receiverGuid }) => receiverGuid))).toEqual(new Set([bank.guid]));
    expect([await list(""), await list(bank.guid)]).toEqual([own, own]);
    const call = list(others.bank.guid);
    expect(await errorOf(call)).toMatchObject({ ...forbidden, field: "filter.receiver_guid" });
  });

  test("a service has to say whose registers it lists, and reads any bank's", async () => {
    for (const { settlements, callbacks } of [reader, operator]) {
      expect(await errorOf(settlements.listRegisters({}))).toMatchObject({
        reason: "INVALID_REQUEST",
        field: "bank_guid",
        message: "bank_guid is missing",
      });
      for (const { guid } of [bank, others.bank]) {
        expect((await settlements.listRegisters({ bankGuid: guid })).registers).toHaveLength(1);
      }
      const receivers = (await callbacks.listCallbacks({})).callbacks.map(({ receiverGuid }) => receiverGuid);
      expect(new Set(receivers)).toEqual(new Set([bank.guid, others.bank.guid]));
    }
  });
});

describe("a merchant's token", () => {
  const list = async (of: Participant, shown: Shown = {}, receiverGuid = "") =>
    gateway.callbacks.listCallbacks({ filter: { receiverGuid } }, await asMerchant(of, shown));
  /** The payments that a list tells of. */
  const told = async (asked: ReturnType<typeof list>) =>
    (await asked).callbacks.map(({ receiverGuid, paymentMessageGuid }) => [receiverGuid, paymentMessageGuid]);

  test("lists the callbacks to its merchant, whether it says so or not; another merchant's are forbidden", async () => {
    const message = await pays(gateway, sides);
    // Pay-in of the bank has been accepted: Pay-in of the merchant is to be sent.
    const [payIn] = (await reader.callbacks.listCallbacks({ filter: { paymentMessageGuid: message } })).callbacks;
    await platform.rows("update callback set receiver_guid = $1 where guid = $2", sides.merchant.guid, payIn?.guid);
    const own = [[sides.merchant.guid, message]];
    expect([await told(list(sides.merchant)), await told(list(sides.merchant, {}, sides.merchant.guid))]).toEqual([
      own,
      own,
    ]);
    expect(await told(list(others.merchant))).toEqual([]);
    for (const { guid } of [others.merchant, bank]) {
      const call = list(sides.merchant, {}, guid);
      expect(await errorOf(call)).toMatchObject({ ...forbidden, field: "filter.receiver_guid" });
    }
  });

  test.each<[string, () => Promise<unknown>]>([
    ["without its claim", () => list(sides.merchant, { claims: { iss: undefined } })],
    ["that names another merchant", () => list(sides.merchant, { claims: { iss: others.merchant.uid } })],
    ["that names nobody", () => list(sides.merchant, { claims: { iss: "nobody" } })],
    ["that names it by its guid", () => list(sides.merchant, { claims: { iss: sides.merchant.guid } })],
    ["that is signed by its bank", () => list(sides.merchant, { key: keyOf(bank) })],
    ["that is its bank's own", async () => gateway.callbacks.listCallbacks({}, await asBank(bank))],
    ["that is signed by nobody", () => list(sides.merchant, { key: stranger })],
    ["with what an order says", () => list(sides.merchant, { claims: orderClaims(sides.merchant) })],
    ["that is too old, of nobody", () => list(sides.merchant, { key: stranger, claims: { exp: 1_000 } })],
    ["on its bank's path", () => list(sides.merchant, { counterparty: bank.guid })],
    ["on a path of its own", () => list(sides.merchant, { counterparty: sides.merchant.guid })],
    [
      "where only a bank may read",
      async () => gateway.orders.getOrder({ orderId: "" }, await asMerchant(sides.merchant)),
    ],
  ])("%s says nothing but that it is not good", async (_, call) => {
    expect(await errorOf(call())).toMatchObject(unauthenticated);
  });

  test.each([
    ["TOKEN_AUDIENCE", "aud", { aud: "another platform" }],
    ["TOKEN_EXPIRED", "exp", { exp: 1_000 }],
    ["TOKEN_NOT_YET_VALID", "nbf", { nbf: 9_999_999_999 }],
    ["TOKEN_BODY_MISMATCH", "body_sha256", { body_sha256: bodyDigest(Buffer.from("another body")) }],
  ])("its holder hears %s of a good signature", async (reason, field, claims) => {
    expect(await errorOf(list(sides.merchant, { claims }))).toMatchObject({
      code: Code.Unauthenticated,
      reason,
      field,
    });
  });

  test("is read again and again: reading uses nothing up", async () => {
    const jti = `merchant-${serial()}`;
    for (let times = 0; times < 2; times++) await expect(list(sides.merchant, { jti })).resolves.toBeDefined();
  });

  test("opens nothing that its merchant signs otherwise, nor what is for banks, services or the gateway itself", async () => {
    const [shown, order] = [await asMerchant(sides.merchant), await signedOrder(sides.merchant)];
    const calls = [
      gateway.participants.listParticipants({}, shown),
      gateway.callbacks.getCallback({ guid: bank.guid }, shown),
      gateway.orders.createOrder(order, shown),
    ];
    for (const answer of await Promise.all(calls.map(errorOf))) {
      expect(answer).toMatchObject({ code: Code.PermissionDenied, reason: undefined });
    }
  });
});

describe("a token that a stored change used up", () => {
  test("is good for that request again, and for no other one", async () => {
    const shown = { jti: `used-${serial()}`, digest: randomBytes(32) };
    const claims = paymentClaims(sides, await newOrder(gateway, sides.merchant));
    const { guid } = await submit(claims, shown);
    expect(await errorOf(submit(claims, shown))).toMatchObject({
      reason: "JTI_IS_ALREADY_TAKEN",
      paymentMessageGuid: guid,
    });
    const other = submitNew({ ...shown, digest: randomBytes(32) });
    expect(await errorOf(other)).toMatchObject({ code: Code.Unauthenticated, reason: "TOKEN_REPLAYED", field: "jti" });
  });

  test("still reads: reading uses no token up, and says nothing of its request", async () => {
    const jti = `reading-${serial()}`;
    await readOrder(bank, { jti });
    await submitNew({ jti });
    await expect(readOrder(bank, { jti, digest: new Uint8Array() })).resolves.toBeDefined();
  });
});

// Each has a bank of its own, which the core has looked up a moment ago with the key that is replaced then.
describe("a key that was replaced a moment ago", () => {
  let next: KeyPair;
  let before: KeyPair;

  beforeEach(async () => {
    sides = await registerBankAndMerchant(operator);
    ({ bank } = sides);
    before = keyOf(bank);
    next = await generateKeyPair("RS256", `next-${serial()}`);
    await submitNew();
  });

  const replaceKey = async (guid: string) =>
    accepted(await platform.core.updateParticipant(person, guid, { signingJwks: [next.publicJwk] }));
  const stored = async ({ jti }: Claims) =>
    (await platform.rows("select from payment_message where jti = $1", jti)).length;

  test("signs no payment message, although the core still takes it for the bank's", async () => {
    const claims = paymentClaims(sides, await newOrder(gateway, sides.merchant));
    await replaceKey(bank.guid);
    // Whoever only reads may be as late as this.
    await expect(readOrder(bank, { key: before })).resolves.toBeDefined();
    expect(await errorOf(submit(claims, { key: before }))).toMatchObject(unauthenticated);
    expect(await stored(claims)).toBe(0);
    await expect(submit(claims, { key: next })).resolves.toBeDefined();
    expect(await stored(claims)).toBe(1);
  });

  test("is not waited for: the new one signs at once", async () => {
    const claims = paymentClaims(sides, await newOrder(gateway, sides.merchant));
    await replaceKey(bank.guid);
    await expect(submit(claims, { key: next, counterparty: bank.guid })).resolves.toBeDefined();
  });

  test("signs no payment message that comes with a token of the new one", async () => {
    const orderId = await newOrder(gateway, sides.merchant);
    await replaceKey(bank.guid);
    const message = await signedPaymentMessage(sides, orderId, {}, before);
    const call = gateway.paymentMessages.submitPaymentMessage(message, await asBank(bank, { key: next }));
    expect(await errorOf(call)).toMatchObject(unauthenticated);
  });

  test("signs no order", async () => {
    await replaceKey(sides.merchant.guid);
    const order = async (key: KeyPair) => gateway.orders.createOrder(await signedOrder(sides.merchant, {}, key));
    expect(await errorOf(order(keyOf(sides.merchant)))).toMatchObject(unauthenticated);
    await expect(order(next)).resolves.toBeDefined();
  });
});
