import { randomUUID } from "node:crypto";
import { Agent } from "undici";
import { ACCESS_HEADER } from "../../src/sdk/access.ts";
import { CALLBACK_GUID_HEADER } from "../../src/sdk/callbacks.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import type { Cast } from "../cast.ts";
import { serveCommands } from "../child.ts";
import { type Batch, paymentClaims, type Sealed, seal, sidesOf } from "../payments.ts";

// The most that a cascade can reach with these signatures and this HTTP client: for each payment four callbacks, each
// with its two tokens signed and posted in the documented order, and nothing stored.

type Task = { cast: Cast; batch: Batch; concurrency: number; connections?: number };

let agent = new Agent({ connections: 16, pipelining: 1 });
let key: KeyPair | undefined;

async function run({ cast, batch, concurrency, connections = 16 }: Task): Promise<{ seconds: number }> {
  agent = new Agent({ connections, pipelining: 1 });
  key ??= await generateKeyPair();
  const sealed = new Map<string, Sealed>();
  for (const bank of cast.recipients) sealed.set(bank.guid, await seal(bank));
  const startedAt = performance.now();
  let next = 0;
  async function cascadeNext() {
    for (let index = next++; index < batch.orderGuids.length; index = next++) {
      const number = batch.firstNumber + index * batch.step;
      const { recipient } = sidesOf(cast, number);
      const orderGuid = batch.orderGuids[index] as string;
      await cascade(cast, number, paymentClaims(cast, number, orderGuid, sealed.get(recipient.guid) as Sealed));
    }
  }
  await Promise.all(Array.from({ length: concurrency }, cascadeNext));
  await agent.close();
  return { seconds: (performance.now() - startedAt) / 1000 };
}

async function cascade(cast: Cast, number: number, claims: Claims): Promise<void> {
  const { merchant, recipient, initiator } = sidesOf(cast, number);
  const message = { payment_message: claims, payment_message_guid: randomUUID(), status: "success" };
  const { order_id, amount, currency, purpose } = claims;
  await post(`${recipient.callbackUrl}/pay-in-bank`, message);
  await post(`${merchant.callbackUrl}/pay-in-merchant`, { order_id, amount, currency, purpose, status: "success" });
  await Promise.all([
    post(`${initiator.callbackUrl}/pay-out`, message),
    post(`${recipient.callbackUrl}/credit`, message),
  ]);
}

async function post(url: string, claims: Claims): Promise<void> {
  const signer = key as KeyPair;
  const iat = Math.floor(Date.now() / 1000);
  const guid = randomUUID();
  const [access, jwt] = await Promise.all([
    signJws({ iat, jti: randomUUID() }, signer),
    signJws({ ...claims, iss: "http://gateway.example", iat, exp: iat + 300, jti: guid }, signer),
  ]);
  const { origin, pathname } = new URL(url);
  const answer = await agent.request({
    origin,
    path: pathname,
    method: "POST",
    headers: { "Content-Type": "application/json", [ACCESS_HEADER]: access, [CALLBACK_GUID_HEADER]: guid },
    body: JSON.stringify({ jwt }),
  });
  await answer.body.dump();
}

serveCommands({ run });
