import { expect, test } from "vitest";
import { accessTokenMaxAgeMs, accessTokenMemoryMs, accessTokenProblem } from "../../src/domain/accessToken.ts";
import { clockToleranceMs } from "../../src/domain/order.ts";
import { ACCESS_MAX_AGE_SECONDS, ACCESS_TOLERANCE_SECONDS } from "../../src/sdk/access.ts";

test("the core and REST accept access tokens of the same age; a used one is remembered at least as long", () => {
  expect([accessTokenMaxAgeMs, clockToleranceMs]).toEqual([
    ACCESS_MAX_AGE_SECONDS * 1000,
    ACCESS_TOLERANCE_SECONDS * 1000,
  ]);
  expect(accessTokenMemoryMs).toBeGreaterThanOrEqual(accessTokenMaxAgeMs);
});

const now = new Date("2026-05-10T09:00:00Z");
const tokenAt = (fromNowMs: number) => ({
  jti: "a",
  issuedAt: new Date(now.getTime() + fromNowMs),
  requestDigest: Uint8Array.of(1, 2, 3),
});

const stale = { refused: "TOKEN_STALE", field: "iat", message: "the access token is too old" };
const early = { refused: "TOKEN_NOT_YET_VALID", field: "iat", message: "the access token is from the future" };

test.each([
  [-300_001, stale],
  [-300_000, undefined],
  [0, undefined],
  [30_000, undefined],
  [30_001, early],
])("a token whose iat is %i ms from now: %j", (fromNowMs, problem) => {
  expect(accessTokenProblem(tokenAt(fromNowMs), undefined, now)).toEqual(problem);
});

test("a used token is remembered for half a minute longer than it is accepted", () => {
  expect(accessTokenMemoryMs).toBe(330_000);
});

test.each([
  ["nothing", undefined, true],
  ["the same request", Uint8Array.of(1, 2, 3), true],
  ["another request", Uint8Array.of(1, 2, 4), false],
  ["a request whose digest begins in the same way", Uint8Array.of(1, 2, 3, 4), false],
  ["a request whose digest is its beginning", Uint8Array.of(1, 2), false],
  ["a request that a node of the version before kept without its digest", null, false],
])("a token that was used for %s", (_what, usedFor, isGood) => {
  const message = "the access token was used for another request";
  const replayed = { refused: "TOKEN_REPLAYED", field: "jti", message };
  expect(accessTokenProblem(tokenAt(0), usedFor, now)).toEqual(isGood ? undefined : replayed);
});
