import { randomUUID } from "node:crypto";
import { ACCESS_HEADER, createAccessToken } from "./access.ts";
import { type Claims, signJws } from "./jws.ts";
import { importKeySet, type SigningKey, type VerificationKey } from "./keys.ts";

/** What the platform answered. A refusal is an answer like any other; only a platform that cannot be reached throws. */
export type Answer<T> = { ok: true; status: number; body: T } | { ok: false; status: number; body: Refusal };
export type Refusal = { error?: string; code?: string; field?: string; payment_message_guid?: string } & Claims;

export type CreatedOrder = { id: string; link_deeplinks: string; link_qr: string; jwt?: string };
export type OrderForBank = {
  id: string;
  amt: number;
  cur: string;
  ref: string;
  prp: string;
  uid: string;
  recn: string;
  recc: string;
  acc: string;
  bic: string;
  public_key?: Claims;
} & Claims;
export type CreatedPaymentMessage = { guid: string };
export type PaymentMessage = { guid: string; status: "pending" | "success" | "reject"; reason?: string } & Claims;
export type GrossSettlement = {
  id: string;
  status: string;
  total_amount: string;
  currency: string;
  payments?: Claims[];
} & Claims;
export type GrossSettlementQuery = {
  offset?: number;
  limit?: number;
  from?: string;
  to?: string;
  role?: "All" | "Debtor";
};

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
    getOrderStatus: (id: string) => send<Claims>(caller, "GET", `${orders}/status?${new URLSearchParams({ id })}`),
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
    listGrossSettlements(query: GrossSettlementQuery = {}) {
      const given = Object.entries(query).map(([name, value]) => [name, String(value)] as [string, string]);
      return ask<GrossSettlement[]>("GET", `${counterparty}/gross-settlement?${new URLSearchParams(given)}`);
    },
    getGrossSettlement: (id: string) => ask<GrossSettlement>("GET", `${counterparty}/gross-settlement/${segment(id)}`),
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

function segment(value: string): string {
  return encodeURIComponent(value);
}
