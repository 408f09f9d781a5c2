import fc from "fast-check";
import { expect, test } from "vitest";
import { isCalendarDay, kyivDay, kyivMidnight } from "../../src/domain/kyiv.ts";

const hours = (ms: number) => ms / 3_600_000;

test.each([
  ["in winter Kyiv is two hours ahead of UTC", "2026-01-15", "2026-01-14T22:00:00Z", 24],
  ["in summer three", "2026-07-15", "2026-07-14T21:00:00Z", 24],
  ["the day on which the clocks go forward has 23 hours", "2026-03-29", "2026-03-28T22:00:00Z", 23],
  ["the day on which they go back has 25", "2026-10-25", "2026-10-24T21:00:00Z", 25],
  ["the first day of a year", "2026-01-01", "2025-12-31T22:00:00Z", 24],
  ["a leap day", "2028-02-29", "2028-02-28T22:00:00Z", 24],
])("kyivDay: %s", (_rule, day, since, length) => {
  const found = kyivDay(day);
  expect([found.since, hours(found.until.getTime() - found.since.getTime())]).toEqual([new Date(since), length]);
});

test("kyivDay: the days of a year follow each other without a gap, each from midnight to midnight in Kyiv", () => {
  const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Kyiv", timeStyle: "medium" });
  const anyDay = fc.date({ min: new Date("2001-01-01"), max: new Date("2036-12-31"), noInvalidDate: true });
  fc.assert(
    fc.property(anyDay, (instant) => {
      const [day, next] = [instant, new Date(instant.getTime() + 86_400_000)].map((of) =>
        of.toISOString().slice(0, 10),
      );
      expect(kyivDay(day ?? "").until).toEqual(kyivDay(next ?? "").since);
      expect(clock.format(kyivMidnight(day ?? ""))).toBe("00:00:00");
    }),
  );
});

test("kyivMidnight: what is no day has no midnight", () => {
  expect(kyivMidnight("tomorrow").getTime()).toBeNaN();
});

test.each([
  ["2026-05-10", true],
  ["2028-02-29", true],
  ["2026-02-29", false],
  ["2026-13-01", false],
  ["2026-5-10", false],
  ["26-05-10", false],
  ["2026-05-10 ", false],
  ["12026-05-10", false],
  ["+012026-05-10", false],
  ["+012026-05", false],
  ["2026-05", false],
  ["2026-05-101", false],
  ["2026-05-10T00:00:00Z", false],
  ["", false],
])("isCalendarDay: %j: %s", (text, is) => {
  expect(isCalendarDay(text)).toBe(is);
});
