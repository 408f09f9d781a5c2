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

const usualConnections = 16;
const agents = new Map<number, Agent>();
let key: KeyPair | undefined;

async function run({ cast, batch, concurrency, connections = usualConnections }: Task): Promise<{ seconds: number }> {
  // Kept from round to round, as the gateway keeps its own.
  const agent = agents.get(connections) ?? new Agent({ connections, pipelining: 1 });
  agents.set(connections, agent);
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
      await cascade(agent, cast, number, paymentClaims(cast, number, orderGuid, sealed.get(recipient.guid) as Sealed));
    }
  }
  await Promise.all(Array.from({ length: concurrency }, cascadeNext));
  return { seconds: (performance.now() - startedAt) / 1000 };
}

async function cascade(agent: Agent, cast: Cast, number: number, claims: Claims): Promise<void> {
  const { merchant, recipient, initiator } = sidesOf(cast, number);
  const message = { payment_message: claims, payment_message_guid: randomUUID(), status: "success" };
  const { order_id, amount, currency, purpose } = claims;
  const post = (url: string, content: Claims) => postBy(agent, url, content);
  await post(`${recipient.callbackUrl}/pay-in-bank`, message);
  await post(`${merchant.callbackUrl}/pay-in-merchant`, { order_id, amount, currency, purpose, status: "success" });
  await Promise.all([
    post(`${initiator.callbackUrl}/pay-out`, message),
    post(`${recipient.callbackUrl}/credit`, message),
  ]);
}

async function postBy(agent: Agent, url: string, claims: Claims): Promise<void> {
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
