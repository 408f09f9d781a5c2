const kyivHour = new Intl.DateTimeFormat("en-GB", { timeZone: "Europe/Kyiv", hour: "2-digit", hourCycle: "h23" });
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

/** Whether the text is a calendar day YYYY-MM-DD. */
export function isCalendarDay(text: string): boolean {
  const instant = new Date(`${text}T00:00:00Z`);
  // `Date` writes years beyond 9999 with a sign and six digits, and turns February 30 into March 2.
  const isInstant = text.length === 10 && !Number.isNaN(instant.getTime());
  return isInstant && instant.toISOString() === `${text}T00:00:00.000Z`;
}

/**
 * Kyiv is two or three hours ahead of UTC. Its clocks change at three at night, so midnight is never skipped and never comes twice.
 */
export function kyivMidnight(date: string): Date {
  const utcMidnight = Date.parse(`${date}T00:00:00Z`);
  if (Number.isNaN(utcMidnight)) return new Date(Number.NaN);
  const inSummer = new Date(utcMidnight - 3 * hourMs);
  return Number(kyivHour.format(inSummer)) === 0 ? inSummer : new Date(utcMidnight - 2 * hourMs);
}

/** From when until when a calendar day YYYY-MM-DD is in Kyiv: 23, 24 or 25 hours. */
export function kyivDay(date: string): { since: Date; until: Date } {
  const next = new Date(Date.parse(`${date}T00:00:00Z`) + dayMs).toISOString().slice(0, 10);
  return { since: kyivMidnight(date), until: kyivMidnight(next) };
}
