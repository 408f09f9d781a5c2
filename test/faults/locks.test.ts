import pg from "pg";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import type { Order } from "../../gen/dcm/v1/order_pb.ts";
import { PaymentMessageStatus } from "../../gen/dcm/v1/payment_message_pb.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import { isUnavailable } from "../../src/core/failure.ts";
import type { Sql } from "../../src/db/pool.ts";
import {
  accepted,
  callbackOf,
  claim,
  createOrder,
  openPlatform,
  orderRequest,
  type Parties,
  type Platform,
  pay,
  paymentRequest,
  readMessage,
  reasonOf,
  record,
  registerParties,
} from "../core/platform.ts";

let platform: Platform;
let parties: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
});
afterAll(() => platform.close());

/** Somebody who holds a lock on a row and does nothing: a frozen process, or a person at a console. */
async function holdsLock(text: string, ...values: unknown[]) {
  const holder = new pg.Client({ connectionString: platform.url });
  await holder.connect();
  await holder.query("begin");
  await holder.query(text, values);
  return {
    async [Symbol.asyncDispose]() {
      await holder.query("rollback");
      await holder.end();
    },
  };
}

const holdsOrder = ({ id: guid }: Order) => holdsLock("select from payment_order where guid = $1 for update", guid);

/** Waits until so many statements of the platform wait for somebody's lock. */
async function untilWaiting(statements: number): Promise<void> {
  await vi.waitFor(async () => {
    const waiting = await platform.rows(
      "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
    );
    expect(waiting).toHaveLength(statements);
  });
}

async function timed<T>(work: Promise<T>): Promise<{ came: T; seconds: number }> {
  const startedMs = performance.now();
  const came = await work;
  return { came, seconds: (performance.now() - startedMs) / 1000 };
}

/** "accepted", the reason of a refusal, or that the database was held up. */
const outcomesOf = (answers: readonly PromiseSettledResult<unknown>[]) =>
  answers.map((answer) => {
    if (answer.status === "fulfilled") return reasonOf(answer.value);
    return isUnavailable(answer.reason) ? "held up" : "failed";
  });

describe("a locked row fails nobody but whoever needs it", () => {
  test("one locked order among 100: the other 99 are paid within seconds, and that one once it is free", async () => {
    const orders = await Promise.all(Array.from({ length: 100 }, () => createOrder(platform, parties.merchant)));
    const locked = orders[50] as Order;
    {
      await using _ = await holdsOrder(locked);
      const requests = orders.map((order) => paymentRequest(platform, parties, order));
      const submitting = Promise.allSettled(requests.map((request) => platform.core.submitPaymentMessage(request)));
      const { came, seconds } = await timed(submitting);
      const outcomes = outcomesOf(came);
      expect(outcomes.filter((outcome) => outcome === "accepted")).toHaveLength(99);
      expect(outcomes[50]).toBe("held up");
      expect(seconds).toBeLessThan(8);
    }
    const request = paymentRequest(platform, parties, locked);
    expect(reasonOf(await platform.core.submitPaymentMessage(request))).toBe("accepted");
  });

  test("while two locked orders are asked for again and again, other orders are paid", async () => {
    const held = [await createOrder(platform, parties.merchant), await createOrder(platform, parties.merchant)];
    await using _first = await holdsOrder(held[0] as Order);
    await using _second = await holdsOrder(held[1] as Order);
    let isOver = false;
    const stubborn: Promise<void>[] = [];
    for (const order of held) {
      stubborn.push(
        (async () => {
          while (!isOver) {
            await platform.core.submitPaymentMessage(paymentRequest(platform, parties, order)).catch(() => undefined);
          }
        })(),
      );
      // Each in a group of its own, so that no place for a group is left.
      await untilWaiting(stubborn.length);
    }
    const { seconds } = await timed(Promise.all(Array.from({ length: 10 }, () => pay(platform, parties))));
    isOver = true;
    await Promise.all(stubborn);
    expect(seconds).toBeLessThan(8);
  });

  test("expireOrders passes over a locked order and cancels the others", async () => {
    const orders = await Promise.all(Array.from({ length: 3 }, () => createOrder(platform, parties.merchant)));
    const guids = orders.map(({ id: guid }) => guid);
    await platform.rows("update payment_order set expires_at = now() where guid = any($1)", guids);
    await using _ = await holdsOrder(orders[1] as Order);
    expect(await platform.core.expireOrders(100)).toBe(2);
  });

  test("a payment that is locked does not keep the attempts of others from being recorded", async () => {
    const guids = await Promise.all([1, 2, 3].map(() => pay(platform, parties)));
    const claims = await Promise.all(
      guids.map(async (guid) => claim(platform, (await callbackOf(platform, guid, "pay_in_bank")).guid)),
    );
    await using _ = await holdsLock("select from payment_message where guid = $1 for update", guids[1]);
    const recording = Promise.allSettled(claims.map((claimed) => record(platform.core, claimed, "accepted")));
    const { came, seconds } = await timed(recording);
    expect(outcomesOf(came)).toEqual(["accepted", "held up", "accepted"]);
    expect(seconds).toBeLessThan(5);
    expect((await readMessage(platform, parties, guids[1] as string)).status).toBe(PaymentMessageStatus.PENDING);
  });

  test("lost attempts are counted although the payment of one of them is locked", async () => {
    const guids = await Promise.all([1, 2].map(() => pay(platform, parties)));
    for (const guid of guids) await claim(platform, (await callbackOf(platform, guid, "pay_in_bank")).guid);
    await platform.rows("update callback set wake_at = now() where payment_message_guid = any($1)", guids);
    const lockedCallback = await callbackOf(platform, guids[0] as string, "pay_in_bank");
    await using _ = await holdsLock("select from payment_message where guid = $1 for update", guids[0]);
    // The eleventh lost attempt ends its payment, so it needs the message's row.
    await platform.rows("update callback set attempts = 11 where guid = $1", lockedCallback.guid);
    await expect(platform.core.recordLostAttempts(100)).rejects.toThrow("lock timeout");
    expect(await callbackOf(platform, guids[1] as string, "pay_in_bank")).toMatchObject({ state: "waiting" });
  });
});

test("createOrder: two nodes that store the same refs in opposite order wait for each other in one direction only", async () => {
  const failures: unknown[] = [];
  /** A node whose statements that fail are noted. */
  const node = (): Core => {
    const { db } = platform.context;
    const hot: Sql = async (statement, values) => {
      try {
        return await db.hot<never>(statement, values);
      } catch (error) {
        failures.push(error);
        throw error;
      }
    };
    return createCore({ ...platform.context, db: { ...db, hot } });
  };
  const [first, second] = [node(), node()];
  const requests = ["a", "m", "z"].map((ref) => orderRequest(platform, parties.merchant, { ref }));
  const answering: Promise<unknown>[] = [];
  {
    // Both are stopped at the one in the middle, with what came before it in their hands.
    await using _ = await holdsLock(
      `insert into payment_order select gen_random_uuid(), $1, 'm', 1, 'UAH', 'p', 'u', null, now(), now(), 'created', now(), now(), ''`,
      parties.merchant.guid,
    );
    answering.push(...requests.map((request) => first.createOrder(request)));
    await untilWaiting(1);
    answering.push(...requests.toReversed().map((request) => second.createOrder(request)));
    await untilWaiting(2);
  }
  for (const answer of await Promise.all(answering)) accepted(answer);
  // A deadlock would have ended one of them, or the wait for a lock.
  expect(failures).toEqual([]);
});
