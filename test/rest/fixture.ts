import { once } from "node:events";
import { readFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import type { DescService } from "@bufbuild/protobuf";
import { timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, type ServiceImpl } from "@connectrpc/connect";
import { pino } from "pino";
import { expect } from "vitest";
import { CallbackService } from "../../gen/dcm/v1/callback_service_pb.ts";
import { ErrorDetailSchema, type ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { type Order, OrderSchema, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { type GetOrderResponse, GetOrderResponseSchema, OrderService } from "../../gen/dcm/v1/order_service_pb.ts";
import { PaymentMessageService } from "../../gen/dcm/v1/payment_message_service_pb.ts";
import { SettlementService } from "../../gen/dcm/v1/settlement_service_pb.ts";
import { exampleKeys } from "../../gen/rest/exampleKeys.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { Participant, PublicJwk } from "../../src/domain/participant.ts";
import type { RestDeps } from "../../src/rest/context.ts";
import { createEventStreams } from "../../src/rest/eventStreams.ts";
import { createRestServer } from "../../src/rest/httpServer.ts";
import { createRestApp } from "../../src/rest/server.ts";
import { ourselves } from "../../src/rpc/identify.ts";
import { createInProcessTransport } from "../../src/rpc/inProcess.ts";
import { serverInterceptors } from "../../src/rpc/interceptors.ts";
import { coreServices } from "../../src/rpc/routes.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { createClients } from "../../src/wire/coreClients.ts";
import type { orderParts } from "../../src/wire/order.ts";
import { jwkText, toParticipant } from "../../src/wire/participant.ts";
import { money } from "../../src/wire/values.ts";
import { whole } from "../../src/wire/whole.ts";
import { fakeContext, fakePlatformKeys, registered, type Statements } from "../core/identity/fakeContext.ts";
import { undeclared } from "../support/declared.ts";
import { tellWhyFailed } from "../support/whyFailed.ts";

export const NOW = new Date("2023-12-10T10:12:12Z");
export const ORDER_ID = "3aa202bc-6b20-445d-8969-8274b11c66d0";
export const MESSAGE_GUID = "28c2c099-79aa-4267-a913-9c0facd654ca";
export const BANK_GUID = "0b6f2a9d-5a41-4a0e-8c35-6f2f9f1f7e10";
export const SECOND_BANK_GUID = "4f0d6c1e-7f0b-4c8f-9a53-0a7b5d8f3c21";
export const MERCHANT_UID = "623e460b-9ffd-41df";
export const MERCHANT_GUID = "bb95a18f-bd52-46ae-bb1e-0e6f42bf48f5";

type Schemas = Record<string, { examples?: Record<string, unknown>[] }>;
export const openapi = JSON.parse(readFileSync("gen/rest/openapi.json", "utf8")) as Record<string, unknown> & {
  components: { schemas: Schemas; responses: Record<string, { content: Record<string, { example: unknown }> }> };
};

/** A fresh copy of the example that the contract gives for a token's payload. */
export function exampleClaims(name: string): Record<string, unknown> {
  return structuredClone(openapi.components.schemas[name]?.examples?.[0] ?? {});
}

export const timestamp = (text: string) => timestampFromDate(new Date(text));

export function refusedByCore(
  reason: ErrorReason,
  detail: { field?: string; message?: string; paymentMessageGuid?: string } = {},
) {
  const value = { reason, message: "said by the core", ...detail };
  return new ConnectError("refused", Code.FailedPrecondition, undefined, [{ desc: ErrorDetailSchema, value }]);
}

let made: ReturnType<typeof generateKeys> | undefined;

/** The parties' keys, made once for all test files that share this module: making them takes longer than any test. */
export function makeKeys() {
  made ??= generateKeys();
  return made;
}

async function generateKeys() {
  const [bank, secondBank, merchant, stranger] = await Promise.all([
    generateKeyPair("RS256", "bank-key"),
    generateKeyPair("ES256", "second-bank-key"),
    generateKeyPair("RS256", "merchant-key"),
    generateKeyPair("RS256", "bank-key"),
  ]);
  return { bank, secondBank, merchant, stranger };
}
export type Keys = Awaited<ReturnType<typeof makeKeys>>;

export function participants(keys: Keys): [bank: Participant, secondBank: Participant, merchant: Participant] {
  const jwk = ({ publicJwk }: KeyPair) => publicJwk as PublicJwk;
  return [
    registered({
      kind: "bank",
      roles: ["initiator", "recipient"],
      guid: BANK_GUID,
      name: "TPN Bank",
      bic: "306500",
      signingJwks: [jwk(keys.bank)],
      deepLinkPrefix: "tpnbank://pay?order=",
      logoUrl: "https://www.tpnbank.example/logo.svg",
    }),
    registered({
      kind: "bank",
      roles: ["initiator", "recipient"],
      guid: SECOND_BANK_GUID,
      name: "Second <Bank>",
      bic: "380816",
      signingJwks: [jwk(keys.secondBank)],
      deepLinkPrefix: "javascript:alert(1)//",
    }),
    registered({
      kind: "merchant",
      guid: MERCHANT_GUID,
      uid: MERCHANT_UID,
      name: "City24 LLC",
      taxCode: "12345678",
      iban: "UA761372924114433543273694797",
      mcc: "5999",
      servicingBankGuid: SECOND_BANK_GUID,
      logoUrl: "https://www.city24.com/logo.svg",
      signingJwks: [jwk(keys.merchant)],
    }),
  ];
}

/** The recipient bank's key of the contract's examples, with a private member that must never be shown. */
export const exampleKey: PublicJwk = {
  ...exampleKeys.recipient,
  d: "private",
};

/** An order as the core reads it, whole. */
export type ExampleOrder = GetOrderResponse & ReturnType<typeof orderParts>;

export function exampleOrder(keys: Keys, change: Partial<Order> = {}): ExampleOrder {
  const [, creditorAgent, merchant] = participants(keys);
  const order = whole(OrderSchema, {
    id: ORDER_ID,
    merchantGuid: merchant.guid,
    ref: "d4ee06f",
    amount: money(100_000, "UAH"),
    purpose: "Payment for goods/services",
    redirectUrl: "https://www.city24.com",
    ultimateCreditor: {
      name: "Kyivpark LLC",
      taxNumber: "0987654321",
      iban: "UA55386780956567",
      bic: "300335",
      mcc: "7791",
    },
    issuedAt: timestampFromMs(1707105971000),
    expiresAt: timestampFromMs(1719493881000),
    status: OrderStatus.CREATED,
    createdAt: timestampFromDate(NOW),
    canceledByMerchant: false,
  });
  const parties = { merchant: toParticipant(merchant), creditorAgent: toParticipant(creditorAgent) };
  const found = whole(GetOrderResponseSchema, {
    order,
    ...parties,
    creditorAccount: merchant.iban,
    encryptionJwk: jwkText(exampleKey),
    paymentMessage: undefined,
    signedDetails: "",
  });
  return { ...found, order: { ...order, ...change }, ...parties };
}

export type Fakes = {
  /** Use-cases. What reaches them was verified and translated by the core itself. */
  core?: Partial<Core>;
  /** What the core's database answers beside the participants. */
  statements?: Statements;
  registered?: readonly Participant[];
  /** The database's clock, where it is to move. */
  now?: () => Date;
  /** Handlers in the place of the core's own, for what REST makes of their answers. */
  orders?: Partial<ServiceImpl<typeof OrderService>>;
  paymentMessages?: Partial<ServiceImpl<typeof PaymentMessageService>>;
  callbacks?: Partial<ServiceImpl<typeof CallbackService>>;
  settlements?: Partial<ServiceImpl<typeof SettlementService>>;
};

const publicUrl = "https://api.admin.smaug.armenotech.dev";

export function startCore(
  keys: Keys,
  { core, statements = {}, registered = participants(keys), now = () => NOW }: Fakes,
): Core {
  const platformKeys = { ...fakePlatformKeys, jwks: () => [{ kty: "RSA", kid: "platform", alg: "RS256" }] };
  const context = fakeContext(registered, { statements, now, publicUrl: () => publicUrl, platformKeys });
  return {
    ...createCore(context),
    listParticipants: async ({ kind, role }) =>
      registered.filter((party) => party.kind === kind && role !== undefined && party.roles.includes(role)),
    ...core,
  };
}

function servicesOf(core: Core, { orders, paymentMessages, callbacks, settlements }: Fakes) {
  const fakes = new Map<DescService, object | undefined>([
    [OrderService, orders],
    [PaymentMessageService, paymentMessages],
    [CallbackService, callbacks],
    [SettlementService, settlements],
  ]);
  return coreServices(core).map(({ service, handlers }) => ({
    service,
    handlers: { ...handlers, ...fakes.get(service) },
  }));
}

/** The translator on a free port, before the real RPC layer of a core that does what the test says. */
export async function startRest(keys: Keys, fakes: Fakes, change: Partial<RestDeps> = {}) {
  const lines: string[] = [];
  const log = pino({ level: "info" }, { write: (line: string) => void lines.push(line) });
  const core = startCore(keys, fakes);
  const interceptors = serverInterceptors({ log, identify: ourselves, identity: core.identity });
  const app = createRestApp({
    clients: createClients(createInProcessTransport(servicesOf(core, fakes), interceptors)),
    publicUrl,
    log,
    readiness: async () => [{ dependency: "postgresql", ok: true }],
    mayReadMetrics: () => true,
    eventStreams: createEventStreams(),
    maxEventStreams: 1_000,
    openapi: { yaml: "openapi/dcm.v1.yaml", json: "gen/rest/openapi.json" },
    ...change,
  });
  const server = createRestServer(app, log).listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    url,
    lines,
    async stop() {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
      expect(lines.filter((line) => line.includes("does not declare"))).toEqual([]);
    },
  };
}
export type Rest = Awaited<ReturnType<typeof startRest>>;

let tokens = 0;
/** A Cx-Authorization header of the bank, made now unless told otherwise. */
export async function access(key: KeyPair, at = NOW): Promise<Record<string, string>> {
  tokens += 1;
  return { "Cx-Authorization": await createAccessToken(key, at, `token-${tokens}`) };
}

export async function ask(rest: Rest, path: string, init: RequestInit = {}) {
  const response = await fetch(rest.url + path, { redirect: "manual", ...init });
  const text = await response.text();
  if (response.status === 500) tellWhyFailed(rest.lines);
  // Whatever a test asks for: no answer has a status, a header or a body that the contract does not declare.
  const answer = { status: response.status, headers: response.headers, text };
  expect(undeclared(init.method ?? "GET", path, answer)).toEqual([]);
  // The answer to HEAD has the type and no text.
  const isJson = text !== "" && response.headers.get("content-type")?.startsWith("application/json");
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : undefined };
}

export function postJson(body: unknown, headers: Record<string, string> = {}): RequestInit {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return { method: "POST", headers: { "Content-Type": "application/json", ...headers }, body: text };
}
