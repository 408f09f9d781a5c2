import { Code } from "@connectrpc/connect";
import { decodeJwt } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackKind, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import {
  BankRole,
  CallbackBodyFormat,
  DeepLinkContent,
  type Participant,
  ParticipantKind,
} from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageStatus, PaymentType, SenderAccountType } from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterRole, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import type { Core } from "../../src/core/core.ts";
import { signJws } from "../../src/sdk/jws.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import { accessTokenHeader } from "../../src/wire/metadata.ts";
import { attempt, callbackOf, deliver, type Platform } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import { transportOfAnybody } from "./inProcess.ts";
import {
  asBank,
  bankMessage,
  keyOf,
  newJwk,
  newOrder,
  openPlatformOfSigners,
  orderClaims,
  paymentClaims,
  pays,
  registerBankAndMerchant,
  type Sides,
  signedOrder,
  signedPaymentMessage,
} from "./messages.ts";

let platform: Platform;
let clients: CoreClients;
let sides: Sides;
let bank: Participant;
let merchant: Participant;

const silent = { debug: () => {}, info: () => {}, error: () => {} };

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  clients = createClients(transportOfAnybody(platform.core, silent));
  sides = await registerBankAndMerchant(clients);
  ({ bank, merchant } = sides);
});
afterAll(() => platform.close());

describe("orders", () => {
  test("CreateOrder: every claim travels there and back", async () => {
    const fri = { frn: "Somebody", frc: "123", fra: "UA2100000000000000", frb: "300001", frm: "5411" };
    const claims = orderClaims(merchant, { fri });
    const request = { jws: await signJws(claims, keyOf(merchant)) };
    const created = await clients.orders.createOrder(request);
    expect(created.alreadyExisted).toBe(false);
    expect(created.order).toMatchObject({
      merchantGuid: merchant.guid,
      ref: claims.ref,
      amount: { amountMinor: 150_075n, currency: "UAH" },
      purpose: claims.prp,
      redirectUrl: claims.url,
      issuedAt: { seconds: BigInt(claims.iat as number) },
      expiresAt: { seconds: BigInt(claims.exp as number) },
      ultimateCreditor: { name: "Somebody", taxNumber: "123", iban: fri.fra, bic: "300001", mcc: "5411" },
      status: OrderStatus.CREATED,
    });
    const again = await clients.orders.createOrder(request);
    expect(again).toEqual({ ...created, alreadyExisted: true });
    const kept = await platform.rows("select jws from payment_order where guid = $1", created.order?.id);
    expect(kept).toEqual([request]);
  });

  test("CreateOrder: its details come under the platform's signature where they are asked for, and only there", async () => {
    const request = await signedOrder(merchant);
    expect((await clients.orders.createOrder(request)).signedDetails).toBe("");
    const { order, signedDetails } = await clients.orders.createOrder({ ...request, signedDetails: true });
    const claims = decodeJwt(signedDetails);
    expect(claims).toMatchObject({
      id: order?.id,
      ref: order?.ref,
      amt: 1500.75,
      bic: bank.bic,
      iat: expect.any(Number),
    });
    expect(claims).not.toHaveProperty("public_key");
  });

  test("GetOrder: the token of CreateOrder comes where it is asked for, until somebody pays", async () => {
    const request = { ...(await signedOrder(merchant)), signedDetails: true };
    const { order, signedDetails } = await clients.orders.createOrder(request);
    const orderId = order?.id ?? "";
    expect((await clients.orders.getOrder({ orderId })).signedDetails).toBe("");
    expect((await clients.orders.getOrder({ orderId, signedDetails: true })).signedDetails).toBe(signedDetails);
    await clients.paymentMessages.submitPaymentMessage(await signedPaymentMessage(sides, orderId), await asBank(bank));
    expect((await clients.orders.getOrder({ orderId, signedDetails: true })).signedDetails).toBe("");
    // Its merchant hears the same answer again, whatever has become of the order.
    expect((await clients.orders.createOrder(request)).signedDetails).toBe(signedDetails);
  });

  test("GetOrder: an order without a payment has none, with one it has", async () => {
    const orderId = await newOrder(clients, merchant);
    const before = await clients.orders.getOrder({ orderId });
    expect(before.paymentMessage).toBeUndefined();
    expect(before.order?.ultimateCreditor).toBeUndefined();
    expect([before.merchant?.guid, before.creditorAgent?.guid]).toEqual([merchant.guid, bank.guid]);
    const { guid } = await clients.paymentMessages.submitPaymentMessage(
      await signedPaymentMessage(sides, orderId),
      await asBank(bank),
    );
    expect((await clients.orders.getOrder({ orderId })).paymentMessage?.guid).toBe(guid);
  });
});

describe("payment messages", () => {
  test("GetPaymentMessage: what was submitted is read, by guid and by order, by its bank and by a service, without the phone number", async () => {
    const orderId = await newOrder(clients, merchant);
    const claims = paymentClaims(sides, orderId);
    const request = { jws: await signJws(claims, keyOf(bank)) };
    const { guid } = await clients.paymentMessages.submitPaymentMessage(request, await asBank(bank));
    const by = { case: "guid", value: guid } as const;
    const { paymentMessage: read } = await clients.paymentMessages.getPaymentMessage({ by }, await asBank(bank));
    const { debtor, creditor, encryption } = claims as Record<string, Record<string, string>>;
    expect(read).toMatchObject({
      guid,
      jti: claims.jti,
      externalId: claims.payment_message_external_id,
      amount: { amountMinor: 150_075n, currency: "UAH" },
      debtor: { name: debtor?.debtor_name, taxNumber: debtor?.debtor_id, account: debtor?.debtor_account },
      creditor: {
        name: creditor?.creditor_name,
        taxNumber: creditor?.creditor_id,
        account: creditor?.creditor_account,
        uid: merchant.uid,
      },
      orderId,
      purpose: claims.purpose,
      msgCreationDate: claims.msg_creation_date,
      msgCreationTime: claims.msg_creation_time,
      pmType: PaymentType.TRADE,
      senderAccountType: SenderAccountType.LIMIT_RELATED,
      encryption: { nonce: encryption?.nonce, encryptedKey: encryption?.encrypted_key },
      debtorAgent: { guid: bank.guid, bic: bank.bic, name: bank.name },
      creditorAgent: { guid: bank.guid, bic: bank.bic, name: bank.name },
      creditorAgentJwk: bank.signingJwks[0],
      status: PaymentMessageStatus.PENDING,
      reason: "",
    });
    expect(JSON.stringify(read, (_, value) => (typeof value === "bigint" ? String(value) : value))).not.toContain(
      debtor?.debtor_phone,
    );
    const byOrder = { case: "orderId", value: orderId } as const;
    expect((await clients.paymentMessages.getPaymentMessage({ by: byOrder })).paymentMessage).toEqual(read);
    const kept = await platform.rows("select jws from payment_evidence where payment_message_guid = $1", guid);
    expect(kept).toEqual([request]);
  });

  test("SubmitPaymentMessage: a second message for the order hears the first one's guid in the detail", async () => {
    const orderId = await newOrder(clients, merchant);
    const submit = async () =>
      clients.paymentMessages.submitPaymentMessage(await signedPaymentMessage(sides, orderId), await asBank(bank));
    const { guid } = await submit();
    expect(await errorOf(submit())).toEqual({
      code: Code.AlreadyExists,
      reason: "PAYMENT_MESSAGE_EXISTS",
      field: "order_id",
      message: "payment message with provided order id already exists",
      paymentMessageGuid: guid,
      rawMessage: "payment message with provided order id already exists",
    });
  });
});

describe("callbacks", () => {
  test("ListCallbacks: page by page until the token is empty", async () => {
    const others = await registerBankAndMerchant(clients);
    for (let number = 0; number < 3; number += 1) await pays(clients, others);
    const filter = { receiverGuid: others.bank.guid };
    const first = await clients.callbacks.listCallbacks({ filter, pageSize: 2 });
    const second = await clients.callbacks.listCallbacks({ filter, pageSize: 2, pageToken: first.nextPageToken });
    expect([first.callbacks.length, second.callbacks.length, second.nextPageToken]).toEqual([2, 1, ""]);
    expect(first.callbacks[0]).toMatchObject({
      kind: CallbackKind.PAY_IN_BANK,
      state: CallbackState.WAITING,
      series: 1,
    });
  });

  test("a review is listed, read with its attempts, resolved and replayed", async () => {
    const guid = await pays(clients, sides);
    await deliver(platform, guid, "pay_in_bank", "accepted");
    await deliver(platform, guid, "pay_in_merchant", "accepted");
    await deliver(platform, guid, "credit", "refused", "refused");
    const { guid: callbackGuid } = await callbackOf(platform, guid, "credit");
    const filter = {
      states: [CallbackState.REVIEW],
      kinds: [CallbackKind.CREDIT],
      paymentMessageGuid: guid,
      missed: true,
    };
    const { callbacks } = await clients.callbacks.listCallbacks({ filter });
    expect(callbacks.map((callback) => callback.guid)).toEqual([callbackGuid]);
    expect(callbacks[0]?.dueAt).toBeUndefined();
    const read = await clients.callbacks.getCallback({ guid: callbackGuid });
    expect(read.attempts.map(({ attempt: number, outcome }) => [number, outcome])).toEqual([
      [1, "refused"],
      [2, "refused"],
    ]);
    const note = "settled by phone";
    const resolved = await clients.callbacks.resolveCallback({ guid: callbackGuid, note });
    expect(resolved.callback).toMatchObject({
      state: CallbackState.RESOLVED,
      // The name of the credential that called.
      resolvedBy: "anybody",
      resolutionNote: note,
    });
    expect(await clients.callbacks.replayCallbacks({ filter: { paymentMessageGuid: guid } })).toMatchObject({
      replayed: 0,
    });
    const replayed = await clients.callbacks.replayCallback({ guid: callbackGuid });
    expect(replayed.callback).toMatchObject({ state: CallbackState.WAITING, series: 2, resolvedBy: "" });
    expect(replayed.callback?.dueAt).toBeDefined();
    await attempt(platform, callbackGuid, "accepted");
    const again = clients.callbacks.replayCallback({ guid: callbackGuid });
    expect(await errorOf(again)).toMatchObject({ code: Code.FailedPrecondition, reason: "CALLBACK_NOT_REPLAYABLE" });
  });
});

describe("dead letters", () => {
  test.each([
    [0, 1_000],
    [7, 7],
    [20_000, 10_000],
  ])("RedriveDeadLetters: a limit of %i moves at most %i", async (limit, asked) => {
    const core = { ...platform.core, redriveDeadLetters: async (_actor: unknown, most: number) => most } as Core;
    const { callbacks } = createClients(transportOfAnybody(core, silent));
    expect((await callbacks.redriveDeadLetters({ limit })).redriven).toBe(asked);
  });
});

describe("settlements", () => {
  test("a closed register is answered, listed and read with its payments", async () => {
    const guid = await pays(clients, sides);
    await deliver(platform, guid, "pay_in_bank", "accepted");
    await deliver(platform, guid, "pay_in_merchant", "accepted");
    await platform.rows("update payment_message set decided_at = '2026-02-01T12:00:00Z' where guid = $1", guid);
    const { registers } = await clients.settlements.closeRegisters({ day: "2026-02-01" });
    expect(registers).toHaveLength(1);
    expect(registers[0]).toMatchObject({
      id: "0102261",
      day: "2026-02-01",
      status: RegisterStatus.SENT_INTERNAL,
      totalAmount: { amountMinor: 150_075n, currency: "UAH" },
      totalFeeMinor: 0n,
      paymentCount: 1,
      creditorCode: bank.taxCode,
      chargingAccount: bank.iban,
      purpose: "Gross settlement register 0102261",
    });
    const listed = await clients.settlements.listRegisters({ bankGuid: bank.guid, role: RegisterRole.ALL });
    expect(listed.registers).toEqual(registers);
    const read = await clients.settlements.getRegister({ registerId: "0102261" });
    expect(read.register).toEqual(registers[0]);
    expect(read.payments.map(({ paymentMessageGuid, feeMinor }) => [paymentMessageGuid, feeMinor])).toEqual([
      [guid, 0n],
    ]);
    expect(await clients.settlements.getRegister({ registerId: "0102261" }, await asBank(bank))).toEqual(read);
    const { bank: stranger } = await registerBankAndMerchant(clients);
    const strange = clients.settlements.getRegister({ registerId: "0102261" }, await asBank(stranger));
    expect(await errorOf(strange)).toMatchObject({ code: Code.NotFound, reason: "REGISTER_NOT_FOUND" });
    const confirm = async () =>
      clients.settlements.confirmInternalRegister({ registerId: "0102261" }, await asBank(bank));
    expect([(await confirm()).repeated, (await confirm()).repeated]).toEqual([false, true]);
  });

  /** A register of one payment, from the parties' bank to another one that services the merchant. */
  async function registerBetweenBanks() {
    const { bank: other, merchant: shop } = await registerBankAndMerchant(clients);
    const message = await signJws(
      paymentClaims({ bank, merchant: shop }, await newOrder(clients, shop), { creditor_agent_bic: other.bic }),
      keyOf(bank),
    );
    const { guid } = await clients.paymentMessages.submitPaymentMessage({ jws: message }, await asBank(bank));
    await deliver(platform, guid, "pay_in_bank", "accepted");
    await deliver(platform, guid, "pay_in_merchant", "accepted");
    await platform.rows("update payment_message set decided_at = '2026-02-03T12:00:00Z' where guid = $1", guid);
    const { registers } = await clients.settlements.closeRegisters({ day: "2026-02-03" });
    const register = registers.find(({ creditorAgent }) => creditorAgent?.guid === other.guid);
    if (register === undefined) throw new Error("no register was made");
    const payment = {
      payment_message_external_id: `P-${register.id}`,
      creditor_iban: register.chargingAccount,
      amount: 1500.75,
      currency: "UAH",
      purpose: register.purpose,
      creation_date: "2026-02-04",
    };
    return { registerId: register.id, payment };
  }

  test("PayRegister and ConfirmRegister: a body is read as it arrived; kept is what the bank has signed of it", async () => {
    const { registerId, payment } = await registerBetweenBanks();
    const body = (content: object) => Buffer.from(JSON.stringify(content));
    const paying = await asBank(bank);
    expect(await clients.settlements.payRegister({ registerId, body: body(payment) }, paying)).toMatchObject({
      repeated: false,
    });
    const jwt = await signJws({ ...payment, status: "ACSC" }, keyOf(bank));
    const confirmation = { registerId, body: body({ jwt }) };
    expect(await clients.settlements.confirmRegister(confirmation, await asBank(bank))).toMatchObject({
      repeated: false,
    });
    const { register, acts } = await clients.settlements.listRegisterActs({ registerId });
    expect(register?.status).toBe(RegisterStatus.PAID);
    expect(
      acts
        .slice(1)
        .map(({ actor, payment: stated, paymentStatus, jws }) => [
          actor,
          stated?.externalId,
          stated?.amount?.amountMinor,
          paymentStatus,
          jws,
        ]),
    ).toEqual([
      [bank.guid, `P-${registerId}`, 150_075n, "", paying.headers[accessTokenHeader]],
      [bank.guid, `P-${registerId}`, 150_075n, "ACSC", jwt],
    ]);
    const reopened = await clients.settlements.reopenRegister({ registerId, note: "came back" });
    expect(reopened.register?.status).toBe(RegisterStatus.SENT);
    const { acts: later } = await clients.settlements.listRegisterActs({ registerId });
    // The name of the credential that called.
    expect(later.at(-1)).toMatchObject({ actor: "anybody", note: "came back" });
  });

  test("a register without payments has an empty creditor", async () => {
    const { registers } = await clients.settlements.closeRegisters({ day: "2026-02-02", allowOpenDay: true });
    for (const register of registers) {
      expect(register).toMatchObject({
        status: RegisterStatus.SENT_NO_PM,
        creditorAgent: { guid: "" },
        creditorCode: "",
      });
    }
  });
});

describe("participants", () => {
  test("RegisterBank: every field travels there and back", async () => {
    const callbackUrls = {
      base: "https://b.example",
      payIn: "https://b.example/in",
      payOut: "https://b.example/out",
      credit: "https://b.example/credit",
      expiration: "https://b.example/expiration",
      grossSettlement: "https://b.example/registers",
    };
    const message = await bankMessage({
      guid: "0198C0DE-0000-7000-8000-00000000AAAA",
      callbackUrls,
      callbackBodyFormat: CallbackBodyFormat.TEXT,
      encryptionJwk: JSON.stringify({ ...JSON.parse(await newJwk()), kid: "enc", use: "enc" }),
      deepLinkPrefix: "bank://pay/",
      logoUrl: "https://b.example/logo.svg",
      feeBasisPoints: 25,
      requiresBodySha256: true,
      deepLinkContent: DeepLinkContent.ORDER_ID,
    });
    const { bank: stored } = await clients.participants.registerBank({ bank: message });
    expect(stored).toMatchObject({
      ...message,
      guid: "0198c0de-0000-7000-8000-00000000aaaa",
      kind: ParticipantKind.BANK,
      signingJwks: [expect.stringContaining("kid")],
      encryptionJwk: expect.stringContaining('"enc"'),
      version: 1n,
    });
    expect((await clients.participants.registerBank({ bank: message })).bank).toEqual(stored);
    for (const by of [
      { case: "guid", value: stored?.guid ?? "" },
      { case: "bic", value: stored?.bic ?? "" },
    ] as const) {
      expect((await clients.participants.getParticipant({ by })).participant).toEqual(stored);
    }
  });

  test("UpdateParticipant: what is not set stays, what is set changes", async () => {
    const { bank: stored } = await clients.participants.registerBank({ bank: await bankMessage() });
    const changed = await clients.participants.updateParticipant({
      guid: stored?.guid ?? "",
      callbackUrls: { base: "https://new.example" },
      feeBasisPoints: 0,
      name: "Renamed",
      requiresBodySha256: true,
    });
    const { name, callbackUrls, version, updatedAt, requiresBodySha256, ...rest } = changed.participant as Participant;
    expect([name, callbackUrls?.base, version]).toEqual(["Renamed", "https://new.example", 2n]);
    expect(requiresBodySha256).toBe(true);
    expect(stored).toMatchObject(rest);
    expect(updatedAt).toBeDefined();
    const again = await clients.participants.updateParticipant({ guid: stored?.guid ?? "", name: "Once more" });
    expect(again.participant?.requiresBodySha256).toBe(true);
  });

  test("ListParticipants: page by page, each one once, the pages of one kind and role", async () => {
    const seen: string[] = [];
    let pageToken = "";
    do {
      const page = await clients.participants.listParticipants({ kind: ParticipantKind.BANK, pageSize: 1, pageToken });
      seen.push(...page.participants.map(({ guid }) => guid));
      pageToken = page.nextPageToken;
    } while (pageToken !== "");
    const all = await clients.participants.listParticipants({ kind: ParticipantKind.BANK, role: BankRole.RECIPIENT });
    expect(seen).toEqual(all.participants.map(({ guid }) => guid));
    expect(new Set(seen).size).toBe(seen.length);
  });
});
