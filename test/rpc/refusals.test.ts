import { randomBytes } from "node:crypto";
import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BankRole, type Participant, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { Core } from "../../src/core/core.ts";
import { type RefusalReason, refusalReasons, refuse } from "../../src/domain/errors.ts";
import { codeOfReason } from "../../src/rpc/errors.ts";
import type { Claims } from "../../src/sdk/jws.ts";
import { type CoreClients, createClients } from "../../src/wire/coreClients.ts";
import { requestDigestHeader } from "../../src/wire/metadata.ts";
import type { Platform } from "../core/platform.ts";
import { errorOf } from "./errorOf.ts";
import { transportOfAnybody } from "./inProcess.ts";
import {
  asBank,
  bankMessage,
  newOrder,
  openPlatformOfSigners,
  registerBankAndMerchant,
  signedOrder,
  signedPaymentMessage,
} from "./messages.ts";

let platform: Platform;
let clients: CoreClients;
let bank: Participant;
let merchant: Participant;
let orderId: string;

const silent = { debug: () => {}, info: () => {}, error: () => {} };

beforeAll(async () => {
  platform = await openPlatformOfSigners();
  clients = createClients(transportOfAnybody(platform.core, silent));
  ({ bank, merchant } = await registerBankAndMerchant(clients));
  orderId = await newOrder(clients, merchant);
});
afterAll(() => platform.close());

describe("what is absent or wrong in a request is refused with the name of its field", () => {
  const order = async (changes: Claims) => clients.orders.createOrder(await signedOrder(merchant, changes));
  const submit = async (changes: Claims) =>
    clients.paymentMessages.submitPaymentMessage(
      await signedPaymentMessage({ bank, merchant }, orderId, changes),
      await asBank(bank),
    );
  const pay = async (body: Uint8Array) =>
    clients.settlements.payRegister({ registerId: "0102261", body }, await asBank(bank));
  const text = (content: unknown) => Buffer.from(JSON.stringify(content));

  const debtor = {
    debtor_name: "A".repeat(24),
    debtor_id: "A".repeat(24),
    debtor_account: "UA213223130000026007233566001",
  };
  const claims: ReadonlyArray<[what: string, call: () => Promise<unknown>, field: string, reason?: string]> = [
    ["an order without an amount", () => order({ amt: undefined }), "amt", "INVALID_AMOUNT"],
    ["an order of an amount that is a text", () => order({ amt: "21.00" }), "amt", "INVALID_AMOUNT"],
    ["an order of three decimals", () => order({ amt: 21.001 }), "amt", "INVALID_AMOUNT"],
    ["an order of more than 2^53 kopiykas", () => order({ amt: 90_071_992_547_410 }), "amt", "INVALID_AMOUNT"],
    ["an order without a time of issue", () => order({ iat: undefined }), "iat"],
    ["an order without an expiry", () => order({ exp: undefined }), "exp"],
    ["an order issued before 1970", () => order({ iat: -1 }), "iat"],
    ["an order whose expiry is in milliseconds", () => order({ exp: Date.now() + 900_000 }), "exp", "INVALID_EXPIRY"],
    ["an order with a NUL character", () => order({ url: "https://shop.example/a\0b" }), "url"],
    ["an order with half a character", () => order({ prp: "half \ud83d" }), "prp", "INVALID_PURPOSE"],
    ["an ultimate creditor without a name", () => order({ fri: {} }), "fri.frn"],
    ["a message without an amount", () => submit({ amount: undefined }), "amount", "INVALID_AMOUNT"],
    ["a message without a debtor", () => submit({ debtor: undefined }), "debtor"],
    ["a message without a creditor", () => submit({ creditor: undefined }), "creditor"],
    ["a message without encryption", () => submit({ encryption: undefined }), "encryption"],
    ["a message without a payment type", () => submit({ pm_type: undefined }), "pm_type"],
    ["a message without an account type", () => submit({ sender_account_type: undefined }), "sender_account_type"],
    ["a message without a jti", () => submit({ jti: undefined }), "jti"],
    [
      "a message without an identifier",
      () => submit({ payment_message_external_id: undefined }),
      "payment_message_external_id",
      "INVALID_EXTERNAL_ID",
    ],
    ["a message of a newer payment type", () => submit({ pm_type: "gift" }), "pm_type"],
    [
      "a message for an order that is no guid",
      () => submit({ order_id: "1730204505640" }),
      "order_id",
      "ORDER_NOT_FOUND",
    ],
    [
      "a message with a nested NUL character",
      () => submit({ debtor: { ...debtor, debtor_id: `${"A".repeat(24)}\0` } }),
      "debtor.debtor_id",
      "INVALID_DEBTOR_ID",
    ],
    ["a payment of a register with a NUL character", () => pay(text({ ...payment, purpose: "a\0b" })), "purpose"],
    ["a payment of a register that says how it ended", () => pay(text({ ...payment, status: "ACSC" })), "status"],
    [
      "a payment of a register without an account",
      () => pay(text({ ...payment, creditor_iban: undefined })),
      "creditor_iban",
    ],
    ["a payment of a register that is no object", () => pay(text([])), ""],
    ["a payment of a register that is no UTF-8", () => pay(Buffer.from('{"purpose":"\xff"}', "latin1")), ""],
    ["a payment of a register without a body", () => pay(new Uint8Array()), ""],
  ];
  const payment = {
    payment_message_external_id: "P-1",
    creditor_iban: "UA213223130000026007233566001",
    amount: 1,
    currency: "UAH",
    purpose: "Gross settlement register 0102261",
    creation_date: "2026-02-02",
  };

  test.each(claims)("%s, although it is signed", async (_, call, field, reason = "INVALID_REQUEST") => {
    const code = codeOfReason[reason as RefusalReason];
    expect(await errorOf(call())).toMatchObject({ code, reason, field });
  });

  const withDigest = async (digest: Uint8Array) =>
    clients.paymentMessages.submitPaymentMessage(
      await signedPaymentMessage({ bank, merchant }, orderId),
      await asBank(bank, { digest }),
    );

  const calls: ReadonlyArray<[what: string, call: () => Promise<unknown>, field: string, reason?: string]> = [
    [
      "a change for a bank without the digest of its request",
      async () => {
        const { headers } = await asBank(bank);
        const { [requestDigestHeader]: _digest, ...others } = headers;
        const message = await signedPaymentMessage({ bank, merchant }, orderId);
        return clients.paymentMessages.submitPaymentMessage(message, { headers: others });
      },
      "dcm-request-digest",
    ],
    ["a digest of 31 bytes", () => withDigest(randomBytes(31)), "dcm-request-digest"],
    ["a digest of 33 bytes", () => withDigest(randomBytes(33)), "dcm-request-digest"],
    ["a NUL character", () => clients.orders.getOrder({ orderId: "a\0b" }), "order_id"],
    [
      "a nested NUL character",
      () => clients.callbacks.listCallbacks({ filter: { paymentMessageGuid: "\0" } }),
      "filter.payment_message_guid",
    ],
    ["a reading without a key", () => clients.paymentMessages.getPaymentMessage({}), "by"],
    ["a list of registers without a bank", () => clients.settlements.listRegisters({}), "bank_guid"],
    [
      "a list of registers of a bank that is no guid",
      () => clients.settlements.listRegisters({ bankGuid: "305299" }),
      "bank_guid",
    ],
    [
      "a list of registers with a negative offset",
      () => clients.settlements.listRegisters({ bankGuid: bank.guid, offset: -1 }),
      "offset",
    ],
    [
      "a list of registers for an unknown role",
      () => clients.settlements.listRegisters({ bankGuid: bank.guid, role: 9 as never }),
      "role",
    ],
    ["a negative page size", () => clients.callbacks.listCallbacks({ pageSize: -1 }), "page_size"],
    ["a page token that is none", () => clients.callbacks.listCallbacks({ pageToken: "%%%" }), "page_token"],
    [
      "a page token of another list",
      () => clients.participants.listParticipants({ pageToken: "WyJhIl0" }),
      "page_token",
    ],
    [
      "a filter with an unspecified state",
      () => clients.callbacks.listCallbacks({ filter: { states: [0] } }),
      "filter.states",
    ],
    ["a registration without a bank", () => clients.participants.registerBank({}), "bank"],
    [
      "a merchant registered as a bank",
      async () => clients.participants.registerBank({ bank: await bankMessage({ kind: ParticipantKind.MERCHANT }) }),
      "kind",
    ],
    [
      "a bank with a merchant category",
      async () => clients.participants.registerBank({ bank: await bankMessage({ mcc: "5411" }) }),
      "mcc",
    ],
    [
      "a merchant with roles",
      () => clients.participants.registerMerchant({ merchant: { roles: [BankRole.INITIATOR] } }),
      "roles",
    ],
    [
      "a key that is no JSON",
      async () => clients.participants.registerBank({ bank: await bankMessage({ signingJwks: ["{"] }) }),
      "signing_jwks",
      "INVALID_KEY",
    ],
    ["a participant asked for by nothing", () => clients.participants.getParticipant({}), "by"],
  ];

  test.each(calls)("%s", async (_, call, field, reason = "INVALID_REQUEST") => {
    expect(await errorOf(call())).toMatchObject({ code: Code.InvalidArgument, reason, field });
  });

  test("bytes are no text: a body may hold a zero", async () => {
    expect(await errorOf(pay(new Uint8Array([0])))).toMatchObject({ message: "the body is not a JSON object" });
  });
});

describe("errors", () => {
  /** A client of a core in which every reading of a participant ends in the given way. */
  function coreThat(getParticipant: () => Promise<unknown>, errors: object[] = []) {
    const core = { ...platform.core, getParticipant } as unknown as Core;
    const transport = transportOfAnybody(core, { ...silent, error: (fields) => errors.push(fields) });
    return createClient(ParticipantService, transport).getParticipant({ by: { case: "bic", value: "123456" } });
  }

  test.each(refusalReasons.map((reason) => [reason]))(
    "%s has its own code and travels with its detail",
    async (reason) => {
      const refusal = refuse(reason, "one sentence", { field: "some.field", paymentMessageGuid: "guid" });
      expect(await errorOf(coreThat(async () => refusal))).toEqual({
        code: codeOfReason[reason],
        reason,
        field: "some.field",
        message: "one sentence",
        paymentMessageGuid: "guid",
        rawMessage: "one sentence",
      });
    },
  );

  test("a fault of ours is Internal, tells nothing, and is logged once", async () => {
    const errors: object[] = [];
    const fault = new Error("password=secret");
    const told = await errorOf(coreThat(() => Promise.reject(fault), errors));
    expect(told).toMatchObject({ code: Code.Internal, reason: "INTERNAL_ERROR", rawMessage: "internal error" });
    expect(JSON.stringify(told)).not.toContain("secret");
    expect(errors).toEqual([{ err: fault, rpc: "dcm.v1.ParticipantService/GetParticipant" }]);
  });

  test.each(["57P01", "08006", "53300", "ECONNREFUSED"])("a lost database (%s) is Unavailable", async (code) => {
    const lost = Object.assign(new Error("connection to db.internal lost"), { code });
    const told = await errorOf(coreThat(() => Promise.reject(lost)));
    expect(told).toMatchObject({ code: Code.Unavailable, reason: "OVERLOADED" });
    expect(JSON.stringify(told)).not.toContain("db.internal");
  });

  test("the log of a call has its method, its time and its code, and nothing of its body", async () => {
    const lines: object[] = [];
    const transport = transportOfAnybody(platform.core, { ...silent, debug: (fields) => lines.push(fields) });
    const { orders } = createClients(transport);
    await orders.createOrder(await signedOrder(merchant));
    await errorOf(orders.createOrder(await signedOrder(merchant, { ref: "" })));
    const rpc = "dcm.v1.OrderService/CreateOrder";
    expect(lines).toEqual([
      { rpc, durationMs: expect.any(Number), code: "ok" },
      { rpc, durationMs: expect.any(Number), code: "invalid_argument" },
    ]);
  });
});
