import { v7 as uuidV7 } from "uuid";
import { onTestFinished } from "vitest";
import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import type { PaymentMessage } from "../../gen/dcm/v1/payment_message_pb.ts";
import type { Register } from "../../gen/dcm/v1/settlement_pb.ts";
import type { AttemptRecord, RecordAnswer } from "../../src/core/attempts.ts";
import type { CoreContext, DueCallback } from "../../src/core/context.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { ClaimedCallback } from "../../src/core/delivery.ts";
import { createOrderChanges, type OrderChange } from "../../src/core/orderChanges.ts";
import type { Registration } from "../../src/core/participants.ts";
import type { SubmittedMessage } from "../../src/core/paymentMessages.ts";
import type { BankStatement } from "../../src/core/registerStatements.ts";
import { type Database, openDatabase } from "../../src/db/database.ts";
import type { AccessToken } from "../../src/domain/accessToken.ts";
import type { BankActor, ServiceActor } from "../../src/domain/actor.ts";
import { type CallbackKind, defaultRetryPolicy, type Outcome } from "../../src/domain/callback.ts";
import { isRefusal, type Refusal } from "../../src/domain/errors.ts";
import type { OrderRequest } from "../../src/domain/order.ts";
import type { Participant } from "../../src/domain/participant.ts";
import type { SettlementPayment } from "../../src/domain/settlement.ts";
import { isKeyId } from "../../src/sdk/keys.ts";
import { orderParts } from "../../src/wire/order.ts";
import { execute, freshDatabase } from "../support/database.ts";
import { ibanCheckDigits } from "../support/iban.ts";
import { fakePlatformKeys } from "./identity/fakeContext.ts";

/** The core on a real PostgreSQL; the clock, the keys and the endpoints around it are the test's. */
export type Platform = {
  url: string;
  db: Database;
  context: CoreContext;
  core: Core;
  /** A second process of the platform: its own core and connections on the same database. */
  secondCore(): Promise<Core>;
  /** What PostgreSQL says it is; `setClock` moves it. `aheadMs`: of this process's own. */
  clock: { now: Date; aheadMs: number };
  /** Every callback that was announced to the queue. */
  due: DueCallback[];
  /** Every change of an order that was announced to the pages. */
  changes: OrderChange[];
  isClosed: boolean;
  rows<Row = Record<string, unknown>>(text: string, ...values: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
};

/** Where a platform of tests is reached, as access tokens may name it. */
export const publicUrl = "https://platform.example";

/** Whoever does in tests what only people decide. */
export const operator: ServiceActor = { kind: "service", name: "tests", scopes: ["operator"] };

/** A key as tests write it: what is left out is that of a good RSA key. */
export type GivenKey = { kid: string; n?: string; weak?: boolean; kty?: string; alg?: string; use?: string };

/** In the place of a token that the platform signs: made like one, and nobody's signature. */
function unsigned(claims: object): string {
  const parts = [{ alg: "none", kid: "platform" }, claims].map((part) => Buffer.from(JSON.stringify(part)));
  return `${parts.map((part) => part.toString("base64url")).join(".")}.`;
}
const modulusBytes = 256;

/** A number of 2 048 bits that is called so; of a number that is as long or longer, itself again. */
export const modulus = (name: string) =>
  Buffer.from(name, "base64url").length >= modulusBytes
    ? name
    : Buffer.from(name.padEnd(modulusBytes, ".")).toString("base64url");

/** As long as what is encrypted for such a key. */
const encryptedKey = Buffer.alloc(modulusBytes, "key").toString("base64");

/** Connections of one process of the platform. */
export const poolSize = 6;

export async function openPlatform(overrides: Partial<CoreContext> = {}): Promise<Platform> {
  const { url, drop } = await freshDatabase();
  await execute(url, ...movableClock(new URL(url).pathname.slice(1)));
  const opened: Database[] = [];
  const clock = { now: new Date(), aheadMs: 0 };
  const due: DueCallback[] = [];
  const changes: OrderChange[] = [];
  const open = async () => {
    const db = await openDatabase({ url, maxConnections: poolSize });
    opened.push(db);
    const context: CoreContext = {
      db,
      newGuid: () => uuidV7(),
      supportedCurrencies: ["UAH", "EUR"],
      maxOrderLifeDays: 366,
      retryPolicy: defaultRetryPolicy,
      republishAfterMs: 60_000,
      onCallbacksDue: (callbacks) => due.push(...callbacks),
      now: () => new Date(Date.now() + clock.aheadMs),
      publicUrl: () => publicUrl,
      platformKeys: { ...fakePlatformKeys, sign: async (claims) => unsigned(claims) },
      jwksMaxAgeSeconds: 3_600,
      callbackUrlProblem: async (address) =>
        address.includes("private") ? { text: "points to a private address", ofHost: false } : undefined,
      publicKey: async (jwk) => {
        const { kid, weak, n, kty, alg, use } = (jwk ?? {}) as GivenKey;
        if (weak) return { problem: "has fewer than 2048 bits" };
        if (!isKeyId(kid)) return { problem: "has no good kid" };
        const isFor = use === "enc" ? { use } : {};
        return { kty: kty ?? "RSA", alg: alg ?? "RS256", kid, n: modulus(n ?? `n of ${kid}`), ...isFor };
      },
      ping: async () => ({ outcome: "accepted", durationMs: 1, httpStatus: 200, body: "" }),
      onOrdersChanged: (changed) => changes.push(...changed),
      orderChanges: createOrderChanges(),
      fetchLogo: async () => ({ problem: "nobody answers" }),
      fetchJwks: async () => [
        { kid: "published", n: uuidV7() },
        { kid: "for encryption", use: "enc" },
      ],
      ...overrides,
    };
    return { context, core: createCore(context) };
  };
  const { context, core } = await open();
  const { db } = context;
  const platform: Platform = {
    url,
    db,
    context,
    core,
    secondCore: async () => (await open()).core,
    clock,
    due,
    changes,
    rows: (text, ...values) => db.sql({ name: "", text }, values),
    isClosed: false,
    async close() {
      platform.isClosed = true;
      for (const database of opened) await database.close();
      await drop();
    },
  };
  return platform;
}

/**
 * The database's clock is the one that counts, so it is the one that tests move: an own now(), statement_timestamp() and
 * clock_timestamp() stand before PostgreSQL's for everybody who connects from now on. plpgsql, so that plans look as they do with the real one.
 */
const movableClock = (database: string) => [
  "create schema test_clock",
  "create table test_clock.shift (by interval not null)",
  "insert into test_clock.shift values ('0')",
  `create function test_clock.now() returns timestamptz language plpgsql stable as
     'begin return pg_catalog.now() + (select by from test_clock.shift); end'`,
  `create function test_clock.clock_timestamp() returns timestamptz language plpgsql volatile as
     'begin return pg_catalog.clock_timestamp() + (select by from test_clock.shift); end'`,
  `create function test_clock.statement_timestamp() returns timestamptz language plpgsql stable as
     'begin return pg_catalog.statement_timestamp() + (select by from test_clock.shift); end'`,
  `alter database ${database} set search_path = public, test_clock, pg_catalog`,
];

/** Moves the database's clock until the test ends, for rules about the past and the future. It goes on from there. */
export async function setClock(platform: Platform, now: Date): Promise<void> {
  const move = async (by: string, shown: Date) => {
    await platform.rows(`update test_clock.shift set by = ${by}`);
    platform.clock.now = shown;
    platform.clock.aheadMs = shown.getTime() - Date.now();
  };
  await move(`'${now.toISOString()}'::timestamptz - pg_catalog.now()`, now);
  onTestFinished(async () => {
    // A platform of this test alone is gone by now, and its clock with it.
    if (!platform.isClosed) await move("'0'", new Date());
  });
}

/** The answer, or a test failure that shows the refusal. */
export function accepted<Value>(answer: Value): Exclude<Value, Refusal> {
  if (isRefusal(answer)) throw new Error(`refused: ${JSON.stringify(answer)}`);
  return answer as Exclude<Value, Refusal>;
}

export function reasonOf(answer: unknown): string {
  return isRefusal(answer) ? answer.refused : "accepted";
}

export const minutesMs = (minutes: number) => minutes * 60_000;

// ---------------------------------------------------------------------------------------------------------- participants

let counter = 0;
/** A number that no other participant, order or message of this run has. */
export function serial(): string {
  counter += 1;
  return String(counter).padStart(6, "0");
}

export function iban(bank: string, account: string): string {
  const digits = `${bank}${account.padStart(19, "0")}`;
  return `UA${ibanCheckDigits(digits)}${digits}`;
}

export function bankRegistration(changes: Partial<Registration> = {}): Registration {
  const bic = changes.bic ?? serial();
  return {
    guid: null,
    kind: "bank",
    name: `Bank ${bic}`,
    taxCode: "12345678",
    bic,
    uid: null,
    roles: ["initiator", "recipient"],
    iban: iban(bic, "1"),
    mcc: null,
    servicingBankGuid: null,
    callbackUrls: { base: `https://bank-${bic}.example/callbacks` },
    callbackBodyFormat: "json",
    signingJwks: [{ kid: `key-${bic}` }],
    encryptionJwk: null,
    jwksUrl: null,
    email: "bank@example.com",
    deepLinkPrefix: "https://bank.example/pay/",
    logoUrl: null,
    redirectUrl: null,
    feeBasisPoints: 0,
    requiresBodySha256: false,
    callbackAlg: "RS256",
    deepLinkContent: null,
    ...changes,
  };
}

export function merchantRegistration(servicingBank: Participant, changes: Partial<Registration> = {}): Registration {
  const number = serial();
  return {
    ...bankRegistration(),
    kind: "merchant",
    name: `Merchant ${number}`,
    bic: null,
    uid: `merchant-${number}`,
    roles: [],
    iban: iban(servicingBank.bic ?? "", number),
    mcc: "5411",
    servicingBankGuid: servicingBank.guid,
    callbackUrls: { base: `https://merchant-${number}.example/callbacks` },
    signingJwks: [{ kid: `key-${number}` }],
    deepLinkPrefix: null,
    redirectUrl: "https://shop.example/thanks",
    ...changes,
  };
}

/** An initiator bank, a recipient bank and a merchant that the recipient bank services. */
export type Parties = { initiator: Participant; recipient: Participant; merchant: Participant };

export async function registerParties(
  { core }: Platform,
  changes: { initiator?: Partial<Registration>; recipient?: Partial<Registration> } = {},
): Promise<Parties> {
  const register = async (registration: Registration) =>
    accepted(await core.registerParticipant(operator, registration));
  const initiator = await register(bankRegistration({ roles: ["initiator"], ...changes.initiator }));
  const recipient = await register(bankRegistration({ roles: ["recipient"], ...changes.recipient }));
  return { initiator, recipient, merchant: await register(merchantRegistration(recipient)) };
}

// ----------------------------------------------------------------------------------------------------- orders and messages

/** An access token whose signature is verified; requests with equal numbers are the same request. */
export function tokenOf(jti: string, request = 1, issuedAt = new Date()): AccessToken {
  return { jti, issuedAt, requestDigest: new Uint8Array(32).fill(request) };
}

/** Whole seconds, as tokens carry them. */
export const secondsFrom = (now: Date, seconds: number) => new Date(Math.floor(now.getTime() / 1000 + seconds) * 1000);

export function orderRequest(platform: Platform, merchant: Participant, changes: Partial<OrderRequest> = {}) {
  const now = platform.clock.now;
  return {
    merchantGuid: merchant.guid,
    merchantVersion: merchant.version,
    ref: `ref-${serial()}`,
    amountMinor: 2100,
    currency: "UAH",
    purpose: "Payment for the order",
    redirectUrl: "https://shop.example/thanks",
    ultimateCreditor: null,
    issuedAt: secondsFrom(now, 0),
    expiresAt: secondsFrom(now, 900),
    jws: "order.jws.text",
    ...changes,
  } satisfies OrderRequest;
}

/** The order as `getOrder` shows it. */
export async function readOrder({ core }: Platform, orderGuid: string): Promise<Order> {
  return orderParts(accepted(await core.getOrder(orderGuid))).order;
}

export async function createOrder(platform: Platform, merchant: Participant, changes: Partial<OrderRequest> = {}) {
  return accepted(await platform.core.createOrder(orderRequest(platform, merchant, changes))).order;
}

export function paymentRequest(
  platform: Platform,
  parties: Parties,
  order: Order,
  changes: Partial<SubmittedMessage> = {},
): SubmittedMessage {
  const number = serial();
  return {
    callerGuid: parties.initiator.guid,
    callerVersion: parties.initiator.version,
    accessToken: tokenOf(`token-${number}`, 1, platform.clock.now),
    jti: `jti-${number}`,
    externalId: `external-${number}`,
    amountMinor: Number(order.amount?.amountMinor),
    currency: order.amount?.currency ?? "",
    debtorAgentBic: parties.initiator.bic ?? "",
    debtorName: "encrypted name",
    debtorTaxNumber: "encrypted number",
    debtorAccount: iban(parties.initiator.bic ?? "", "77"),
    debtorPhone: "+380501234567",
    creditorAgentBic: parties.recipient.bic ?? "",
    creditorName: "encrypted merchant",
    creditorTaxNumber: "encrypted merchant number",
    creditorAccount: parties.merchant.iban,
    orderGuid: order.id,
    purpose: order.purpose,
    msgCreationDate: "2026-01-15",
    msgCreationTime: "12:30:00",
    pmType: "trade",
    senderAccountType: "limit-related",
    nonce: "AAAAAAAAAAAAAAAA",
    encryptedKey,
    encryptionKid: undefined,
    jws: "payment.jws.text",
    ...changes,
  };
}

/** A bank whose access token was verified as of this version of it. */
export function bankActor(bank: Participant, access: AccessToken): BankActor {
  return { kind: "bank", bank, access, token: "access.jws.text", judgedAt: new Date(), bindsBody: false };
}

/** What a bank states about a register by a token of its own. */
export function bankStatement(platform: Platform, { guid, version }: Participant, registerId: string): BankStatement {
  const accessToken = tokenOf(`statement-${serial()}`, 1, platform.context.now());
  return { callerGuid: guid, callerVersion: version, registerId, jws: "signed by the bank", accessToken };
}

/** What a bank states when it pays a register and confirms it: all that the register asks for. */
export function settlementPayment(
  { chargingAccount, totalAmount, totalFeeMinor, purpose }: Register,
  externalId: string,
  changes: Partial<SettlementPayment> = {},
): SettlementPayment {
  return {
    externalId,
    creditorIban: chargingAccount,
    amountMinor: Number((totalAmount?.amountMinor ?? 0n) - totalFeeMinor),
    currency: totalAmount?.currency ?? "",
    purpose,
    creationDate: "2026-05-11T09:00:00+03:00",
    ...changes,
  };
}

/** An order and its accepted payment message. */
export async function pay(platform: Platform, parties: Parties, changes: Partial<SubmittedMessage> = {}) {
  const { amountMinor = 2100, currency = "UAH" } = changes;
  const order = await createOrder(platform, parties.merchant, { amountMinor, currency });
  const request = paymentRequest(platform, parties, order, changes);
  return accepted(await platform.core.submitPaymentMessage(request)).guid;
}

export async function readMessage({ core }: Platform, parties: Parties, guid: string): Promise<PaymentMessage> {
  return accepted(await core.getPaymentMessage(parties.initiator.guid, { guid }));
}

// -------------------------------------------------------------------------------------------------------------- callbacks

export type CallbackRow = {
  guid: string;
  kind: CallbackKind;
  state: string;
  series: number;
  attempts: number;
  receiver_guid: string;
  reason: string;
  register_id: string | null;
};

/** A payment's callbacks, in the order of their making. */
export function callbacksOf(platform: Platform, messageGuid: string): Promise<CallbackRow[]> {
  return platform.rows<CallbackRow>(
    "select * from callback where payment_message_guid = $1 order by guid",
    messageGuid,
  );
}

export async function callbackOf(platform: Platform, messageGuid: string, kind: CallbackKind): Promise<CallbackRow> {
  const found = (await callbacksOf(platform, messageGuid)).find((callback) => callback.kind === kind);
  if (found === undefined) throw new Error(`the payment has no ${kind} callback`);
  return found;
}

/** Makes a waiting callback due and leases it. */
export async function claim(platform: Platform, guid: string, core = platform.core) {
  const [row] = await platform.rows<CallbackRow>(
    "update callback set due_at = now() where guid = $1 returning *",
    guid,
  );
  if (row === undefined) throw new Error("no such callback");
  const answer = await core.claimCallback({ callbackGuid: guid, series: row.series, attempt: row.attempts });
  if (answer === "obsolete" || isRefusal(answer) || !("claimed" in answer)) {
    throw new Error(`not claimed: ${JSON.stringify(answer)}`);
  }
  return answer.claimed;
}

/** Records what came of a claimed attempt. */
export async function record(
  core: Core,
  claimed: ClaimedCallback,
  outcome: Outcome,
  more: Pick<AttemptRecord, "retryAfterMs" | "inHand"> = {},
): Promise<RecordAnswer> {
  const { guid: callbackGuid, kind, series, attempt, refusals } = claimed;
  const paymentMessageGuid = claimed.paymentMessage?.guid ?? null;
  const told = { callbackGuid, kind, series, attempt, refusals, paymentMessageGuid, outcome, ...more };
  return accepted(await core.recordAttempt({ ...told, durationMs: 5 }));
}

/** One whole attempt: claim it, and record what came of it. */
export async function attempt(platform: Platform, guid: string, outcome: Outcome, retryAfterMs?: number) {
  return (await record(platform.core, await claim(platform, guid), outcome, { retryAfterMs })).decision;
}

/** Attempts of one payment's callback, one after the other; answers the last decision. */
export async function deliver(platform: Platform, messageGuid: string, kind: CallbackKind, ...outcomes: Outcome[]) {
  const { guid } = await callbackOf(platform, messageGuid, kind);
  let decision: Awaited<ReturnType<typeof attempt>> | undefined;
  for (const outcome of outcomes) decision = await attempt(platform, guid, outcome);
  return decision;
}

/** A payment whose cascade went well up to the merchant's acceptance; `decidedAt` moves it to another instant. */
export async function payWithSuccess(
  platform: Platform,
  parties: Parties,
  changes: Partial<SubmittedMessage> & { decidedAt?: string } = {},
) {
  const { decidedAt, ...request } = changes;
  const guid = await pay(platform, parties, request);
  await deliver(platform, guid, "pay_in_bank", "accepted");
  await deliver(platform, guid, "pay_in_merchant", "accepted");
  if (decidedAt) await platform.rows("update payment_message set decided_at = $2 where guid = $1", guid, decidedAt);
  return guid;
}

/** What the relay does about attempts whose process died: answers how many there were. */
export async function recordLapsedLeases(platform: Platform): Promise<number> {
  return platform.core.recordLostAttempts(1_000);
}
