import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { type DeliveryContext, deliver as deliverTicket } from "../../src/callbacks/deliver.ts";
import { createSlots, defaultSlotLimits } from "../../src/callbacks/slots.ts";
import { runInLines } from "../../src/callbacks/waitingLines.ts";
import type { ParticipantVersion } from "../../src/core/participantStatus.ts";
import { type CallbackKind, defaultRetryPolicy } from "../../src/domain/callback.ts";
import type { Participant, ParticipantStatus, PublicJwk } from "../../src/domain/participant.ts";
import { noTracing } from "../../src/observe/tracing.ts";
import { createAccessToken } from "../../src/sdk/access.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import {
  accepted,
  attempt,
  bankRegistration,
  bankStatement,
  type CallbackRow,
  callbackOf,
  callbacksOf,
  claim,
  createOrder,
  deliver,
  type GivenKey,
  iban,
  merchantRegistration,
  modulus,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  payWithSuccess,
  publicUrl,
  readMessage,
  reasonOf,
  registerParties,
  serial,
} from "./platform.ts";

const maxAttempts = 3;

let platform: Platform;
beforeAll(async () => {
  platform = await openPlatform({
    retryPolicy: { ...defaultRetryPolicy, maxAttempts },
    // Real keys stay what they are; the others only have a name.
    publicKey: async (jwk) => {
      const { kid, n, x } = jwk as GivenKey & { x?: string };
      return x === undefined ? { kty: "RSA", alg: "RS256", kid, n: modulus(n ?? `n of ${kid}`) } : (jwk as PublicJwk);
    },
  });
});
afterAll(() => platform.close());

type Who = Pick<Participant, "guid">;
const acts = {
  suspend: (whom: ParticipantVersion, core = platform.core) => core.suspendParticipant(operator, whom),
  resume: (whom: ParticipantVersion, core = platform.core) => core.resumeParticipant(operator, whom),
  close: (whom: ParticipantVersion, core = platform.core) => core.closeParticipant(operator, whom),
} as const;
type Act = keyof typeof acts;

const does = (act: Act, { guid }: Who, version?: number) => acts[act]({ guid, version });
const suspend = async (who: Who) => accepted(await does("suspend", who));
const resume = async (who: Who) => accepted(await does("resume", who));
const close = async (who: Who) => accepted(await does("close", who));
const read = async ({ guid }: Who) => accepted(await platform.core.getParticipant({ guid }));

const newBank = async (changes: Parameters<typeof bankRegistration>[0] = {}) =>
  accepted(await platform.core.registerParticipant(operator, bankRegistration({ roles: ["initiator"], ...changes })));

/** The ways to a status. */
const ways: Record<ParticipantStatus, readonly Act[]> = {
  active: [],
  suspended: ["suspend"],
  closed: ["suspend", "close"],
};

describe("the life of a participant", () => {
  const table: [from: ParticipantStatus, act: Act, becomes: ParticipantStatus | string][] = [
    ["active", "suspend", "suspended"],
    ["active", "resume", "active"],
    ["active", "close", "PARTICIPANT_NOT_SUSPENDED"],
    ["suspended", "suspend", "suspended"],
    ["suspended", "resume", "active"],
    ["suspended", "close", "closed"],
    ["closed", "suspend", "PARTICIPANT_CLOSED"],
    ["closed", "resume", "PARTICIPANT_CLOSED"],
    ["closed", "close", "closed"],
  ];

  test.each(table)("%s, %s: %s; only what changes is a version", async (from, act, becomes) => {
    const bank = await newBank();
    for (const way of ways[from]) accepted(await does(way, bank));
    const before = await read(bank);
    expect(before.status).toBe(from);
    const answer = await does(act, bank);
    const after = await read(bank);
    const isRefused = becomes.startsWith("PARTICIPANT_");
    if (isRefused) expect(answer).toMatchObject({ refused: becomes, field: "guid" });
    else expect(answer).toEqual(after);
    const [status, isChange] = isRefused ? [from, false] : [becomes, becomes !== from];
    expect([after.status, after.version]).toEqual([status, before.version + (isChange ? 1 : 0)]);
    if (!isChange) expect(after).toEqual(before);
  });

  test("closing whoever is active is refused with what has to come first", async () => {
    expect(await does("close", await newBank())).toEqual({
      refused: "PARTICIPANT_NOT_SUSPENDED",
      message: "the participant is not suspended",
      field: "guid",
    });
  });

  test.each(Object.keys(acts) as Act[])("%s: nobody unknown", async (act) => {
    for (const guid of ["nobody", platform.context.newGuid()]) {
      expect(reasonOf(await does(act, { guid }))).toBe("PARTICIPANT_NOT_FOUND");
    }
  });

  test.each([
    ["active", "suspend"],
    ["suspended", "resume"],
    ["suspended", "close"],
  ] as const)("%s, %s: only as the version that is expected", async (from, act) => {
    const bank = await newBank();
    for (const way of ways[from]) accepted(await does(way, bank));
    const before = await read(bank);
    for (const version of [before.version - 1, before.version + 1]) {
      expect(await does(act, bank, version)).toMatchObject({ refused: "PARTICIPANT_CHANGED", field: "version" });
    }
    expect(await read(bank)).toEqual(before);
    expect(accepted(await does(act, bank, before.version)).version).toBe(before.version + 1);
  });

  test("an update too happens only as the version that is expected", async () => {
    const { guid, version } = await newBank();
    const update = (expected: number) => platform.core.updateParticipant(operator, guid, { name: "New" }, expected);
    expect(reasonOf(await update(version + 1))).toBe("PARTICIPANT_CHANGED");
    accepted(await update(version));
    expect(reasonOf(await update(version))).toBe("PARTICIPANT_CHANGED");
  });

  test.each(["suspend", "close"] as const)(
    "%s at once, in two processes: one does it, both hear what it is",
    async (act) => {
      const second = await platform.secondCore();
      const bank = await newBank();
      if (act === "close") await suspend(bank);
      const { version } = await read(bank);
      const whom = { guid: bank.guid, version: undefined };
      const answers = await Promise.all([acts[act](whom), acts[act](whom, second), acts[act](whom)]);
      const after = await read(bank);
      expect(answers).toEqual([after, after, after]);
      expect([after.status, after.version]).toEqual([act === "close" ? "closed" : "suspended", version + 1]);
    },
  );

  test("whoever is suspended keeps its keys and can be changed; whoever is closed has none and cannot", async () => {
    const bank = await newBank();
    expect((await suspend(bank)).keys).toEqual(bank.keys);
    accepted(await platform.core.updateParticipant(operator, bank.guid, { name: "While suspended" }));
    expect((await close(bank)).keys).toEqual([]);
    expect(await platform.core.updateParticipant(operator, bank.guid, { name: "Late" })).toMatchObject({
      refused: "PARTICIPANT_CLOSED",
      message: "the participant is closed",
    });
    const [key] = bank.keys;
    expect(reasonOf(await platform.core.getParticipant({ kid: key?.kid ?? "" }))).toBe("PARTICIPANT_NOT_FOUND");
    // Its key and its kid are free for whoever comes next.
    await newBank({ signingJwks: [{ kid: key?.kid }] });
  });
});

describe("closeParticipant", () => {
  const inUse = (what: string) => ({
    refused: "PARTICIPANT_IN_USE",
    message: `the participant still has ${what}`,
    field: "guid",
  });
  const sides = ["initiator", "recipient", "merchant"] as const;

  /** What closing each side says. */
  async function says(parties: Parties, expected: Record<(typeof sides)[number], string | undefined>) {
    for (const side of sides) {
      await suspend(parties[side]);
      const before = await read(parties[side]);
      const what = expected[side];
      if (what !== undefined) {
        expect(await does("close", parties[side]), side).toMatchObject(inUse(what));
        expect(await read(parties[side])).toEqual(before);
      }
      await resume(parties[side]);
    }
  }

  test.each(["waiting", "in_flight", "dead"])(
    "is refused while a payment is under way, its callback %s",
    async (state) => {
      const parties = await registerParties(platform);
      const guid = await pay(platform, parties);
      const callback = await callbackOf(platform, guid, "pay_in_bank");
      if (state === "in_flight") await claim(platform, callback.guid);
      if (state === "dead") await platform.rows("update callback set state = 'dead' where guid = $1", callback.guid);
      expect((await callbackOf(platform, guid, "pay_in_bank")).state).toBe(state);
      const underWay = "payments under way: 1";
      await says(parties, {
        initiator: underWay,
        recipient: `${underWay}, merchants that are not closed: 1`,
        merchant: underWay,
      });
    },
  );

  test("counts a payment once, and those of others not at all", async () => {
    const parties = await registerParties(platform);
    await Promise.all([pay(platform, parties), pay(platform, parties)]);
    await pay(platform, await registerParties(platform));
    await says(parties, {
      initiator: "payments under way: 2",
      recipient: "payments under way: 2, merchants that are not closed: 1",
      merchant: "payments under way: 2",
    });
  });

  test("a payment that was rejected holds nobody, also while its callbacks wait", async () => {
    const parties = await registerParties(platform);
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "refused");
    expect((await callbackOf(platform, guid, "pay_out")).state).toBe("waiting");
    for (const side of ["merchant", "recipient", "initiator"] as const) {
      await suspend(parties[side]);
      expect((await close(parties[side])).status).toBe("closed");
    }
  });

  test("is refused while a payment is in no register, then while the register is not paid, and allowed after", async () => {
    const parties = await registerParties(platform);
    await payWithSuccess(platform, parties, { decidedAt: "2026-04-01T09:00:00Z" });
    const merchants = ", merchants that are not closed: 1";
    const unsettled = "payments that are in no register yet: 1";
    await says(parties, { initiator: unsettled, recipient: unsettled + merchants, merchant: undefined });
    const registers = accepted(await platform.core.closeRegisters(operator, "2026-04-01", false));
    const register = registers.find(
      ({ debtorAgent, status }) => debtorAgent?.guid === parties.initiator.guid && status === RegisterStatus.SENT,
    );
    const unpaid = {
      initiator: "registers that are not paid: 1",
      recipient: `registers that are not paid: 1${merchants}`,
    };
    for (const status of ["closing", "sent", "processing"]) {
      await platform.rows("update settlement_register set status = $2 where id = $1", register?.id, status);
      await says(parties, { ...unpaid, merchant: undefined });
    }
    await platform.rows("update settlement_register set status = 'paid' where id = $1", register?.id);
    await suspend(parties.merchant);
    await close(parties.merchant);
    for (const bank of [parties.initiator, parties.recipient]) {
      await suspend(bank);
      expect((await close(bank)).status).toBe("closed");
    }
  });

  test("an institution that is both banks is held by its own register", async () => {
    const bank = await newBank({ roles: ["initiator", "recipient"] });
    const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(bank)));
    const parties = { initiator: bank, recipient: bank, merchant };
    await payWithSuccess(platform, parties, { decidedAt: "2026-04-02T09:00:00Z" });
    const registers = accepted(await platform.core.closeRegisters(operator, "2026-04-02", false));
    const register = registers.find(({ status }) => status === RegisterStatus.SENT_INTERNAL);
    await suspend(merchant);
    await close(merchant);
    const suspended = await suspend(bank);
    expect(await does("close", bank)).toMatchObject(inUse("registers that are not paid: 1"));
    accepted(await platform.core.confirmInternalRegister(bankStatement(platform, suspended, register?.id ?? "")));
    await close(bank);
  });

  test("is refused while an order can still be paid, and allowed once that has expired", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    const open = "orders that can still be paid: 1";
    const merchants = ", merchants that are not closed: 1";
    await says(parties, { initiator: undefined, recipient: open + merchants, merchant: open });
    await platform.rows("update payment_order set expires_at = now() where guid = $1", order.id);
    await platform.core.expireOrders(1_000);
    await suspend(parties.merchant);
    expect((await close(parties.merchant)).status).toBe("closed");
  });

  test("an order holds the bank that it was created with, also when its merchant is elsewhere by now", async () => {
    const parties = await registerParties(platform);
    await createOrder(platform, parties.merchant);
    const { guid: servicingBankGuid } = await newBank({ roles: ["recipient"] });
    accepted(await platform.core.updateParticipant(operator, parties.merchant.guid, { servicingBankGuid }));
    await suspend(parties.recipient);
    expect(await does("close", parties.recipient)).toMatchObject(inUse("orders that can still be paid: 1"));
  });

  test("is refused while a merchant of the bank is not closed", async () => {
    const { recipient, merchant } = await registerParties(platform);
    await suspend(recipient);
    const refusal = inUse("merchants that are not closed: 1");
    expect(await does("close", recipient)).toMatchObject(refusal);
    await suspend(merchant);
    expect(await does("close", recipient)).toMatchObject(refusal);
    await close(merchant);
    await close(recipient);
  });
});

describe("the calls of a suspended bank", () => {
  let key: KeyPair;
  let bank: Participant;
  beforeAll(async () => {
    key = await generateKeyPair("ES256", `bank-${serial()}`);
    bank = await newBank({ signingJwks: [key.publicJwk] });
  });

  async function bankOf(isForSuspended: boolean, { signer = key, claims = {} as Claims, named = true } = {}) {
    const token = await createAccessToken(signer, new Date(), `jti-${serial()}`, claims);
    return platform.core.identity.bankOf({
      token,
      counterpartyGuid: named ? bank.guid : undefined,
      isChange: true,
      isForSuspended,
      body: new Uint8Array(),
      requestDigest: new Uint8Array(32),
    });
  }

  test("are refused but for those that are there for it as well; resumed, it may do all", async () => {
    const outcomes = async () => {
      platform.core.identity.forget();
      const answers = [];
      for (const isForSuspended of [false, true]) {
        for (const named of [true, false]) answers.push(reasonOf(await bankOf(isForSuspended, { named })));
      }
      return answers;
    };
    expect(await outcomes()).toEqual(Array(4).fill("accepted"));
    await suspend(bank);
    expect(await outcomes()).toEqual(["PARTICIPANT_SUSPENDED", "PARTICIPANT_SUSPENDED", "accepted", "accepted"]);
    await resume(bank);
    expect(await outcomes()).toEqual(Array(4).fill("accepted"));
  });

  test("a bank that is suspended learns so with a good signature alone; its other faults come first", async () => {
    await suspend(bank);
    platform.core.identity.forget();
    const stranger = await generateKeyPair("ES256", key.kid);
    expect(reasonOf(await bankOf(false, { signer: stranger }))).toBe("AUTHORIZATION_FAILED");
    expect(reasonOf(await bankOf(false, { claims: { aud: "elsewhere" } }))).toBe("TOKEN_AUDIENCE");
    expect(reasonOf(await bankOf(false, { claims: { aud: publicUrl } }))).toBe("PARTICIPANT_SUSPENDED");
    await resume(bank);
  });

  test("a bank that is closed is nobody", async () => {
    await suspend(bank);
    await close(bank);
    platform.core.identity.forget();
    for (const isForSuspended of [false, true]) {
      expect(reasonOf(await bankOf(isForSuspended))).toBe("AUTHORIZATION_FAILED");
    }
  });
});

describe("a suspended merchant", () => {
  test("cannot create orders, which it learns with a good signature alone; resumed it can; closed it is nobody", async () => {
    const key = await generateKeyPair("ES256", `merchant-${serial()}`);
    const bank = await newBank({ roles: ["recipient"] });
    const merchant = accepted(
      await platform.core.registerParticipant(operator, merchantRegistration(bank, { signingJwks: [key.publicJwk] })),
    );
    const now = Math.floor(Date.now() / 1_000);
    const times = { iat: now, exp: now + 600 };
    const claims = { sub: merchant.uid, amt: 1, cur: "UAH", ref: "r", prp: "p", url: "https://s.example", ...times };
    const orderOf = async (signer = key) => {
      platform.core.identity.forget();
      return reasonOf(await platform.core.identity.orderOf(await signJws(claims, signer)));
    };
    expect(await orderOf()).toBe("accepted");
    await suspend(merchant);
    expect(await orderOf()).toBe("PARTICIPANT_SUSPENDED");
    expect(await orderOf(await generateKeyPair("ES256", key.kid))).toBe("AUTHORIZATION_FAILED");
    await resume(merchant);
    expect(await orderOf()).toBe("accepted");
    await suspend(merchant);
    await close(merchant);
    expect(await orderOf()).toBe("AUTHORIZATION_FAILED");
  });
});

describe("the orders of a side that is suspended", () => {
  const sides = [
    ["merchant", "the order cannot be paid now: the merchant is suspended"],
    ["recipient", "the order cannot be paid now: the bank that services the merchant is suspended"],
  ] as const;

  test.each(sides)("%s: cannot be paid, and are not shown to a bank that would pay them", async (side, message) => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    await suspend(parties[side]);
    const refusal = { refused: "RECEIVER_COUNTERPARTY_SUSPENDED", message, field: "order_id" };
    const submit = () => platform.core.submitPaymentMessage(paymentRequest(platform, parties, order));
    expect(await submit()).toMatchObject(refusal);
    expect(await platform.core.getOrder(order.id, parties.initiator)).toMatchObject(refusal);
    for (const reader of [undefined, parties.recipient]) {
      expect(accepted(await platform.core.getOrder(order.id, reader)).order?.status).toBe(OrderStatus.CREATED);
    }
    await resume(parties[side]);
    expect(reasonOf(await platform.core.getOrder(order.id, parties.initiator))).toBe("accepted");
    expect(reasonOf(await submit())).toBe("accepted");
  });

  test.each(sides)(
    "%s: one that is being paid is shown to its banks, and a retry hears of the first message",
    async (side) => {
      const parties = await registerParties(platform);
      const order = await createOrder(platform, parties.merchant);
      const request = paymentRequest(platform, parties, order);
      const { guid } = accepted(await platform.core.submitPaymentMessage(request));
      await suspend(parties[side]);
      expect(accepted(await platform.core.getOrder(order.id, parties.initiator)).paymentMessage?.guid).toBe(guid);
      expect(await platform.core.submitPaymentMessage(request)).toMatchObject({
        refused: "JTI_IS_ALREADY_TAKEN",
        paymentMessageGuid: guid,
      });
    },
  );

  test("the bank of the order's creation counts, not the one that its merchant has now", async () => {
    const parties = await registerParties(platform);
    const order = await createOrder(platform, parties.merchant);
    const recipient = await newBank({ roles: ["recipient"] });
    const moved = { iban: iban(recipient.bic ?? "", serial()), servicingBankGuid: recipient.guid };
    accepted(await platform.core.updateParticipant(operator, parties.merchant.guid, moved));
    const suspendedBank = "RECEIVER_COUNTERPARTY_SUSPENDED";
    await suspend(recipient);
    expect(reasonOf(await platform.core.getOrder(order.id, parties.initiator))).toBe("accepted");
    await suspend(parties.recipient);
    expect(reasonOf(await platform.core.getOrder(order.id, parties.initiator))).toBe(suspendedBank);
    expect(reasonOf(await platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)))).toBe(
      suspendedBank,
    );
  });
});

describe("callbacks to a receiver that is suspended", () => {
  /** A worker on this platform whose endpoints would accept everything. */
  function worker() {
    const post = vi.fn(async () => ({ outcome: "accepted", durationMs: 1 }));
    const outcomes: string[] = [];
    const slots = createSlots();
    const context = {
      core: platform.core,
      queue: { publishDelayed: async () => {} },
      client: { post },
      receivers: { find: (guid: string) => platform.core.getParticipant({ guid }), forget() {} },
      slots,
      inLines: runInLines(16, 8),
      withoutTicket: new Set(),
      maxParks: 3,
      signer: { issuer: publicUrl, key: {} },
      publicUrl: () => publicUrl,
      newGuid: platform.context.newGuid,
      log: { debug() {}, info() {}, warn() {}, error() {} },
      observer: { attempted: (_kind: CallbackKind, outcome: string) => outcomes.push(outcome), parked() {} },
      tracing: noTracing,
    } as unknown as DeliveryContext;
    const rowOf = async (guid: string) => {
      const [row] = await platform.rows<CallbackRow & { last_outcome: string }>(
        "select * from callback where guid = $1",
        guid,
      );
      if (row === undefined) throw new Error("no such callback");
      return row;
    };
    /** Every attempt that there is; answers the callback at its end. */
    async function attemptAll(guid: string) {
      for (let row = await rowOf(guid); row.state === "waiting"; row = await rowOf(guid)) {
        await platform.rows("update callback set due_at = now() where guid = $1", guid);
        const ticket = {
          callbackGuid: guid,
          series: row.series,
          attempt: row.attempts,
          receiverGuid: row.receiver_guid,
        };
        expect(await deliverTicket(context, "retry", ticket)).toBe("ack");
      }
      return rowOf(guid);
    }
    return { attemptAll, post, outcomes, slots };
  }

  const silence = (state: string) => ({ state, attempts: maxAttempts, last_outcome: "suspended" });

  /** A callback of each kind, and to whom it goes. */
  const kinds: [
    kind: CallbackKind,
    receiver: "initiator" | "recipient" | "merchant",
    end: "failed" | "review",
    prepare: (parties: Parties) => Promise<string>,
  ][] = [
    [
      "pay_in_bank",
      "recipient",
      "failed",
      async (parties) => (await callbackOf(platform, await pay(platform, parties), "pay_in_bank")).guid,
    ],
    [
      "pay_in_merchant",
      "merchant",
      "failed",
      async (parties) => {
        const guid = await pay(platform, parties);
        await deliver(platform, guid, "pay_in_bank", "accepted");
        return (await callbackOf(platform, guid, "pay_in_merchant")).guid;
      },
    ],
    [
      "pay_out",
      "initiator",
      "review",
      async (parties) => (await callbackOf(platform, await payWithSuccess(platform, parties), "pay_out")).guid,
    ],
    [
      "credit",
      "recipient",
      "review",
      async (parties) => (await callbackOf(platform, await payWithSuccess(platform, parties), "credit")).guid,
    ],
    [
      "pay_in_bank_reject",
      "recipient",
      "review",
      async (parties) => {
        const guid = await pay(platform, parties);
        await deliver(platform, guid, "pay_in_bank", "accepted");
        await deliver(platform, guid, "pay_in_merchant", "refused");
        return (await callbackOf(platform, guid, "pay_in_bank_reject")).guid;
      },
    ],
    [
      "pay_in_merchant_reject",
      "merchant",
      "review",
      async (parties) => {
        const guid = await pay(platform, parties);
        await deliver(platform, guid, "pay_in_bank", "refused");
        return (await callbackOf(platform, guid, "pay_in_merchant_reject")).guid;
      },
    ],
    [
      "expiration",
      "merchant",
      "review",
      async ({ merchant }) => {
        const order = await createOrder(platform, merchant);
        await platform.rows("update payment_order set expires_at = now() where guid = $1", order.id);
        await platform.core.expireOrders(1_000);
        const [row] = await platform.rows<{ guid: string }>(
          "select guid from callback where order_guid = $1",
          order.id,
        );
        return row?.guid ?? "";
      },
    ],
    [
      "gross_settlement",
      "initiator",
      "review",
      async (parties) => {
        const { initiator } = parties;
        await payWithSuccess(platform, parties, { decidedAt: "2026-05-01T09:00:00Z" });
        const url = { ...initiator.callbackUrls, gross_settlement: "https://bank.example/registers" };
        accepted(await platform.core.updateParticipant(operator, initiator.guid, { callbackUrls: url }));
        accepted(await platform.core.closeRegisters(operator, "2026-05-01", false));
        const [row] = await platform.rows<{ guid: string }>(
          "select guid from callback where kind = 'gross_settlement' and receiver_guid = $1",
          initiator.guid,
        );
        return row?.guid ?? "";
      },
    ],
  ];

  test.each(kinds)(
    "%s to the %s: nothing is sent, as often as there are attempts, and then it is %s",
    async (...row) => {
      const [, receiver, end, prepare] = row;
      const parties = await registerParties(platform);
      const guid = await prepare(parties);
      await suspend(parties[receiver]);
      const { attemptAll, post, outcomes, slots } = worker();
      expect(await attemptAll(guid)).toMatchObject(silence(end));
      expect([post.mock.calls, outcomes, slots.held()]).toEqual([[], Array(maxAttempts).fill("suspended"), 0]);
      const attempts = await platform.rows(
        "select outcome, http_status, problem from callback_attempt where callback_guid = $1",
        guid,
      );
      expect(attempts).toEqual(
        Array(maxAttempts).fill({
          outcome: "suspended",
          http_status: null,
          problem: "the receiver is suspended; nothing was sent",
        }),
      );
    },
  );

  test.each([
    ["recipient", "pay_in_bank", "No response on the callback from the receiver's bank"],
    ["merchant", "pay_in_merchant", "No response on the callback from the merchant"],
  ] as const)("a payment whose %s is suspended ends as if that had answered nothing", async (side, kind, reason) => {
    const parties = await registerParties(platform);
    const guid = await pay(platform, parties);
    if (kind === "pay_in_merchant") await deliver(platform, guid, "pay_in_bank", "accepted");
    await suspend(parties[side]);
    const { attemptAll } = worker();
    await attemptAll((await callbackOf(platform, guid, kind)).guid);
    expect(await readMessage(platform, parties, guid)).toMatchObject({
      status: PaymentMessageStatus.REJECT,
      reason,
    });
    expect(
      (await callbacksOf(platform, guid))
        .map((callback) => callback.kind)
        .slice(-3)
        .sort(),
    ).toEqual(["pay_in_bank_reject", "pay_in_merchant_reject", "pay_out"]);
  });

  test("whoever is resumed gets what is replayed, with its full share of slots", async () => {
    const parties = await registerParties(platform);
    const { guid } = await callbackOf(platform, await payWithSuccess(platform, parties), "credit");
    await suspend(parties.recipient);
    const { attemptAll, post, slots } = worker();
    await attemptAll(guid);
    const held = Array.from({ length: defaultSlotLimits.first }, () => slots.take(parties.recipient.guid));
    expect(held.every((slot) => slot !== undefined)).toBe(true);
    for (const slot of held) slot?.release();
    await resume(parties.recipient);
    accepted(await platform.core.replayCallback(operator, guid));
    expect(post).not.toHaveBeenCalled();
    expect((await attempt(platform, guid, "accepted")).state).toBe("delivered");
  });
});
