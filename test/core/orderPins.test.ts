import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import type { SubmittedMessage } from "../../src/core/paymentMessages.ts";
import { jwksOf, type Participant, type PublicJwk } from "../../src/domain/participant.ts";
import {
  accepted,
  bankRegistration,
  callbackOf,
  claim,
  createOrder,
  iban,
  openPlatform,
  operator,
  orderRequest,
  type Parties,
  type Platform,
  paymentRequest,
  reasonOf,
  registerParties,
  secondsFrom,
  serial,
  setClock,
} from "./platform.ts";

// An order is what it was shown to be: paid to the account and the bank, and encrypted for the key, of its creation (wire contract,
// section 3).

let platform: Platform;
beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

const newKey = () => ({ kid: `key-${serial()}` });
const addKey = (bank: Participant, jwk: object, retireOthersAt: Date | null = null) =>
  platform.core.addParticipantKey(operator, bank.guid, { jwk, retireOthersAt }).then(accepted);
const retire = ({ guid }: Participant, kid: string | undefined, at: Date | null = null, id?: number) =>
  platform.core.retireParticipantKey(operator, guid, { kid: kid ?? "", at, id }).then(accepted);
const update = (
  { guid }: Participant,
  change: Parameters<Platform["core"]["updateParticipant"]>[2],
): Promise<Participant> => platform.core.updateParticipant(operator, guid, change).then(accepted);

const newRecipient = async () =>
  accepted(await platform.core.registerParticipant(operator, bankRegistration({ roles: ["recipient"] })));

const submit = (parties: Parties, order: Order, changes: Partial<SubmittedMessage> = {}) =>
  platform.core.submitPaymentMessage(paymentRequest(platform, parties, order, changes));

/** A key as answers carry it, which is text; null: there is none. */
const keyIn = (text: string | undefined): PublicJwk | null => (text ? JSON.parse(text) : null);

async function showOrder({ id }: Order, reader?: Participant) {
  const found = accepted(await platform.core.getOrder(id, reader));
  return { ...found, encryptionJwk: keyIn(found.encryptionJwk) };
}
const keyOfOrder = async (order: Order) => (await showOrder(order)).encryptionJwk;

const keyOfMessage = async (guid: string) =>
  keyIn(accepted(await platform.core.getPaymentMessage(undefined, { guid })).creditorAgentJwk);

/** What the recipient bank is shown as the key of a message, when it reads it and over the callback, which happens once. */
async function keysOfMessage(guid: string) {
  const read = await keyOfMessage(guid);
  const { paymentMessage } = await claim(platform, (await callbackOf(platform, guid, "pay_in_bank")).guid);
  return [read, keyIn(paymentMessage?.creditorAgentJwk)];
}

describe("what an order is paid to", () => {
  /** An order, and then its merchant has another account at another bank. */
  async function movedMerchant() {
    const parties = await registerParties(platform);
    const request = orderRequest(platform, parties.merchant);
    const { order } = accepted(await platform.core.createOrder(request));
    const recipient = await newRecipient();
    const account = iban(recipient.bic ?? "", serial());
    const merchant = await update(parties.merchant, { iban: account, servicingBankGuid: recipient.guid });
    return { parties, request, order, later: { ...parties, recipient, merchant } };
  }

  test("is the account and the bank of its creation, for whoever reads it; of a later order it is the new ones", async () => {
    const { parties, order, later } = await movedMerchant();
    for (const reader of [undefined, parties.initiator, parties.recipient]) {
      expect(await showOrder(order, reader)).toMatchObject({
        creditorAccount: parties.merchant.iban,
        creditorAgent: { guid: parties.recipient.guid },
        encryptionJwk: parties.recipient.keys[0]?.jwk,
        merchant: { iban: later.merchant.iban },
      });
    }
    // A recipient bank reads the orders that it services, and no others.
    expect(reasonOf(await platform.core.getOrder(order.id, later.recipient))).toBe("ORDER_NOT_FOUND");
    const next = await createOrder(platform, later.merchant);
    expect(await showOrder(next)).toMatchObject({
      creditorAccount: later.merchant.iban,
      creditorAgent: { guid: later.recipient.guid },
      encryptionJwk: later.recipient.keys[0]?.jwk,
    });
  });

  test("is what a payment message has to name", async () => {
    const { parties, order, later } = await movedMerchant();
    const wrong = [
      [
        { creditorAccount: later.merchant.iban, creditorAgentBic: later.recipient.bic ?? "" },
        "RECEIVER_COUNTERPARTY_NOT_FOUND",
      ],
      [{ creditorAgentBic: later.recipient.bic ?? "" }, "RECEIVER_COUNTERPARTY_NOT_FOUND"],
      [{ creditorAccount: later.merchant.iban }, "INVALID_CREDITOR_ACCOUNT"],
    ] as const;
    for (const [changes, reason] of wrong) expect(reasonOf(await submit(parties, order, changes))).toBe(reason);
    const { guid } = accepted(await submit(parties, order));
    const read = accepted(await platform.core.getPaymentMessage(parties.recipient.guid, { guid }));
    expect(read).toMatchObject({
      creditorAgent: { guid: parties.recipient.guid },
      creditor: { account: parties.merchant.iban },
    });
    expect(keyIn(read.creditorAgentJwk)).toEqual(parties.recipient.keys[0]?.jwk);
    expect(reasonOf(await platform.core.getPaymentMessage(later.recipient.guid, { guid }))).toBe(
      "PAYMENT_MESSAGE_NOT_FOUND",
    );
    const callback = await callbackOf(platform, guid, "pay_in_bank");
    expect(callback.receiver_guid).toBe(parties.recipient.guid);
    expect((await claim(platform, callback.guid)).paymentMessage).toMatchObject({
      creditor: { account: parties.merchant.iban },
      creditorAgent: { guid: parties.recipient.guid, bic: parties.recipient.bic },
    });
    const next = await createOrder(platform, later.merchant);
    expect(reasonOf(await submit(later, next))).toBe("accepted");
  });

  test("stays what it is when the order is created again", async () => {
    const { parties, request, order, later } = await movedMerchant();
    const again = await platform.core.createOrder({ ...request, merchantVersion: later.merchant.version });
    expect(accepted(again)).toMatchObject({ alreadyExisted: true, order: { id: order.id } });
    expect((await showOrder(order)).creditorAccount).toBe(parties.merchant.iban);
  });
});

describe("the key that an order is encrypted for", () => {
  test("is the bank's newest RSA key, before all one that is for that alone", async () => {
    const { recipient, merchant } = await registerParties(platform);
    const current = async () => (await keyOfOrder(await createOrder(platform, merchant)))?.kid;
    expect(await current()).toBe(recipient.keys[0]?.kid);
    const newer = newKey();
    await addKey(recipient, newer);
    expect(await current()).toBe(newer.kid);
    await addKey(recipient, { ...newKey(), kty: "EC", alg: "ES256" });
    expect(await current()).toBe(newer.kid);
    const [enc, next] = [
      { ...newKey(), use: "enc" },
      { ...newKey(), use: "enc" },
    ] as const;
    await addKey(recipient, enc);
    expect(await current()).toBe(enc.kid);
    await addKey(recipient, next);
    await addKey(recipient, newKey());
    expect(await current()).toBe(next.kid);
    await retire(recipient, next.kid);
    expect(await current()).toBe(enc.kid);
  });

  test("is that of its creation, whatever keys the bank adds", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    await addKey(parties.recipient, newKey());
    await addKey(parties.recipient, { ...newKey(), use: "enc" });
    expect(await keyOfOrder(order)).toEqual(parties.recipient.keys[0]?.jwk);
    const { guid } = accepted(await submit(parties, order));
    expect(await keysOfMessage(guid)).toEqual(Array(2).fill(parties.recipient.keys[0]?.jwk));
  });

  test("once that is retired it is the bank's current one: at once, and at a planned instant by the clock", async () => {
    const parties = await registerParties(platform);
    const orders = [
      await createOrder(platform, parties.merchant),
      await createOrder(platform, parties.merchant),
    ] as const;
    const next = newKey();
    const at = secondsFrom(new Date(), 60);
    await addKey(parties.recipient, next, at);
    expect(await keyOfOrder(orders[0])).toEqual(parties.recipient.keys[0]?.jwk);
    await setClock(platform, at);
    expect((await keyOfOrder(orders[0]))?.kid).toBe(next.kid);
    const { guid } = accepted(await submit(parties, orders[0]));
    expect((await keyOfMessage(guid))?.kid).toBe(next.kid);
    const last = newKey();
    await addKey(parties.recipient, last, new Date(0));
    expect((await keyOfOrder(orders[1]))?.kid).toBe(last.kid);
    // What was accepted before keeps what it was encrypted for.
    expect((await keysOfMessage(guid)).map((jwk) => jwk?.kid)).toEqual([next.kid, next.kid]);
  });

  test("is null when the bank has none any more, and its messages say so", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    // No operation leaves this behind; somebody's own hand could.
    await platform.rows(
      "update participant_key set retire_at = now() where participant_guid = $1",
      parties.recipient.guid,
    );
    expect(await keyOfOrder(order)).toBeNull();
    const { guid } = accepted(await submit(parties, order));
    expect(await keysOfMessage(guid)).toEqual([null, null]);
  });
});

describe("encryption.kid", () => {
  const refused = { refused: "INVALID_ENCRYPTED_KEY", field: "encryption.kid" };
  const keyWith = async (parties: Parties, order: Order, encryptionKid: string | undefined) => {
    const { guid } = accepted(await submit(parties, order, { encryptionKid }));
    const [read, called] = await keysOfMessage(guid);
    expect(called).toEqual(read);
    return read;
  };

  test("the order's key, another that the bank has, and one that it got since the order was made", async () => {
    const parties = await registerParties(platform, { recipient: { signingJwks: [newKey(), newKey()] } });
    const [first, second] = jwksOf(parties.recipient, "sig") as [PublicJwk, PublicJwk];
    const orders = [];
    for (let count = 0; count < 3; count += 1) orders.push(await createOrder(platform, parties.merchant));
    const added = newKey();
    await addKey(parties.recipient, added);
    const [one, two, three] = orders as [Order, Order, Order];
    expect(await keyWith(parties, one, first.kid)).toEqual(first);
    expect(await keyWith(parties, two, second.kid)).toEqual(second);
    expect(await keyWith(parties, three, added.kid)).toMatchObject(added);
  });

  test("one that was retired since the order was made is good: it was shown with the order", async () => {
    const parties = await registerParties(platform);
    const [jwk] = jwksOf(parties.recipient, "sig");
    const order = await createOrder(platform, parties.merchant);
    await addKey(parties.recipient, newKey(), new Date(0));
    expect(await keyWith(parties, order, jwk?.kid)).toEqual(jwk);
  });

  test("one that was retired before the order was made, one that is unknown, one that is no RSA key, another bank's: refused", async () => {
    const parties = await registerParties(platform);
    const gone = parties.recipient.keys[0]?.kid;
    const ec = { ...newKey(), kty: "EC", alg: "ES256" };
    await addKey(parties.recipient, newKey(), new Date(0));
    await addKey(parties.recipient, ec);
    const order = await createOrder(platform, parties.merchant);
    for (const encryptionKid of [gone, "unknown", ec.kid, parties.initiator.keys[0]?.kid]) {
      expect(await submit(parties, order, { encryptionKid })).toMatchObject(refused);
    }
    expect(await platform.rows("select from payment_message where order_guid = $1", order.id)).toEqual([]);
    expect(reasonOf(await submit(parties, order))).toBe("accepted");
  });

  test("what is encrypted is as long as the modulus of the key, the order's or the stated one", async () => {
    const bytes = (length: number, first = 0xab) => Buffer.alloc(length, 0xcd).fill(first, 0, 1);
    const n = (modulus: Buffer) => modulus.toString("base64url");
    const parties = await registerParties(platform, {
      recipient: {
        signingJwks: [
          { kid: `long-${serial()}`, n: n(bytes(512)) },
          // A version before took keys that begin with zeros.
          { kid: `zero-${serial()}`, n: n(bytes(257, 0)) },
        ],
      },
    });
    const [long, zero] = jwksOf(parties.recipient, "sig") as [PublicJwk, PublicJwk];
    for (const [kid, length] of [
      [long.kid, 512],
      [zero.kid, 256],
      [undefined, 512],
    ] as const) {
      for (const wrong of [length - 1, length + 1, 255 + 512 - length]) {
        const order = await createOrder(platform, parties.merchant);
        const changes = { encryptionKid: kid, encryptedKey: Buffer.alloc(wrong, "k").toString("base64") };
        expect(await submit(parties, order, changes)).toEqual({
          refused: "INVALID_ENCRYPTED_KEY",
          message: `encryption.encrypted_key is not base64 of ${length} bytes, as long as the recipient bank's key`,
          field: "encryption.encrypted_key",
        });
        const right = { encryptionKid: kid, encryptedKey: Buffer.alloc(length, "k").toString("base64") };
        expect(reasonOf(await submit(parties, order, right))).toBe("accepted");
      }
    }
  });

  test("a neighbour in the group with an older order brings no older keys with it", async () => {
    const parties = await registerParties(platform);
    const gone = parties.recipient.keys[0]?.kid;
    const older = await createOrder(platform, parties.merchant);
    await addKey(parties.recipient, newKey(), new Date(0));
    const younger = await createOrder(platform, parties.merchant);
    const answers = await Promise.all([older, younger].map((order) => submit(parties, order, { encryptionKid: gone })));
    expect(answers).toMatchObject([{ guid: expect.any(String) }, refused]);
  });

  test("of two keys of one kid it is the order's, or else the newest", async () => {
    const parties = await registerParties(platform);
    const [old] = jwksOf(parties.recipient, "sig");
    const kid = old?.kid ?? "";
    const orders = [await createOrder(platform, parties.merchant)];
    await addKey(parties.recipient, { kid, n: `next ${serial()}` });
    orders.push(await createOrder(platform, parties.merchant));
    // The third order is encrypted for a key of another name.
    await addKey(parties.recipient, { ...newKey(), use: "enc" });
    orders.push(await createOrder(platform, parties.merchant));
    const [first, second, third] = orders as [Order, Order, Order];
    const newest = await keyOfOrder(second);
    expect([newest?.kid, newest?.n]).not.toEqual([kid, old?.n]);
    expect(await keyWith(parties, first, kid)).toEqual(old);
    expect(await keyWith(parties, second, kid)).toEqual(newest);
    expect(await keyWith(parties, third, kid)).toEqual(newest);
  });
});

describe("what a node of the version before stored", () => {
  const forget = (order: Order) =>
    platform.rows(
      "update payment_order set creditor_account = null, creditor_agent_guid = null, encryption_key_id = null where guid = $1",
      order.id,
    );

  test("an order without what it is paid to is paid to what its merchant and bank have now", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    await forget(order);
    const merchant = await update(parties.merchant, { iban: iban(parties.recipient.bic ?? "", serial()) });
    const next = newKey();
    await addKey(parties.recipient, next);
    expect(await showOrder(order)).toMatchObject({
      creditorAccount: merchant.iban,
      creditorAgent: { guid: parties.recipient.guid },
      encryptionJwk: next,
    });
    expect(reasonOf(await submit(parties, order))).toBe("INVALID_CREDITOR_ACCOUNT");
    const { guid } = accepted(await submit({ ...parties, merchant }, order));
    expect((await keysOfMessage(guid)).map((jwk) => jwk?.kid)).toEqual([next.kid, next.kid]);
  });

  test("a message of which only the name of its key is known shows the key of that name that there was, and no later one", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    const [jwk] = jwksOf(parties.recipient, "sig");
    const { guid } = accepted(await submit(parties, order));
    await platform.rows("update payment_message set creditor_agent_key_id = null where guid = $1", guid);
    await addKey(parties.recipient, newKey(), new Date(0));
    expect(await keysOfMessage(guid)).toEqual([jwk, jwk]);
    await addKey(parties.recipient, { kid: jwk?.kid, n: `later ${serial()}` });
    expect(await keyOfMessage(guid)).toEqual(jwk);
  });
});
