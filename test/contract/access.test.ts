import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../gen/dcm/v1/scope_pb.ts";
import type { OperationId } from "../../gen/rest/operations.ts";
import {
  ACCESS_PAGE,
  accessPage,
  type RestCaller,
  type RpcCaller,
  restCallerNames,
  restRows,
  rpcCallerNames,
  rpcRows,
  rpcServices,
} from "../../scripts/access-table.ts";
import type { Core } from "../../src/core/core.ts";
import { remoteTransport } from "../../src/rpc/clients.ts";
import { coreServices } from "../../src/rpc/routes.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { acceptedClaims, orderClaims } from "../rest/forge.ts";
import { type Platform, startPlatform } from "../support/platform.ts";

// docs/access.md says who may call what, for people and for reviewers; here every cell of it is called.

test("docs/access.md is what the contracts say (`node scripts/access-table.ts --write`)", () => {
  expect(readFileSync(ACCESS_PAGE, "utf8")).toBe(accessPage());
});

test("the page has every service of the core", () => {
  const served = coreServices({} as Core).map(({ service }) => service.typeName);
  expect(rpcServices.map(({ typeName }) => typeName).toSorted()).toEqual(served.toSorted());
});

let platform: Platform;
/** What an accepted payment message said: others are made from it. */
let accepted: Claims;

beforeAll(async () => {
  platform = await startPlatform();
  accepted = await acceptedClaims(platform);
});
afterAll(() => platform?.[Symbol.asyncDispose]());

/** A payment message of a bank for an order. */
const messageClaims = (bic: string, orderId: string, changes: Claims = {}): Claims => ({
  ...accepted,
  jti: randomUUID(),
  payment_message_external_id: randomUUID(),
  debtor_agent_bic: bic,
  order_id: orderId,
  ...changes,
});

describe("REST operations", () => {
  type Party = { guid: string; bic: string; key: KeyPair };
  /** An order that is open, a payment that is done, and the register that it is in. */
  type Objects = { orderId: string; paidOrderId: string; message: string; register: string };
  let parties: Record<RestCaller, Party>;
  let ofTwoBanks: Objects;
  let ofOneBank: Objects;
  let atHome: Awaited<ReturnType<Platform["newMerchant"]>>;

  beforeAll(async () => {
    const [both, other, stranger] = await Promise.all([
      platform.newBank({ name: "Both Sides Bank" }),
      platform.newBank({ name: "Another Bank", roles: ["recipient"] }),
      generateKeyPair("ES256", "nobody's"),
    ]);
    const { initiator, recipient, merchant } = platform;
    atHome = await platform.newMerchant({ name: "House Shop", bank: both });
    const nobody = { ...initiator, key: stranger };
    parties = {
      "initiator bank": initiator,
      "recipient bank": recipient,
      "bank that is both": both,
      "another bank": other,
      // Whoever is no bank says that it is the initiator.
      merchant: { ...initiator, key: merchant.key },
      "allowed address": nobody,
      "anybody else": nobody,
    };
    const paid = { two: await merchant.order(), one: await atHome.order() };
    const messages = { two: await initiator.pays(paid.two), one: await both.pays(paid.one) };
    await platform.endsAllCallbacks();
    ofTwoBanks = await objects((await merchant.order()).id, paid.two.id, messages.two);
    ofOneBank = await objects((await atHome.order()).id, paid.one.id, messages.one);
  });

  const objects = async (orderId: string, paidOrderId: string, message: string): Promise<Objects> => ({
    orderId,
    paidOrderId,
    message,
    register: await platform.registerOf(message),
  });

  type Asked = { path: string; body?: unknown };
  type Ask = (asker: { party: Party; about: Objects; caller: RestCaller }) => Asked | Promise<Asked>;
  const orders = "/api/v1/merchants/order";
  const ofBank = ({ guid }: Party) => `/api/v1/counterparty/${guid}`;

  async function submission({ party, caller }: Parameters<Ask>[0]) {
    const shop = caller === "bank that is both" ? atHome : platform.merchant;
    const { id } = await shop.order();
    const atHomes = { creditor_agent_bic: party.bic, creditor: home(), encryption: encryptedForHome() };
    const creditor = caller === "bank that is both" ? atHomes : {};
    return { jwt: await signJws(messageClaims(party.bic, id, creditor), party.key) };
  }
  const encryptedForHome = () => ({ ...(accepted.encryption as Claims), kid: undefined });
  const home = () => ({ ...(accepted.creditor as Claims), creditor_account: atHome.iban });

  const statement = async ({ about, party }: Parameters<Ask>[0]) => {
    const found = await platform.rows<{ charging_account: string; purpose: string; minor: string }>(
      "select charging_account, purpose, total_amount_minor - total_fee_minor as minor from settlement_register where id = $1",
      about.register,
    );
    return {
      payment_message_external_id: `P-${party.guid.slice(0, 8)}`,
      creditor_iban: found[0]?.charging_account,
      amount: Number(found[0]?.minor) / 100,
      currency: "UAH",
      purpose: found[0]?.purpose,
      creation_date: "2023-12-11T09:15:00+02:00",
    };
  };

  const cancellation = async () => ({
    sub: platform.merchant.uid,
    order_id: (await platform.merchant.order()).id,
    iat: Math.floor(Date.now() / 1000),
  });

  /** What a caller who may do it would ask for. */
  const asks: Record<OperationId, Ask> = {
    showPaymentPage: ({ about }) => ({ path: `${orders}?id=${about.orderId}` }),
    createOrder: async ({ party }) => ({
      path: orders,
      body: { jwt: await signJws(orderClaims(platform), party.key) },
    }),
    cancelOrder: async ({ party }) => ({
      path: `${orders}/cancel`,
      body: { jwt: await signJws(await cancellation(), party.key) },
    }),
    getOrderStatus: ({ about }) => ({ path: `${orders}/status?id=${about.orderId}` }),
    // Of an order that is over, so that its events end.
    followOrder: ({ about }) => ({ path: `${orders}/events?id=${about.paidOrderId}` }),
    listEmitters: () => ({ path: "/api/v1/merchants/emitters" }),
    getOrderForBank: ({ about }) => ({ path: `${orders}/nbu/json?id=${about.orderId}` }),
    getPaymentMessageByOrder: ({ about }) => ({ path: `${orders}/${about.paidOrderId}/payment-message` }),
    submitPaymentMessage: async (asker) => ({
      path: `${ofBank(asker.party)}/payment-message`,
      body: await submission(asker),
    }),
    submitPaymentMessageAlias: async (asker) => ({ path: "/api/v1/payment_message", body: await submission(asker) }),
    submitPaymentMessageHyphenAlias: async (asker) => ({
      path: "/api/v1/payment-message",
      body: await submission(asker),
    }),
    getPaymentMessage: ({ party, about }) => ({ path: `${ofBank(party)}/payment-message/${about.message}` }),
    listGrossSettlements: ({ party }) => ({ path: `${ofBank(party)}/gross-settlement` }),
    getGrossSettlement: ({ party, about }) => ({ path: `${ofBank(party)}/gross-settlement/${about.register}` }),
    payGrossSettlement: async (asker) => ({
      path: `${ofBank(asker.party)}/gross-settlement/pay/${asker.about.register}`,
      body: await statement(asker),
    }),
    confirmGrossSettlement: async (asker) => ({
      path: `${ofBank(asker.party)}/gross-settlement/pay/${asker.about.register}/confirm`,
      body: { ...(await statement(asker)), status: "ACSC" },
    }),
    confirmInternalGrossSettlement: ({ party, about }) => ({
      path: `${ofBank(party)}/gross-settlement/confirm_internal/${about.register}`,
    }),
    addKey: async ({ party }) => ({
      path: `${ofBank(party)}/keys`,
      // A key that it has already: nothing changes.
      body: { jwt: await signJws({ jwk: party.key.publicJwk }, party.key) },
    }),
    listMissedCallbacks: ({ party }) => ({ path: `${ofBank(party)}/callbacks/missed?since=2023-12-10T00:00:00Z` }),
    listMerchantMissedCallbacks: () => ({ path: "/api/v1/merchants/callbacks/missed?since=2023-12-10T00:00:00Z" }),
    getJwks: () => ({ path: "/api/v1/.well-known/jwks.json" }),
    async getLogo({ party }) {
      const sha256 = "0".repeat(64);
      await platform.rows(
        `insert into participant_logo (participant_guid, url, failures, sha256, image)
         values ($1, 'https://bank.example/logo.svg', 0, $2, 'picture') on conflict do nothing`,
        party.guid,
        sha256,
      );
      return { path: `/api/v1/logos/${sha256}` };
    },
    getOpenapiYaml: () => ({ path: "/openapi.yaml" }),
    getOpenapiJson: () => ({ path: "/openapi.json" }),
    getDocs: () => ({ path: "/docs" }),
    getHealth: () => ({ path: "/healthz" }),
    getReadiness: () => ({ path: "/readyz" }),
    getMetrics: () => ({ path: "/metrics" }),
  };

  const changes = /^(create|cancel|submit|pay|confirm|add)/;

  async function mayCall(name: OperationId, caller: RestCaller): Promise<boolean> {
    const party = parties[caller];
    const about = caller === "bank that is both" ? ofOneBank : ofTwoBanks;
    const { path, body } = await asks[name]({ party, about, caller });
    const isNobody = caller === "anybody else" || caller === "allowed address";
    // Whose token says so by its claim is believed as little as whoever says it in a path.
    const token = () => createAccessToken(party.key, new Date(), randomUUID(), { iss: platform.merchant.uid });
    const response = await fetch(platform.url() + path, {
      method: changes.test(name) ? "POST" : "GET",
      headers: {
        ...(isNobody ? { Authorization: `Bearer ${platform.operatorToken}` } : { "Cx-Authorization": await token() }),
        // Whoever comes through a proxy comes from an address that nobody knows.
        ...(caller === "allowed address" ? {} : { "X-Forwarded-For": "203.0.113.7" }),
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    await response.arrayBuffer();
    return response.ok;
  }

  test.each(restRows)("$name: whoever the contract names, and nobody else", async ({ name, allowed }) => {
    const answers: RestCaller[] = [];
    // Whoever may not comes first: what is done once it is done is refused to everybody.
    const inTurn = restCallerNames.toSorted((a, b) => Number(allowed.includes(a)) - Number(allowed.includes(b)));
    for (const caller of inTurn) if (await mayCall(name, caller)) answers.push(caller);
    expect(restCallerNames.filter((caller) => answers.includes(caller))).toEqual(allowed);
  });
});

describe("RPC methods", () => {
  type Caller = RpcCaller | "nobody" | "a wrong credential" | "an expired credential" | "a revoked credential";
  const shut: Caller[] = ["nobody", "a wrong credential", "an expired credential", "a revoked credential"];
  const secrets = new Map<string, string>();

  beforeAll(async () => {
    const { credentials } = platform.operators();
    const expiresAt = timestampFromDate(new Date(Date.now() + 3_600_000));
    const every = [Scope.GATEWAY, Scope.READER, Scope.OPERATOR];
    const wanted = { gateway: [Scope.GATEWAY], reader: [Scope.READER], operator: [Scope.OPERATOR] };
    for (const [name, scopes] of Object.entries({ ...wanted, expired: every, revoked: every })) {
      secrets.set(name, (await credentials.addCredential({ name: `only-${name}`, scopes, expiresAt })).secret);
    }
    await credentials.revokeCredential({ name: "only-revoked" });
    await platform.rows("update service_credential set expires_at = now() where name = 'only-expired'");
  });

  const credentialOf: Record<Caller, string | undefined> = {
    "`gateway` with a bank's token": "gateway",
    "`gateway` with a merchant's token": "gateway",
    "`gateway` with a merchant's order": "gateway",
    "`gateway` alone": "gateway",
    "`reader`": "reader",
    "`operator`": "operator",
    nobody: undefined,
    "a wrong credential": "wrong",
    "an expired credential": "expired",
    "a revoked credential": "revoked",
  };

  async function bankMetadata(): Promise<Record<string, string>> {
    const { guid, key } = platform.initiator;
    return {
      "cx-authorization": await createAccessToken(key, new Date(), randomUUID()),
      "dcm-counterparty": guid,
      "dcm-request-digest": Buffer.alloc(32).toString("base64url"),
    };
  }

  async function merchantMetadata(): Promise<Record<string, string>> {
    const { uid, key } = platform.merchant;
    return {
      "cx-authorization": await createAccessToken(key, new Date(), randomUUID(), { iss: uid }),
      "dcm-request-digest": Buffer.alloc(32).toString("base64url"),
    };
  }

  async function metadataOf(caller: Caller): Promise<Record<string, string>> {
    if (caller === "`gateway` with a bank's token") return bankMetadata();
    return caller === "`gateway` with a merchant's token" ? merchantMetadata() : {};
  }

  /** What the methods need that are about something signed; everybody else's request is empty, which is refused later. */
  async function requestOf(method: string, caller: Caller): Promise<object> {
    const { merchant, initiator } = platform;
    const byMerchant = caller === "`gateway` with a merchant's order";
    if (method === "CreateOrder") {
      return { jws: await signJws(orderClaims(platform), byMerchant ? merchant.key : initiator.key) };
    }
    if (method === "CancelOrder") {
      const claims = { sub: merchant.uid, order_id: randomUUID(), iat: Math.floor(Date.now() / 1000) };
      return { jws: await signJws(claims, byMerchant ? merchant.key : initiator.key) };
    }
    return method === "SubmitPaymentMessage"
      ? { jws: await signJws(messageClaims(initiator.bic, randomUUID()), initiator.key) }
      : {};
  }

  async function codeOf(row: (typeof rpcRows)[number], caller: Caller, headers: Record<string, string>) {
    const name = credentialOf[caller];
    const transport = remoteTransport(platform.rpcUrl(), name && (secrets.get(name) ?? "dcm_nobody's"));
    const service = rpcServices.find(({ methods }) => methods.includes(row.method));
    if (service === undefined) throw new Error(`${row.name} has no service`);
    type Method = (request: object, options: object) => Promise<unknown>;
    const client = createClient(service, transport) as unknown as Record<string, Method>;
    const called = client[row.method.localName]?.(await requestOf(row.method.name, caller), { headers });
    try {
      await called;
      return "done";
    } catch (error) {
      return Code[ConnectError.from(error).code];
    } finally {
      transport.close();
    }
  }

  const isAdmitted = (code: string | undefined) => code !== "Unauthenticated" && code !== "PermissionDenied";

  test.each(rpcRows)("$name: whoever the contract names, and nobody else", async (row) => {
    const answers: Caller[] = [];
    for (const caller of rpcCallerNames) {
      if (isAdmitted(await codeOf(row, caller, await metadataOf(caller)))) answers.push(caller);
    }
    expect(answers).toEqual(row.allowed);
    for (const caller of shut) expect([caller, await codeOf(row, caller, {})]).toEqual([caller, "Unauthenticated"]);
    // The token of a bank or merchant opens nothing to a service that is not there to bring it.
    for (const brought of [await bankMetadata(), await merchantMetadata()]) {
      for (const caller of ["`reader`", "`operator`"] as const) {
        expect([caller, await codeOf(row, caller, brought)]).toEqual([caller, "PermissionDenied"]);
      }
    }
  });
});
