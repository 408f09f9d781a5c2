import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { beforeAll, expect, onTestFinished, test } from "vitest";
import { PaymentType } from "../../gen/dcm/v1/payment_message_pb.ts";
import { RegisterPaymentSchema, RegisterSchema, RegisterStatus } from "../../gen/dcm/v1/settlement_pb.ts";
import type { RestDeps } from "../../src/rest/context.ts";
import { exampleRegister, exampleRegisterPayment } from "./examples.ts";
import { access, ask, BANK_GUID, type Keys, makeKeys, NOW, startRest, timestamp } from "./fixture.ts";

let keys: Keys;
beforeAll(async () => {
  keys = await makeKeys();
});

const at = timestamp("2023-12-10T10:12:12Z");
const path = `/api/v1/counterparty/${BANK_GUID}/gross-settlement/1012231`;
const list = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;

const register = create(RegisterSchema, {
  id: "1012231",
  totalAmount: { currency: "UAH", amountMinor: 500n },
  status: RegisterStatus.SENT,
  periodStart: at,
  periodEnd: at,
  createdAt: at,
  updatedAt: at,
  adjustsDay: "2023-12-09",
});

const guidOf = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`;

/** Purposes are in Ukrainian: a piece may end inside of a letter. */
const payment = (number: number, repeats = 4) =>
  create(RegisterPaymentSchema, {
    paymentMessageGuid: guidOf(number),
    externalId: `external-${number}`,
    pmType: PaymentType.TRADE,
    amount: { currency: "UAH", amountMinor: 500n },
    purpose: "Оплата за товари, дякую 💙💛 ".repeat(repeats),
    receivedAt: at,
  });

/** A register of so many payments; a page of them may fail. Counts the pages that were read. */
async function startWith(
  paymentCount: number,
  change: Partial<RestDeps> = {},
  page: (number: number, signal: AbortSignal) => unknown = () => {},
  repeats?: number,
) {
  const reads: string[] = [];
  const rest = await startRest(
    keys,
    {
      settlements: {
        async getRegister({ paymentsAfter, paymentsLimit }, { signal }) {
          reads.push(paymentsAfter);
          await page(reads.length, signal);
          const first = paymentsAfter === "" ? 0 : Number(paymentsAfter.slice(-12)) + 1;
          const next = Math.min(first + paymentsLimit, paymentCount);
          const payments = Array.from({ length: next - first }, (_, index) => payment(first + index, repeats));
          return {
            register: { ...register, paymentCount },
            payments,
            nextPaymentsAfter: next < paymentCount ? guidOf(next - 1) : "",
          };
        },
        listRegisters: () => ({ registers: [], totalCount: 0n }),
      },
    },
    change,
  );
  onTestFinished(() => rest.stop());
  return { rest, reads };
}
type Started = Awaited<ReturnType<typeof startWith>>;

/** Asks for the register and reads nothing of it. */
async function begin({ rest }: Started, target = path): Promise<IncomingMessage> {
  const request = get(rest.url + target, { headers: await access(keys.bank), agent: false });
  request.on("error", () => undefined);
  const [response] = (await once(request, "response")) as [IncomingMessage];
  response.on("error", () => undefined);
  onTestFinished(() => void request.destroy());
  return response;
}

const patient = { timeout: 10_000 };
const logged = ({ rest }: Started) => rest.lines.map((line) => JSON.parse(line));

test("getGrossSettlement: a register of many pages is one JSON text with all of its payments in their order", async () => {
  const started = await startWith(3_500);
  const { status, json, headers } = await ask(started.rest, path, { headers: await access(keys.bank) });
  expect(status).toBe(200);
  expect(headers.get("content-length")).toBeNull();
  const guids = json.payments.map((entry: { payment_message_guid: string }) => entry.payment_message_guid);
  expect(guids).toEqual(Array.from({ length: 3_500 }, (_, number) => guidOf(number)));
  expect(json.payments.at(-1)).toMatchObject({ purpose: payment(0).purpose, register_id: "1012231" });
  expect(Object.keys(json).slice(-2)).toEqual(["adjusts_day", "payments"]);
  expect(started.reads).toHaveLength(140);
});

test("getGrossSettlement: a register of 500 payments is answered with its length, and the page that was asked for is only that", async () => {
  const small = await startWith(500);
  const whole = await ask(small.rest, path, { headers: await access(keys.bank) });
  expect(whole.headers.get("content-length")).toBe(String(Buffer.byteLength(whole.text)));
  const large = await startWith(2_000);
  const query = `?payments_limit=10&payments_after=${guidOf(9)}`;
  const page = await ask(large.rest, path + query, { headers: await access(keys.bank) });
  expect(page.json.payments).toHaveLength(10);
  expect(page.json.payments[0].payment_message_guid).toBe(guidOf(10));
  expect(large.reads).toEqual([guidOf(9)]);
  for (const wrong of ["payments_limit=0", "payments_limit=2001", "payments_after=1"]) {
    const { status, json } = await ask(large.rest, `${path}?${wrong}`, { headers: await access(keys.bank) });
    expect([status, json.error]).toEqual([400, "INVALID_REQUEST"]);
    expect(json.description).toContain(wrong.split("=")[0]);
  }
});

test("getGrossSettlement: a register is read to its end although the reader's token becomes too old after the first page", async () => {
  const paymentCount = 600;
  let now = NOW;
  const rest = await startRest(keys, {
    now: () => now,
    core: {
      async getRegister(_bank, _id, { limit, after }) {
        const first = after === undefined ? 0 : Number(after.slice(-12)) + 1;
        const members = Array.from({ length: Math.min(limit, paymentCount - first) }, (_, index) => first + index);
        const payments = members.map((number) => ({ ...exampleRegisterPayment, paymentMessageGuid: guidOf(number) }));
        if (after === undefined) now = new Date(NOW.getTime() + 600_000);
        return { register: { ...exampleRegister, paymentCount }, payments, hasMore: first + limit < paymentCount };
      },
    },
  });
  onTestFinished(() => rest.stop());
  const headers = await access(keys.bank);
  const { json } = await ask(rest, path, { headers });
  expect(json.payments).toHaveLength(paymentCount);
  expect((await ask(rest, path, { headers })).json).toMatchObject({ error: "TOKEN_STALE" });
});

test("getGrossSettlement: HEAD reads one page, whatever the size", async () => {
  const started = await startWith(500_000);
  const response = await fetch(started.rest.url + path, { method: "HEAD", headers: await access(keys.bank) });
  expect(response.status).toBe(200);
  expect(started.reads).toHaveLength(1);
});

test("getGrossSettlement: a reader that stops reading stops the pages and is cut off", async () => {
  const started = await startWith(5_000_000, { readerPatienceMs: 300 });
  const response = await begin(started);
  await expect.poll(() => logged(started).some(({ route }) => route?.includes("register_id")), patient).toBe(true);
  const read = started.reads.length;
  // What the system keeps for a reader is some megabytes.
  expect(read).toBeLessThan(4_000);
  await expect(async () => {
    for await (const _chunk of response);
  }).rejects.toThrow("aborted");
  expect(started.reads).toHaveLength(read);
});

test("getGrossSettlement: a reader that takes nothing of one large page is cut off as well", async () => {
  const started = await startWith(5_000_000, { readerPatienceMs: 300, maxInFlight: 1 }, () => {}, 400);
  const response = await begin(started, `${path}?payments_limit=2000`);
  await expect.poll(() => logged(started).some(({ status }) => status === 499), patient).toBe(true);
  expect(Number(response.headers["content-length"])).toBeGreaterThan(10_000_000);
  expect(await ask(started.rest, list, { headers: await access(keys.bank) })).toMatchObject({ status: 200 });
});

test("getGrossSettlement: a reader that is slow, but takes something, gets everything", async () => {
  const started = await startWith(20_000, { readerPatienceMs: 300 });
  const response = await begin(started);
  const chunks: Buffer[] = [];
  let nextPauseAt = 0;
  for await (const chunk of response) {
    chunks.push(chunk);
    const length = chunks.length * 65_536;
    if (length < nextPauseAt) continue;
    nextPauseAt = length + 2_000_000;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  expect(JSON.parse(Buffer.concat(chunks).toString()).payments).toHaveLength(20_000);
});

test("getGrossSettlement: a page that fails in the middle cuts the connection", async () => {
  const started = await startWith(2_500, {}, (number) => {
    if (number === 3) throw new ConnectError("no route to the core", Code.Unavailable);
  });
  const response = await begin(started);
  expect(response.statusCode).toBe(200);
  const chunks: Buffer[] = [];
  await expect(async () => {
    for await (const chunk of response) chunks.push(chunk);
  }).rejects.toThrow("aborted");
  expect(() => JSON.parse(Buffer.concat(chunks).toString())).toThrow();
  expect(started.reads).toHaveLength(3);
  expect(logged(started)).toContainEqual(expect.objectContaining({ msg: "an answer was cut off" }));
});

test("getGrossSettlement: a first page that fails is an error like any other", async () => {
  const started = await startWith(2_500, {}, () => {
    throw new ConnectError("no route to the core", Code.Unavailable);
  });
  const { status, json } = await ask(started.rest, path, { headers: await access(keys.bank) });
  expect([status, json.error]).toEqual([503, "UNAVAILABLE"]);
});

test("getGrossSettlement: readers that wait hold no place among the requests, and are counted for themselves", async () => {
  const started = await startWith(5_000_000, { maxInFlight: 2, maxStreams: 3 });
  const readers = [await begin(started), await begin(started), await begin(started)];
  expect(readers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
  const refused = await ask(started.rest, path, { headers: await access(keys.bank) });
  expect([refused.status, refused.json.error, refused.headers.get("retry-after")]).toEqual([503, "OVERLOADED", "1"]);
  const other = await ask(started.rest, list, { headers: await access(keys.bank) });
  expect(other.status).toBe(200);
  readers[0]?.destroy();
  await expect.poll(async () => (await begin(started)).statusCode, patient).toBe(200);
});

test("getGrossSettlement: pages of all readers are made one at a time, and each is followed by as long a rest", async () => {
  const made: { from: number; to: number }[] = [];
  const started = await startWith(600, {}, async () => {
    const from = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 20));
    made.push({ from, to: performance.now() });
  });
  const answers = await Promise.all(
    [1, 2, 3].map(async () => ask(started.rest, path, { headers: await access(keys.bank) })),
  );
  expect(answers.map(({ json }) => json.payments.length)).toEqual([600, 600, 600]);
  // The first page of each is read before it is known that it will be streamed.
  const streamed = made.slice(3);
  expect(streamed).toHaveLength(3 * 23);
  const rests = streamed.slice(1).map(({ from }, index) => from - (streamed[index]?.to ?? 0));
  expect(Math.min(...rests)).toBeGreaterThan(15);
});

test("getGrossSettlement: one bank has at most eight streams, whatever room there is", async () => {
  const started = await startWith(5_000_000, {});
  for (let number = 1; number <= 8; number += 1) expect((await begin(started)).statusCode).toBe(200);
  expect((await begin(started)).statusCode).toBe(503);
});

test("getGrossSettlement: a reader that goes away stops the reading", async () => {
  let went = () => {};
  const gone = new Promise<void>((resolve) => {
    went = resolve;
  });
  const started = await startWith(5_000_000, {}, (number) => {
    if (number === 4) went();
  });
  const response = await begin(started);
  response.resume();
  await gone;
  response.destroy();
  await expect.poll(() => logged(started).some(({ msg }) => msg === "request"), patient).toBe(true);
  const read = started.reads.length;
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(started.reads).toHaveLength(read);
  expect(logged(started).filter(({ level }) => level >= 40)).toEqual([]);
});

test("getGrossSettlement: a reader that goes away ends the read of a page that nobody waits for any more", async () => {
  const ended: string[] = [];
  const started = await startWith(5_000, {}, async (number, signal) => {
    if (number < 3) return;
    await once(signal, "abort");
    ended.push(String(signal.reason));
  });
  const response = await begin(started);
  response.resume();
  await expect.poll(() => started.reads.length, patient).toBe(3);
  response.destroy();
  // Sooner than the deadline of the call, which ends it in any case.
  await expect.poll(() => ended, { timeout: 5_000 }).toEqual([expect.stringContaining("aborted")]);
  expect(logged(started).filter(({ level }) => level >= 40)).toEqual([]);
});

test("a request that waits behind a slow answer of its own connection gives its place back when that is cut off", async () => {
  const started = await startWith(5_000_000, { maxInFlight: 2, readerPatienceMs: 300 });
  const { hostname, port } = new URL(started.rest.url);
  for (let round = 0; round < 3; round += 1) {
    const socket = connect(Number(port), hostname).pause();
    socket.on("error", () => undefined);
    for (const target of [path, list]) {
      const headers = Object.entries(await access(keys.bank)).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n${headers.join("")}\r\n`);
    }
    await expect
      .poll(() => logged(started).filter(({ status }) => status === 499), patient)
      .toHaveLength(2 * (round + 1));
    socket.destroy();
  }
  expect(await ask(started.rest, list, { headers: await access(keys.bank) })).toMatchObject({ status: 200 });
});
