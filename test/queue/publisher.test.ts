import { randomUUID } from "node:crypto";
import { Connection } from "rabbitmq-client";
import { expect, inject, onTestFinished, test, vi } from "vitest";
import { createPublisher } from "../../src/queue/publisher.ts";

test("a channel on which the broker refuses a message is replaced, once for all that was refused on it", async () => {
  const connection = new Connection(inject("amqpUrl"));
  const ended = new AbortController();
  const [refusing, taking] = [`refusing-${randomUUID()}`, `taking-${randomUUID()}`];
  onTestFinished(async () => {
    ended.abort();
    for (const queue of [refusing, taking]) await connection.queueDelete(queue);
    await connection.close();
  });
  await connection.queueDeclare({ queue: refusing, arguments: { "x-max-length": 0, "x-overflow": "reject-publish" } });
  await connection.queueDeclare({ queue: taking });

  const acquire = vi.spyOn(connection, "acquire");
  const log = { info: vi.fn(), warn: vi.fn(), error: vi.fn() };
  const publisher = createPublisher({ connection, gateIsOpen: () => true, log, signal: ended.signal });
  await vi.waitFor(() => expect(publisher.isOpen()).toBe(true));
  const sends = await Promise.allSettled([1, 2, 3].map((body) => publisher.send(refusing, [{ body }], 2_000)));
  expect(sends.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected"]);
  expect(await publisher.send(taking, [{ body: 4 }], 2_000)).toEqual([]);
  expect(acquire).toHaveBeenCalledTimes(2);
  expect(log.warn).toHaveBeenCalledExactlyOnceWith({}, expect.stringContaining("new channel"));
});
