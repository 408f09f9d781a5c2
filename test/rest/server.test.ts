import { once } from "node:events";
import { get, type IncomingMessage, request } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { ErrorReason } from "../../gen/dcm/v1/error_pb.ts";
import { OrderStatus } from "../../gen/dcm/v1/order_pb.ts";
import { operations } from "../../gen/rest/operations.ts";
import type { RestDeps } from "../../src/rest/context.ts";
import type { CoreClients } from "../../src/wire/coreClients.ts";
import { exampleRegister, exampleRegisterPayment } from "./examples.ts";
import {
  access,
  ask,
  BANK_GUID,
  exampleClaims,
  exampleOrder,
  type Keys,
  makeKeys,
  ORDER_ID,
  postJson,
  type Rest,
  refusedByCore,
  startRest,
} from "./fixture.ts";

// The translator as a whole.

const ORDERS = "/api/v1/merchants/order";
const status = `${ORDERS}/status?id=${ORDER_ID}`;
const REGISTERS = `/api/v1/counterparty/${BANK_GUID}/gross-settlement`;

let keys: Keys;
beforeAll(async () => {
  keys = await makeKeys();
});

/** What reached the core. */
let asked: Record<string, unknown>[] = [];
beforeEach(() => {
  asked = [];
});

/** What the core answers to whatever reaches it. */
let answer: (asked: never) => unknown;
const taken = async (given: object) => {
  asked.push(given as Record<string, unknown>);
  return answer(given as never) as never;
};
const make = (change: Partial<RestDeps> = {}) =>
  startRest(
    keys,
    {
      orders: { getOrder: taken, createOrder: taken, cancelOrder: taken },
      paymentMessages: { getPaymentMessage: taken },
      settlements: {
        ...{ getRegister: taken, listRegisters: taken },
        ...{ payRegister: taken, confirmRegister: taken, confirmInternalRegister: taken },
      },
      callbacks: { listCallbacks: taken },
    },
    change,
  );

let shared: Rest;
beforeAll(async () => {
  shared = await make();
});
afterAll(() => shared.stop());

/** The translator that most tests share, before a core that answers like this. */
function answered(answers: (asked: never) => unknown = () => ({})): Rest {
  answer = answers;
  shared.lines.length = 0;
  return shared;
}

/** One of the test's own, for what is decided while it is made. */
async function start(answers: (asked: never) => unknown = () => ({}), change: Partial<RestDeps> = {}): Promise<Rest> {
  answer = answers;
  const rest = await make(change);
  onTestFinished(() => rest.stop());
  return rest;
}

const asBank = async (rest: Rest, path: string, init: RequestInit = {}) =>
  ask(rest, path, { ...init, headers: { ...init.headers, ...(await access(keys.bank)) } });

const logged = (rest: Rest) => rest.lines.map((line) => JSON.parse(line) as Record<string, unknown>);

describe("every answer", () => {
  test("has an id, and does not say what it is made with", async () => {
    const rest = await start(() => exampleOrder(keys));
    for (const path of ["/healthz", "/nowhere", status, "/docs"]) {
      const { headers } = await ask(rest, path);
      expect(headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
      expect(headers.get("x-content-type-options")).toBe("nosniff");
      expect(headers.get("x-powered-by")).toBeNull();
      expect(headers.get("etag") === null, path).toBe(path !== "/docs");
    }
  });

  test("leaves one line, and is counted by its operation", async () => {
    const requestDone = vi.fn();
    const rest = await start(() => exampleOrder(keys), { requestDone });
    await ask(rest, status);
    await ask(rest, "/nowhere");
    await expect.poll(() => requestDone.mock.calls.length).toBe(2);
    expect(requestDone.mock.calls).toEqual([
      ["getOrderStatus", 200, expect.any(Number)],
      ["none", 404, expect.any(Number)],
    ]);
    expect(logged(rest).filter(({ msg }) => msg === "request")).toMatchObject([
      { method: "GET", route: `${ORDERS}/status`, status: 200, requestId: expect.any(String) },
      { method: "GET", route: "none", status: 404, code: "ROUTE_NOT_FOUND" },
    ]);
  });

  test("whose reader has gone is logged as 499", async () => {
    let answerIt = () => {};
    const rest = await start(() => new Promise((resolve) => (answerIt = () => resolve(exampleOrder(keys)))));
    const sent = get(rest.url + status);
    sent.on("error", () => {});
    await expect.poll(() => asked.length).toBe(1);
    sent.destroy();
    await expect.poll(() => logged(rest).find(({ msg }) => msg === "request")).toMatchObject({ status: 499 });
    answerIt();
  });
});

describe("a span", () => {
  async function spanOf(path: string, answer: () => unknown) {
    const span = { rename: vi.fn(), set: vi.fn(), fail: vi.fn() };
    const inSpan = vi.fn((_options: object, work: (given: typeof span) => Promise<unknown>) => work(span));
    const tracing = { inSpan, current: () => undefined, stop: async () => {} } as unknown as RestDeps["tracing"];
    await ask(await start(answer, { ...(tracing && { tracing }) }), path);
    await expect.poll(() => span.set.mock.calls.length).toBe(1);
    return { options: inSpan.mock.calls[0]?.[0], span };
  }

  test("has the operation's name, the route and the status", async () => {
    const { options, span } = await spanOf(status, () => exampleOrder(keys));
    expect(options).toEqual({ name: "REST", kind: "server", attributes: { "http.request.method": "GET" } });
    expect(span.rename).toHaveBeenCalledWith("getOrderStatus");
    expect(span.set).toHaveBeenCalledWith({
      ...{ "http.route": `${ORDERS}/status`, "http.response.status_code": 200 },
      "dcm.request_id": expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    expect(span.fail).not.toHaveBeenCalled();
  });

  test("of a path that is none keeps its name, and a fault of ours fails it", async () => {
    expect((await spanOf("/nowhere", () => ({}))).span.rename).not.toHaveBeenCalled();
    const busy = () => {
      throw new ConnectError("x", Code.Unavailable);
    };
    expect((await spanOf(status, busy)).span.fail).toHaveBeenCalled();
  });
});

describe("what a path does not have", () => {
  test("a path says which methods it has", async () => {
    const rest = await start();
    for (const [path, allowed] of [
      ["/healthz", "GET, HEAD"],
      [ORDERS, "GET, POST, HEAD"],
      [`${REGISTERS}/pay/1012231`, "POST"],
    ] as const) {
      const { status, headers } = await ask(rest, path, { method: "DELETE" });
      expect([status, headers.get("allow")]).toEqual([405, allowed]);
    }
  });

  test("metrics are shown to whoever may read them, and to all others there are none", async () => {
    const metricsText = async () => "numbers";
    const open = await start(undefined, { metricsText });
    expect((await ask(open, "/metrics")).text).toBe("numbers");
    expect((await ask(answered(), "/metrics")).text).toBe("");
    const shut = await start(undefined, { metricsText, mayReadMetrics: () => false });
    expect(await ask(shut, "/metrics")).toMatchObject({ status: 404, json: { code: "ROUTE_NOT_FOUND" } });
  });

  test("a query in brackets is a name like any other", async () => {
    const { status, json } = await ask(answered(), `${ORDERS}/status?id[x]=${ORDER_ID}`);
    expect([status, json.field]).toEqual([400, "id"]);
  });

  test("a path in bytes that are no UTF-8 is malformed", async () => {
    const rest = answered();
    expect((await ask(rest, "/api/v1/merchants/order/%E0%A4%A/payment-message")).json.error).toBe(
      "the path is malformed",
    );
  });
});

describe("a fault of ours", () => {
  test("is logged with its cause and the request's id, and told without either", async () => {
    const rest = answered(() => ({ ...exampleOrder(keys), order: undefined }));
    const response = await fetch(rest.url + status);
    expect([response.status, ((await response.json()) as { code: string }).code]).toEqual([500, "INTERNAL_ERROR"]);
    expect(logged(rest).find(({ msg }) => msg === "a request failed unexpectedly")).toMatchObject({
      route: `${ORDERS}/status`,
      requestId: response.headers.get("x-request-id"),
      err: { message: "the core answered no order" },
    });
  });

  test("on a path that is none has no route", async () => {
    const rest = await start(undefined, { mayReadMetrics: () => expect.fail("a fault") });
    expect((await fetch(`${rest.url}/metrics`)).status).toBe(500);
    expect(logged(rest).find(({ msg }) => msg === "a request failed unexpectedly")).toMatchObject({ route: "none" });
  });

  test("is not logged for a refusal, and neither is a refusal that the contract declares", async () => {
    const rest = answered(() => {
      throw refusedByCore(ErrorReason.ORDER_NOT_FOUND);
    });
    expect((await ask(rest, status)).status).toBe(400);
    expect(logged(rest).map(({ msg }) => msg)).toEqual(["request"]);
  });

  test("is a refusal that the contract does not declare: it is told, and logged as an error", async () => {
    const lines: object[] = [];
    const log = { info() {}, warn() {}, error: (line: object) => void lines.push(line) } as unknown as RestDeps["log"];
    const refused = () => {
      throw refusedByCore(ErrorReason.REGISTER_NOT_FOUND);
    };
    await fetch((await start(refused, { log })).url + status);
    expect(lines).toMatchObject([{ code: "REGISTER_NOT_FOUND", route: `${ORDERS}/status` }]);
  });

  test.each<[what: string, path: string, init: () => RequestInit]>([
    ["an order that was made", ORDERS, () => postJson({ jwt: "a.b.c" })],
    ["a payment message", `${ORDERS}/${ORDER_ID}/payment-message`, () => ({})],
    ["a register", `${REGISTERS}/1012231`, () => ({})],
  ])("is %s that the core does not answer", async (_what, path, init) => {
    const rest = answered();
    const headers = { ...init().headers, ...(await access(keys.bank)) };
    expect((await fetch(rest.url + path, { ...init(), headers })).status).toBe(500);
    expect(rest.lines.join("")).toMatch(/the core answered no (order|payment message|register)/);
  });
});

describe("orders", () => {
  test("an order's token, and whether its details are to be signed, arrive with the request's id", async () => {
    const rest = answered(() => ({ ...exampleOrder(keys), signedDetails: "signed" }));
    const { json } = await ask(rest, `${ORDERS}?custom=true`, postJson({ jwt: "a.b.c" }));
    expect(json.jwt).toBe("signed");
    await ask(rest, ORDERS, postJson({ jwt: "a.b.c" }));
    expect(asked).toMatchObject([
      { jws: "a.b.c", signedDetails: true },
      { jws: "a.b.c", signedDetails: false },
    ]);
  });

  test("a cancellation is answered with the order's state", async () => {
    const order = exampleOrder(keys, { status: OrderStatus.CANCELED, canceledByMerchant: true });
    const { path, method } = operations.cancelOrder;
    const rest = answered(() => ({ order: order.order }));
    const target = path.replaceAll(/\{\w+\}/g, ORDER_ID);
    const answer = await ask(rest, target, { ...postJson({ jwt: "a.b.c" }), method: method.toUpperCase() });
    expect([answer.status, answer.json]).toMatchObject([200, { order_id: ORDER_ID, status: "Canceled" }]);
    expect(asked).toMatchObject([{ jws: "a.b.c" }]);
  });

  test.each(["id", "order_id"])("an unknown order is refused by the name that the caller used: %s", async (name) => {
    const rest = answered(() => {
      throw refusedByCore(ErrorReason.ORDER_NOT_FOUND, { field: "order_id" });
    });
    const { json } = await asBank(rest, `${ORDERS}/nbu/json?${name}=${ORDER_ID}`);
    expect(json).toMatchObject({ code: "ORDER_NOT_FOUND", field: name });
  });

  test("the page of an order that cannot be read now is a refusal, not a page that says it does not exist", async () => {
    const rest = answered(() => {
      throw new ConnectError("x", Code.Unavailable);
    });
    expect(await ask(rest, `${ORDERS}?id=${ORDER_ID}`)).toMatchObject({ status: 503, json: { code: "UNAVAILABLE" } });
  });

  test("the page asks for an order by its id in small letters, and for no signature that no link needs", async () => {
    const rest = answered(() => exampleOrder(keys));
    const { text } = await ask(rest, `${ORDERS}?id=${ORDER_ID.toUpperCase()}&mobile=0`);
    expect(text).toContain(`id=${ORDER_ID}&amp;mobile=1`);
    expect(asked).toMatchObject([{ orderId: ORDER_ID, signedDetails: false }]);
  });
});

describe("registers", () => {
  const guidOf = (number: number) => `00000000-0000-7000-8000-${String(number).padStart(12, "0")}`;
  const payments = (count: number) => Array(count).fill(exampleRegisterPayment);
  /** A register of so many payments, whose pages hold what is asked for and are numbered by how many came before. */
  const registerOf = (paymentCount: number, holds = paymentCount) => {
    return ({ paymentsLimit, paymentsAfter }: { paymentsLimit: number; paymentsAfter: string }) => {
      const before = Number(paymentsAfter.slice(-4));
      const count = Math.min(paymentsLimit, holds - before);
      const next = before + count < holds ? guidOf(before + count) : "";
      const register = { ...exampleRegister, paymentCount };
      return { register, payments: payments(count), nextPaymentsAfter: next, continuation: "go on" };
    };
  };

  test.each([
    [25, [25]],
    [26, [25, 500]],
    [500, [25, 500]],
    [501, [25, 25, 25]],
  ])("one of %i payments is read whole, in pages that begin with %j", async (count, limits) => {
    const rest = answered(registerOf(count));
    const { json } = await asBank(rest, `${REGISTERS}/1012231`);
    expect(json.payments).toHaveLength(count);
    expect(asked.slice(0, 3).map(({ paymentsLimit }) => paymentsLimit)).toEqual(limits);
    expect(asked).toHaveLength(count > 500 ? 21 : limits.length);
  });

  test("one with more payments than it counts is a fault of ours", async () => {
    const rest = answered(registerOf(500, 600));
    const response = await fetch(`${rest.url}${REGISTERS}/1012231`, { headers: await access(keys.bank) });
    expect(response.status).toBe(500);
    expect(rest.lines.join("")).toContain("register 1012231 has more payments than it counts");
  });

  const after = "28c2c099-79aa-4267-a913-9c0facd654ca";
  test.each([
    ["payments_limit=7", { paymentsLimit: 7, paymentsAfter: "" }],
    [`payments_after=${after}`, { paymentsLimit: 500, paymentsAfter: after }],
    [`payments_limit=7&payments_after=${after}`, { paymentsLimit: 7, paymentsAfter: after }],
  ])("a page is read as it was asked for: %s", async (query, page) => {
    const rest = answered(() => ({ ...registerOf(501)({ ...page, paymentsAfter: "" }), nextPaymentsAfter: after }));
    const { json } = await asBank(rest, `${REGISTERS}/1012231?${query}`);
    expect(json.payments).toHaveLength(page.paymentsLimit);
    expect(asked).toMatchObject([{ registerId: "1012231", ...page }]);
  });

  test("the answer to HEAD has no payments, and is not read to its end", async () => {
    const rest = answered(registerOf(501));
    expect(await asBank(rest, `${REGISTERS}/1012231`, { method: "HEAD" })).toMatchObject({ status: 200, text: "" });
    expect(asked).toHaveLength(1);
  });

  test("a page that fails while the answer is under way cuts it off, which is logged", async () => {
    const rest = answered((given: { paymentsLimit: number; paymentsAfter: string }) => {
      if (given.paymentsAfter === guidOf(50)) throw new Error("lost");
      return registerOf(501)(given);
    });
    const response = await fetch(`${rest.url}${REGISTERS}/1012231`, { headers: await access(keys.bank) });
    await expect(response.text()).rejects.toThrow();
    await expect.poll(() => rest.lines.join("")).toContain("an answer was cut off");
    expect(rest.lines.join("")).not.toContain('"code":"INTERNAL_ERROR"');
  });

  test.each([
    [false, 201],
    [true, 208],
  ])("a statement that is repeated (%s) is answered %i", async (repeated, status) => {
    const rest = answered(() => ({ repeated }));
    const pay = postJson(exampleClaims("GrossSettlementPaymentClaims"));
    const confirm = postJson(exampleClaims("GrossSettlementConfirmationClaims"));
    const answers = [
      await asBank(rest, `${REGISTERS}/pay/1012231`, pay),
      await asBank(rest, `${REGISTERS}/pay/1012231/confirm`, confirm),
      await asBank(rest, `${REGISTERS}/confirm_internal/1012231`, { method: "POST" }),
    ];
    for (const answer of answers) expect([answer.status, answer.json]).toEqual([status, { created: "true" }]);
    expect(asked).toMatchObject(Array(3).fill({ registerId: "1012231" }));
  });

  test("a list is asked for by every filter that was given, and says how many there are", async () => {
    const rest = answered(() => ({ registers: [exampleRegister], totalCount: 12n }));
    const times = "from=1970-01-02&to=1970-01-03&updated_from=1970-01-04";
    const { headers } = await asBank(rest, `${REGISTERS}?${times}&status=Paid&role=All&offset=3&limit=4`);
    expect(headers.get("x-total-count")).toBe("12");
    const day = (seconds: number) => ({ seconds: BigInt(seconds) });
    expect(asked).toMatchObject([
      {
        ...{ from: day(75_600), to: day(162_000), updatedFrom: day(248_400) },
        ...{ statuses: [5], role: 2, offset: 3, limit: 4 },
      },
    ]);
    await asBank(rest, REGISTERS);
    expect(asked[1]).toMatchObject({ role: 1, statuses: [], offset: 0, limit: 50 });
    for (const name of ["from", "to", "updatedFrom"]) expect(asked[1]?.[name]).toBeUndefined();
  });
});

describe("missed callbacks", () => {
  test("are asked for fifty at a time unless told otherwise, and say where the list goes on", async () => {
    const rest = answered(() => ({ callbacks: [], nextPageToken: asked.length === 1 ? "next" : "" }));
    const path = `/api/v1/counterparty/${BANK_GUID}/callbacks/missed?since=2023-12-10T00:00:00Z`;
    expect((await asBank(rest, path)).json).toEqual({ items: [], next_cursor: "next" });
    expect((await asBank(rest, `${path}&limit=3&cursor=next`)).json).toEqual({ items: [], next_cursor: null });
    expect(asked).toMatchObject([
      { pageSize: 50, pageToken: "", filter: { missed: true } },
      { pageSize: 3, pageToken: "next" },
    ]);
  });
});

describe("the platform", () => {
  test("is ready while all that it needs is", async () => {
    const ok = { dependency: "postgresql" as const, ok: true };
    const lost = { dependency: "rabbitmq" as const, ok: false, problem: "no connection" };
    const readiness = async () => [ok, lost] as never;
    expect(await ask(answered(), "/readyz")).toMatchObject({
      status: 200,
      json: { status: "ready", dependencies: [ok] },
    });
    expect(await ask(await start(undefined, { readiness }), "/readyz")).toMatchObject({
      status: 503,
      json: { status: "not_ready", dependencies: [ok, lost] },
    });
    expect((await ask(answered(), "/healthz")).json).toEqual({ status: "ok" });
  });

  test("a text that is known is not sent again, a weak tag or one of many or a star included", async () => {
    const rest = answered();
    const etag = (await ask(rest, "/openapi.json")).headers.get("etag") ?? "";
    const known = async (tags: string) => {
      const headers = { "Cache-Control": "max-age=0", "If-None-Match": tags };
      return (await ask(rest, "/openapi.json", { headers })).status;
    };
    for (const tags of [etag, `W/${etag}`, `"x", ${etag}`, "*"]) expect(await known(tags)).toBe(304);
    for (const tags of ['"x"', `${etag}x`, `xW/${etag}`]) expect(await known(tags)).toBe(200);
  });

  test("a long text comes whole, and only its length is told to HEAD", async () => {
    const rest = answered();
    const { text, headers } = await ask(rest, "/openapi.yaml");
    expect(headers.get("content-length")).toBe(String(Buffer.byteLength(text)));
    const head = request(`${rest.url}/openapi.yaml`, { method: "HEAD" }).end();
    const [answer] = (await once(head, "response")) as [IncomingMessage];
    answer.resume();
    expect(answer.headers["content-length"]).toBe(String(Buffer.byteLength(text)));
  });
});

test("an order's token and the request's id go to the core under the name that the contract gives it", async () => {
  const createOrder = vi.fn(async (_request: object, _options: { headers: object; timeoutMs: number }) =>
    exampleOrder(keys),
  );
  const clients = { orders: { createOrder } } as unknown as CoreClients;
  const rest = await start(undefined, { clients });
  const { headers } = await ask(rest, ORDERS, postJson({ jwt: "a.b.c" }));
  const [, options] = createOrder.mock.calls[0] ?? [];
  expect(options?.headers).toEqual({ "dcm-request-id": headers.get("x-request-id") });
});
