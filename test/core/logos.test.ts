import { createHash } from "node:crypto";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { CoreContext } from "../../src/core/context.ts";
import type { Core } from "../../src/core/core.ts";
import { isRefusal } from "../../src/domain/errors.ts";
import type { Participant } from "../../src/domain/participant.ts";
import { accepted, bankRegistration, openPlatform, operator, type Platform } from "./platform.ts";

// Logos are copied once, soon after their address was stated.

type Copy = Awaited<ReturnType<CoreContext["fetchLogo"]>>;

let platform: Platform;
let second: Core;
/** What the addresses answer, and which were asked. */
let answer: () => Copy | Promise<Copy>;
let asked: string[];

beforeAll(async () => {
  platform = await openPlatform({
    fetchLogo: async (url) => {
      asked.push(url);
      return answer();
    },
  });
  second = await platform.secondCore();
});
afterAll(() => platform.close());
beforeEach(async () => {
  asked = [];
  answer = () => ({ png: Buffer.from("a picture") });
  await platform.rows("delete from participant_logo");
});

const logoUrl = "https://bank.example/logo.svg";
const sha256 = createHash("sha256").update("a picture").digest("hex");
const newBank = async (change = {}) =>
  accepted(await platform.core.registerParticipant(operator, bankRegistration({ logoUrl, ...change })));
const now = async ({ guid }: Participant) => accepted(await platform.core.getParticipant({ guid }));
const makeDue = () => platform.rows("update participant_logo set next_at = now() where next_at is not null");

test("a logo is copied once, and pages find it by its digest", async () => {
  const bank = await newBank();
  expect(bank.logo).toEqual({ sha256: null, problem: null });
  expect(await platform.core.copyLogos(10)).toEqual([{ guid: bank.guid }]);
  expect((await now(bank)).logo).toEqual({ sha256, problem: null });
  expect(Buffer.from((await platform.core.getLogo(sha256)) as Uint8Array).toString()).toBe("a picture");
  expect(isRefusal(await platform.core.getLogo("0".repeat(64)))).toBe(true);
  await makeDue();
  expect(await platform.core.copyLogos(10)).toEqual([]);
  expect(asked).toEqual([logoUrl]);
});

test("whoever has no logo has nothing to copy", async () => {
  const bank = await newBank({ logoUrl: null });
  expect(bank.logo).toBeNull();
  expect(await platform.core.copyLogos(10)).toEqual([]);
});

test("one process copies a logo, and another one when that has died", async () => {
  const { promise, resolve } = Promise.withResolvers<Copy>();
  answer = () => promise;
  const bank = await newBank();
  const copying = platform.core.copyLogos(10);
  await expect.poll(() => asked.length).toBe(1);
  expect(await second.copyLogos(10)).toEqual([]);
  answer = () => ({ png: Buffer.from("a picture") });
  await makeDue();
  expect(await second.copyLogos(10)).toEqual([{ guid: bank.guid }]);
  resolve({ problem: "late" });
  await copying;
  expect((await now(bank)).logo?.sha256).toBe(sha256);
});

test("a failure is told and tried again, ever more rarely", async () => {
  answer = () => ({ problem: "could not be read: answered 404" });
  const bank = await newBank();
  const waits: number[] = [];
  for (let tried = 0; tried < 9; tried++) {
    await makeDue();
    expect(await platform.core.copyLogos(10)).toEqual([
      { guid: bank.guid, problem: "could not be read: answered 404" },
    ]);
    const [row] = await platform.rows<{ wait: number }>(
      "select round(extract(epoch from next_at - now()))::int as wait from participant_logo",
    );
    waits.push(row?.wait ?? 0);
  }
  expect(waits).toEqual([30, 60, 120, 240, 480, 960, 1_920, 3_600, 3_600]);
  expect((await now(bank)).logo).toEqual({ sha256: null, problem: "could not be read: answered 404" });
  answer = () => ({ png: Buffer.from("a picture") });
  await makeDue();
  await platform.core.copyLogos(10);
  expect((await now(bank)).logo).toEqual({ sha256, problem: null });
});

test("a new address is copied anew, the same one is not, and no address forgets the picture", async () => {
  const bank = await newBank();
  await platform.core.copyLogos(10);
  const change = async (to: object) => accepted(await platform.core.updateParticipant(operator, bank.guid, to));
  await change({ email: "other@bank.example" });
  expect(await platform.core.copyLogos(10)).toEqual([]);
  const moved = await change({ logoUrl: "https://bank.example/new.png" });
  expect(moved.logo).toEqual({ sha256: null, problem: null });
  answer = () => ({ png: Buffer.from("a new picture") });
  await platform.core.copyLogos(10);
  expect((await now(bank)).logo?.sha256).toBe(createHash("sha256").update("a new picture").digest("hex"));
  expect((await change({ logoUrl: null })).logo).toBeNull();
  expect(await platform.rows("select from participant_logo")).toEqual([]);
});

test("what was fetched from an address that is not the participant's any more is not kept", async () => {
  const { promise, resolve } = Promise.withResolvers<Copy>();
  answer = () => promise;
  const bank = await newBank();
  const copying = platform.core.copyLogos(10);
  await expect.poll(() => asked.length).toBe(1);
  accepted(await platform.core.updateParticipant(operator, bank.guid, { logoUrl: "https://bank.example/new.png" }));
  resolve({ png: Buffer.from("old") });
  await copying;
  expect((await now(bank)).logo).toEqual({ sha256: null, problem: null });
});
