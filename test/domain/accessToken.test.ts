import { expect, test } from "vitest";
import { accessTokenMaxAgeMs, accessTokenMemoryMs, isAccessTokenCurrent } from "../../src/domain/accessToken.ts";
import { clockToleranceMs } from "../../src/domain/order.ts";
import { ACCESS_MAX_AGE_SECONDS, ACCESS_MAX_AHEAD_SECONDS } from "../../src/sdk/access.ts";

test("the core and REST accept access tokens of the same age; a used one is remembered at least as long", () => {
  expect([accessTokenMaxAgeMs, clockToleranceMs]).toEqual([
    ACCESS_MAX_AGE_SECONDS * 1000,
    ACCESS_MAX_AHEAD_SECONDS * 1000,
  ]);
  expect(accessTokenMemoryMs).toBeGreaterThanOrEqual(accessTokenMaxAgeMs);
});

test.each([
  [-300_001, false],
  [-300_000, true],
  [0, true],
  [30_000, true],
  [30_001, false],
])("a token whose iat is %i ms from now is current: %s", (fromNowMs, isCurrent) => {
  const now = new Date("2026-05-10T09:00:00Z");
  expect(isAccessTokenCurrent(new Date(now.getTime() + fromNowMs), now)).toBe(isCurrent);
});
