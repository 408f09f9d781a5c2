import { EventEmitter } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { admitAtMost, releasePlace } from "../../src/rest/admission.ts";
import type { RestDeps } from "../../src/rest/context.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** A door before an application that takes note of whom it let in. */
function door(maxInFlight?: number) {
  const admitted: number[] = [];
  const refused: { number: number; status: number; headers: object; text: string }[] = [];
  const logged: object[] = [];
  const done: unknown[][] = [];
  const deps = {
    ...(maxInFlight !== undefined && { maxInFlight }),
    log: { info: (line: object) => void logged.push(line) },
    requestDone: (...told: unknown[]) => void done.push(told),
  } as unknown as RestDeps;
  const numbers = new WeakMap<IncomingMessage, number>();
  const application = (request: IncomingMessage) => void admitted.push(numbers.get(request) ?? -1);
  const listener = admitAtMost(deps, application);
  let asked = 0;
  const ask = (url = "/api/v1/x", headers = {}) => {
    const number = asked++;
    const request = { url, method: "GET", headers } as IncomingMessage;
    numbers.set(request, number);
    const response = new EventEmitter() as unknown as ServerResponse;
    const end = (status: number, headers: object) => (text: string) =>
      void refused.push({ number, status, headers, text });
    Object.assign(response, {
      writeHead: (status: number, headers: object) => ({ end: end(status, headers) }),
    });
    listener(request, response);
    return response;
  };
  return { ask, admitted, refused, logged, done };
}

describe("the door to the application", () => {
  test("lets in 512 at a time unless told otherwise", () => {
    const { ask, admitted } = door();
    for (let count = 0; count < 513; count++) ask();
    expect(admitted).toHaveLength(512);
  });

  test("lets in whoever waits, first come first served, one for each that leaves", () => {
    const { ask, admitted } = door(1);
    const [first, second] = [ask(), ask(), ask()];
    expect(admitted).toEqual([0]);
    first?.emit("close");
    expect(admitted).toEqual([0, 1]);
    // Whoever has left leaves no second place behind.
    first?.emit("close");
    expect(admitted).toEqual([0, 1]);
    second?.emit("close");
    expect(admitted).toEqual([0, 1, 2]);
  });

  test("a place that was given back is free, and is not given back again at the end", () => {
    const { ask, admitted } = door(1);
    const first = ask();
    releasePlace(first);
    ask();
    ask();
    first.emit("close");
    expect(admitted).toEqual([0, 1]);
    expect(() => releasePlace(first)).not.toThrow();
  });

  test("whoever has waited for a second is refused and is not let in later", () => {
    const { ask, admitted, refused } = door(1);
    const first = ask();
    ask();
    vi.advanceTimersByTime(999);
    expect(refused).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(refused).toMatchObject([{ number: 1, status: 503, headers: { "Retry-After": "1" } }]);
    first.emit("close");
    expect(admitted).toEqual([0]);
  });

  test("whoever goes away while it waits is forgotten, and whoever was let in is not refused", () => {
    const { ask, admitted, refused } = door(1);
    const [first, gone] = [ask(), ask()];
    ask();
    gone.emit("close");
    first.emit("close");
    expect(admitted).toEqual([0, 2]);
    vi.advanceTimersByTime(5_000);
    expect(refused).toEqual([]);
  });

  test("a place is left once by whoever waited for it", () => {
    const { ask, admitted } = door(1);
    const [first, second] = [ask(), ask()];
    first.emit("close");
    second.emit("close");
    ask();
    ask();
    expect(admitted).toEqual([0, 1, 2]);
  });

  test("4096 wait, and the next one is refused at once", () => {
    const { ask, refused } = door(0);
    for (let count = 0; count < 4_096; count++) ask();
    expect(refused).toEqual([]);
    ask();
    expect(refused.map(({ number }) => number)).toEqual([4_096]);
  });

  test("operators are let in whatever is going on", () => {
    const { ask, admitted } = door(0);
    ask("/healthz");
    expect(admitted).toEqual([0]);
  });

  test("a refusal is in the words of its path, is logged with the time that was waited, and is counted", () => {
    const { ask, refused, logged, done } = door(0);
    ask("/api/v1/counterparty/x/gross-settlement");
    ask("/api/v1/merchants/order");
    vi.advanceTimersByTime(1_000);
    expect(refused.map(({ text }) => Object.keys(JSON.parse(text)))).toEqual([
      ["error", "description"],
      ["error", "code"],
    ]);
    const line = { method: "GET", route: "none", status: 503, durationMs: 1_000, requestId: expect.any(String) };
    expect(logged).toEqual([line, line]);
    expect(refused[0]?.headers).toMatchObject({ "X-Request-Id": (logged[0] as { requestId: string }).requestId });
    expect(done).toEqual(Array(2).fill(["none", 503, 1_000]));
  });

  test("a browser that wanted the payment page is refused in words, in its language", () => {
    const { ask, refused } = door(0);
    const browser = { accept: "text/html,*/*;q=0.8", "accept-language": "en" };
    ask("/api/v1/merchants/order?id=1", browser);
    ask("/api/v1/merchants/order?lang=uk&id=1", browser);
    ask("/api/v1/merchants/order?id=1", { accept: "*/*" });
    ask("/api/v1/merchants/order/status?id=1", browser);
    vi.advanceTimersByTime(1_000);
    const [english, ukrainian, program, other] = refused;
    expect(english).toMatchObject({
      status: 503,
      headers: { "Retry-After": "1", "Content-Type": "text/html; charset=utf-8" },
    });
    expect(english?.headers).toHaveProperty("Content-Security-Policy");
    expect(english?.text).toContain("The page is unavailable right now");
    expect(ukrainian?.text).toContain("Сторінка зараз недоступна");
    expect([program, other].map((answer) => JSON.parse(answer?.text ?? "").code)).toEqual(["OVERLOADED", "OVERLOADED"]);
  });
});
