import { setTimeout as delay } from "node:timers/promises";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import pg from "pg";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Register, RegisterAct } from "../../gen/dcm/v1/settlement_pb.ts";
import { PartyChanged } from "../../src/core/identity/partyChanged.ts";
import type { ConfirmStatement, PayStatement } from "../../src/core/registerStatements.ts";
import { databaseFailure } from "../../src/db/failure.ts";
import type { SettlementPayment } from "../../src/domain/settlement.ts";
import { answeredName, registerActKinds, registerStatuses } from "../../src/wire/enums.ts";
import { money } from "../../src/wire/values.ts";
import {
  accepted,
  bankRegistration,
  bankStatement,
  merchantRegistration,
  openPlatform,
  operator,
  type Parties,
  type Platform,
  payWithSuccess,
  reasonOf,
  registerParties,
  serial,
  setClock,
  settlementPayment,
} from "./platform.ts";

let platform: Platform;
let parties: Parties;
let register: Register;

beforeAll(async () => {
  platform = await openPlatform();
});
afterAll(() => platform.close());

// Every test has banks of its own, and so registers of its own.
beforeEach(async () => {
  parties = await registerParties(platform);
  register = await registerOf(parties);
});

/** A register of 1 000 kopiykas between the parties' banks, made today. */
async function registerOf(of: Parties): Promise<Register> {
  await payWithSuccess(platform, of, { amountMinor: 1_000 });
  const day = (await platform.rows("select (now() at time zone 'Europe/Kyiv')::date::text as day"))[0] as {
    day: string;
  };
  const made = accepted(await platform.core.closeRegisters(operator, day.day, true));
  const found = made.find(({ creditorAgent }) => creditorAgent?.guid === of.recipient.guid);
  if (found === undefined) throw new Error("no register was made");
  return found;
}

const newId = () => `P-${serial()}`;

const payment = (externalId: string, other: Partial<SettlementPayment> = {}) =>
  settlementPayment(register, externalId, other);

const bank = () => bankStatement(platform, parties.initiator, register.id);
const pay = (externalId: string, other: Partial<SettlementPayment> = {}, as: Partial<PayStatement> = {}) =>
  platform.core.payRegister({ ...bank(), payment: payment(externalId, other), ...as });
const confirm = (
  externalId: string,
  paymentStatus: string,
  other: Partial<SettlementPayment> = {},
  as: Partial<ConfirmStatement> = {},
) => platform.core.confirmRegister({ ...bank(), payment: payment(externalId, other), paymentStatus, ...as });

const done = { repeated: false };
const repeated = { repeated: true };

const acts = async (id = register.id) => accepted(await platform.core.listRegisterActs(id, 0)).acts;
const kindOf = ({ kind }: RegisterAct) => answeredName(registerActKinds, kind);
const kinds = async (id = register.id) => (await acts(id)).map(kindOf);
const statusOf = ({ status }: Register) => answeredName(registerStatuses, status);
const status = async (id = register.id) => statusOf(accepted(await platform.core.listRegisterActs(id, 0)).register);
const atMs = (act: RegisterAct | undefined) => (act?.at ? timestampMs(act.at) : Number.NaN);

describe("a register between two banks", () => {
  test("is paid and confirmed; every act is kept with who, when, what and what was signed", async () => {
    const id = newId();
    expect(await status()).toBe("sent");
    expect(await pay(id)).toEqual(done);
    expect(await status()).toBe("processing");
    expect(await confirm(id, "ACSC")).toEqual(done);
    expect(await status()).toBe("paid");
    const [made, paid, confirmed, ...others] = await acts();
    expect(others).toEqual([]);
    expect(await kinds()).toEqual(["made", "paid", "confirmed"]);
    expect(made).toMatchObject({ actor: "platform", payment: undefined, jws: "" });
    const { amountMinor, currency, ...stated } = payment(id);
    const bankActed = {
      actor: parties.initiator.guid,
      payment: { ...stated, amount: money(amountMinor, currency) },
      jws: "signed by the bank",
      note: "",
    };
    expect(paid).toMatchObject({ ...bankActed, paymentStatus: "" });
    expect(confirmed).toMatchObject({ ...bankActed, paymentStatus: "ACSC" });
    expect(atMs(made)).toBeLessThanOrEqual(atMs(paid));
    expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
  });

  test("50 equal payments at once: one acts, 49 repeat it", async () => {
    const id = newId();
    const answers = await Promise.all(Array.from({ length: 50 }, () => pay(id)));
    expect(answers.filter((answer) => "repeated" in answer && !answer.repeated)).toHaveLength(1);
    expect(answers.filter((answer) => "repeated" in answer && answer.repeated)).toHaveLength(49);
    expect(await kinds()).toEqual(["made", "paid"]);
  });

  test("50 different payments at once: one acts, the register is paid for the others", async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => pay(newId())));
    expect(answers.filter((answer) => "repeated" in answer)).toEqual([done]);
    expect(answers.filter((answer) => reasonOf(answer) === "REGISTER_ALREADY_PAID")).toHaveLength(49);
  });

  test("a repeat changes nothing, whatever date it states; the same outcome again is kept as an act", async () => {
    const id = newId();
    await pay(id);
    expect(await pay(id, { creationDate: "2026-05-12" })).toEqual(repeated);
    expect(await kinds()).toEqual(["made", "paid"]);
    await confirm(id, "ACSC");
    expect(await confirm(id, "ACCC")).toEqual(repeated);
    expect(await pay(id)).toEqual(repeated);
    expect(await kinds()).toEqual(["made", "paid", "confirmed", "confirmed"]);
    expect(reasonOf(await confirm(id, "RJCT"))).toBe("REGISTER_ALREADY_PAID");
    expect(await status()).toBe("paid");
  });

  test("after a negative confirm it is paid with a new id; the old one is used up", async () => {
    const [first, second] = [newId(), newId()];
    await pay(first);
    expect(await confirm(first, "RJCT")).toEqual(done);
    expect(await status()).toBe("sent");
    expect(reasonOf(await pay(first))).toBe("PAYMENT_ID_USED");
    expect(reasonOf(await confirm(first, "ACSC"))).toBe("REGISTER_NOT_PAID");
    expect(await pay(second)).toEqual(done);
    // A repeat of the last rejection is one, and does not touch the payment that came after it.
    expect(await confirm(first, "CANC")).toEqual(repeated);
    expect(await status()).toBe("processing");
    expect(await confirm(second, "ACCC")).toEqual(done);
    expect(await status()).toBe("paid");
    expect(await kinds()).toEqual(["made", "paid", "rejected", "paid", "rejected", "confirmed"]);
    expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
  });

  test.each([
    ["amount", { amountMinor: 1_001 }],
    ["creditor_iban", { creditorIban: "UA213223130000026007233566001" }],
    ["currency", { currency: "EUR" }],
    ["purpose", { purpose: "Gross settlement register 1" }],
  ])(
    "another %s is refused with its name, changes nothing, and the same call corrected works",
    async (field, other) => {
      const id = newId();
      const refused = await pay(id, other);
      expect(refused).toMatchObject({ refused: "WRONG_DATA", field, message: expect.stringContaining(field) });
      expect(await kinds()).toEqual(["made"]);
      expect(await pay(id)).toEqual(done);
      expect(reasonOf(await pay(id, other))).toBe("PAYMENT_ID_USED");
      expect(await confirm(id, "ACSC", other)).toMatchObject({ refused: "WRONG_DATA", field });
      expect(await status()).toBe("processing");
      expect(await confirm(id, "ACSC")).toEqual(done);
    },
  );

  test("an id of another register is used up, of that bank alone", async () => {
    const id = newId();
    await pay(id);
    register = await registerOf(parties);
    expect(await pay(id)).toMatchObject({ refused: "PAYMENT_ID_USED", field: "payment_message_external_id" });
    parties = await registerParties(platform);
    register = await registerOf(parties);
    expect(await pay(id)).toEqual(done);
  });

  test("one id for two registers at the same moment: one is paid, the other refused", async () => {
    const other = await registerOf(parties);
    const id = newId();
    const answers = await Promise.all([pay(id), pay(id, { purpose: other.purpose }, { registerId: other.id })]);
    expect(answers.map((answer) => reasonOf(answer)).sort()).toEqual(["PAYMENT_ID_USED", "accepted"]);
  });

  test.each(["ACSP", "PDNG", "RCVD", "acsc", "OK", ""])(
    "status %j is not final: refused, and nothing is changed",
    async (text) => {
      const id = newId();
      expect(await confirm(id, text)).toMatchObject({ refused: "STATUS_NOT_FINAL", field: "status" });
      await pay(id);
      expect(await confirm(id, text)).toMatchObject({ refused: "STATUS_NOT_FINAL", field: "status" });
      expect(await kinds()).toEqual(["made", "paid"]);
    },
  );

  test("before pay there is nothing to confirm; with another id neither", async () => {
    const id = newId();
    expect(reasonOf(await confirm(id, "ACSC"))).toBe("REGISTER_NOT_PAID");
    await pay(id);
    const other = await confirm(newId(), "ACSC");
    expect(other).toMatchObject({ refused: "WRONG_DATA", field: "payment_message_external_id" });
  });

  test("only the initiator pays and confirms; a third bank does not learn that the register exists", async () => {
    const stranger = accepted(await platform.core.registerParticipant(operator, bankRegistration()));
    const id = newId();
    const as = (callerGuid: string) => ({ callerGuid });
    expect(reasonOf(await pay(id, {}, as(parties.recipient.guid)))).toBe("FORBIDDEN");
    expect(reasonOf(await confirm(id, "ACSP", {}, as(parties.recipient.guid)))).toBe("FORBIDDEN");
    expect(reasonOf(await pay(id, {}, as(stranger.guid)))).toBe("REGISTER_NOT_FOUND");
    expect(reasonOf(await confirm(id, "ACSP", {}, as(stranger.guid)))).toBe("REGISTER_NOT_FOUND");
    expect(reasonOf(await pay(id, {}, { registerId: "9999991" }))).toBe("REGISTER_NOT_FOUND");
    expect(await kinds()).toEqual(["made"]);
  });

  test.each([
    ["creation_date", { creationDate: "yesterday" }],
    ["creation_date", { creationDate: "2026-02-30" }],
    ["amount", { amountMinor: 0 }],
    ["amount", { amountMinor: 2 ** 60 }],
    ["payment_message_external_id", { externalId: "" }],
    ["payment_message_external_id", { externalId: "line\nbreak" }],
    ["payment_message_external_id", { externalId: "x".repeat(65) }],
  ])("a malformed %s is refused with its name: %j", async (field, other) => {
    const id = newId();
    expect(await pay(id, other)).toMatchObject({ refused: "INVALID_REQUEST", field });
    expect(await confirm(id, "ACSC", other)).toMatchObject({ refused: "INVALID_REQUEST", field });
    expect(await pay(id)).toEqual(done);
  });

  test("it cannot be confirmed internally", async () => {
    expect(reasonOf(await platform.core.confirmInternalRegister(bank()))).toBe("REGISTER_NOT_INTERNAL");
  });
});

describe("the access token of a statement", () => {
  const token = (request: number) => ({
    accessToken: { jti: `jti-${register.id}`, issuedAt: new Date(), requestDigest: Buffer.alloc(32, request) },
  });

  test("is used up by what was stored: another request with it is a replay, the same one a repeat", async () => {
    const id = newId();
    expect(reasonOf(await pay(id, { amountMinor: 1 }, token(1)))).toBe("WRONG_DATA");
    expect(await pay(id, {}, token(2))).toEqual(done);
    expect(await pay(id, {}, token(2))).toEqual(repeated);
    expect(await confirm(id, "ACSC", {}, token(3))).toMatchObject({ refused: "TOKEN_REPLAYED", field: "jti" });
    expect(await status()).toBe("processing");
    expect(await confirm(id, "ACSC")).toEqual(done);
  });

  test("one token for two registers at the same moment: one is paid", async () => {
    const other = await registerOf(parties);
    const answers = await Promise.all([
      pay(newId(), {}, token(1)),
      pay(newId(), { purpose: other.purpose }, { registerId: other.id, ...token(2) }),
    ]);
    expect(answers.map((answer) => reasonOf(answer)).sort()).toEqual(["TOKEN_REPLAYED", "accepted"]);
  });

  test("one that is too old is refused", async () => {
    const old = { ...token(1).accessToken, issuedAt: new Date(Date.now() - 301_000) };
    expect(reasonOf(await pay(newId(), {}, { accessToken: old }))).toBe("TOKEN_STALE");
  });
});

describe("a bank that is changed after its token was verified", () => {
  const change = async () =>
    accepted(await platform.core.updateParticipant(operator, parties.initiator.guid, { name: `Renamed ${serial()}` }));

  test.each<[string, (as: { callerVersion?: number }) => Promise<unknown>]>([
    ["paying", (as) => pay(newId(), {}, as)],
    ["confirming", (as) => confirm(newId(), "ACSC", {}, as)],
    ["confirming internally", (as) => platform.core.confirmInternalRegister({ ...bank(), ...as })],
  ])("%s does nothing and has to be verified anew; as the new version it is decided", async (_, call) => {
    const { version } = await change();
    await expect(call({})).rejects.toThrow(PartyChanged);
    expect(await kinds()).toEqual(["made"]);
    await expect(call({ callerVersion: version })).resolves.toBeDefined();
  });

  test("another bank's payment at the same moment is kept", async () => {
    const mine = { registerId: register.id, callerGuid: parties.initiator.guid, payment: payment(newId()) };
    await change();
    parties = await registerParties(platform);
    register = await registerOf(parties);
    const answers = await Promise.allSettled([pay(newId(), {}, mine), pay(newId())]);
    expect(answers).toEqual([
      { status: "rejected", reason: expect.any(PartyChanged) },
      { status: "fulfilled", value: done },
    ]);
    expect(await kinds(mine.registerId)).toEqual(["made"]);
  });

  test("a change that comes while the register is waited for counts as well", async () => {
    const client = new pg.Client({ connectionString: platform.url });
    await client.connect();
    try {
      await client.query("begin");
      await client.query("select from settlement_register where id = $1 for update", [register.id]);
      const paying = pay(newId()).catch((error: unknown) => error);
      const waiting =
        "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and query like '%settlement_register%'";
      await expect.poll(() => platform.rows(waiting)).toHaveLength(1);
      await change();
      await client.query("rollback");
      expect(await paying).toBeInstanceOf(PartyChanged);
      expect(await kinds()).toEqual(["made"]);
    } finally {
      await client.end();
    }
  });
});

test("a register that somebody keeps locked costs only those who act on it", async () => {
  const other = await registerOf(parties);
  const client = new pg.Client({ connectionString: platform.url });
  await client.connect();
  try {
    await client.query("begin");
    await client.query("select from settlement_register where id = $1 for update", [register.id]);
    const waiting = Array.from({ length: 20 }, () => pay(newId()).catch(databaseFailure));
    // A bank that is no side of it is answered at once; reading and paying another register goes on.
    expect(reasonOf(await pay(newId(), {}, { callerGuid: parties.merchant.guid }))).toBe("REGISTER_NOT_FOUND");
    const startedMs = performance.now();
    for (let number = 0; number < 5; number += 1) {
      accepted(await platform.core.getRegister(parties.initiator.guid, register.id, { limit: 10 }));
    }
    expect(await pay(newId(), { purpose: other.purpose }, { registerId: other.id })).toEqual(done);
    expect(performance.now() - startedMs).toBeLessThan(2_000);
    expect(await waiting[0]).toBe("held_up");
    await client.query("rollback");
    const answers = await Promise.all(waiting);
    expect(answers.filter((answer) => typeof answer === "object" && "repeated" in answer)).toEqual([done]);
  } finally {
    await client.end();
  }
});

test("whoever waited for the lock acted when he got it, not when he asked", async () => {
  const client = new pg.Client({ connectionString: platform.url });
  await client.connect();
  await client.query("begin");
  await client.query("select from settlement_register where id = $1 for update", [register.id]);
  const paying = pay(newId());
  await delay(500);
  const [{ now } = { now: new Date(0) }] = (await platform.rows("select clock_timestamp() as now")) as { now: Date }[];
  await client.query("rollback");
  await client.end();
  expect(await paying).toEqual(done);
  expect(atMs((await acts()).at(-1))).toBeGreaterThanOrEqual(now.getTime());
  const { register: changed } = accepted(await platform.core.listRegisterActs(register.id, 0));
  expect(changed.updatedAt && timestampMs(changed.updatedAt)).toBeGreaterThanOrEqual(now.getTime());
});

test("acts are listed in pages of 50", async () => {
  const id = newId();
  await pay(id);
  for (let number = 0; number < 60; number += 1) await confirm(id, "ACSC");
  const first = accepted(await platform.core.listRegisterActs(register.id, 0));
  expect([first.acts.length, first.hasMore]).toEqual([50, true]);
  const second = accepted(await platform.core.listRegisterActs(register.id, Number(first.acts.at(-1)?.number)));
  expect([second.acts.length, second.hasMore]).toEqual([12, false]);
});

describe("other registers", () => {
  test("an internal one is confirmed, again too, and never paid", async () => {
    const both = accepted(
      await platform.core.registerParticipant(operator, { ...bankRegistration(), roles: ["initiator", "recipient"] }),
    );
    const merchant = accepted(await platform.core.registerParticipant(operator, merchantRegistration(both)));
    parties = { initiator: both, recipient: both, merchant };
    register = await registerOf(parties);
    expect(statusOf(register)).toBe("sent_internal");
    expect(reasonOf(await pay(newId()))).toBe("REGISTER_INTERNAL");
    expect(reasonOf(await confirm(newId(), "ACSC"))).toBe("REGISTER_INTERNAL");
    expect(await platform.core.confirmInternalRegister(bank())).toEqual(done);
    expect(await platform.core.confirmInternalRegister(bank())).toEqual(repeated);
    expect(await kinds()).toEqual(["made", "internal"]);
    expect(await status()).toBe("paid");
  });

  test("an empty one is neither paid nor confirmed", async () => {
    const idle = accepted(
      await platform.core.registerParticipant(operator, { ...bankRegistration(), roles: ["initiator"] }),
    );
    await registerOf(parties);
    const [empty] = (await platform.rows(
      "select id from settlement_register where debtor_agent_guid = $1",
      idle.guid,
    )) as {
      id: string;
    }[];
    const as = { callerGuid: idle.guid, registerId: empty?.id ?? "" };
    expect(reasonOf(await pay(newId(), {}, as))).toBe("REGISTER_EMPTY");
    expect(reasonOf(await confirm(newId(), "ACSC", {}, as))).toBe("REGISTER_EMPTY");
    expect(reasonOf(await platform.core.confirmInternalRegister({ ...bank(), ...as }))).toBe("REGISTER_EMPTY");
    expect(reasonOf(await platform.core.reopenRegister(operator, as.registerId, "why not"))).toBe("REGISTER_EMPTY");
  });
});

describe("reopenRegister", () => {
  test("a paid register is what it was made as, and is paid again with a new id; the note is kept", async () => {
    const [first, second] = [newId(), newId()];
    await pay(first);
    expect(reasonOf(await platform.core.reopenRegister(operator, register.id, "came back"))).toBe("REGISTER_NOT_PAID");
    await confirm(first, "ACSC");
    const reopened = accepted(await platform.core.reopenRegister(operator, register.id, "the money came back"));
    expect(statusOf(reopened)).toBe("sent");
    expect((await kinds()).at(-1)).toBe("reopened");
    expect((await acts()).at(-1)).toMatchObject({ actor: "tests", note: "the money came back" });
    expect(reasonOf(await pay(first))).toBe("PAYMENT_ID_USED");
    expect(await pay(second)).toEqual(done);
    expect(await confirm(second, "ACSC")).toEqual(done);
    expect(await platform.core.reconcileRegisters(3_660)).toEqual([]);
  });

  test.each(["", "   ", "x".repeat(501)])("it needs a good note, and %j is none", async (note) => {
    expect(await platform.core.reopenRegister(operator, register.id, note)).toMatchObject({
      refused: "INVALID_REQUEST",
      field: "note",
    });
  });
});

describe("what a register says of itself adds up", () => {
  test.each([
    ["a status that its acts do not explain", "update settlement_register set status = 'paid' where id = $1", "status"],
    ["an act that was taken away", "delete from register_act where kind = 'made' and register_id = $1", "status"],
    [
      "another amount than it has to be",
      "update register_act set amount_minor = 999 where kind = 'paid' and register_id = $1",
      "another amount",
    ],
    ["a total", "update settlement_register set total_amount_minor = 1 where id = $1", "totals"],
    [
      "a payment that lies about its register",
      "update payment_message set register_id = null, fee_minor = null, decided_at = '2026-01-01' where register_id = $1",
      "no register",
    ],
  ])("reconciliation finds %s", async (_, change, problem) => {
    await pay(newId());
    await platform.rows(change, register.id);
    const found = await platform.core.reconcileRegisters(3_660);
    expect(found.some((discrepancy) => discrepancy.problem.includes(problem))).toBe(true);
  });
});

test("updatedFrom and statuses find what was paid, and the total counts beyond the page", async () => {
  const query = { bankGuid: parties.recipient.guid, anySide: true, statuses: [], offset: 0, limit: 1 };
  const further = await registerOf(parties);
  await platform.rows(
    "update settlement_register set created_at = '2026-01-01', updated_at = '2026-01-01' where creditor_agent_guid = $1",
    parties.recipient.guid,
  );
  await pay(newId());
  const since = new Date("2026-02-01T00:00:00Z");
  const changed = await platform.core.listRegisters({ ...query, updatedFrom: since });
  expect([changed.total, changed.registers.map(({ id }) => id)]).toEqual([1, [register.id]]);
  const all = await platform.core.listRegisters({ ...query, from: new Date("2025-01-01T00:00:00Z") });
  expect([all.total, all.registers.length]).toEqual([2, 1]);
  const sent = await platform.core.listRegisters({
    ...query,
    from: new Date("2025-01-01T00:00:00Z"),
    statuses: ["sent"],
  });
  expect(sent.registers.map(({ id }) => id)).toEqual([further.id]);
  expect((await platform.core.listRegisters(query)).total).toBe(0);
});

test("pages of payments, put together, are all of them; none are read where none are asked for", async () => {
  for (let number = 0; number < 5; number += 1) await payWithSuccess(platform, parties, { amountMinor: 10 + number });
  register = await registerOf(parties);
  const pageAfter = async (after: string | undefined, limit = 2) =>
    accepted(await platform.core.getRegister(parties.initiator.guid, register.id, { limit, after }));
  const guids: string[] = [];
  for (let page = await pageAfter(undefined); ; page = await pageAfter(guids.at(-1))) {
    guids.push(...page.payments.map(({ paymentMessageGuid: guid }) => guid));
    if (!page.hasMore) break;
  }
  const whole = await pageAfter(undefined, 100);
  expect(guids).toEqual(whole.payments.map(({ paymentMessageGuid: guid }) => guid));
  expect(guids).toHaveLength(6);
  expect(await pageAfter(undefined, 0)).toMatchObject({ payments: [], hasMore: false });
});

test("a Gross_Settlement callback that was taken is an act of its register", async () => {
  await setClock(platform, new Date());
  const callbackUrls = { base: "https://bank.example", gross_settlement: "https://bank.example/registers" };
  accepted(await platform.core.updateParticipant(operator, parties.recipient.guid, { callbackUrls }));
  register = await registerOf(parties);
  const [callback] = (await platform.rows(
    "select guid, receiver_guid from callback where register_id = $1",
    register.id,
  )) as {
    guid: string;
    receiver_guid: string;
  }[];
  const ticket = {
    callbackGuid: callback?.guid ?? "",
    series: 1,
    attempt: 0,
    receiverGuid: callback?.receiver_guid ?? "",
  };
  await platform.core.claimCallback(ticket);
  const attempt = {
    callbackGuid: ticket.callbackGuid,
    series: 1,
    attempt: 1,
    refusals: 0,
    kind: "gross_settlement" as const,
  };
  await platform.core.recordAttempt({
    ...attempt,
    outcome: "accepted",
    httpStatus: 200,
    durationMs: 5,
  } as never);
  expect((await acts()).map((act) => [kindOf(act), act.actor])).toEqual([
    ["made", "platform"],
    ["told", parties.recipient.guid],
  ]);
  expect(await status()).toBe("sent");
});
