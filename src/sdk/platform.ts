import { randomUUID } from "node:crypto";
import type { components, operations } from "../../gen/rest/types.ts";
import { ACCESS_HEADER, createAccessToken } from "./access.ts";
import { type Claims, signJws } from "./jws.ts";
import { importKeySet, type SigningKey, type VerificationKey } from "./keys.ts";

/** What the platform answered. A refusal is an answer like any other; only a platform that cannot be reached throws. */
export type Answer<T> = { ok: true; status: number; body: T } | { ok: false; status: number; body: Refusal };
export type Refusal = { error?: string; code?: string; field?: string; payment_message_guid?: string } & Claims;

type Schemas = components["schemas"];
export type CreatedOrder = Schemas["OrderCreated"];
export type OrderForBank = Schemas["OrderForBank"];
export type OrderStatus = Schemas["OrderStatus"];
export type CreatedPaymentMessage = Schemas["PaymentMessageCreated"];
export type PaymentMessage = Schemas["PaymentMessage"];
export type GrossSettlement = Schemas["Register"];
export type GrossSettlementWithPayments = Schemas["RegisterWithPayments"];
export type MissedCallbacks = Schemas["MissedCallbackList"];

type QueryOf<Name extends keyof operations> = NonNullable<operations[Name]["parameters"]["query"]>;

type Caller = { url: string; timeoutMs?: number };
const DEFAULT_TIMEOUT_MS = 30_000;

/** The platform's public keys, imported once for all the callbacks that follow. */
export async function fetchPlatformKeys(caller: Caller): Promise<VerificationKey[]> {
  const answer = await send<Claims>(caller, "GET", "/api/v1/.well-known/jwks.json");
  if (!answer.ok) throw new Error(`The platform's keys cannot be read: HTTP ${answer.status}`);
  return importKeySet(answer.body);
}

/** What a merchant asks of the platform. */
export function merchantClient(caller: Caller & { uid: string; key: SigningKey }) {
  const orders = "/api/v1/merchants/order";
  return {
    /** Signs the order and sends it in the body, where access logs do not keep it. */
    async createOrder(claims: Claims): Promise<Answer<CreatedOrder>> {
      const jwt = await signJws({ sub: caller.uid, ...claims }, caller.key);
      return send(caller, "POST", orders, { body: { jwt } });
    },
    getOrderStatus: (id: string) => send<OrderStatus>(caller, "GET", `${orders}/status?${new URLSearchParams({ id })}`),
  };
}

/** What a bank asks of the platform; every request carries an access token of its own. */
export function bankClient(caller: Caller & { guid: string; key: SigningKey }) {
  const counterparty = `/api/v1/counterparty/${caller.guid}`;
  const orders = "/api/v1/merchants/order";
  async function ask<T>(method: string, path: string, body?: unknown): Promise<Answer<T>> {
    const access = await createAccessToken(caller.key, new Date(), randomUUID());
    return send(caller, method, path, {
      headers: { [ACCESS_HEADER]: access },
      ...(body === undefined ? {} : { body }),
    });
  }
  return {
    getOrderForBank: (id: string) => ask<OrderForBank>("GET", `${orders}/nbu/json?${new URLSearchParams({ id })}`),
    async submitPaymentMessage(claims: Claims): Promise<Answer<CreatedPaymentMessage>> {
      const jwt = await signJws(claims, caller.key);
      return ask("POST", `${counterparty}/payment-message`, { jwt });
    },
    getPaymentMessage: (guid: string) => ask<PaymentMessage>("GET", `${counterparty}/payment-message/${segment(guid)}`),
    getPaymentMessageByOrder: (id: string) => ask<PaymentMessage>("GET", `${orders}/${segment(id)}/payment-message`),
    listGrossSettlements: (query: QueryOf<"listGrossSettlements"> = {}) =>
      ask<GrossSettlement[]>("GET", `${counterparty}/gross-settlement?${queryText(query)}`),
    getGrossSettlement: (id: string) =>
      ask<GrossSettlementWithPayments>("GET", `${counterparty}/gross-settlement/${segment(id)}`),
    /** What the platform could not deliver to this bank since an instant. */
    listMissedCallbacks: (query: QueryOf<"listMissedCallbacks">) =>
      ask<MissedCallbacks>("GET", `${counterparty}/callbacks/missed?${queryText(query)}`),
  };
}

export type MerchantClient = ReturnType<typeof merchantClient>;
export type BankClient = ReturnType<typeof bankClient>;

async function send<T>(
  caller: Caller,
  method: string,
  path: string,
  content: { headers?: Record<string, string>; body?: unknown } = {},
): Promise<Answer<T>> {
  const hasBody = content.body !== undefined;
  const response = await fetch(caller.url.replace(/\/+$/, "") + path, {
    method,
    headers: {
      Accept: "application/json",
      ...(hasBody ? { "Content-Type": "application/json" } : {}),
      ...content.headers,
    },
    ...(hasBody ? { body: JSON.stringify(content.body) } : {}),
    // A signed request must not be carried to an address that the signer never chose.
    redirect: "manual",
    signal: AbortSignal.timeout(caller.timeoutMs ?? DEFAULT_TIMEOUT_MS),
  });
  const body = parseJson(await response.text());
  if (response.ok) return { ok: true, status: response.status, body: body as T };
  return { ok: false, status: response.status, body: (body ?? {}) as Refusal };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function queryText(query: object): URLSearchParams {
  const given = Object.entries(query).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]));
}

function segment(value: string): string {
  return encodeURIComponent(value);
}
