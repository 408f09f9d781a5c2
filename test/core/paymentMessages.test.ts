import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Order, OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { SubmittedMessage } from "../../src/core/paymentMessages.ts";
import type { Sql } from "../../src/db/pool.ts";
import { jwksOf, type Participant } from "../../src/domain/participant.ts";
import { jwkText } from "../../src/wire/participant.ts";
import {
  accepted,
  bankRegistration,
  callbacksOf,
  createOrder,
  iban,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  readMessage,
  readOrder,
  reasonOf,
  registerParties,
  secondsFrom,
  serial,
  setClock,
  tokenOf,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;
let order: Order;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
  order = await createOrder(platform, parties.merchant);
});
afterAll(() => platform.close());

/** The first of a bank's keys, as answers show it. */
const keyText = (bank: Participant) => jwkText(jwksOf(bank, "sig")[0] ?? null);

const submit = (request: SubmittedMessage, core = platform.core) => core.submitPaymentMessage(request);

describe("submitPaymentMessage", () => {
  test("an accepted message is pending, its order in progress, and the recipient bank's Pay-in is announced", async () => {
    const mine = await createOrder(platform, parties.merchant);
    const { guid } = accepted(await submit(paymentRequest(platform, parties, mine)));
    expect(await readMessage(platform, parties, guid)).toMatchObject({
      guid,
      status: PaymentMessageStatus.PENDING,
      reason: "",
      orderId: mine.id,
      debtorAgent: { guid: parties.initiator.guid, name: parties.initiator.name },
      creditorAgent: { guid: parties.recipient.guid },
      creditor: { uid: parties.merchant.uid },
      creditorAgentJwk: keyText(parties.recipient),
    });
    expect((await readOrder(platform, mine.id)).status).toBe(OrderStatus.IN_PROGRESS);
    const [callback, ...others] = await callbacksOf(platform, guid);
    expect(callback).toMatchObject({ kind: "pay_in_bank", receiver_guid: parties.recipient.guid, state: "waiting" });
    expect(others).toEqual([]);
    expect(platform.due).toContainEqual({
      callbackGuid: callback?.guid,
      series: 1,
      attempt: 0,
      receiverGuid: parties.recipient.guid,
      decides: true,
    });
  });

  test("the signed request is kept as evidence, the debtor's phone number is kept nowhere", async () => {
    const guid = await pay(platform, parties, { jws: "evidence.of.it", debtorPhone: "+380509998877" });
    const [row] = await platform.rows(
      "select * from payment_message join payment_evidence on payment_message_guid = guid where guid = $1",
      guid,
    );
    expect(row).toMatchObject({ jws: "evidence.of.it" });
    expect(JSON.stringify(row)).not.toContain("380509998877");
  });

  test("an amount and a purpose that differ from the order are accepted: they only set flags", async () => {
    const mine = await createOrder(platform, parties.merchant);
    const request = paymentRequest(platform, parties, mine, { amountMinor: 1, purpose: "something else" });
    expect(reasonOf(await submit(request))).toBe("accepted");
  });

  const refusals: ReadonlyArray<[what: string, changes: Partial<SubmittedMessage>, reason: string, field: string]> = [
    ["an amount of 0", { amountMinor: 0 }, "INVALID_AMOUNT", "amount"],
    ["an amount above the largest", { amountMinor: 100_000_000_000 }, "INVALID_AMOUNT", "amount"],
    ["an unknown currency", { currency: "ZZZ" }, "INVALID_CURRENCY", "currency"],
    ["a currency that is not processed", { currency: "USD" }, "UNSUPPORTED_CURRENCY", "currency"],
    [
      "a debtor account with wrong check digits",
      { debtorAccount: `UA00${"1".repeat(25)}` },
      "INVALID_DEBTOR_ACCOUNT",
      "debtor.debtor_account",
    ],
    [
      "a creditor account of the wrong shape",
      { creditorAccount: "UA1" },
      "INVALID_CREDITOR_ACCOUNT",
      "creditor.creditor_account",
    ],
    [
      "a creditor account that is not the merchant's",
      { creditorAccount: iban("305299", "5") },
      "INVALID_CREDITOR_ACCOUNT",
      "creditor.creditor_account",
    ],
    [
      "another bank's code as debtor agent",
      { debtorAgentBic: "999999" },
      "SENDER_COUNTERPARTY_NOT_FOUND",
      "debtor_agent_bic",
    ],
    [
      "a bank that does not service the merchant",
      { creditorAgentBic: "999999" },
      "RECEIVER_COUNTERPARTY_NOT_FOUND",
      "creditor_agent_bic",
    ],
    [
      "an order that does not exist",
      { orderGuid: "00000000-0000-4000-8000-000000000000" },
      "ORDER_NOT_FOUND",
      "order_id",
    ],
    ["an order id that is no guid", { orderGuid: "1730204505640" }, "ORDER_NOT_FOUND", "order_id"],
    ["a creation date that is none", { msgCreationDate: "2026-02-30" }, "INVALID_CREATION_DATE", "msg_creation_date"],
    ["a creation time that is none", { msgCreationTime: "24:00:00" }, "INVALID_CREATION_TIME", "msg_creation_time"],
    [
      "a creation date in the future",
      { msgCreationDate: "2999-01-01" },
      "CREATION_DATE_IS_NOT_PAST",
      "msg_creation_date",
    ],
    ["aid from a limit-related account", { pmType: "aid" }, "INVALID_REQUEST", "sender_account_type"],
    [
      "trade from an aid-related account",
      { senderAccountType: "aid-related" },
      "INVALID_REQUEST",
      "sender_account_type",
    ],
  ];

  test.each(refusals)("%s is refused, and nothing is stored", async (_, changes, refused, field) => {
    const request = paymentRequest(platform, parties, order, changes);
    expect(await submit(request)).toMatchObject({ refused, field });
    expect(await platform.rows("select from payment_message where jti = $1", request.jti)).toEqual([]);
  });

  test("a bank that is no initiator is refused", async () => {
    const { recipient } = parties;
    const changes = { callerGuid: recipient.guid, debtorAgentBic: recipient.bic ?? "" };
    expect(reasonOf(await submit(paymentRequest(platform, parties, order, changes)))).toBe(
      "SENDER_COUNTERPARTY_NOT_FOUND",
    );
  });

  test("an order whose time is up is refused even before anybody has canceled it", async () => {
    const short = await createOrder(platform, parties.merchant, { expiresAt: secondsFrom(new Date(), 5) });
    await setClock(platform, secondsFrom(new Date(), 10));
    expect(reasonOf(await submit(paymentRequest(platform, parties, short)))).toBe("ORDER_IS_EXPIRED");
  });

  test("a second message for the same order is refused with the first one's guid", async () => {
    const mine = await createOrder(platform, parties.merchant);
    const { guid } = accepted(await submit(paymentRequest(platform, parties, mine)));
    expect(await submit(paymentRequest(platform, parties, mine))).toMatchObject({
      refused: "PAYMENT_MESSAGE_EXISTS",
      message: "payment message with provided order id already exists",
      paymentMessageGuid: guid,
    });
  });

  test("the same signed request again is refused with the first one's guid, whatever else has changed", async () => {
    const mine = await createOrder(platform, parties.merchant);
    const request = paymentRequest(platform, parties, mine);
    const { guid } = accepted(await submit(request));
    await platform.rows("update payment_order set status = 'canceled' where guid = $1", mine.id);
    const again = await submit({ ...request, accessToken: tokenOf("fresh", 2) });
    expect(again).toMatchObject({
      refused: "JTI_IS_ALREADY_TAKEN",
      message: "payment message with provided jti already exists",
      paymentMessageGuid: guid,
    });
  });

  test("a payment identifier is used once by a bank, but two banks may use the same one", async () => {
    const guid = await pay(platform, parties, { externalId: "shared" });
    const mine = await createOrder(platform, parties.merchant);
    expect(await submit(paymentRequest(platform, parties, mine, { externalId: "shared" }))).toMatchObject({
      refused: "EXTERNAL_ID_IS_ALREADY_TAKEN",
      paymentMessageGuid: guid,
    });
    const initiator = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const request = paymentRequest(platform, { ...parties, initiator }, mine, { externalId: "shared" });
    expect(reasonOf(await submit(request))).toBe("accepted");
  });

  test("a rejected message still holds its order", async () => {
    const guid = await pay(platform, parties);
    await platform.rows("update payment_message set status = 'reject', decided_at = now() where guid = $1", guid);
    const { orderId } = await readMessage(platform, parties, guid);
    const paid = await readOrder(platform, orderId);
    expect(await submit(paymentRequest(platform, parties, paid))).toMatchObject({ paymentMessageGuid: guid });
  });
});

describe("submitPaymentMessage: access tokens", () => {
  const used = (jti: string) => platform.rows("select from used_access_token where jti = $1", jti);

  test("a token that an accepted message used up is refused with another request, whichever process saw it", async () => {
    const second = await platform.secondCore();
    await pay(platform, parties, { accessToken: tokenOf("replayed", 1) });
    const other = paymentRequest(platform, parties, await createOrder(platform, parties.merchant));
    const replay = await submit({ ...other, accessToken: tokenOf("replayed", 2) }, second);
    expect(replay).toMatchObject({ refused: "TOKEN_REPLAYED", field: "jti" });
    expect(reasonOf(await submit({ ...other, accessToken: tokenOf("another", 2) }))).toBe("accepted");
  });

  test("the same request with the same token again is no replay: it hears the first one's guid", async () => {
    const second = await platform.secondCore();
    const mine = await createOrder(platform, parties.merchant);
    const request = paymentRequest(platform, parties, mine, { accessToken: tokenOf("retried") });
    const { guid } = accepted(await submit(request));
    const again = await submit(request, second);
    expect(again).toMatchObject({ refused: "JTI_IS_ALREADY_TAKEN", paymentMessageGuid: guid });
  });

  test("a token whose request is not known, as the version before kept it, is refused with every request", async () => {
    const mine = await createOrder(platform, parties.merchant);
    const request = paymentRequest(platform, parties, mine, { accessToken: tokenOf("older") });
    accepted(await submit(request));
    await platform.rows("update used_access_token set request_digest = null where jti = 'older'");
    expect(reasonOf(await submit(request))).toBe("TOKEN_REPLAYED");
  });

  test.each([
    ["in two processes", async () => [platform.core, await platform.secondCore()]],
    ["in one group", async () => [platform.core, platform.core]],
  ])("of two requests with one token at once, %s, one is accepted and the other is a replay", async (where, open) => {
    const cores = await open();
    const orders = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
    const answers = await Promise.all(
      orders.map((mine, index) => {
        const accessToken = tokenOf(`raced ${where}`, index);
        return submit(paymentRequest(platform, parties, mine, { accessToken }), cores[index]);
      }),
    );
    expect(answers.map(reasonOf).sort()).toEqual(["TOKEN_REPLAYED", "accepted"]);
  });

  test.each([
    ["in two processes", async () => [platform.core, await platform.secondCore()]],
    ["in one group", async () => [platform.core, platform.core]],
  ])(
    "of equal requests with one token at once, %s, one is accepted and the others hear its guid",
    async (where, open) => {
      const cores = await open();
      const mine = await createOrder(platform, parties.merchant);
      const request = paymentRequest(platform, parties, mine, { accessToken: tokenOf(`equal ${where}`) });
      const answers = await Promise.all(Array.from({ length: 6 }, (_, index) => submit(request, cores[index % 2])));
      const [winner, ...more] = answers.filter((answer) => reasonOf(answer) === "accepted");
      expect(more).toEqual([]);
      for (const loser of answers.filter((answer) => answer !== winner)) {
        expect(loser).toMatchObject({ refused: "JTI_IS_ALREADY_TAKEN", paymentMessageGuid: accepted(winner)?.guid });
      }
    },
  );

  test("one token twice in one group is told within the group: the neighbour is stored by the first try", async () => {
    const { db } = platform.context;
    let stores = 0;
    const hot: Sql = (statement, values) => {
      if (statement.name === "store_submissions") stores += 1;
      return db.hot(statement, values);
    };
    const core = createCore({ ...platform.context, db: { ...db, hot } });
    const orders = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
    const requests = orders.map((mine, index) =>
      paymentRequest(platform, parties, mine, { accessToken: tokenOf("twice in a group", index) }),
    );
    const answers = await Promise.all(requests.map((request) => submit(request, core)));
    expect([answers.map(reasonOf), stores]).toEqual([["accepted", "TOKEN_REPLAYED"], 1]);
  });

  test("a refused request does not use its token up, for a neighbour in its group and for a later one", async () => {
    const accessToken = tokenOf("unspent", 1);
    const bad = paymentRequest(platform, parties, order, { accessToken, amountMinor: 0 });
    expect(reasonOf(await submit(bad))).toBe("INVALID_AMOUNT");
    expect(await used("unspent")).toEqual([]);
    const mine = await createOrder(platform, parties.merchant);
    const good = paymentRequest(platform, parties, mine, { accessToken: tokenOf("unspent", 2) });
    expect((await Promise.all([submit(bad), submit(good)])).map(reasonOf)).toEqual(["INVALID_AMOUNT", "accepted"]);
  });

  test("two banks may use the same token identifier", async () => {
    const initiator = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    for (const [request, sides] of [parties, { ...parties, initiator }].entries()) {
      const mine = await createOrder(platform, parties.merchant);
      const accessToken = tokenOf("common", request);
      expect(reasonOf(await submit(paymentRequest(platform, sides, mine, { accessToken })))).toBe("accepted");
    }
  });

  test("forgetAccessTokens forgets only tokens that are too old to be accepted", async () => {
    await pay(platform, parties, { accessToken: tokenOf("old") });
    await setClock(platform, secondsFrom(new Date(), 331));
    await pay(platform, parties, { accessToken: tokenOf("young", 1, platform.clock.now) });
    await platform.core.forgetAccessTokens(100);
    expect([(await used("old")).length, (await used("young")).length]).toEqual([0, 1]);
  });

  test.each([
    ["a bank's clock that runs 29 s ahead", 29],
    ["a clock that is right", 0],
  ])("a used token of %s is remembered for as long as its age would let it pass", async (_, aheadSeconds) => {
    const issuedAt = new Date(platform.clock.now.getTime() + aheadSeconds * 1000);
    const jti = `remembered-${aheadSeconds}`;
    await pay(platform, parties, { accessToken: tokenOf(jti, 1, issuedAt) });
    // A few seconds less than the 300 that it may be old, for the test's own time.
    await setClock(platform, new Date(issuedAt.getTime() + 290_000));
    await platform.core.forgetAccessTokens(1_000);
    const mine = await createOrder(platform, parties.merchant);
    const again = paymentRequest(platform, parties, mine, { accessToken: tokenOf(jti, 2, issuedAt) });
    expect(reasonOf(await submit(again))).toBe("TOKEN_REPLAYED");
  });

  test.each([
    [-301, "TOKEN_STALE"],
    [31, "TOKEN_NOT_YET_VALID"],
  ])("a token that is %i s from the database's now is refused, whatever a node's clock says", async (s, refused) => {
    const mine = await createOrder(platform, parties.merchant);
    // The second is the test's own time.
    const issuedAt = new Date(Date.now() + s * 1000 + Math.sign(s) * 1000);
    const answer = await submit(
      paymentRequest(platform, parties, mine, { accessToken: tokenOf(`far ${s}`, 1, issuedAt) }),
    );
    expect(answer).toMatchObject({ refused, field: "iat" });
  });
});

describe("submitPaymentMessage: a bank that is changed after its signature was verified", () => {
  /** Messages of two banks for an order each; the first bank has something to change. */
  async function messagesOfTwoBanks() {
    const initiator = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const orders = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
    const [first, second] = orders as [Order, Order];
    const ofFirst = paymentRequest(platform, { ...parties, initiator }, first);
    return { initiator, ofFirst, ofSecond: paymentRequest(platform, parties, second) };
  }
  const change = async (guid: string) =>
    accepted(await platform.core.updateParticipant(operator, guid, { signingJwks: [{ kid: `next-${serial()}` }] }));
  const changed = { status: "rejected", reason: expect.any(PartyChanged) };
  const stored = async ({ jti }: SubmittedMessage) =>
    (await platform.rows("select from payment_message where jti = $1", jti)).length;

  /** Both at once: what came of the first bank's, and of its neighbour. */
  async function submitBoth({ ofFirst, ofSecond }: Awaited<ReturnType<typeof messagesOfTwoBanks>>, core: Core) {
    const [mine, neighbour] = await Promise.allSettled([submit(ofFirst, core), submit(ofSecond, core)]);
    expect([mine, await stored(ofFirst)]).toEqual([changed, 0]);
    expect(neighbour.status === "fulfilled" && reasonOf(neighbour.value)).toBe("accepted");
    const used = "select from used_access_token where jti = $1";
    expect(await platform.rows(used, ofFirst.accessToken.jti)).toEqual([]);
    expect((await readOrder(platform, ofFirst.orderGuid)).status).toBe(OrderStatus.CREATED);
  }

  test("its message is not stored and has to be verified anew; its neighbour is accepted, and so is it as the new version", async () => {
    const messages = await messagesOfTwoBanks();
    const { version } = await change(messages.initiator.guid);
    await submitBoth(messages, platform.core);
    expect(reasonOf(await submit({ ...messages.ofFirst, callerVersion: version }))).toBe("accepted");
  });

  test("not even when the change comes between what the message is judged by and its storing", async () => {
    const messages = await messagesOfTwoBanks();
    const { db } = platform.context;
    const names: string[] = [];
    const hot: Sql = async (statement, values) => {
      const rows = await db.hot<never>(statement, values);
      if (names.push(statement.name) === 1) await change(messages.initiator.guid);
      return rows;
    };
    await submitBoth(messages, createCore({ ...platform.context, db: { ...db, hot } }));
    // The first storing failed, so both were judged again.
    expect(names).toEqual(["select_submission_facts", "select_submission_facts", "store_submissions"]);
  });
});

describe("submitPaymentMessage: concurrency", () => {
  test("of many messages for one order, in two processes, exactly one wins and the others hear its guid", async () => {
    const second = await platform.secondCore();
    const mine = await createOrder(platform, parties.merchant);
    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        submit(paymentRequest(platform, parties, mine), index % 2 ? second : platform.core),
      ),
    );
    const winners = answers.filter((answer) => reasonOf(answer) === "accepted").map((answer) => accepted(answer).guid);
    expect(winners).toHaveLength(1);
    const others = answers.filter((answer) => reasonOf(answer) !== "accepted");
    for (const other of others) {
      expect(other).toMatchObject({ refused: "PAYMENT_MESSAGE_EXISTS", paymentMessageGuid: winners[0] });
    }
    expect(await callbacksOf(platform, winners[0] ?? "")).toHaveLength(1);
  });

  test("one payment identifier for two orders, in two processes: exactly one is accepted, the other hears its guid", async () => {
    const second = await platform.secondCore();
    const orders = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
    const answers = await Promise.all(
      orders.map((mine, index) =>
        submit(paymentRequest(platform, parties, mine, { externalId: "raced" }), index ? second : platform.core),
      ),
    );
    const winner = answers.find((answer) => reasonOf(answer) === "accepted");
    const loser = answers.find((answer) => reasonOf(answer) !== "accepted");
    expect(loser).toMatchObject({
      refused: "EXTERNAL_ID_IS_ALREADY_TAKEN",
      paymentMessageGuid: winner && accepted(winner).guid,
    });
  });

  test("a bad member of a group does not fail its neighbours", async () => {
    const orders = await Promise.all(Array.from({ length: 4 }, () => createOrder(platform, parties.merchant)));
    const [first, second, third, fourth] = orders as [Order, Order, Order, Order];
    const requests = [
      paymentRequest(platform, parties, first),
      paymentRequest(platform, parties, second, { amountMinor: -1 }),
      // PostgreSQL itself refuses this one, so the whole group fails first.
      paymentRequest(platform, parties, third, { jws: "with a \u0000 inside" }),
      paymentRequest(platform, parties, fourth),
      paymentRequest(platform, parties, fourth),
    ];
    const answers = await Promise.allSettled(requests.map((request) => submit(request)));
    const came = answers.map((answer) => (answer.status === "fulfilled" ? reasonOf(answer.value) : "failed"));
    expect(came.slice(0, 3)).toEqual(["accepted", "INVALID_AMOUNT", "failed"]);
    expect(came.slice(3).sort()).toEqual(["PAYMENT_MESSAGE_EXISTS", "accepted"]);
  });

  test.each([
    [
      "that is canceled",
      async (guid: string) =>
        void (await platform.rows("update payment_order set status = 'canceled' where guid = $1", guid)),
    ],
    ["whose time runs out", async () => setClock(platform, secondsFrom(new Date(), 20))],
  ])(
    "an order %s while a message for it is decided: the message is refused, its neighbour accepted",
    async (_, change) => {
      const late = await createOrder(platform, parties.merchant, { expiresAt: secondsFrom(new Date(), 10) });
      const other = await createOrder(platform, parties.merchant);
      const { db } = platform.context;
      let raced = 0;
      const hot: Sql = async (statement, values) => {
        const rows = await db.hot<never>(statement, values);
        if (statement.name === "select_submission_facts" && raced++ === 0) await change(late.id);
        return rows;
      };
      const core = createCore({ ...platform.context, db: { ...db, hot } });
      const requests = [late, other].map((mine) => paymentRequest(platform, parties, mine));
      const answers = await Promise.all(requests.map((request) => submit(request, core)));
      expect(answers.map(reasonOf)).toEqual(["ORDER_IS_EXPIRED", "accepted"]);
      expect(raced).toBe(2);
    },
  );

  test("more waiting calls than the limit are refused as overloaded, and the others are answered", async () => {
    const core = createCore(platform.context, { maxGroup: 2, maxWaiting: 3, concurrency: 1 });
    const orders = await Promise.all(Array.from({ length: 5 }, () => createOrder(platform, parties.merchant)));
    const answers = await Promise.all(orders.map((mine) => submit(paymentRequest(platform, parties, mine), core)));
    expect(answers.map(reasonOf).sort()).toEqual(["OVERLOADED", "OVERLOADED", "accepted", "accepted", "accepted"]);
  });
});

test("submitPaymentMessage: leading zeros of an old key's number do not count for the length of what is encrypted", async () => {
  const n = Buffer.concat([Buffer.alloc(2), Buffer.alloc(256, "n")]).toString("base64url");
  const sides = await registerParties(platform, { recipient: { encryptionJwk: { kid: `old-${serial()}`, n } } });
  const order = await createOrder(platform, sides.merchant);
  expect(reasonOf(await platform.core.submitPaymentMessage(paymentRequest(platform, sides, order)))).toBe("accepted");
});

describe("getPaymentMessage", () => {
  test("both banks read it, by its guid and by its order", async () => {
    const guid = await pay(platform, parties);
    const { orderId: orderGuid } = await readMessage(platform, parties, guid);
    for (const caller of [parties.initiator, parties.recipient]) {
      for (const by of [{ guid }, { orderGuid }]) {
        expect(accepted(await platform.core.getPaymentMessage(caller.guid, by)).guid).toBe(guid);
      }
    }
  });

  test("it says who pays whom, and what is encrypted for the recipient bank", async () => {
    const order = await createOrder(platform, parties.merchant);
    const request = paymentRequest(platform, parties, order);
    const { guid } = accepted(await platform.core.submitPaymentMessage(request));
    const { initiator, recipient, merchant } = parties;
    expect(await readMessage(platform, parties, guid)).toMatchObject({
      debtorAgent: { guid: initiator.guid, name: initiator.name, bic: initiator.bic },
      debtor: { name: request.debtorName, taxNumber: request.debtorTaxNumber, account: request.debtorAccount },
      creditorAgent: { guid: recipient.guid, name: recipient.name, bic: recipient.bic },
      creditor: {
        name: request.creditorName,
        taxNumber: request.creditorTaxNumber,
        account: merchant.iban,
        uid: merchant.uid,
      },
      encryption: { nonce: request.nonce, encryptedKey: request.encryptedKey },
      amount: order.amount,
    });
  });

  test("a service reads every one", async () => {
    const guid = await pay(platform, parties);
    expect(accepted(await platform.core.getPaymentMessage(undefined, { guid })).guid).toBe(guid);
    const unknown = await platform.core.getPaymentMessage(undefined, { guid: parties.initiator.guid });
    expect(reasonOf(unknown)).toBe("PAYMENT_MESSAGE_NOT_FOUND");
  });

  test("anybody else does not learn that it exists", async () => {
    const guid = await pay(platform, parties);
    const stranger = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const unknown = await platform.core.getPaymentMessage(stranger.guid, { guid: stranger.guid });
    expect(unknown).toMatchObject({ refused: "PAYMENT_MESSAGE_NOT_FOUND", message: "not found" });
    expect(await platform.core.getPaymentMessage(stranger.guid, { guid })).toEqual(unknown);
    expect(await platform.core.getPaymentMessage(parties.merchant.guid, { guid })).toEqual(unknown);
    expect(await platform.core.getPaymentMessage(parties.initiator.guid, { guid: "x" })).toEqual(unknown);
  });

  test("it shows the key of the recipient bank at the time of the submission, whatever the bank uses now", async () => {
    const guid = await pay(platform, parties);
    const before = keyText(parties.recipient);
    accepted(
      await platform.core.updateParticipant(operator, parties.recipient.guid, { signingJwks: [{ kid: "rotated" }] }),
    );
    expect((await readMessage(platform, parties, guid)).creditorAgentJwk).toBe(before);
    const next = await pay(platform, parties);
    expect(JSON.parse((await readMessage(platform, parties, next)).creditorAgentJwk).kid).toBe("rotated");
  });
});
