import { Code, createClient } from "@connectrpc/connect";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { BankRole, type Participant, ParticipantKind } from "../../gen/dcm/v1/participant_pb.ts";
import { ParticipantService } from "../../gen/dcm/v1/participant_service_pb.ts";
import type { Core } from "../../src/core/core.ts";
import { refusalReasons, refuse } from "../../src/domain/errors.ts";
import { type CoreClients, createClients } from "../../src/rpc/clients.ts";
import { codeOfReason } from "../../src/rpc/errors.ts";
import { openPlatform, type Platform } from "../core/platform.ts";
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

describe("what is absent or wrong in a request is refused with the name of its field", () => {
  const calls: ReadonlyArray<[what: string, call: () => Promise<unknown>, field: string, reason?: string]> = [
    ["an order without a merchant", () => clients.orders.createOrder({}), "merchant_guid"],
    [
      "an order of a merchant that is no guid",
      () => clients.orders.createOrder(orderMessage({ ...merchant, guid: "x" })),
      "merchant_guid",
    ],
    ["an order without an amount", () => clients.orders.createOrder(without(orderMessage(merchant), "amount")), "amt"],
    [
      "an order without a time of issue",
      () => clients.orders.createOrder(without(orderMessage(merchant), "issuedAt")),
      "iat",
    ],
    [
      "an order without an expiry",
      () => clients.orders.createOrder(without(orderMessage(merchant), "expiresAt")),
      "exp",
    ],
    [
      "an order issued before the first year",
      () => clients.orders.createOrder(orderMessage(merchant, { issuedAt: { seconds: -99_999_999_999n } })),
      "iat",
    ],
    [
      "an order with a NUL character",
      () => clients.orders.createOrder(orderMessage(merchant, { redirectUrl: "a\0b" })),
      "redirect_url",
    ],
    ["a message without an amount", () => submitWithout("amount"), "amount"],
    ["a message without a debtor", () => submitWithout("debtor"), "debtor"],
    ["a message without a creditor", () => submitWithout("creditor"), "creditor"],
    ["a message without encryption", () => submitWithout("encryption"), "encryption"],
    ["a message without a payment type", () => submitWithout("pmType"), "pm_type"],
    ["a message without an account type", () => submitWithout("senderAccountType"), "sender_account_type"],
    ["a message without a jti", () => submitWithout("jti"), "jti"],
    [
      "a message without an identifier",
      () => submitWithout("externalId"),
      "payment_message_external_id",
      "INVALID_EXTERNAL_ID",
    ],
    [
      "a message with a newer payment type",
      () => clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, "x", { pmType: 99 as never })),
      "pm_type",
    ],
    [
      "an access token without a jti",
      () => clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, "x", { accessToken: {} })),
      "access_token.jti",
    ],
    ["an access token without the digest of its request", () => submitWithDigest(0), "access_token.request_digest"],
    ["an access token with a digest of 31 bytes", () => submitWithDigest(31), "access_token.request_digest"],
    [
      "a nested NUL character",
      () =>
        clients.paymentMessages.submitPaymentMessage(
          paymentMessage(bank, merchant, "x", { debtor: { taxNumber: "\0" } }),
        ),
      "debtor.tax_number",
    ],
    ["a reading without a key", () => clients.paymentMessages.getPaymentMessage({ callerGuid: bank.guid }), "by"],
    [
      "a reading without a caller",
      () => clients.paymentMessages.getPaymentMessage({ by: { case: "guid", value: "x" } }),
      "caller_guid",
    ],
    ["a list of registers without a caller", () => clients.settlements.listRegisters({}), "caller_guid"],
    [
      "a list of registers with a negative offset",
      () => clients.settlements.listRegisters({ callerGuid: bank.guid, offset: -1 }),
      "offset",
    ],
    [
      "a list of registers for an unknown role",
      () => clients.settlements.listRegisters({ callerGuid: bank.guid, role: 9 as never }),
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
      () => clients.participants.registerBank({ bank: bankMessage({ kind: ParticipantKind.MERCHANT }) }),
      "kind",
    ],
    [
      "a bank with a merchant category",
      () => clients.participants.registerBank({ bank: bankMessage({ mcc: "5411" }) }),
      "mcc",
    ],
    [
      "a merchant with roles",
      () => clients.participants.registerMerchant({ merchant: { roles: [BankRole.INITIATOR] } }),
      "roles",
    ],
    [
      "a key that is no JSON",
      () => clients.participants.registerBank({ bank: bankMessage({ signingJwks: ["{"] }) }),
      "signing_jwks",
      "INVALID_KEY",
    ],
    ["a participant asked for by nothing", () => clients.participants.getParticipant({}), "by"],
  ];

  const without = <Message extends object>(message: Message, name: keyof Message) =>
    Object.fromEntries(Object.entries(message).filter(([key]) => key !== name)) as Message;
  const submitWithout = (name: string) =>
    clients.paymentMessages.submitPaymentMessage(without(paymentMessage(bank, merchant, "x"), name as "jti"));

  const submitWithDigest = (bytes: number) => {
    const accessToken = { jti: "a", requestDigest: new Uint8Array(bytes) };
    return clients.paymentMessages.submitPaymentMessage(paymentMessage(bank, merchant, "x", { accessToken }));
  };

  test.each(calls)("%s", async (_, call, field, reason = "INVALID_REQUEST") => {
    expect(await errorOf(call())).toMatchObject({ code: Code.InvalidArgument, reason, field });
  });

  test("an amount beyond 2^53 is too large, not something smaller", async () => {
    const order = orderMessage(merchant, { amount: { amountMinor: 9_007_199_254_740_993n, currency: "UAH" } });
    expect(await errorOf(clients.orders.createOrder(order))).toMatchObject({ reason: "INVALID_AMOUNT", field: "amt" });
  });
});

describe("errors", () => {
  /** A client of a core in which every reading of a participant ends in the given way. */
  function coreThat(getParticipant: () => Promise<unknown>, errors: object[] = []) {
    const core = { ...platform.core, getParticipant } as unknown as Core;
    const transport = transportOfAnybody(core, { debug: () => {}, error: (fields) => errors.push(fields) });
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
    const transport = transportOfAnybody(platform.core, { debug: (fields) => lines.push(fields), error: () => {} });
    const { orders } = createClients(transport);
    await orders.createOrder(orderMessage(merchant, { jws: "secret.evidence" }));
    await errorOf(orders.createOrder(orderMessage(merchant, { ref: "" })));
    const rpc = "dcm.v1.OrderService/CreateOrder";
    expect(lines).toEqual([
      { rpc, durationMs: expect.any(Number), code: "ok" },
      { rpc, durationMs: expect.any(Number), code: "invalid_argument" },
    ]);
  });
});
