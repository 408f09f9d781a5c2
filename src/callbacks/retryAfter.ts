/** How long an endpoint asks to be left alone: `Retry-After` in both forms of RFC 9110, section 10.2.3. */

export type AnswerHeaders = Readonly<Record<string, string | string[] | undefined>>;

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

const month = `(?<month>${MONTHS.join("|")})`;
const time = String.raw`(?<hour>\d{2}):(?<minute>\d{2}):(?<second>\d{2})`;
const shortDay = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";
const longDay = "(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)";

/** The three formats that a recipient has to read (RFC 9110, section 5.6.7). */
const httpDates = [
  // Sun, 06 Nov 1994 08:49:37 GMT
  new RegExp(String.raw`^${shortDay}, (?<day>\d{2}) ${month} (?<year>\d{4}) ${time} GMT$`),
  // Sunday, 06-Nov-94 08:49:37 GMT
  new RegExp(String.raw`^${longDay}, (?<day>\d{2})-${month}-(?<year>\d{2}) ${time} GMT$`),
  // Sun Nov  6 08:49:37 1994
  new RegExp(String.raw`^${shortDay} ${month} (?<day>\d{2}| \d) ${time} (?<year>\d{4})$`),
];

/** Undefined for what is no HTTP date. `nowMs` says which century a year of two digits is in. */
export function parseHttpDate(text: string, nowMs: number): number | undefined {
  const found = httpDates.map((format) => format.exec(text)?.groups).find((groups) => groups !== undefined);
  if (found === undefined) return undefined;
  const [day, hour, minute, second] = [found.day, found.hour, found.minute, found.second].map(Number) as [
    number,
    number,
    number,
    number,
  ];
  const year = wholeYear(found.year ?? "", nowMs);
  const atMidnight = new Date(0);
  // `Date.UTC` would take the years 0 to 99 for 1900 to 1999.
  atMidnight.setUTCFullYear(year, MONTHS.indexOf(found.month ?? ""), day);
  // 60 is a leap second.
  if (atMidnight.getUTCDate() !== day || hour > 23 || minute > 59 || second > 60) return undefined;
  return atMidnight.getTime() + ((hour * 60 + minute) * 60 + second) * 1_000;
}

/** The year of two digits that is nearest: one that seems more than 50 years ahead is in the century before. */
function wholeYear(text: string, nowMs: number): number {
  if (text.length !== 2) return Number(text);
  const thisYear = new Date(nowMs).getUTCFullYear();
  const year = thisYear - (thisYear % 100) + Number(text);
  if (year > thisYear + 50) return year - 100;
  return year <= thisYear - 50 ? year + 100 : year;
}

/**
 * The wait in milliseconds that an answer asks for, not capped; undefined if it asks for none that can be read. A date is by the
 * endpoint's clock, which may differ from ours, so the wait is counted both from our clock and from the answer's own `Date`; the
 * longer one counts, and the wait is never shortened by a difference of clocks.
 */
export function retryAfterMs(headers: AnswerHeaders, nowMs: number): number | undefined {
  const answeredMs = parseHttpDate(valuesOf(headers.date)[0] ?? "", nowMs) ?? nowMs;
  const waits = valuesOf(headers["retry-after"]).flatMap((value) => {
    // Any number of digits is accepted; what a number cannot hold is longer than any cap.
    if (/^\d+$/.test(value)) return Math.min(Number(value) * 1_000, Number.MAX_SAFE_INTEGER);
    const atMs = parseHttpDate(value, nowMs);
    return atMs === undefined ? [] : Math.max(0, atMs - Math.min(nowMs, answeredMs));
  });
  return waits.length === 0 ? undefined : Math.max(...waits);
}

const valuesOf = (header: string | string[] | undefined) =>
  (Array.isArray(header) ? header : header === undefined ? [] : [header]).map((value) => value.trim());
