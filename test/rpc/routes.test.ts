import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CallbackKind, CallbackState } from "../../gen/dcm/v1/callback_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { BankRole, CallbackBodyFormat, type Participant, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterRole, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import type { Core } from "../../src/core/core.ts";
import { type CoreClients, createClients } from "../../src/rpc/clients.ts";
import { attempt, callbackOf, deliver, openPlatform, type Platform } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import { transportOfAnybody } from "./inProcess.ts";
import { bankMessage, orderMessage, paymentMessage, registerBankAndMerchant } from "./messages.ts";

let platform: Platform;
let clients: CoreClients;
let bank: Participant;
let merchant: Participant;

const silent = { debug: () => {}, error: () => {} };

beforeAll(async () => {
  platform = await openPlatform();
  clients = createClients(transportOfAnybody(platform.core, silent));
  ({ bank, merchant } = await registerBankAndMerchant(clients));
});
afterAll(() => platform.close());

async function createOrder() {
  const { order } = await clients.orders.createOrder(orderMessage(merchant));
  return order?.id ?? "";
}

async function submit() {
  return (await clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, await createOrder()))).guid;
}

describe("orders", () => {
  test("CreateOrder: every field travels there and back", async () => {
    const ultimateCreditor = { name: "Somebody", taxNumber: "123", iban: "UA21", bic: "300001", mcc: "5411" };
    const request = orderMessage(merchant, { ultimateCreditor });
    const created = await clients.orders.createOrder(request);
    const { jws: _evidence, ...told } = request;
    expect(created.alreadyExisted).toBe(false);
    expect(created.order).toMatchObject({ ...told, status: OrderStatus.CREATED });
    const again = await clients.orders.createOrder(request);
    expect(again).toEqual({ ...created, alreadyExisted: true });
  });

  test("GetOrder: an order without a payment has none, with one it has", async () => {
    const orderId = await createOrder();
    const before = await clients.orders.getOrder({ orderId });
    expect(before.paymentMessage).toBeUndefined();
    expect(before.order?.ultimateCreditor).toBeUndefined();
    expect([before.merchant?.guid, before.creditorAgent?.guid]).toEqual([merchant.guid, bank.guid]);
    const { guid } = await clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, orderId));
    expect((await clients.orders.getOrder({ orderId })).paymentMessage?.guid).toBe(guid);
  });
});

describe("payment messages", () => {
  test("GetPaymentMessage: what was submitted is read, by guid and by order, without the phone number", async () => {
    const request = paymentMessage(bank, merchant, await createOrder());
    const { guid } = await clients.paymentMessages.submitPaymentMessage(request);
    const by = { case: "guid", value: guid } as const;
    const { paymentMessage: read } = await clients.paymentMessages.getPaymentMessage({ callerGuid: bank.guid, by });
    const { callerGuid, debtorAgentBic, creditorAgentBic, jws, debtor, creditor, ...told } = request;
    expect(read).toMatchObject({
      ...told,
      guid,
      debtor: { ...debtor, phone: "" },
      creditor: { ...creditor, uid: merchant.uid },
      debtorAgent: { guid: callerGuid, bic: debtorAgentBic, name: bank.name },
      creditorAgent: { guid: bank.guid, bic: creditorAgentBic, name: bank.name },
      creditorAgentJwk: bank.signingJwks[0],
      status: PaymentMessageStatus.PENDING,
      reason: "",
    });
    expect(jws).toBe("payment.jws.text");
    const byOrder = { case: "orderId", value: request.orderId ?? "" } as const;
    expect(
      (await clients.paymentMessages.getPaymentMessage({ callerGuid: bank.guid, by: byOrder })).paymentMessage,
    ).toEqual(read);
  });

  test("SubmitPaymentMessage: a token that another request used up is unauthenticated, by a reason of its own", async () => {
    const submitWith = async (request: number) => {
      const accessToken = {
        jti: "used-over-rpc",
        issuedAt: timestampFromDate(new Date()),
        requestDigest: new Uint8Array(32).fill(request),
      };
      const message = paymentMessage(bank, merchant, await createOrder(), { accessToken });
      return clients.paymentMessages.submitPaymentMessage(message);
    };
    await submitWith(1);
    expect(await errorOf(submitWith(2))).toMatchObject({
      code: Code.Unauthenticated,
      reason: "TOKEN_REPLAYED",
      field: "jti",
    });
  });

  test("SubmitPaymentMessage: a second message for the order hears the first one's guid in the detail", async () => {
    const orderId = await createOrder();
    const { guid } = await clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, orderId));
    const second = clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, orderId));
    expect(await errorOf(second)).toEqual({
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
    const sides = await registerBankAndMerchant(clients);
    for (let number = 0; number < 3; number += 1) {
      const { order } = await clients.orders.createOrder(orderMessage(sides.merchant));
      await clients.paymentMessages.submitPaymentMessage(paymentMessage(sides.bank, sides.merchant, order?.id ?? ""));
    }
    const filter = { receiverGuid: sides.bank.guid };
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
    const guid = await submit();
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
    const resolved = await clients.callbacks.resolveCallback({ guid: callbackGuid, operator: "Olena", note });
    expect(resolved.callback).toMatchObject({
      state: CallbackState.RESOLVED,
      resolvedBy: "Olena",
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
    const core = { ...platform.core, redriveDeadLetters: async (most: number) => most } as Core;
    const { callbacks } = createClients(transportOfAnybody(core, silent));
    expect((await callbacks.redriveDeadLetters({ limit })).redriven).toBe(asked);
  });
});

describe("settlements", () => {
  test("a closed register is answered, listed and read with its payments", async () => {
    const guid = await submit();
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
    const listed = await clients.settlements.listRegisters({ callerGuid: bank.guid, role: RegisterRole.ALL });
    expect(listed.registers).toEqual(registers);
    const read = await clients.settlements.getRegister({ callerGuid: bank.guid, registerId: "0102261" });
    expect(read.register).toEqual(registers[0]);
    expect(read.payments.map(({ paymentMessageGuid, feeMinor }) => [paymentMessageGuid, feeMinor])).toEqual([
      [guid, 0n],
    ]);
    const strange = clients.settlements.getRegister({ callerGuid: merchant.guid, registerId: "0102261" });
    expect(await errorOf(strange)).toMatchObject({ code: Code.NotFound, reason: "REGISTER_NOT_FOUND" });
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
    const message = bankMessage({
      guid: "0198C0DE-0000-7000-8000-00000000AAAA",
      callbackUrls,
      callbackBodyFormat: CallbackBodyFormat.TEXT,
      encryptionJwk: '{"kid":"enc"}',
      deepLinkPrefix: "bank://pay/",
      logoUrl: "https://b.example/logo.svg",
      feeBasisPoints: 25,
      requiresBodySha256: true,
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
    const { bank: stored } = await clients.participants.registerBank({ bank: bankMessage() });
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
