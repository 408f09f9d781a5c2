import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { BankRole, ParticipantKind, ParticipantStatus } from "../../gen/dcm/v1/participant_pb.ts";
import { createInitiators } from "../../src/rest/initiators.ts";
import type { CoreClients } from "../../src/wire/coreClients.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const bank = (name: string, change: object = {}) => ({
  ...{ name, deepLinkPrefix: "bank:", status: ParticipantStatus.ACTIVE },
  ...change,
});

/** The look-up before a core that answers like this. */
function lookUp(answer: (request: { pageToken: string }) => object) {
  const listParticipants = vi.fn(async (request: { pageToken: string }) => answer(request));
  const participants = { listParticipants } as unknown as CoreClients["participants"];
  return { listParticipants, initiators: createInitiators({ participants }) };
}

test("the core is asked for initiator banks once in two seconds, by however many", async () => {
  const { initiators, listParticipants } = lookUp(() => ({ participants: [bank("One")], nextPageToken: "" }));
  expect(await Promise.all([initiators(), initiators()])).toEqual(Array(2).fill([bank("One")]));
  vi.advanceTimersByTime(1_999);
  await initiators();
  expect(listParticipants).toHaveBeenCalledTimes(1);
  expect(listParticipants).toHaveBeenCalledWith(
    { kind: ParticipantKind.BANK, role: BankRole.INITIATOR, pageSize: 500, pageToken: "" },
    expect.objectContaining({ timeoutMs: expect.any(Number) }),
  );
  vi.advanceTimersByTime(1);
  await initiators();
  expect(listParticipants).toHaveBeenCalledTimes(2);
});

test("a look-up that failed is not remembered, and does not take away a newer one", async () => {
  let fails = true;
  const { initiators, listParticipants } = lookUp(() => {
    if (fails) throw new Error("no core");
    return { participants: [], nextPageToken: "" };
  });
  await expect(initiators()).rejects.toThrow("no core");
  const failing = initiators();
  vi.advanceTimersByTime(2_000);
  fails = false;
  const newer = initiators();
  await expect(failing).rejects.toThrow("no core");
  await newer;
  await initiators();
  expect(listParticipants).toHaveBeenCalledTimes(3);
});

test("all pages are read, each by the token of the one before, but no more than twenty", async () => {
  const { initiators } = lookUp(({ pageToken }) =>
    pageToken === ""
      ? { participants: [bank("A")], nextPageToken: "2" }
      : { participants: [bank("B")], nextPageToken: "" },
  );
  expect((await initiators()).map(({ name }) => name)).toEqual(["A", "B"]);
  const endless = lookUp(() => ({ participants: [bank("A")], nextPageToken: "again" }));
  expect(await endless.initiators()).toHaveLength(20);
  expect(endless.listParticipants).toHaveBeenCalledTimes(20);
});

test.each([
  ["active, with a prefix of its own", {}, 1],
  ["suspended", { status: ParticipantStatus.SUSPENDED }, 0],
  ["with a prefix that a browser would run", { deepLinkPrefix: "javascript:x" }, 0],
  ["without a prefix", { deepLinkPrefix: "" }, 0],
])("a bank that is %s: %#", async (_what, change, shown) => {
  const { initiators } = lookUp(() => ({ participants: [bank("One", change)], nextPageToken: "" }));
  expect(await initiators()).toHaveLength(shown);
});
