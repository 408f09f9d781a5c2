import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { platformActor } from "../../src/domain/actor.ts";
import { isoText } from "../../src/wire/values.ts";
import {
  accepted,
  bankRegistration,
  deliver,
  merchantRegistration,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  pay,
  payWithSuccess,
  reasonOf,
  registerParties,
  setClock,
} from "./platform.ts";

// Closing is about everything that the platform has, so each test has a database of its own.
let platform: Platform;
let parties: Parties;

beforeEach(async () => {
  platform = await openPlatform();
  parties = await registerParties(platform);
  // The banks were there from the first of the days that are closed here.
  await platform.rows("update participant set created_at = '2026-05-10T00:00:00Z'");
  await platform.rows("update fee_rate set effective_from = '2026-05-10T00:00:00Z'");
});
afterEach(() => platform.close());

const day = "2026-05-10";
const all = { limit: 1_000 };
const noonOf = (calendarDay: string) => `${calendarDay}T09:00:00Z`;
const close = async (calendarDay = day, core = platform.core) =>
  accepted(await core.closeRegisters(operator, calendarDay, false));
const paid = (amountMinor: number, decidedAt = noonOf(day)) =>
  payWithSuccess(platform, parties, { amountMinor, decidedAt });

async function membersOf(registerId: string) {
  return accepted(await platform.core.getRegister(undefined, registerId, all)).payments.map(
    ({ paymentMessageGuid: guid }) => guid,
  );
}

/** Every register agrees with its payments, and no payment of a past day is in none. */
async function expectReconciled() {
  expect(await platform.core.reconcileRegisters(3_650)).toEqual([]);
}

describe("closeRegisters", () => {
  test("each successful payment of the day is in exactly one register, whose totals are their sum", async () => {
    const members = [await paid(2_100), await paid(150_075), await paid(1)];
    const pending = await pay(platform, parties);
    const [register, ...others] = await close();
    expect(others).toEqual([]);
    expect(register).toMatchObject({
      id: "1005261",
      day,
      status: RegisterStatus.SENT,
      totalAmount: { amountMinor: 152_176n, currency: "UAH" },
      totalFeeMinor: 0n,
      paymentCount: 3,
      debtorAgent: { guid: parties.initiator.guid },
      creditorAgent: { guid: parties.recipient.guid },
      chargingAccount: parties.recipient.iban,
      creditorCode: parties.recipient.taxCode,
    });
    expect(await membersOf("1005261")).toEqual(members.sort());
    expect(members).not.toContain(pending);
    await expectReconciled();
  });

  test("closing again makes nothing twice; what surfaces for a closed day goes into an adjustment of it", async () => {
    await paid(100);
    const [made] = await close();
    expect(made?.adjustsDay).toBe("");
    expect(await close()).toEqual([]);
    await setClock(platform, new Date("2026-05-20T08:00:00Z"));
    const straggler = await paid(200);
    const [adjustment, ...others] = await close();
    expect(others).toEqual([]);
    // Its id is of the day on which it is made, its period that of the day that it adjusts.
    expect(adjustment).toMatchObject({
      id: "2005261",
      day: "2026-05-20",
      adjustsDay: day,
      status: RegisterStatus.SENT,
      totalAmount: { amountMinor: 200n },
      paymentCount: 1,
      periodStart: made?.periodStart,
      periodEnd: made?.periodEnd,
    });
    expect(await membersOf("2005261")).toEqual([straggler]);
    expect(await membersOf(made?.id ?? "")).not.toContain(straggler);
    expect(await close()).toEqual([]);
    // The day of its id is numbered on, and an adjustment is no register of that day: who paid nothing still gets the empty one.
    await setClock(platform, new Date("2026-05-21T08:00:00Z"));
    expect((await close("2026-05-20")).map(({ id, status }) => [id, status])).toEqual([
      ["2005262", RegisterStatus.SENT_NO_PM],
    ]);
    await expectReconciled();
  });

  test("a day that is closed while it lasts is not closed: what comes later goes into a further register of it", async () => {
    await setClock(platform, new Date("2026-05-10T12:00:00Z"));
    await paid(100);
    const first = accepted(await platform.core.closeRegisters(operator, day, true));
    await paid(200);
    await setClock(platform, new Date("2026-05-11T12:00:00Z"));
    const [second] = await close();
    expect([first[0]?.id, second?.id]).toEqual(["1005261", "1005262"]);
    expect([first[0]?.adjustsDay, second?.adjustsDay]).toEqual(["", ""]);
    await expectReconciled();
  });

  test("a register is a snapshot: a bank's new name, account and fee change nothing that was made", async () => {
    await paid(100);
    const [made] = await close();
    const change = { name: "Renamed Bank", iban: "UA213223130000026007233566001", feeBasisPoints: 10_000 };
    const changed = accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, change));
    expect(changed).toMatchObject(change);
    const read = accepted(await platform.core.getRegister(parties.recipient.guid, made?.id ?? "", all));
    expect(read.register).toEqual(made);
    expect(read.register.creditorAgent?.name).toBe(parties.recipient.name);
    expect(read.register.chargingAccount).toBe(parties.recipient.iban);
    expect(read.register.purpose).toBe(`Gross settlement register ${made?.id}`);
  });

  test("a fee is that of the instant at which the message was accepted, not that of the closing", async () => {
    const fee = async (feeBasisPoints: number) =>
      accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { feeBasisPoints }));
    const guids: string[] = [];
    for (const [instant, basisPoints] of [
      ["2026-05-10T08:00:00Z", 100],
      ["2026-05-10T09:00:00Z", 250],
      ["2026-05-10T10:00:00Z", 0],
    ] as const) {
      await setClock(platform, new Date(instant));
      await fee(basisPoints);
      guids.push(await paid(10_000, instant));
    }
    await setClock(platform, new Date("2026-05-11T08:00:00Z"));
    await fee(5_000);
    const [register] = await close();
    const { payments } = accepted(await platform.core.getRegister(undefined, register?.id ?? "", all));
    expect(Object.fromEntries(payments.map(({ paymentMessageGuid: guid, feeMinor }) => [guid, feeMinor]))).toEqual({
      [guids[0] ?? ""]: 100n,
      [guids[1] ?? ""]: 250n,
      [guids[2] ?? ""]: 0n,
    });
    expect(register?.totalFeeMinor).toBe(350n);
  });

  test("the fee of a bank whose rates were not kept yet counts for what was accepted under it", async () => {
    accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { feeBasisPoints: 100 }));
    await platform.rows("delete from fee_rate where bank_guid = $1", parties.recipient.guid);
    await paid(10_000);
    accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { feeBasisPoints: 5_000 }));
    expect((await close())[0]).toMatchObject({ totalFeeMinor: 100n });
  });

  test.each([
    ["between two banks", false],
    ["inside one bank", true],
  ])("with nothing to pay after fees a register %s is Paid from the start", async (_, isInternal) => {
    const roles = { roles: ["initiator", "recipient"] as const, feeBasisPoints: 10_000 };
    const bank = accepted(
      await platform.core.registerParticipant(operator, { ...bankRegistration(), ...roles, roles: [...roles.roles] }),
    );
    const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(bank)));
    const initiator = isInternal ? bank : parties.initiator;
    await payWithSuccess(
      platform,
      { initiator, recipient: bank, merchant },
      { amountMinor: 500, decidedAt: noonOf(day) },
    );
    const made = (await close()).find(({ creditorAgent }) => creditorAgent?.guid === bank.guid);
    expect(made).toMatchObject({
      status: RegisterStatus.PAID,
      totalAmount: { amountMinor: 500n },
      totalFeeMinor: 500n,
    });
    await expectReconciled();
  });

  test("two processes that close at the same time make each register once", async () => {
    for (let number = 1; number <= 5; number += 1) await paid(number);
    const second = await platform.secondCore();
    const made = (await Promise.all([close(), close(day, second), close(), close(day, second)])).flat();
    expect(made).toHaveLength(1);
    expect(made[0]).toMatchObject({ totalAmount: { amountMinor: 15n }, paymentCount: 5 });
    await expectReconciled();
  });

  test("one register for each pair of banks and currency", async () => {
    const other = await registerParties(platform, { initiator: { roles: ["initiator"] } });
    await platform.rows("update participant set created_at = '2026-01-01T00:00:00Z'");
    await paid(100);
    await payWithSuccess(platform, parties, { amountMinor: 200, currency: "EUR", decidedAt: noonOf(day) });
    await payWithSuccess(
      platform,
      { ...parties, initiator: other.initiator },
      { amountMinor: 300, decidedAt: noonOf(day) },
    );
    await payWithSuccess(
      platform,
      { ...other, initiator: parties.initiator },
      { amountMinor: 400, decidedAt: noonOf(day) },
    );
    const registers = await close();
    expect(registers.map(({ totalAmount }) => [totalAmount?.currency, totalAmount?.amountMinor]).sort()).toEqual([
      ["EUR", 200n],
      ["UAH", 100n],
      ["UAH", 300n],
      ["UAH", 400n],
    ]);
    expect(new Set(registers.map(({ id }) => id)).size).toBe(4);
    await expectReconciled();
  });

  test("a rejected payment is in no register", async () => {
    const guid = await pay(platform, parties);
    await deliver(platform, guid, "pay_in_bank", "refused");
    await platform.rows("update payment_message set decided_at = $1", noonOf(day));
    const [empty, ...others] = await close();
    expect([empty?.status, empty?.paymentCount, others.length]).toEqual([RegisterStatus.SENT_NO_PM, 0, 0]);
  });

  test("an initiator bank without payments gets one empty register, once", async () => {
    const [empty, ...others] = await close();
    expect(others).toEqual([]);
    expect(empty).toMatchObject({
      status: RegisterStatus.SENT_NO_PM,
      debtorAgent: { guid: parties.initiator.guid },
      creditorAgent: { guid: "", name: "", bic: "" },
      totalAmount: { amountMinor: 0n },
      paymentCount: 0,
    });
    expect(await close()).toEqual([]);
    await expectReconciled();
  });

  test("a bank that came after the day gets no register of it", async () => {
    await platform.rows("update participant set created_at = '2026-05-10T21:00:00Z'");
    expect(await close()).toEqual([]);
  });

  test("both sides are the same institution: the register is internal", async () => {
    const both = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(both)));
    await payWithSuccess(platform, { initiator: both, recipient: both, merchant }, { decidedAt: noonOf(day) });
    const internal = (await close()).find(({ debtorAgent }) => debtorAgent?.guid === both.guid);
    expect(internal).toMatchObject({ status: RegisterStatus.SENT_INTERNAL, paymentCount: 1 });
  });

  test("fees are the recipient bank's basis points of each payment, half a kopiyka rounded up", async () => {
    accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { feeBasisPoints: 50 }));
    // 50 basis points: 100 → 0.5 → 1, 99 → 0.495 → 0, 150 075 → 750.375 → 750
    for (const amountMinor of [100, 99, 150_075]) await paid(amountMinor);
    const [register] = await close();
    expect(register).toMatchObject({ totalFeeMinor: 751n });
    const { payments } = accepted(await platform.core.getRegister(undefined, register?.id ?? "", all));
    expect(payments.map(({ feeMinor }) => Number(feeMinor)).sort((a, b) => a - b)).toEqual([0, 1, 750]);
    await expectReconciled();
  });

  test("the largest amounts and the largest fee add up exactly", async () => {
    accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { feeBasisPoints: 10_000 }));
    await paid(99_999_999_999);
    await paid(99_999_999_999);
    expect((await close())[0]).toMatchObject({
      totalAmount: { amountMinor: 199_999_999_998n },
      totalFeeMinor: 199_999_999_998n,
    });
  });

  test("the day must be over in Kyiv, unless it is said that it need not be", async () => {
    // 20:59:59 UTC is 23:59:59 in Kyiv in summer.
    await setClock(platform, new Date("2026-05-10T20:59:59Z"));
    await paid(100);
    const notOver = { refused: "DAY_IS_NOT_OVER", field: "day" };
    expect(await platform.core.closeRegisters(operator, day, false)).toMatchObject(notOver);
    expect(accepted(await platform.core.closeRegisters(operator, day, true))).toHaveLength(1);
    await setClock(platform, new Date("2026-05-10T21:00:58Z"));
    expect(reasonOf(await platform.core.closeRegisters(operator, day, false))).toBe("DAY_IS_NOT_OVER");
    await setClock(platform, new Date("2026-05-10T21:01:00Z"));
    expect(reasonOf(await platform.core.closeRegisters(operator, day, false))).toBe("accepted");
  });

  test.each(["2026-02-30", "10.05.2026", ""])("%j is no day", async (text) => {
    expect(await platform.core.closeRegisters(operator, text, false)).toMatchObject({
      refused: "INVALID_REQUEST",
      field: "day",
    });
  });
});

describe("the Kyiv day", () => {
  test.each([
    ["a winter day", "2026-01-15", "2026-01-14T22:00:00.000Z", "2026-01-15T22:00:00.000Z"],
    ["a summer day", "2026-07-15", "2026-07-14T21:00:00.000Z", "2026-07-15T21:00:00.000Z"],
    ["the day with 23 hours", "2026-03-29", "2026-03-28T22:00:00.000Z", "2026-03-29T21:00:00.000Z"],
    ["the day with 25 hours", "2026-10-25", "2026-10-24T21:00:00.000Z", "2026-10-25T22:00:00.000Z"],
  ])("%s begins and ends at Kyiv midnight, and each instant belongs to one day", async (_, calendarDay, start, end) => {
    await setClock(platform, new Date("2027-01-01T12:00:00Z"));
    const justBefore = (instant: string) => new Date(Date.parse(instant) - 1).toISOString();
    await paid(1, justBefore(start));
    const members = [await paid(10, start), await paid(100, justBefore(end))];
    await paid(1_000, end);
    const [register] = await close(calendarDay);
    expect(register).toMatchObject({ totalAmount: { amountMinor: 110n } });
    expect([isoText(register?.periodStart), isoText(register?.periodEnd)]).toEqual([start, end]);
    expect(await membersOf(register?.id ?? "")).toEqual(members.sort());
    const dayAfter = new Date(Date.parse(`${calendarDay}T00:00:00Z`) + 24 * 60 * 60 * 1000).toISOString().slice(0, 10);
    expect((await close(dayAfter))[0]).toMatchObject({ totalAmount: { amountMinor: 1_000n } });
  });
});

describe("closeOverdueDays", () => {
  /** The days that were closed; none may have failed. */
  async function overdueDays() {
    const { days, failures } = await platform.core.closeOverdueDays(platformActor);
    expect(failures).toEqual([]);
    return days;
  }

  test("after a standstill every past day is closed, with payments or without", async () => {
    await setClock(platform, new Date("2026-05-14T08:00:00Z"));
    await paid(1, noonOf("2026-05-10"));
    await paid(2, noonOf("2026-05-12"));
    await paid(4, noonOf("2026-05-14"));
    expect(await overdueDays()).toEqual(["2026-05-10", "2026-05-11", "2026-05-12", "2026-05-13"]);
    expect(await overdueDays()).toEqual([]);
    await expectReconciled();
  });

  test("the days of a standstill, on which nobody paid, have their empty registers too", async () => {
    await setClock(platform, new Date("2026-05-11T08:00:00Z"));
    await paid(1);
    expect(await overdueDays()).toEqual([day]);
    await setClock(platform, new Date("2026-05-14T08:00:00Z"));
    expect(await overdueDays()).toEqual(["2026-05-11", "2026-05-12", "2026-05-13"]);
    expect(await overdueDays()).toEqual([]);
    const kept = await platform.rows("select day::text, status from settlement_register order by day");
    expect(kept).toEqual([
      { day, status: "sent" },
      { day: "2026-05-11", status: "sent_no_pm" },
      { day: "2026-05-12", status: "sent_no_pm" },
      { day: "2026-05-13", status: "sent_no_pm" },
    ]);
  });

  test("a later day that is closed by hand first costs no earlier day its empty registers", async () => {
    await setClock(platform, new Date("2026-05-14T08:00:00Z"));
    await paid(1, noonOf("2026-05-12"));
    expect((await close("2026-05-12")).map(({ status }) => status)).toEqual([RegisterStatus.SENT]);
    expect(await overdueDays()).toEqual(["2026-05-10", "2026-05-11", "2026-05-13"]);
    const kept = await platform.rows("select day::text, status from settlement_register order by day");
    expect(kept).toEqual([
      { day, status: "sent_no_pm" },
      { day: "2026-05-11", status: "sent_no_pm" },
      { day: "2026-05-12", status: "sent" },
      { day: "2026-05-13", status: "sent_no_pm" },
    ]);
  });

  test.each([
    ["its rows are refused", "23514"],
    ["its statement takes too long", "57014"],
    ["it waits for a lock too long", "55P03"],
  ])("a day that cannot be closed because %s stops no other, and is closed once it can be", async (_, code) => {
    await setClock(platform, new Date("2026-05-13T08:00:00Z"));
    await paid(1, noonOf("2026-05-11"));
    await platform.rows(`create function broken() returns trigger language plpgsql as
      $$ begin raise exception 'this day is broken' using errcode = '${code}'; end $$`);
    await platform.rows(`create trigger broken before insert on settlement_register for each row
      when (new.day = '2026-05-11') execute function broken()`);
    expect(await platform.core.closeOverdueDays(platformActor)).toEqual({
      days: ["2026-05-10", "2026-05-12"],
      failures: [{ day: "2026-05-11", problem: expect.stringContaining("broken") }],
    });
    await platform.rows("drop trigger broken on settlement_register");
    expect(await overdueDays()).toEqual(["2026-05-11"]);
    await expectReconciled();
  });

  test("a day is closed from 00:01 in Kyiv on, not at midnight", async () => {
    await setClock(platform, new Date("2026-05-10T21:00:59Z"));
    await paid(1);
    expect(await overdueDays()).not.toContain(day);
    await setClock(platform, new Date("2026-05-10T21:01:00Z"));
    expect(await overdueDays()).toContain(day);
    await expectReconciled();
  });
});

describe("reconcileRegisters", () => {
  test("it names a payment that is in no register and a register whose totals are wrong", async () => {
    const guid = await paid(100);
    const [register] = await close();
    await platform.rows("update settlement_register set total_amount_minor = 99");
    const forgotten = await paid(5);
    expect(await platform.core.reconcileRegisters(3_650)).toEqual([
      { problem: "payment in no register", id: forgotten },
      { problem: "register totals differ from its payments", id: register?.id },
    ]);
    expect(guid).not.toBe(forgotten);
  });
});

describe("Gross_Settlement", () => {
  test("only banks with a URL of its own for it are told, each register once", async () => {
    const callbackUrls = { base: "https://bank.example", gross_settlement: "https://bank.example/registers" };
    accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { callbackUrls }));
    await paid(100);
    const [register] = await close();
    await close();
    const callbacks = await platform.rows(
      "select kind, register_id, receiver_guid, state from callback where register_id is not null",
    );
    expect(callbacks).toEqual([
      { kind: "gross_settlement", register_id: register?.id, receiver_guid: parties.recipient.guid, state: "waiting" },
    ]);
  });
});

describe("reading registers", () => {
  test("both banks read a register, a third does not learn that it exists", async () => {
    await paid(100);
    const [register] = await close();
    const id = register?.id ?? "";
    for (const bank of [parties.initiator, parties.recipient]) {
      expect(accepted(await platform.core.getRegister(bank.guid, id, all)).payments).toHaveLength(1);
    }
    const stranger = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    expect(reasonOf(await platform.core.getRegister(stranger.guid, id, all))).toBe("REGISTER_NOT_FOUND");
    expect(reasonOf(await platform.core.getRegister(stranger.guid, "9999991", all))).toBe("REGISTER_NOT_FOUND");
  });

  test("a register that a closing still fills is seen by nobody", async () => {
    await paid(100);
    const [register] = await close();
    await platform.rows("update settlement_register set status = 'closing'");
    const asked = {
      bankGuid: parties.initiator.guid,
      anySide: true,
      statuses: [],
      from: new Date(0),
      limit: 10,
      offset: 0,
    };
    expect(await platform.core.listRegisters(asked)).toEqual({ registers: [], total: 0 });
    expect(reasonOf(await platform.core.getRegister(undefined, register?.id ?? "", all))).toBe("REGISTER_NOT_FOUND");
  });

  test("a register of an institution with itself is listed and counted once, whichever side is asked for", async () => {
    await paid(100);
    const [register] = await close();
    await platform.rows("update settlement_register set creditor_agent_guid = debtor_agent_guid");
    for (const anySide of [true, false]) {
      const asked = {
        bankGuid: parties.initiator.guid,
        anySide,
        statuses: [],
        from: new Date(0),
        limit: 10,
        offset: 0,
      };
      const { registers, total } = await platform.core.listRegisters(asked);
      expect([registers.map(({ id }) => id), total]).toEqual([[register?.id], 1]);
    }
  });

  test("listRegisters: newest first, of the side that is asked for, within the period, page by page", async () => {
    for (const calendarDay of ["2026-05-08", "2026-05-09", "2026-05-10"]) {
      await paid(100, noonOf(calendarDay));
      await close(calendarDay);
    }
    const list = async (query: Partial<Parameters<typeof platform.core.listRegisters>[0]>) =>
      (
        await platform.core.listRegisters({
          bankGuid: parties.initiator.guid,
          anySide: false,
          statuses: [],
          offset: 0,
          limit: 50,
          ...query,
        })
      ).registers.map(({ id }) => id);
    expect(await list({})).toEqual(["1005261", "0905261", "0805261"]);
    expect(await list({ offset: 1, limit: 1 })).toEqual(["0905261"]);
    expect(await list({ bankGuid: parties.recipient.guid })).toEqual([]);
    expect(await list({ bankGuid: parties.recipient.guid, anySide: true })).toHaveLength(3);
    await platform.rows("update settlement_register set created_at = now() - interval '8 days' where id = '0805261'");
    expect(await list({})).toHaveLength(2);
    expect(await list({ from: new Date(Date.now() - 9 * 24 * 60 * 60 * 1000) })).toHaveLength(3);
    expect(await list({ to: new Date(Date.now() - 60 * 60 * 1000) })).toEqual([]);
  });
});
