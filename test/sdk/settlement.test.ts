import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { json } from "node:stream/consumers";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { generateKeyPair, type KeyPair } from "../../src/sdk/keys.ts";
import { type BankClient, bankClient, type SettlementPayment } from "../../src/sdk/platform.ts";

const GUIDS = Array.from({ length: 7 }, (_, index) => `01890000-0000-7000-8000-00000000000${index}`);

/** Stands in for the platform: a register of seven payments, a list that has more than it answers, and what is stated. */
const seen: { method: string | undefined; url: string; body: unknown }[] = [];
const server = createServer(async (request, response) => {
  const url = new URL(String(request.url), "http://platform.example");
  const body = request.headers["content-type"] === undefined ? undefined : await json(request);
  seen.push({ method: request.method, url: url.pathname + url.search, body });
  if (request.method === "POST") return void response.writeHead(201).end('{"created":"true"}');
  if (url.pathname.endsWith("/unknown")) return void response.writeHead(400).end('{"error":"REGISTER_NOT_FOUND"}');
  if (url.pathname.endsWith("/gross-settlement")) {
    return void response.writeHead(200, { "X-Total-Count": "7012" }).end('[{"id":"1"}]');
  }
  const after = url.searchParams.get("payments_after") ?? "";
  const payments = GUIDS.filter((guid) => guid > after).slice(0, Number(url.searchParams.get("payments_limit") ?? 7));
  response.end(JSON.stringify({ payments: payments.map((guid) => ({ payment_message_guid: guid })) }));
});

let bank: BankClient;
let url: string;
let key: KeyPair;
beforeAll(async () => {
  await new Promise<void>((listening) => server.listen(0, "127.0.0.1", listening));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  key = await generateKeyPair("ES256");
});
beforeEach(() => {
  seen.splice(0);
  bank = bankClient({ url, guid: "bank", key });
});
afterAll(() => void server.close());

const base = "/api/v1/counterparty/bank/gross-settlement";

test("a list says how many registers match, whatever the page", async () => {
  const query = { status: "Paid", updated_from: "2026-01-02T00:00:00+02:00", limit: 1 } as const;
  const answer = await bank.listGrossSettlements(query);
  expect(answer).toEqual({ ok: true, status: 200, body: [{ id: "1" }], total: 7012 });
  expect(seen[0]?.url).toBe(`${base}?status=Paid&updated_from=2026-01-02T00%3A00%3A00%2B02%3A00&limit=1`);
});

describe("grossSettlementPayments", () => {
  test.each([
    [3, 3],
    [7, 2],
    [8, 1],
  ])("pages of %i: every payment comes once, in %i requests", async (pageSize, requests) => {
    const payments = await Array.fromAsync(bank.grossSettlementPayments("0201261", { pageSize }));
    expect(payments.map((payment) => payment.payment_message_guid)).toEqual(GUIDS);
    expect(seen).toHaveLength(requests);
  });

  test("reads no further than its reader", async () => {
    for await (const payment of bank.grossSettlementPayments("0201261", { pageSize: 2 })) {
      if (payment.payment_message_guid === GUIDS[2]) break;
    }
    expect(seen.map(({ url }) => url)).toEqual([
      `${base}/0201261?payments_limit=2`,
      `${base}/0201261?payments_limit=2&payments_after=${GUIDS[1]}`,
    ]);
  });

  test("a refusal is not taken for the end", async () => {
    const reading = Array.fromAsync(bank.grossSettlementPayments("unknown"));
    await expect(reading).rejects.toThrow('Register unknown: HTTP 400 {"error":"REGISTER_NOT_FOUND"}');
  });
});

test("what is stated of a register goes where the contract says, as JSON, and an internal one without a body", async () => {
  const payment: SettlementPayment = {
    payment_message_external_id: "P-1",
    creditor_iban: "UA063808160041469948322523389",
    amount: 5,
    currency: "UAH",
    purpose: "Gross settlement register 0201261",
    creation_date: "2026-01-03T09:15:00+02:00",
  };
  expect(await bank.pay("0201261", payment)).toMatchObject({ ok: true, status: 201, body: { created: "true" } });
  await bank.confirm("0201261", { ...payment, status: "ACSC" });
  await bank.confirmInternal("0201262");
  expect(seen).toEqual([
    { method: "POST", url: `${base}/pay/0201261`, body: payment },
    { method: "POST", url: `${base}/pay/0201261/confirm`, body: { ...payment, status: "ACSC" } },
    { method: "POST", url: `${base}/confirm_internal/0201262`, body: undefined },
  ]);
});
