import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Register, type RegisterPayment, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import { platformActor } from "../../src/domain/actor.ts";
import type { Participant } from "../../src/domain/participant.ts";
import {
  accepted,
  bankRegistration,
  bankStatement,
  deliver,
  iban,
  merchantRegistration,
  openPlatform,
  operator,
  type Platform,
  pay,
  payWithSuccess,
  serial,
  setClock,
  settlementPayment,
} from "../core/platform.ts";

let platform: Platform;
beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

/** What this test knows by itself of a payment that succeeded, in its own words and its own arithmetic. */
type Known = { guid: string; from: string; to: string; amount: bigint; acceptedAt: string; succeededAt: string };
type Expected = { from: string; to: string; members: string[]; amount: bigint; fee: bigint };

const kyivDay = new Intl.DateTimeFormat("en-CA", { timeZone: "Europe/Kyiv" });

/** The rate of each bank from an instant on, in basis points, oldest first. */
const rates: Record<string, [since: string, basisPoints: bigint][]> = {};

function feeOf({ to, amount, acceptedAt }: Known): bigint {
  const rate = rates[to]?.findLast(([since]) => Date.parse(since) <= Date.parse(acceptedAt))?.[1] ?? 0n;
  const [whole, rest] = [(amount * rate) / 10_000n, (amount * rate) % 10_000n];
  return rest >= 5_000n ? whole + 1n : whole;
}

function expectedOf(payments: readonly Known[], day: string): Expected[] {
  const pairs = Map.groupBy(
    payments.filter(({ succeededAt }) => kyivDay.format(new Date(succeededAt)) === day),
    ({ from, to }) => `${from} ${to}`,
  );
  return [...pairs].map(([pair, members]) => {
    const [from = "", to = ""] = pair.split(" ");
    const sum = (of: (payment: Known) => bigint) => members.reduce((total, member) => total + of(member), 0n);
    return {
      from,
      to,
      members: members.map(({ guid }) => guid).sort(),
      amount: sum(({ amount }) => amount),
      fee: sum(feeOf),
    };
  });
}

const byPair = (one: { from: string; to: string }, other: { from: string; to: string }) =>
  `${one.from} ${one.to}` < `${other.from} ${other.to}` ? -1 : 1;

async function seen(register: Register): Promise<Expected> {
  const page = { limit: 1_000 };
  const { payments } = accepted(await platform.core.getRegister(register.debtorAgent?.guid, register.id, page));
  const sum = (of: (payment: RegisterPayment) => bigint) =>
    payments.reduce((total, payment) => total + of(payment), 0n);
  const amountOf = ({ amount }: RegisterPayment) => amount?.amountMinor ?? 0n;
  const total = register.totalAmount?.amountMinor ?? 0n;
  // Totals and members have to say the same.
  expect(sum(amountOf)).toBe(total);
  expect(sum(({ feeMinor }) => feeMinor)).toBe(register.totalFeeMinor);
  expect(register.paymentCount).toBe(payments.length);
  return {
    from: register.debtorAgent?.guid ?? "",
    to: register.creditorAgent?.guid ?? "",
    members: payments.map(({ paymentMessageGuid: guid }) => guid).sort(),
    amount: total,
    fee: register.totalFeeMinor,
  };
}

// The last Sunday of October has 25 hours in Kyiv: summer time until the 25th, winter time from then on.
const days = ["2026-10-24", "2026-10-25", "2026-10-26"] as const;
const midnights = ["2026-10-24T21:00:00.000Z", "2026-10-25T22:00:00.000Z"];
const justBefore = (instant: string) => new Date(Date.parse(instant) - 1).toISOString();

test("three days of mixed payments agree with an independent computation, to the last unit, and end paid", async () => {
  const at = (instant: string) => setClock(platform, new Date(instant));
  await at("2026-10-20T09:00:00Z");
  const register = async (changes: Parameters<typeof bankRegistration>[0]) =>
    accepted(await platform.core.registerParticipant(operator, bankRegistration(changes)));
  const north = await register({ roles: ["initiator", "recipient"], feeBasisPoints: 25 });
  const south = await register({ roles: ["initiator", "recipient"], feeBasisPoints: 0 });
  const idle = await register({ roles: ["initiator"] });
  const shops = new Map<Participant, Participant>();
  for (const bank of [north, south]) {
    shops.set(bank, accepted(await platform.core.registerParticipant(operator, merchantRegistration(bank))));
  }
  rates[north.guid] = [["2026-10-20T09:00:00Z", 25n]];
  rates[south.guid] = [["2026-10-20T09:00:00Z", 0n]];

  const payments: Known[] = [];
  const parties = (from: Participant, to: Participant) => ({
    initiator: from,
    recipient: to,
    merchant: shops.get(to) as Participant,
  });
  async function succeed(
    from: Participant,
    to: Participant,
    amount: bigint,
    acceptedAt: string,
    succeededAt = acceptedAt,
  ) {
    await at(acceptedAt);
    const request = { amountMinor: Number(amount), decidedAt: succeededAt };
    const guid = await payWithSuccess(platform, parties(from, to), request);
    payments.push({ guid, from: from.guid, to: to.guid, amount, acceptedAt, succeededAt });
  }

  for (const [place, day] of days.entries()) {
    if (place === 1) {
      // From here on another fee and another account: neither touches what was accepted or closed before.
      await at(`${day}T08:00:00Z`);
      const change = { feeBasisPoints: 333, iban: iban(north.bic ?? "", "77") };
      // The same object, so that whoever holds it goes on as the new version.
      Object.assign(north, accepted(await platform.core.updateParticipant(operator, north.guid, change)));
      rates[north.guid]?.push([`${day}T08:00:00Z`, 333n]);
    }
    await succeed(south, north, 1n, `${day}T07:30:00Z`);
    await succeed(south, north, 199n, `${day}T09:00:00Z`);
    await succeed(south, north, 99_999_999_999n, `${day}T10:00:00Z`);
    await succeed(north, south, 12_345n, `${day}T11:00:00Z`);
    await succeed(north, north, 777n, `${day}T12:00:00Z`);
    await at(`${day}T13:00:00Z`);
    const rejected = await pay(platform, parties(south, north), { amountMinor: 5_555 });
    await deliver(platform, rejected, "pay_in_bank", "refused");
    const midnight = midnights[place];
    if (midnight !== undefined) {
      // Accepted before midnight; of two successes a millisecond apart one belongs to each day.
      await succeed(south, north, 10_001n, `${day}T20:30:00Z`, justBefore(midnight));
      await succeed(south, north, 20_002n, `${day}T20:30:00Z`, midnight);
    }
  }

  await at("2026-10-27T08:00:00Z");
  const closing = await platform.core.closeOverdueDays(platformActor);
  expect(closing.failures).toEqual([]);
  expect(closing.days.slice(-3)).toEqual([...days]);

  const ids = await platform.rows<{ id: string; day: string }>(
    "select id, to_char(day, 'YYYY-MM-DD') as day from settlement_register order by day, increment",
  );
  const registers: Register[] = [];
  for (const { id } of ids) registers.push(accepted(await platform.core.listRegisterActs(id, 0)).register);
  for (const day of days) {
    const ofDay = registers.filter((made) => made.day === day);
    const full = ofDay.filter(({ creditorAgent }) => creditorAgent?.guid !== "");
    expect((await Promise.all(full.map(seen))).sort(byPair)).toEqual(expectedOf(payments, day).sort(byPair));
    expect(
      ofDay.filter(({ status }) => status === RegisterStatus.SENT_NO_PM).map(({ debtorAgent }) => debtorAgent?.guid),
    ).toEqual([idle.guid]);
    expect(
      full.filter(({ status }) => status === RegisterStatus.SENT_INTERNAL).map(({ debtorAgent }) => debtorAgent?.guid),
    ).toEqual([north.guid]);
    // All three are closed on one day, after the account had changed: the account is that of the closing.
    for (const made of full.filter(({ creditorAgent }) => creditorAgent?.guid === north.guid)) {
      expect(made.chargingAccount).toBe(iban(north.bic ?? "", "77"));
    }
  }
  expect(new Set(payments.map(({ guid }) => guid)).size).toBe(3 * 5 + 4);

  // A success of the second day that surfaces now.
  await succeed(north, south, 4_242n, "2026-10-25T15:00:00Z", "2026-10-25T15:00:05Z");
  const late = payments.at(-1) as Known;
  await at("2026-10-28T08:00:00Z");
  const [adjustment, ...others] = accepted(await platform.core.closeRegisters(operator, days[1], false));
  expect(others).toEqual([]);
  expect(adjustment).toMatchObject({
    id: "2810261",
    adjustsDay: days[1],
    periodStart: timestampFromDate(new Date("2026-10-24T21:00:00.000Z")),
  });
  expect(await seen(adjustment as Register)).toEqual({
    from: north.guid,
    to: south.guid,
    members: [late.guid],
    amount: 4_242n,
    fee: feeOf(late),
  });
  registers.push(adjustment as Register);

  // Every register that is owed is settled; one of them fails at first.
  let owed = 0n;
  for (const [place, made] of registers.entries()) {
    if (made.status === RegisterStatus.SENT_NO_PM) continue;
    const debtorAgent = [north, south].find(({ guid }) => guid === made.debtorAgent?.guid) as Participant;
    const call = () => bankStatement(platform, debtorAgent, made.id);
    if (made.status === RegisterStatus.SENT_INTERNAL) {
      expect(await platform.core.confirmInternalRegister(call())).toEqual({ repeated: false });
      continue;
    }
    owed += (made.totalAmount?.amountMinor ?? 0n) - made.totalFeeMinor;
    const statements = place % 2 === 0 ? ["RJCT", "ACSC"] : ["ACCC"];
    for (const paymentStatus of statements) {
      const stated = settlementPayment(made, serial(), { creationDate: "2026-10-28" });
      expect(await platform.core.payRegister({ ...call(), payment: stated })).toEqual({ repeated: false });
      const confirmed = { ...call(), payment: stated, paymentStatus };
      expect(await platform.core.confirmRegister(confirmed)).toEqual({ repeated: false });
    }
  }
  const between = payments.filter(({ from, to }) => from !== to);
  expect(owed).toBe(between.reduce((total, known) => total + known.amount - feeOf(known), 0n));
  expect(
    await platform.rows(
      "select status, count(*) from settlement_register where day >= '2026-10-24' group by 1 order by 1",
    ),
  ).toEqual([
    { status: "paid", count: 3 * 3 + 1 },
    { status: "sent_no_pm", count: 3 },
  ]);
  expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
});
