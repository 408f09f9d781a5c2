import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterEach, describe, expect, test, vi } from "vitest";
import { PaymentMessageSchema } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type DeliveryContext, deliver } from "../../src/callbacks/deliver.ts";
import { describeFailure } from "../../src/callbacks/outcomes.ts";
import { createSlots, type NoSlot, type Slot, type Slots } from "../../src/callbacks/slots.ts";
import { runInLines } from "../../src/callbacks/waitingLines.ts";
import { beginWithinMs } from "../../src/core/context.ts";
import type { ClaimAnswer, ClaimedCallback } from "../../src/core/delivery.ts";
import { noTracing } from "../../src/observe/tracing.ts";
import { createLocalQueue, MAX_LANE_TICKETS } from "../../src/queue/local.ts";
import type { CallbackQueue, Ticket } from "../../src/queue/queue.ts";
import { encodeTickets, readTickets } from "../../src/queue/ticket.ts";
import { type Claims, signJws } from "../../src/sdk/jws.ts";
import { generateKeyPair } from "../../src/sdk/keys.ts";

const ticket: Ticket = {
  callbackGuid: "01890000-0000-7000-8000-000000000001",
  series: 1,
  attempt: 0,
  receiverGuid: "01890000-0000-7000-8000-000000000002",
};

/** A worker whose core answers each claim like this; `claimMs` is how long that takes. */
function worker(answer: ClaimAnswer, { claimMs = 0, slots = createSlots(), recorded = {} } = {}) {
  const parked: Ticket[] = [];
  const warn = vi.fn();
  const posted = vi.fn(async () => ({ outcome: "accepted", durationMs: 1 }));
  const context = {
    core: {
      async claimCallback() {
        const startedMs = performance.now();
        vi.spyOn(performance, "now").mockReturnValue(startedMs + claimMs);
        return answer;
      },
      recordAttempt: async () => ({
        applied: true,
        late: false,
        decision: { state: "delivered" },
        born: [],
        ...recorded,
      }),
    },
    queue: {
      park: async (_lane, tickets) => void parked.push(...tickets),
      publishDelayed: async () => {},
    } satisfies Partial<CallbackQueue>,
    client: { post: posted },
    receivers: {
      find: async () => ({
        uid: "m",
        status: "active",
        callbackAlg: "RS256",
        callbackBodyFormat: "json",
        callbackUrls: { base: "https://m.example" },
      }),
      forget() {},
    },
    slots,
    newGuid: randomUUID,
    maxParks: 3,
    withoutTicket: new Set(),
    inLines: runInLines(16, 8),
    signer: { issuer: "https://gateway.example", sign: async () => "" },
    log: { debug() {}, info() {}, warn, error() {} },
    observer: { attempted() {}, parked() {} },
    tracing: noTracing,
  };
  return { context: context as unknown as DeliveryContext, parked, posted, warn };
}

afterEach(() => vi.restoreAllMocks());

describe("tickets", () => {
  test.each([
    ["a guid that is none", { callbackGuid: "1" }],
    ["a receiver that is none", { receiverGuid: "../" }],
    ["a series beyond an int", { series: 2 ** 31 }],
    ["an attempt beyond an int", { attempt: 2 ** 40 }],
    ["a negative attempt", { attempt: -1 }],
  ])("%s is no ticket: PostgreSQL would refuse the tickets beside it", (_, change) => {
    expect(readTickets([ticket, { ...ticket, ...change }])).toBeUndefined();
  });

  test("how often it was parked travels with it", () => {
    const parkedTwice = { ...ticket, parks: 2 };
    const [body] = encodeTickets([parkedTwice]);
    expect(readTickets(JSON.parse(String(body)))).toEqual([parkedTwice]);
  });

  test("whether a payment waits for it travels with it; a ticket of an older process does not say", () => {
    const [body] = encodeTickets([{ ...ticket, decides: true }, ticket], 2);
    expect(readTickets(JSON.parse(String(body)))).toEqual([{ ...ticket, decides: true }, ticket]);
    expect(readTickets([{ ...ticket, decides: "yes" }])).toEqual([ticket]);
  });
});

describe("a ticket without a slot", () => {
  const noSlots = (why: NoSlot, isSilent = false): Slots => ({
    acquire: async () => why,
    take: () => undefined,
    isSilent: () => isSilent,
    held: () => 0,
    close() {},
  });

  test.each([
    ["answers, but has no room left, parks a ticket a few times", false, [1, 2, 3]],
    ["is silent parks a ticket once", true, [1]],
  ])("an endpoint that %s and then leaves its row to the relay", async (_, isSilent, parks) => {
    const { context, parked } = worker("obsolete", { slots: noSlots("full", isSilent) });
    let travelling: Ticket | undefined = ticket;
    for (let times = 0; travelling && times < 10; times += 1) {
      expect(await deliver(context, "first", travelling)).toBe("ack");
      travelling = parked[times];
    }
    expect(parked.map((parkedTicket) => parkedTicket.parks)).toEqual(parks);
  });

  test.each([
    ["overdue", "ack"],
    ["closed", "unhandled"],
  ] as const)("%s: %s, and it is not parked", async (why, verdict) => {
    const { context, parked } = worker("obsolete", { slots: noSlots(why) });
    expect(await deliver(context, "first", ticket)).toBe(verdict);
    expect(parked).toEqual([]);
  });

  test("work that asked nothing of an endpoint wins back none of its share", async () => {
    const slots = createSlots();
    const slotOf = async () => (await slots.acquire(ticket.receiverGuid, "news")) as Slot;
    for (let silences = 0; silences < 5; silences += 1) (await slotOf()).release(false);
    for (const answer of ["obsolete", { notDueForMs: 1 }, "obsolete"] as const) {
      await deliver(worker(answer, { slots }).context, "retry", ticket);
    }
    expect(slots.take(ticket.receiverGuid)).toBeDefined();
    expect(slots.take(ticket.receiverGuid)).toBeUndefined();
    expect(slots.held()).toBe(1);
    slots.close();
  });
});

test("the queue inside the process takes a bounded number of tickets; the rest is left to the relay", async () => {
  const queue = createLocalQueue({ log: { info() {}, warn() {}, error() {} } });
  const many = Array.from({ length: MAX_LANE_TICKETS }, () => ticket);
  await queue.publish("first", many);
  await expect(queue.publish("first", [ticket])).rejects.toThrow("full");
  await queue.publish("retry", [ticket]);
  expect(await queue.depths()).toMatchObject({ first: MAX_LANE_TICKETS, retry: 1 });
  await queue.close();
});

describe("a ticket that comes early", () => {
  /** A core whose callback is due after so many milliseconds, counted from the first claim. */
  function dueAfter(ms: number) {
    const { context } = worker("obsolete");
    const claimedAt: number[] = [];
    const publishDelayed = vi.fn(async () => {});
    context.core.claimCallback = async () => {
      claimedAt.push(Date.now());
      const leftMs = (claimedAt[0] ?? 0) + ms - Date.now();
      return leftMs > 0 ? { notDueForMs: leftMs } : "obsolete";
    };
    context.queue.publishDelayed = publishDelayed;
    return { context, claimedAt, publishDelayed };
  }

  test("by a moment is waited for, because a turn on the ladder would cost it a second", async () => {
    const { context, claimedAt, publishDelayed } = dueAfter(30);
    expect(await deliver(context, "retry", ticket)).toBe("ack");
    expect(publishDelayed).not.toHaveBeenCalled();
    expect((claimedAt.at(-1) ?? 0) - (claimedAt[0] ?? 0)).toBeGreaterThanOrEqual(30);
  });

  test("by more goes back to the ladder at once", async () => {
    const { context, claimedAt, publishDelayed } = dueAfter(60_000);
    expect(await deliver(context, "retry", ticket)).toBe("ack");
    expect(claimedAt).toHaveLength(1);
    expect(publishDelayed).toHaveBeenCalledOnce();
  });
});

describe("the lease", () => {
  const answer: ClaimAnswer = {
    claimed: {
      guid: ticket.callbackGuid,
      kind: "expiration",
      series: 1,
      attempt: 1,
      refusals: 0,
      receiverGuid: ticket.receiverGuid,
      reason: "",
      registerId: null,
      claimedAt: new Date(),
      order: { id: ticket.callbackGuid, ref: "1", purpose: "p", amount: { amountMinor: 1n, currency: "UAH" } },
      paymentMessage: undefined,
      parties: undefined,
    },
  };

  test.each([
    ["in time is made", 0, 1],
    ["so late that its lease could lapse under it is not made", beginWithinMs + 1, 0],
  ])("an attempt that begins %s", async (_, claimMs, calls) => {
    const { context, posted } = worker(answer, { claimMs });
    const key = await generateKeyPair("ES256");
    const signer = { issuer: "https://gateway.example", sign: (claims: Claims) => signJws(claims, key) };
    expect(await deliver({ ...context, signer }, "first", ticket)).toBe("ack");
    expect(posted).toHaveBeenCalledTimes(calls);
    expect(context.slots.held()).toBe(0);
  });

  test("an answer that came after its attempt was counted as lost is told as a warning", async () => {
    const { context, warn } = worker(answer, { recorded: { applied: false, late: true } });
    const key = await generateKeyPair("ES256");
    const signer = { issuer: "https://gateway.example", sign: (claims: Claims) => signJws(claims, key) };
    await deliver({ ...context, signer }, "first", ticket);
    const told = { callbackGuid: ticket.callbackGuid, attempt: 1, outcome: "accepted" };
    expect(warn).toHaveBeenCalledExactlyOnceWith(expect.objectContaining(told), expect.stringContaining("as lost"));
  });
});

describe("what follows an accepted callback", () => {
  const parties = {
    initiator_bank: "01890000-0000-7000-8000-00000000000a",
    recipient_bank: "01890000-0000-7000-8000-00000000000b",
    merchant: ticket.receiverGuid,
  };
  const order = { id: ticket.callbackGuid, ref: "1", purpose: "p", amount: { amountMinor: 1n, currency: "UAH" } };
  const claimed: ClaimedCallback = {
    ...{ guid: ticket.callbackGuid, kind: "pay_in_merchant", series: 1, attempt: 1, refusals: 0, reason: "" },
    ...{ receiverGuid: ticket.receiverGuid, registerId: null, claimedAt: new Date(), order, parties },
    paymentMessage: create(PaymentMessageSchema, {
      ...{ guid: ticket.callbackGuid, orderId: ticket.callbackGuid, amount: { amountMinor: 1n, currency: "UAH" } },
      receivedAt: timestampFromDate(new Date()),
    }),
  };

  /** The kinds for which a slot was in hand when the attempt was recorded. */
  async function inHand(inLine: number): Promise<readonly string[] | undefined> {
    const { context } = worker({ claimed });
    const recordAttempt = vi.spyOn(context.core, "recordAttempt");
    const inLines = { ...context.inLines, waiting: () => inLine };
    const key = await generateKeyPair("ES256");
    const signer = { issuer: "https://gateway.example", sign: (claims: Claims) => signJws(claims, key) };
    expect(await deliver({ ...context, inLines, signer }, "first", ticket)).toBe("ack");
    expect(context.slots.held()).toBe(0);
    context.slots.close();
    return recordAttempt.mock.calls[0]?.[0].inHand;
  }

  test("is leased where a slot is free; where much is in line already a ticket waits, because a lease does not", async () => {
    expect(await inHand(127)).toEqual(["pay_out", "credit"]);
    expect(await inHand(128)).toEqual([]);
  });
});

test("a problem that is cut in the middle of a character can still be recorded", () => {
  const problem = describeFailure(new Error(`${"x".repeat(292)}${"\u{1F4A3}".repeat(10)}`));
  expect(problem.length).toBeLessThanOrEqual(300);
  expect(problem.isWellFormed()).toBe(true);
  expect(problem.endsWith("\uFFFD")).toBe(true);
});
