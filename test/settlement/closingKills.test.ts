import { afterAll, beforeAll, expect, test } from "vitest";
import type { Register } from "../../gen/dcm/v1/settlement_pb.ts";
import { createCore } from "../../src/core/core.ts";
import type { Database } from "../../src/db/database.ts";
import type { Sql } from "../../src/db/pool.ts";
import { platformActor } from "../../src/domain/actor.ts";
import {
  accepted,
  bankRegistration,
  merchantRegistration,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  payWithSuccess,
  registerParties,
  setClock,
} from "../core/platform.ts";

let platform: Platform;
let between: Parties;
let inside: Parties;

beforeAll(async () => {
  platform = await openPlatform();
  between = await registerParties(platform);
  const both = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
  const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(both)));
  inside = { initiator: both, recipient: both, merchant };
  // One bank is idle on every day; one is told of its registers.
  accepted(await platform.core.registerParticipant(operator, bankRegistration({ roles: ["initiator"] })));
  const callbackUrls = { base: "https://bank.example", gross_settlement: "https://bank.example/registers" };
  accepted(await platform.core.updateParticipant(operator, between.recipient.guid, { callbackUrls }));
  await platform.rows("update participant set created_at = '2026-01-01T00:00:00Z'");
});
afterAll(() => platform.close());

const killConnection = { name: "", text: "select pg_terminate_backend(pg_backend_pid())" };

/**
 * A process that dies at the n-th step of its work on the database: its connection ends before the statement, and nothing that
 * comes after is done. Begins and commits are steps as well.
 */
function dyingAt(step: number): { db: Database; wasReached: () => boolean } {
  let taken = 0;
  const isDue = () => {
    taken += 1;
    return taken >= step;
  };
  const die = async (sql: Sql) => {
    await sql(killConnection);
    throw new Error("unreachable: the connection has ended");
  };
  const db: Database = {
    ...platform.db,
    sql: async (statement, values) => (isDue() ? die(platform.db.sql) : platform.db.sql(statement, values)),
    transaction: async (work) => {
      if (isDue()) return die(platform.db.sql);
      return platform.db.transaction(async (sql) => {
        const result = await work(async (statement, values) => (isDue() ? die(sql) : sql(statement, values)));
        if (isDue()) return die(sql);
        return result;
      });
    },
  };
  return { db, wasReached: () => taken >= step };
}

const amountOf = ({ totalAmount }: Register) => Number(totalAmount?.amountMinor);

/** Each day of May is killed at another step; the closing that comes after finishes the day. */
test("a closing that is killed at any step is finished by the next one, and makes and tells nothing twice", async () => {
  await setClock(platform, new Date("2026-09-01T08:00:00Z"));
  let step = 1;
  for (let isReached = true; isReached; step += 1) {
    const date = new Date(Date.UTC(2026, 1, step));
    const day = date.toISOString().slice(0, 10);
    const decidedAt = `${day}T09:00:00Z`;
    await payWithSuccess(platform, between, { amountMinor: 100, decidedAt });
    await payWithSuccess(platform, between, { amountMinor: 23, decidedAt });
    await payWithSuccess(platform, inside, { amountMinor: 7, decidedAt });
    const { db, wasReached } = dyingAt(step);
    const dying = createCore({ ...platform.context, db });
    await dying.closeRegisters(operator, day, false).catch(() => undefined);
    isReached = wasReached();
    // Whatever was left: nobody has seen a register that is not whole.
    const shown = await platform.core.listRegisters({
      bankGuid: between.initiator.guid,
      anySide: true,
      statuses: [],
      from: new Date(0),
      offset: 0,
      limit: 500,
    });
    const ofDay = shown.registers.filter((register) => register.day === day);
    expect([[], [123]], `step ${step}`).toContainEqual(ofDay.map(amountOf));

    accepted(await platform.core.closeRegisters(operator, day, false));
    const made = await platform.rows(
      `select r.status, r.total_amount_minor, r.payment_count, r.adjusts_day,
         (select count(*) from register_act a where a.register_id = r.id) as acts,
         (select count(*) from callback c where c.register_id = r.id) as callbacks
       from settlement_register r where r.day = $1::date order by r.total_amount_minor`,
      day,
    );
    const once = { adjusts_day: null, acts: 1 };
    expect(made, `step ${step}`).toEqual([
      { ...once, status: "sent_no_pm", total_amount_minor: 0, payment_count: 0, callbacks: 0 },
      { ...once, status: "sent_internal", total_amount_minor: 7, payment_count: 1, callbacks: 0 },
      { ...once, status: "sent", total_amount_minor: 123, payment_count: 2, callbacks: 1 },
    ]);
  }
  // The steps of begin, two fills, publish and the reading afterwards: fewer would mean that the kills hit nothing.
  expect(step).toBeGreaterThan(25);
  expect((await platform.core.closeOverdueDays(platformActor)).failures).toEqual([]);
  expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
}, 120_000);

test("a closing publishes nothing that is not filled, also what another one has begun meanwhile", async () => {
  await setClock(platform, new Date("2026-09-10T08:00:00Z"));
  for (let before = 2; ; before += 1) {
    const day = `2026-09-0${before}`;
    const decidedAt = `${day}T09:00:00Z`;
    await payWithSuccess(platform, between, { amountMinor: 100, decidedAt });
    let transactions = 0;
    const slow: Database = {
      ...platform.db,
      transaction: async (work) => {
        transactions += 1;
        // A payment of another pair succeeds, and another closing begins its register and dies.
        if (transactions === before) {
          await payWithSuccess(platform, inside, { amountMinor: 7, decidedAt });
          let others = 0;
          const begins: Database = {
            ...platform.db,
            transaction: (begin) => {
              others += 1;
              return others === 1 ? platform.db.transaction(begin) : Promise.reject(new Error("killed"));
            },
          };
          const dying = createCore({ ...platform.context, db: begins }).closeRegisters(operator, day, false);
          await expect(dying).rejects.toThrow("killed");
        }
        return platform.db.transaction(work);
      },
    };
    const made = accepted(await createCore({ ...platform.context, db: slow }).closeRegisters(operator, day, false));
    made.push(...accepted(await platform.core.closeRegisters(operator, day, false)));
    const full = made.filter((register) => amountOf(register) > 0);
    const wasReached = transactions >= before;
    const expected = wasReached ? [7, 100] : [100];
    expect(
      full.map(amountOf).sort((a, b) => a - b),
      day,
    ).toEqual(expected);
    expect(full.map(({ paymentCount }) => paymentCount)).toEqual(expected.map(() => 1));
    expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
    if (!wasReached) {
      // Begin, fill, look on, look from the start and publish: fewer would mean that nothing came between.
      expect(transactions).toBeGreaterThanOrEqual(3);
      break;
    }
  }
}, 60_000);
