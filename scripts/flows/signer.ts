import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import type { JWK } from "jose";
import type { SandboxBank, SandboxMerchant } from "../../src/sandbox/participants.ts";
import { kyivTime, makeIban } from "../../src/sandbox/samples.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { encryptPersonalData } from "../../src/sdk/personalData.ts";

/** Who takes part in the flows, and how a day is closed before it is over. */
type Cast = {
  initiator: SandboxBank;
  recipient: SandboxBank;
  merchant: SandboxMerchant;
  closeDay: () => Promise<unknown>;
};

/** Far more than any of the requests of the flows. */
const MAX_BODY_BYTES = 64 * 1024;
const ORDER_LIFE_SECONDS = 3600;
/** What an endpoint answers that refuses a payment; any 4xx but 408, 425 and 429 says the same. */
const REFUSES = 422;

/** What is wrong with a request, for whoever wrote the flow. */
class BadRequest extends Error {}

/**
 * Starts the flows' helper on a free loopback port. It does what a workflow cannot say: signs, encrypts, makes access tokens, has an
 * endpoint refuse an order, closes the day. Its keys are those of the cast, which exists for the flows alone: whoever reaches the
 * port can sign as any of them.
 */
export async function startSigner(cast: Cast) {
  const { refuses } = scriptRefusals(cast);

  /** One answer for each path; bodies and answers are JSON. */
  const answers: Record<string, (body: Claims) => Promise<Claims>> = {
    "/order": async (claims) => ({ jwt: await signJws(completeOrder(claims, cast), cast.merchant.key) }),
    "/payment-message": async ({ encrypt_for: key, ...claims }) => ({
      jwt: await signJws(await completeMessage(claims, object(key, "encrypt_for"), cast), cast.initiator.key),
    }),
    "/settlement": async (claims) => ({ jwt: await signJws(completeSettlement(claims), cast.initiator.key) }),
    "/access": async ({ party }) => {
      const bank = oneOf(party, { initiator: cast.initiator, recipient: cast.recipient }, "party");
      return {
        token: await createAccessToken(bank.key, new Date(), randomUUID()),
        counterparty_guid: bank.guid,
      };
    },
    "/refusal": async ({ by, order_id: orderId }) => {
      oneOf(by, { nobody: true, merchant: true, recipient: true }, "by");
      refuses.set(text(orderId, "order_id"), String(by));
      return {};
    },
    "/closing": async () => {
      await cast.closeDay();
      return {};
    },
  };

  const server = createServer(async (request, response) => {
    const answer = request.method === "POST" ? answers[request.url ?? ""] : undefined;
    const [status, body] = answer ? await perform(answer, request) : [404, { error: "there is no such path" }];
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

async function perform(answer: (body: Claims) => Promise<Claims>, request: IncomingMessage): Promise<[number, Claims]> {
  try {
    return [200, await answer(object(await readJson(request), "the body"))];
  } catch (error) {
    const { message } = error as Error;
    return [error instanceof BadRequest ? 400 : 500, { error: message }];
  }
}

/** Lets the endpoints refuse the Pay-in of single orders, so that flows do not disturb each other. */
function scriptRefusals({ recipient, merchant }: Cast) {
  const refuses = new Map<string, string>();
  const parties = [
    ["recipient", recipient],
    ["merchant", merchant],
  ] as const;
  for (const [name, party] of parties) {
    // What tells of a reject is taken: refusing it would only leave work for people.
    party.answers("pay-in", ({ orderId = "", status }) =>
      status === "success" && refuses.get(orderId) === name ? REFUSES : 200,
    );
  }
  return { refuses };
}

/** What has to be new in every order, and who asks for it. */
function completeOrder(claims: Claims, { merchant }: Cast): Claims {
  const iat = Math.floor(Date.now() / 1000);
  return { sub: merchant.uid, iat, exp: iat + ORDER_LIFE_SECONDS, ref: randomUUID(), ...claims };
}

/** Encrypts the personal data, which the flow gives in clear text, and adds what has to be new in every message. */
async function completeMessage(claims: Claims, key: JWK, { initiator }: Cast): Promise<Claims> {
  const debtor = object(claims.debtor, "debtor");
  const creditor = object(claims.creditor, "creditor");
  const clear = {
    debtor_name: text(debtor.debtor_name, "debtor_name"),
    debtor_id: text(debtor.debtor_id, "debtor_id"),
    creditor_name: text(creditor.creditor_name, "creditor_name"),
    creditor_id: text(creditor.creditor_id, "creditor_id"),
  };
  const { fields, encryption } = await encryptPersonalData(clear, key);
  const { date, time } = kyivTime(new Date());
  return {
    jti: randomUUID(),
    payment_message_external_id: randomUUID(),
    debtor_agent_bic: initiator.bic,
    msg_creation_date: date,
    msg_creation_time: time,
    ...claims,
    debtor: {
      debtor_account: makeIban(initiator.bic, 26_007_233_566_001n),
      ...debtor,
      debtor_name: fields.debtor_name,
      debtor_id: fields.debtor_id,
    },
    creditor: { ...creditor, creditor_name: fields.creditor_name, creditor_id: fields.creditor_id },
    encryption,
  };
}

/** Registers say their amounts as texts and payments as numbers, which a workflow cannot turn into each other. */
function completeSettlement(claims: Claims): Claims {
  return { creation_date: new Date().toISOString(), ...claims, amount: Number(text(claims.amount, "amount")) };
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request) {
    bytes += chunk.length;
    if (bytes > MAX_BODY_BYTES) throw new BadRequest("the body is too large");
    chunks.push(chunk);
  }
  if (bytes === 0) return {};
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8"));
  } catch {
    throw new BadRequest("the body is no JSON");
  }
}

function object(value: unknown, name: string): Claims {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Claims;
  throw new BadRequest(`${name} is no object`);
}

function text(value: unknown, name: string): string {
  if (typeof value === "string" && value !== "") return value;
  throw new BadRequest(`${name} is no text`);
}

function oneOf<T>(value: unknown, choices: Record<string, T>, name: string): T {
  const names = Object.keys(choices);
  const chosen = names.find((choice) => choice === value);
  if (chosen === undefined) throw new BadRequest(`${name} is not one of ${names.join(", ")}`);
  return choices[chosen] as T;
}
