import { randomUUID } from "node:crypto";
import type { JWK } from "jose";
import type { components, operations } from "../../gen/rest/types.ts";
import { ACCESS_HEADER, bodyDigest, createAccessToken } from "./access.ts";
import { type Claims, signJws } from "./jws.ts";
import { importKeySet, type SigningKey, type VerificationKey } from "./keys.ts";

/** What the platform answered. A refusal is an answer like any other; only a platform that cannot be reached throws. */
export type Answer<T> = { ok: true; status: number; body: T } | { ok: false; status: number; body: Refusal };
/** A page of a list; `total` counts the whole list. */
export type ListAnswer<T> = { ok: true; status: number; body: T[]; total: number } | Extract<Answer<T>, { ok: false }>;
export type Refusal = { error?: string; code?: string; field?: string; payment_message_guid?: string } & Claims;

type Schemas = components["schemas"];
export type CreatedOrder = Schemas["OrderCreated"];
export type OrderForBank = Schemas["OrderForBank"];
export type OrderStatus = Schemas["OrderStatus"];
export type CreatedPaymentMessage = Schemas["PaymentMessageCreated"];
export type PaymentMessage = Schemas["PaymentMessageWithStatus"];
export type GrossSettlement = Schemas["Register"];
export type GrossSettlementWithPayments = Schemas["RegisterWithPayments"];
export type RegisterPayment = Schemas["RegisterPayment"];
export type SettlementPayment = Schemas["GrossSettlementPaymentClaims"];
export type SettlementConfirmation = Schemas["GrossSettlementConfirmationClaims"];
export type SettlementAccepted = Schemas["SettlementAccepted"];
export type MissedCallbacks = Schemas["MissedCallbackList"];

type QueryOf<Name extends keyof operations> = NonNullable<operations[Name]["parameters"]["query"]>;

type Caller = { url: string; timeoutMs?: number };
const DEFAULT_TIMEOUT_MS = 30_000;
/** A page of payments is about 300 KB of JSON. */
const DEFAULT_PAGE_SIZE = 500;

/** The platform's public keys, imported once for all the callbacks that follow. */
export async function fetchPlatformKeys(caller: Caller): Promise<VerificationKey[]> {
  const answer = await send<Claims>(caller, "GET", "/api/v1/.well-known/jwks.json");
  if (!answer.ok) throw new Error(`The platform's keys cannot be read: HTTP ${answer.status}`);
  return importKeySet(answer.body);
}

/** What a merchant asks of the platform. */
export function merchantClient(caller: Caller & { uid: string; key: SigningKey }) {
  const merchants = "/api/v1/merchants";
  const orders = `${merchants}/order`;
  return {
    /** Signs the order and sends it in the body, where access logs do not keep it. */
    async createOrder(claims: Claims): Promise<Answer<CreatedOrder>> {
      const jwt = await signJws({ sub: caller.uid, ...claims }, caller.key);
      return send<CreatedOrder>(caller, "POST", orders, { body: JSON.stringify({ jwt }) });
    },
    /** Cancels an order that is not being paid; idempotent. */
    async cancelOrder(id: string): Promise<Answer<OrderStatus>> {
      const claims = { sub: caller.uid, order_id: id, iat: Math.floor(Date.now() / 1000) };
      const body = JSON.stringify({ jwt: await signJws(claims, caller.key) });
      return send<OrderStatus>(caller, "POST", `${orders}/cancel`, { body });
    },
    getOrderStatus: (id: string) => send<OrderStatus>(caller, "GET", `${orders}/status?${new URLSearchParams({ id })}`),
    /** Callbacks to this merchant that could not be delivered since an instant. */
    async listMissedCallbacks(query: QueryOf<"listMerchantMissedCallbacks">): Promise<Answer<MissedCallbacks>> {
      const access = await createAccessToken(caller.key, new Date(), randomUUID(), { iss: caller.uid });
      const headers = { [ACCESS_HEADER]: access };
      return send<MissedCallbacks>(caller, "GET", `${merchants}/callbacks/missed?${queryText(query)}`, { headers });
    },
  };
}

/** What a bank asks of the platform; every request carries an access token of its own, which binds the body of a POST. */
export function bankClient(caller: Caller & { guid: string; key: SigningKey }) {
  const counterparty = `/api/v1/counterparty/${caller.guid}`;
  const settlements = `${counterparty}/gross-settlement`;
  const orders = "/api/v1/merchants/order";
  async function ask<T>(
    method: "GET" | "POST",
    path: string,
    content?: Claims,
  ): Promise<Answer<T> & { headers: Headers }> {
    // Where there is no content there is no text either.
    const body = JSON.stringify(content) as string | undefined;
    const bound = method === "POST" ? { body_sha256: bodyDigest(Buffer.from(body ?? "")) } : {};
    const access = await createAccessToken(caller.key, new Date(), randomUUID(), bound);
    return send(caller, method, path, { headers: { [ACCESS_HEADER]: access }, body });
  }
  const getGrossSettlement = (id: string, page: QueryOf<"getGrossSettlement"> = {}) =>
    ask<GrossSettlementWithPayments>("GET", `${settlements}/${segment(id)}?${queryText(page)}`);
  return {
    getOrderForBank: (id: string) => ask<OrderForBank>("GET", `${orders}/nbu/json?${new URLSearchParams({ id })}`),
    async submitPaymentMessage(claims: Claims): Promise<Answer<CreatedPaymentMessage>> {
      const jwt = await signJws(claims, caller.key);
      return ask<CreatedPaymentMessage>("POST", `${counterparty}/payment-message`, { jwt });
    },
    getPaymentMessage: (guid: string) => ask<PaymentMessage>("GET", `${counterparty}/payment-message/${segment(guid)}`),
    getPaymentMessageByOrder: (id: string) => ask<PaymentMessage>("GET", `${orders}/${segment(id)}/payment-message`),
    async listGrossSettlements(query: QueryOf<"listGrossSettlements"> = {}): Promise<ListAnswer<GrossSettlement>> {
      const answer = await ask<GrossSettlement[]>("GET", `${settlements}?${queryText(query)}`);
      if (!answer.ok) return answer;
      const { headers, ...page } = answer;
      return { ...page, total: Number(headers.get("X-Total-Count") ?? Number.NaN) };
    },
    getGrossSettlement,
    /** The payments of a register of any size, page by page; throws where the platform refuses. */
    async *grossSettlementPayments(id: string, { pageSize = DEFAULT_PAGE_SIZE } = {}): AsyncGenerator<RegisterPayment> {
      const query: QueryOf<"getGrossSettlement"> = { payments_limit: pageSize };
      for (;;) {
        const page = await getGrossSettlement(id, query);
        if (!page.ok) throw new Error(`Register ${id}: HTTP ${page.status} ${JSON.stringify(page.body)}`);
        const { payments } = page.body;
        for (const payment of payments) {
          query.payments_after = payment.payment_message_guid;
          yield payment;
        }
        if (payments.length < pageSize) return;
      }
    },
    /** States that the bank has paid a register. The three statements can be repeated: a repeat is answered 208. */
    pay: (id: string, payment: SettlementPayment) =>
      ask<SettlementAccepted>("POST", `${settlements}/pay/${segment(id)}`, payment),
    /** States how that payment ended. */
    confirm: (id: string, confirmation: SettlementConfirmation) =>
      ask<SettlementAccepted>("POST", `${settlements}/pay/${segment(id)}/confirm`, confirmation),
    /** States that a register between the bank and itself is settled. */
    confirmInternal: (id: string) => ask<SettlementAccepted>("POST", `${settlements}/confirm_internal/${segment(id)}`),
    /**
     * Adds a key to the bank's keys, signed with the key of this client; idempotent. From `retireOthersAt` on the other keys of the
     * same use are retired; without it they stay.
     */
    async addKey(jwk: JWK, retireOthersAt?: Date): Promise<Answer<Schemas["KeyAdded"]>> {
      const at = retireOthersAt && { retire_others_at: Math.floor(retireOthersAt.getTime() / 1000) };
      return ask<Schemas["KeyAdded"]>("POST", `${counterparty}/keys`, {
        jwt: await signJws({ jwk, ...at }, caller.key),
      });
    },
    /** Callbacks to this bank that could not be delivered since an instant. */
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
  { headers, body }: { headers?: Record<string, string>; body?: string | undefined } = {},
): Promise<Answer<T> & { headers: Headers }> {
  const response = await fetch(caller.url.replace(/\/+$/, "") + path, {
    method,
    headers: {
      Accept: "application/json",
      ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      ...headers,
    },
    body: body ?? null,
    // A signed request must not follow a redirect to an address that the signer did not choose.
    redirect: "manual",
    signal: AbortSignal.timeout(caller.timeoutMs ?? DEFAULT_TIMEOUT_MS),
  });
  const answer = parseJson(await response.text());
  const { status, headers: answered } = response;
  if (response.ok) return { ok: true, status, headers: answered, body: answer as T };
  return { ok: false, status, headers: answered, body: (answer ?? {}) as Refusal };
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
