// The whole flow of a payment by a client that knows nothing but the OpenAPI document: ./client is what @hey-api/openapi-ts makes of
// it. It is compiled beside it, in a folder of its own. What merchants and banks sign is signed with jose.
//
// The argument is a JSON object with the address and the parties' keys. Prints one JSON object a line: what was paid, so that the
// day can be closed, and in the end what it has seen.

import { webcrypto as crypto, randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { importJWK, type JWK, SignJWT } from "jose";
import { type Client, createClient, createConfig } from "./client/client/index.js";
import {
  cancelOrder,
  createOrder,
  type ErrorAnswer,
  type ErrorCode,
  getGrossSettlement,
  getOrderForBank,
  getOrderStatus,
  getPaymentMessage,
  getPaymentMessageByOrder,
  type Jwk,
  listGrossSettlements,
  type OrderClaims,
  type OrderForBank,
  type OrderState,
  type PaymentMessageClaims,
  submitPaymentMessage,
} from "./client/index.js";

type Given = {
  url: string;
  merchant: { uid: string; key: JWK };
  initiator: { guid: string; bic: string; account: string; key: JWK };
  recipient: { guid: string; key: JWK };
};
const { url, merchant, initiator, recipient } = JSON.parse(process.argv[2] ?? "") as Given;

const WAITS_MS = 20_000;
const now = () => Math.floor(Date.now() / 1000);
const base64 = (bytes: ArrayBuffer | Uint8Array) => Buffer.from(bytes as Uint8Array).toString("base64");

async function sign(claims: object, key: JWK): Promise<string> {
  const header = { alg: key.alg ?? "RS256", kid: key.kid ?? "", typ: "JWT" };
  return new SignJWT({ ...claims }).setProtectedHeader(header).sign(await importJWK(key, header.alg));
}

/** Every request of a bank has a Cx-Authorization of its own. */
const clientOf = (key: JWK): Client =>
  createClient(
    createConfig({
      baseUrl: url,
      auth: ({ name }) => (name === "Cx-Authorization" ? sign({ iat: now(), jti: randomUUID() }, key) : undefined),
    }),
  );
const shop = createClient(createConfig({ baseUrl: url }));
const payer = clientOf(initiator.key);
const payee = clientOf(recipient.key);

/** What was answered, where it was no refusal. */
function expectData<T>({ data, error }: { data?: T | undefined; error?: unknown }): T {
  if (data === undefined) throw new Error(`refused: ${JSON.stringify(error)}`);
  return data;
}

/** The body of a refusal, of the type that the document gives it. */
function expectError({ data, error }: { data?: unknown; error?: ErrorAnswer | object | undefined }): ErrorAnswer {
  if (data !== undefined || error === undefined || !("code" in error)) throw new Error("it is not refused");
  return error as ErrorAnswer;
}

async function placeOrder(amt: number): Promise<string> {
  const claims: OrderClaims = {
    sub: merchant.uid,
    iat: now(),
    exp: now() + 3600,
    amt,
    cur: "UAH",
    ref: randomUUID(),
    prp: "Two books",
    url: "https://shop.example/thanks",
  };
  const { id } = expectData(await createOrder({ client: shop, body: { jwt: await sign(claims, merchant.key) } }));
  return id;
}

/** AES-256-GCM with a key of its own, which is encrypted for the recipient bank (RSA-OAEP, SHA-256). */
async function encrypt<T extends Record<string, string>>(fields: T, { kid, n = "", e = "" }: Jwk) {
  const jwk = { kty: "RSA", n, e };
  const wrapping = await crypto.subtle.importKey("jwk", jwk, { name: "RSA-OAEP", hash: "SHA-256" }, false, ["encrypt"]);
  const raw = crypto.getRandomValues(new Uint8Array(32));
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt"]);
  const sealed: Record<string, string> = {};
  for (const [name, text] of Object.entries(fields)) {
    sealed[name] = base64(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, Buffer.from(text)));
  }
  const wrapped = await crypto.subtle.encrypt({ name: "RSA-OAEP" }, wrapping, raw);
  const named = kid === undefined ? {} : { kid };
  return { sealed: sealed as T, encryption: { nonce: base64(iv), encrypted_key: base64(wrapped), ...named } };
}

async function composeMessage(order: OrderForBank): Promise<PaymentMessageClaims> {
  if (order.public_key === undefined) throw new Error("the order has no key");
  const people = {
    debtor_name: "Lesia Ukrainka",
    debtor_id: "1234567890",
    creditor_name: order.recn,
    creditor_id: order.recc,
  };
  const { sealed, encryption } = await encrypt(people, order.public_key);
  const { debtor_name, debtor_id, creditor_name, creditor_id } = sealed;
  return {
    jti: randomUUID(),
    payment_message_external_id: randomUUID(),
    amount: order.amt,
    currency: order.cur,
    debtor_agent_bic: initiator.bic,
    debtor: { debtor_name, debtor_id, debtor_account: initiator.account, debtor_phone: "+380661234567" },
    creditor_agent_bic: order.bic,
    creditor: { creditor_name, creditor_id, creditor_account: order.acc },
    order_id: order.id,
    purpose: order.prp,
    msg_creation_date: "2026-01-31",
    msg_creation_time: "12:00:00",
    pm_type: "trade",
    sender_account_type: "limit-related",
    encryption,
  };
}

/** Asks until the answer is there. */
async function waitFor<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  for (const end = Date.now() + WAITS_MS; Date.now() < end; await delay(100)) {
    const found = await ask();
    if (found !== undefined) return found;
  }
  throw new Error(`${what} in vain`);
}

async function stateOf(id: string): Promise<OrderState> {
  return expectData(await getOrderStatus({ client: shop, query: { id } })).status;
}

// An order is paid.
const orderId = await placeOrder(150.75);
const read = expectData(await getOrderForBank({ client: payer, query: { id: orderId } }));
const path = { counterparty_guid: initiator.guid };
const body = { jwt: await sign(await composeMessage(read), initiator.key) };
const { guid } = expectData(await submitPaymentMessage({ client: payer, path, body }));
await waitFor("the order was waited for", async () => ((await stateOf(orderId)) === "Success" ? true : undefined));
const message = expectData(await getPaymentMessage({ client: payer, path: { ...path, payment_message_guid: guid } }));
const seen = expectData(await getPaymentMessageByOrder({ client: payee, path: { order_id: orderId } }));

// What is refused says why, in a type.
const again = await submitPaymentMessage({
  client: payer,
  path,
  body: { jwt: await sign(await composeMessage(read), initiator.key) },
});
const exists = expectError(again);
const code: ErrorCode | undefined = exists.code;
const unknown = expectError(await getOrderForBank({ client: payer, query: { id: randomUUID() } }));
const stranger = expectError(await getOrderForBank({ client: shop, query: { id: orderId } }));

// Another order is canceled before anybody pays it.
const otherId = await placeOrder(21);
const cancellation = { sub: merchant.uid, order_id: otherId, iat: now() };
const canceled = expectData(await cancelOrder({ client: shop, body: { jwt: await sign(cancellation, merchant.key) } }));
const tooLate = expectError(
  await cancelOrder({
    client: shop,
    body: { jwt: await sign({ ...cancellation, order_id: orderId }, merchant.key) },
  }),
);

console.log(JSON.stringify({ paid: guid }));
const register = await waitFor("the register was waited for", async () => {
  const [first] = expectData(
    await listGrossSettlements({ client: payer, path, query: { role: "Debtor", status: "Sent", limit: 5 } }),
  );
  return first;
});
const { payments } = expectData(
  await getGrossSettlement({ client: payer, path: { ...path, register_id: register.id } }),
);

console.log(
  JSON.stringify({
    guid,
    status: message.status,
    reason: message.reason,
    seenByRecipient: seen.guid,
    exists: { http: again.response?.status, code, guid: exists.payment_message_guid },
    unknown: unknown.code,
    stranger: stranger.code,
    canceled: canceled.status,
    tooLate: tooLate.code,
    register: { total: register.total_amount, payments: payments.map((payment) => payment.payment_message_guid) },
  }),
);
