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

test.each([
  [-300_001, "TOKEN_STALE"],
  [-300_000, undefined],
  [0, undefined],
  [30_000, undefined],
  [30_001, "TOKEN_NOT_YET_VALID"],
])("a token whose iat is %i ms from now: %s", (fromNowMs, reason) => {
  const now = new Date("2026-05-10T09:00:00Z");
  const token = { jti: "a", issuedAt: new Date(now.getTime() + fromNowMs), requestDigest: new Uint8Array(32) };
  expect(accessTokenProblem(token, undefined, now)?.refused).toBe(reason);
});
