import { describe, expect, test } from "vitest";
import { parseHttpDate, retryAfterMs } from "../../src/callbacks/retryAfter.ts";

const nowMs = Date.UTC(2026, 0, 5, 12, 0, 0);
const asked = (value: string | string[] | undefined, date?: string) =>
  retryAfterMs({ "retry-after": value, ...(date !== undefined && { date }) }, nowMs);

describe("Retry-After", () => {
  test.each([
    ["0", 0],
    ["120", 120_000],
    ["0120", 120_000],
    ["999999999", 999_999_999_000],
    ["9999999999", 9_999_999_999_000],
    ["9".repeat(30), Number.MAX_SAFE_INTEGER],
    ["9".repeat(4_000), Number.MAX_SAFE_INTEGER],
    ["Mon, 05 Jan 2026 12:00:30 GMT", 30_000],
    ["Monday, 05-Jan-26 12:00:30 GMT", 30_000],
    ["Mon Jan  5 12:00:30 2026", 30_000],
    ["Mon, 05 Jan 2026 11:00:00 GMT", 0],
    [" 7 ", 7_000],
    ["-1", undefined],
    ["+5", undefined],
    ["1.5", undefined],
    ["5 seconds", undefined],
    ["soon", undefined],
    ["", undefined],
    ["2026-01-05T12:00:30Z", undefined],
    ["Mon, 05 Jan 2026 12:00:30", undefined],
    ["Mon, 05 Jan 2026 12:00:30 +0200", undefined],
    ["Mon, 5 Jan 2026 12:00:30 GMT", undefined],
    ["mon, 05 jan 2026 12:00:30 gmt", undefined],
    ["Wed, 31 Feb 2026 12:00:30 GMT", undefined],
    ["Mon, 05 Jan 2026 24:00:00 GMT", undefined],
    [undefined, undefined],
  ])("%s is read as %s ms", (header, waitMs) => {
    expect(asked(header)).toBe(waitMs);
  });

  test("said twice, the longer one counts", () => {
    expect(asked(["5", "20"])).toBe(20_000);
    expect(asked(["soon", "5"])).toBe(5_000);
  });

  test.each([
    ["ahead of ours", "Mon, 05 Jan 2026 12:05:00 GMT", "Mon, 05 Jan 2026 12:05:10 GMT", 310_000],
    ["behind ours", "Mon, 05 Jan 2026 11:55:00 GMT", "Mon, 05 Jan 2026 11:55:10 GMT", 10_000],
    ["behind ours, in another format", "Mon Jan  5 11:55:00 2026", "Monday, 05-Jan-26 11:55:10 GMT", 10_000],
    ["unreadable", "yesterday", "Mon, 05 Jan 2026 12:00:10 GMT", 10_000],
  ])("a date from a clock that is %s is never shortened", (_, date, header, waitMs) => {
    expect(asked(header, date)).toBe(waitMs);
  });
});

describe("HTTP dates", () => {
  test.each(["Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"])(
    "%s, the example of the standard",
    (text) => {
      expect(parseHttpDate(text, nowMs)).toBe(Date.UTC(1994, 10, 6, 8, 49, 37));
    },
  );

  test.each([
    ["Friday, 01-Jan-76 00:00:00 GMT", nowMs, 2076],
    ["Saturday, 01-Jan-77 00:00:00 GMT", nowMs, 1977],
    ["Friday, 01-Jan-00 00:00:00 GMT", Date.UTC(2099, 11, 31), 2100],
  ])("the year of %s", (text, now, year) => {
    expect(new Date(parseHttpDate(text, now) ?? 0).getUTCFullYear()).toBe(year);
  });

  test("a leap second is the second after it, and the first years are years", () => {
    expect(parseHttpDate("Sat, 31 Dec 2016 23:59:60 GMT", nowMs)).toBe(Date.UTC(2017, 0, 1));
    expect(new Date(parseHttpDate("Sat, 01 Jan 0050 00:00:00 GMT", nowMs) ?? 0).toISOString()).toMatch(/^0050-01-01/);
  });
});
