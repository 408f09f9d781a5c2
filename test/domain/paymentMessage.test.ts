import { describe, expect, test } from "vitest";
import {
  type PaymentMessageRequest,
  paymentMessageStatuses,
  paymentTypes,
  type SubmissionFacts,
  senderAccountTypes,
  submissionProblem,
} from "../../src/domain/paymentMessage.ts";

const now = new Date("2026-05-10T09:00:00Z");
const debtorAccount = "UA213223130000026007233566001";
const creditorAccount = "UA761372924114433543273694797";

const request: PaymentMessageRequest = {
  callerGuid: "bank",
  callerVersion: 1,
  accessToken: { jti: "token", issuedAt: now, requestDigest: new Uint8Array(32) },
  debtorAgentBic: "306500",
  debtorPhone: "+380501234567",
  encryptionKid: undefined,
  creditorAgentBic: "380816",
  jws: "payment.jws.text",
  jti: "jti",
  externalId: "external",
  amountMinor: 2_100,
  currency: "UAH",
  debtorName: "ciphertext",
  debtorTaxNumber: "ciphertext",
  debtorAccount,
  creditorName: "ciphertext",
  creditorTaxNumber: "ciphertext",
  creditorAccount,
  orderGuid: "order",
  purpose: "Payment",
  msgCreationDate: "2026-05-10",
  msgCreationTime: "12:30:00",
  pmType: "trade",
  senderAccountType: "limit-related",
  nonce: "AAAAAAAAAAAAAAAA",
  encryptedKey: Buffer.alloc(256).toString("base64"),
};

type OrderFacts = NonNullable<SubmissionFacts["order"]>;
const order: OrderFacts = {
  status: "created",
  expiresAt: new Date(now.getTime() + 1),
  creditorAccount,
  creditorAgentBic: "380816",
  creditorStatuses: { merchant: "active", creditorAgent: "active" },
  key: { modulusBytes: 256 },
};

const facts: SubmissionFacts = {
  caller: { bic: "306500", isInitiator: true },
  tokenUsedFor: undefined,
  order,
  existing: {},
};

const problemOf = (change: Partial<PaymentMessageRequest>, known: Partial<SubmissionFacts> = {}) =>
  submissionProblem({ ...request, ...change }, { ...facts, ...known }, now, ["UAH"]);

type Refused = [reason: string, field: string, message: string];
const refusal = (refused: Refused | undefined) =>
  refused && { refused: refused[0], field: refused[1], message: refused[2] };

test("submissionProblem: a message that is right is accepted", () => {
  expect(problemOf({})).toBeUndefined();
});

describe("submissionProblem: whose message it is", () => {
  const message = "debtor_agent_bic is not the code of the calling initiator bank";
  const notFound = refusal(["SENDER_COUNTERPARTY_NOT_FOUND", "debtor_agent_bic", message]);

  test("only an initiator sends messages, and only in its own name", () => {
    expect(problemOf({}, { caller: { bic: "306500", isInitiator: false } })).toEqual(notFound);
    expect(problemOf({ debtorAgentBic: "380816" })).toEqual(notFound);
  });

  test("a token that another request used up is refused before everything else", () => {
    const used = problemOf({ debtorAgentBic: "" }, { tokenUsedFor: new Uint8Array(32).fill(1) });
    expect(used).toEqual(refusal(["TOKEN_REPLAYED", "jti", "the access token was used for another request"]));
  });
});

describe("submissionProblem: a duplicate hears the first one's guid, whatever else is wrong with it", () => {
  const all = { byJti: "first", byOrder: "second", byExternalId: "third" };

  test.each<[SubmissionFacts["existing"], Refused, guid: string]>([
    [all, ["JTI_IS_ALREADY_TAKEN", "jti", "payment message with provided jti already exists"], "first"],
    [
      { ...all, byJti: undefined },
      ["PAYMENT_MESSAGE_EXISTS", "order_id", "payment message with provided order id already exists"],
      "second",
    ],
    [
      { byExternalId: "third" },
      ["EXTERNAL_ID_IS_ALREADY_TAKEN", "payment_message_external_id", "payment_message_external_id is already taken"],
      "third",
    ],
  ])("%j", (existing, refused, paymentMessageGuid) => {
    expect(problemOf({ amountMinor: 0 }, { existing, order: undefined })).toEqual({
      ...refusal(refused),
      paymentMessageGuid,
    });
  });
});

/** Fields that hold between one and so many characters. */
const ciphertexts = [
  ["debtorName", "debtor.debtor_name", "INVALID_DEBTOR_NAME", 4096],
  ["debtorTaxNumber", "debtor.debtor_id", "INVALID_DEBTOR_ID", 4096],
  ["creditorName", "creditor.creditor_name", "INVALID_CREDITOR_NAME", 4096],
  ["creditorTaxNumber", "creditor.creditor_id", "INVALID_CREDITOR_ID", 4096],
  ["nonce", "encryption.nonce", "INVALID_NONCE", 64],
  ["encryptedKey", "encryption.encrypted_key", "INVALID_ENCRYPTED_KEY", 1368],
] as const;

describe("submissionProblem: the content", () => {
  test.each(ciphertexts)("%s has 1 to its limit of characters", (member, field, reason, limit) => {
    const refused = refusal([reason, field, `${field} does not have 1 to ${limit} characters`]);
    expect(problemOf({ [member]: "" })).toEqual(refused);
    expect(problemOf({ [member]: "A".repeat(limit + 1) })).toEqual(refused);
    const key = { modulusBytes: member === "encryptedKey" ? (limit / 4) * 3 : 256 };
    expect(problemOf({ [member]: "A".repeat(limit) }, { order: { ...order, key } })).toBeUndefined();
  });

  const time = ["INVALID_CREATION_TIME", "msg_creation_time", "msg_creation_time is not a time of day HH:MM:SS"];
  const date = ["INVALID_CREATION_DATE", "msg_creation_date", "msg_creation_date is not a calendar date YYYY-MM-DD"];
  const aid = "sender_account_type is aid-related for pm_type aid, and limit-related for every other";
  const amount: Refused = ["INVALID_AMOUNT", "amount", "amount is not above 0 and at most 999999999.99"];

  test.each<[Partial<PaymentMessageRequest>, Refused | undefined]>([
    [{ jti: "j".repeat(129) }, ["INVALID_REQUEST", "jti", "jti must have at most 128 characters"]],
    [{ jti: "j".repeat(128) }, undefined],
    [
      { externalId: "e".repeat(65) },
      [
        "INVALID_EXTERNAL_ID",
        "payment_message_external_id",
        "payment_message_external_id must have at most 64 characters",
      ],
    ],
    [{ purpose: "" }, ["INVALID_PURPOSE", "purpose", "purpose has no visible character"]],
    [{ purpose: "p".repeat(420) }, undefined],
    [{ currency: "ABC" }, ["INVALID_CURRENCY", "currency", "currency is not an ISO 4217 code"]],
    [{ currency: "EUR" }, ["UNSUPPORTED_CURRENCY", "currency", "currency is not processed here"]],
    [{ amountMinor: 0 }, amount],
    [{ amountMinor: 1 }, undefined],
    [{ amountMinor: 99_999_999_999 }, undefined],
    [{ amountMinor: 100_000_000_000 }, amount],
    [
      { debtorAccount: "UA00" },
      [
        "INVALID_DEBTOR_ACCOUNT",
        "debtor.debtor_account",
        "debtor.debtor_account is not a Ukrainian IBAN of 29 characters",
      ],
    ],
    [
      { creditorAccount: "UA223223130000026007233566001" },
      [
        "INVALID_CREDITOR_ACCOUNT",
        "creditor.creditor_account",
        "creditor.creditor_account has wrong IBAN check digits",
      ],
    ],
    [{ pmType: "aid" }, ["INVALID_REQUEST", "sender_account_type", aid]],
    [{ senderAccountType: "aid-related" }, ["INVALID_REQUEST", "sender_account_type", aid]],
    [{ pmType: "aid", senderAccountType: "aid-related" }, undefined],
    [{ msgCreationDate: "2026-02-30" }, date as Refused],
    [{ msgCreationDate: "2026-05-11" }, undefined],
    [
      { msgCreationDate: "2026-05-12" },
      ["CREATION_DATE_IS_NOT_PAST", "msg_creation_date", "msg_creation_date lies in the future"],
    ],
    [{ msgCreationDate: "2001-01-01" }, undefined],
    [{ msgCreationTime: "00:00:00" }, undefined],
    [{ msgCreationTime: "19:59:59" }, undefined],
    [{ msgCreationTime: "23:59:59" }, undefined],
    ...[
      "24:00:00",
      "3:00:00",
      "12:60:00",
      "12:00:60",
      "12:00",
      "12:00:00Z",
      " 12:00:00",
      "ab:cd:ef",
      "1a:00:00",
      "2a:00:00",
      "12:0a:00",
      "12:00:0a",
    ].map((msgCreationTime): [Partial<PaymentMessageRequest>, Refused] => [{ msgCreationTime }, time as Refused]),
  ])("%j", (change, refused) => {
    expect(problemOf(change)).toEqual(refusal(refused));
  });

  test("the day of its making may be tomorrow, to the millisecond: Kyiv is ahead of UTC, and clocks differ", () => {
    const made = { ...request, msgCreationDate: "2026-05-12" };
    const at = (instant: string) =>
      submissionProblem(
        { ...made, accessToken: { ...request.accessToken, issuedAt: new Date(instant) } },
        { ...facts, order: { ...order, expiresAt: new Date("2027-01-01") } },
        new Date(instant),
        ["UAH"],
      )?.refused;
    expect(at("2026-05-11T00:00:00Z")).toBeUndefined();
    expect(at("2026-05-10T23:59:59.999Z")).toBe("CREATION_DATE_IS_NOT_PAST");
  });
});

describe("submissionProblem: the order that is paid", () => {
  const expired: Refused = ["ORDER_IS_EXPIRED", "order_id", "the order has expired or was canceled"];

  test.each<[what: string, known: Partial<OrderFacts> | undefined, Refused | undefined]>([
    ["there is none", undefined, ["ORDER_NOT_FOUND", "order_id", "order_id names no order"]],
    [
      "another bank services its merchant",
      { creditorAgentBic: "300335" },
      [
        "RECEIVER_COUNTERPARTY_NOT_FOUND",
        "creditor_agent_bic",
        "creditor_agent_bic is not the code of the bank that services the order's merchant",
      ],
    ],
    [
      "its merchant has another account",
      { creditorAccount: debtorAccount },
      [
        "INVALID_CREDITOR_ACCOUNT",
        "creditor.creditor_account",
        "creditor.creditor_account is not the account of the order's merchant",
      ],
    ],
    ["its time is up", { expiresAt: now }, expired],
    ["somebody pays it", { status: "in_progress" }, expired],
    ["it is canceled", { status: "canceled" }, expired],
    [
      "its merchant is suspended",
      { creditorStatuses: { merchant: "suspended", creditorAgent: "active" } },
      ["RECEIVER_COUNTERPARTY_SUSPENDED", "order_id", "the order cannot be paid now: the merchant is suspended"],
    ],
  ])("%s", (_what, known, refused) => {
    expect(problemOf({}, { order: known && { ...order, ...known } })).toEqual(refusal(refused));
  });
});

describe("submissionProblem: the key of the recipient bank", () => {
  const field = "encryption.encrypted_key";
  const problem = (bytes: number) =>
    refusal([
      "INVALID_ENCRYPTED_KEY",
      field,
      `${field} is not base64 of ${bytes} bytes, as long as the recipient bank's key`,
    ]);

  test("a message that names a key which the bank never had could not be read", () => {
    const known = { order: { ...order, key: undefined } };
    expect(problemOf({}, known)).toBeUndefined();
    expect(problemOf({ encryptionKid: "k1" }, known)).toEqual(
      refusal([
        "INVALID_ENCRYPTED_KEY",
        "encryption.kid",
        "encryption.kid names no key that the recipient bank has had since the order was made",
      ]),
    );
    expect(problemOf({ encryptionKid: "k1" })).toBeUndefined();
  });

  test.each([254, 255, 256, 257, 258, 384])("%d bytes fit a key of 256 bytes only if they are 256", (bytes) => {
    const encryptedKey = Buffer.alloc(bytes).toString("base64");
    expect(problemOf({ encryptedKey })).toEqual(bytes === 256 ? undefined : problem(256));
    const known = { order: { ...order, key: { modulusBytes: bytes } } };
    expect(problemOf({ encryptedKey }, known)).toBeUndefined();
  });
});

test("the words of the contract", () => {
  expect([paymentMessageStatuses, paymentTypes, senderAccountTypes]).toEqual([
    ["pending", "success", "reject"],
    ["trade", "p2p", "return", "aid"],
    ["limit-related", "aid-related"],
  ]);
});
