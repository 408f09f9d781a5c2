import { describe, expect, test } from "vitest";
import { buildTopology, rungFor, sortedRungs } from "../../src/queue/topology.ts";

const topology = buildTopology({ prefix: "dcm", rungDelaysMs: [1_000, 60_000, 4_000], parkMs: 2_000 });

function argumentsOf(queue: string): Readonly<Record<string, string | number>> | undefined {
  return topology.declarations.find((declaration) => declaration.queue === queue)?.arguments;
}

describe("topology", () => {
  test("every queue is durable, a quorum queue and declared once", () => {
    const names = topology.declarations.map(({ queue }) => queue);
    expect(new Set(names).size).toBe(names.length);
    for (const declaration of topology.declarations) {
      expect(declaration).toMatchObject({ durable: true, arguments: { "x-queue-type": "quorum" } });
    }
  });

  test.each([
    ["dcm.callbacks.delay.1000", 1_000, "dcm.callbacks.retry"],
    ["dcm.callbacks.delay.4000", 4_000, "dcm.callbacks.retry"],
    ["dcm.callbacks.delay.60000", 60_000, "dcm.callbacks.retry"],
    ["dcm.callbacks.parked.first.2000", 2_000, "dcm.callbacks.first"],
    ["dcm.callbacks.parked.retry.2000", 2_000, "dcm.callbacks.retry"],
  ])("%s holds tickets %i ms, loses none on the way to %s and refuses what it cannot hold", (queue, ttlMs, target) => {
    expect(argumentsOf(queue)).toEqual({
      "x-queue-type": "quorum",
      "x-message-ttl": ttlMs,
      "x-max-length": 1_000_000,
      "x-overflow": "reject-publish",
      "x-dead-letter-exchange": "",
      "x-dead-letter-routing-key": target,
      "x-dead-letter-strategy": "at-least-once",
    });
  });

  test("a queue that dead-letters is declared after its target", () => {
    const names = topology.declarations.map(({ queue }) => queue);
    for (const [index, declaration] of topology.declarations.entries()) {
      const target = declaration.arguments["x-dead-letter-routing-key"];
      if (target !== undefined) expect(names.slice(0, index)).toContain(target);
    }
  });

  test("the delivery limit is set by name, because its default differs between broker versions", () => {
    for (const queue of [...Object.values(topology.lanes), topology.dead]) {
      expect(argumentsOf(queue)).toHaveProperty("x-delivery-limit");
    }
  });
});

describe("the delay ladder", () => {
  const rungs = sortedRungs([4_000, 1_000, 2_000, 1_000]).map((delayMs) => ({ delayMs }));

  test.each([
    [0, 1_000],
    [999, 1_000],
    [1_000, 1_000],
    [1_999, 1_000],
    [2_000, 2_000],
    [3_999, 2_000],
    [4_000, 4_000],
    [3_600_000, 4_000],
  ])("a delay of %i ms waits on the rung of %i ms", (delayMs, rungMs) => {
    expect(rungFor(rungs, delayMs)).toEqual({ delayMs: rungMs });
  });

  test.each([[[]], [[0]], [[-1]], [[1.5]], [[Number.NaN]]])("a ladder of %j is refused", (rungDelaysMs) => {
    expect(() => sortedRungs(rungDelaysMs)).toThrow(RangeError);
  });
});
