import { expect, test } from "vitest";
import { createOrderChanges, type OrderChange } from "../../src/core/orderChanges.ts";

// What a process has heard of orders, and who waits for it.

const change = (orderGuid: string): OrderChange => ({ orderGuid, state: "paid" });
const never = new AbortController().signal;
const patienceMs = 10_000;

/** Readers begin with an answer without changes, which tells them to read what they show. */
async function reader(changes: ReturnType<typeof createOrderChanges>) {
  const first = await changes.wait("", patienceMs, never);
  expect(first).toMatchObject({ changes: [], mayHaveMissed: true });
  return first.cursor;
}

test("a reader that waits hears of a change at once, and of what came while it was away", async () => {
  const changes = createOrderChanges();
  const cursor = await reader(changes);
  const waiting = changes.wait(cursor, patienceMs, never);
  changes.heard([change("a"), change("b")]);
  const heard = await waiting;
  expect(heard).toMatchObject({ changes: [change("a"), change("b")], mayHaveMissed: false });
  changes.heard([change("c")]);
  expect(await changes.wait(heard.cursor, patienceMs, never)).toMatchObject({ changes: [change("c")] });
  // A second one with an older cursor hears everything since then.
  expect((await changes.wait(cursor, patienceMs, never)).changes).toHaveLength(3);
});

test("a wait ends without changes when its time is over, when its caller leaves, and when the process stops", async () => {
  const changes = createOrderChanges();
  const cursor = await reader(changes);
  const nothing = { changes: [], cursor, mayHaveMissed: false };
  expect(await changes.wait(cursor, 1, never)).toEqual(nothing);
  const left = new AbortController();
  const waiting = changes.wait(cursor, patienceMs, left.signal);
  left.abort();
  expect(await waiting).toEqual(nothing);
  expect(await changes.wait(cursor, patienceMs, left.signal)).toEqual(nothing);
  const stopping = changes.wait(cursor, patienceMs, never);
  changes.release();
  expect(await stopping).toEqual(nothing);
});

test("after a gap every reader is told that it may have missed something, also one that waits", async () => {
  const changes = createOrderChanges();
  const cursor = await reader(changes);
  const waiting = changes.wait(cursor, patienceMs, never);
  changes.gap();
  const told = await waiting;
  expect(told).toMatchObject({ changes: [], mayHaveMissed: true });
  changes.heard([change("a")]);
  expect(await changes.wait(told.cursor, patienceMs, never)).toMatchObject({ changes: [change("a")] });
  expect(await changes.wait(cursor, patienceMs, never)).toMatchObject({ changes: [], mayHaveMissed: true });
});

test.each(["x", "x/1", "/", "-1"])(
  "a cursor of another process, %j, is one that may have missed something",
  async (cursor) => {
    expect(await createOrderChanges().wait(cursor, patienceMs, never)).toMatchObject({ mayHaveMissed: true });
  },
);

test("only the last changes are kept; who comes later than that may have missed something", async () => {
  const changes = createOrderChanges(2);
  const cursor = await reader(changes);
  changes.heard([change("a"), change("b")]);
  const second = await changes.wait(cursor, patienceMs, never);
  changes.heard([change("c"), change("d")]);
  expect((await changes.wait(cursor, patienceMs, never)).changes).toHaveLength(4);
  changes.heard([change("e")]);
  expect(await changes.wait(cursor, patienceMs, never)).toMatchObject({ changes: [], mayHaveMissed: true });
  expect(await changes.wait(second.cursor, patienceMs, never)).toMatchObject({ changes: [], mayHaveMissed: true });
  changes.heard([change("f"), change("g"), change("h")]);
  const now = await reader(changes);
  changes.heard([change("i")]);
  expect((await changes.wait(now, patienceMs, never)).changes).toEqual([change("i")]);
});
