import { filled, type Language, type Words, words } from "./words.ts";

/** How numbers and times are written. English as in Europe: the day before the month, the currency before the sum. */
const locales: Readonly<Record<Language, string>> = { uk: "uk-UA", en: "en-GB" };

const timeZone = "Europe/Kyiv";

/** A decimal sum as text, with its currency: `1 499,50 ₴`, `UAH 1,499.50`. Its spaces do not break. */
export function sumText(language: Language, decimal: string, currency: string): string {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: 2 };
  const shape = { style: "currency", currency, ...digits } as const;
  // A text keeps every digit of a sum that is too large for a number with two decimals.
  return formatter(`sum ${language} ${currency}`, () => new Intl.NumberFormat(locales[language], shape)).format(
    decimal as `${number}`,
  );
}

/** What a moment is called on the page: its time alone on the day itself, otherwise with the day, in Kyiv. */
type Moment = { time: string; day: string; isToday: boolean };

function moment(language: Language, at: Date, now: Date): Moment {
  const isThisYear = yearOf(at) === yearOf(now);
  const time = formatter(`time ${language}`, () => {
    return new Intl.DateTimeFormat(locales[language], {
      timeZone,
      hour: "2-digit",
      minute: "2-digit",
      hourCycle: "h23",
    });
  });
  const day = formatter(`day ${language} ${isThisYear}`, () => {
    const year = isThisYear ? {} : ({ year: "numeric" } as const);
    return new Intl.DateTimeFormat(locales[language], { timeZone, day: "numeric", month: "long", ...year });
  });
  return { time: time.format(at), day: day.format(at), isToday: isoDay(at) === isoDay(now) };
}

const isoDay = (at: Date) =>
  formatter("iso", () => new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short" })).format(at);
const yearOf = (at: Date) => isoDay(at).slice(0, 4);

/** When something happened: `today at 15:31`, `on 24 November at 15:31`. */
export function happened(language: Language, at: Date, now: Date): string {
  const { isToday, ...rest } = moment(language, at, now);
  return filled(isToday ? words[language].today : words[language].onDay, rest);
}

/** Until when something was possible: `15:42`, `15:42 on 24 November`. */
export function until(language: Language, at: Date, now: Date): string {
  const { isToday, ...rest } = moment(language, at, now);
  return isToday ? rest.time : filled(words[language].untilDay, rest);
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
/** From here on seconds are counted; before, they would only make a payer nervous. The page tells its script. */
export const secondsFromMs = 2 * minuteMs;
/** More than a day is not counted down: the date says it better. The page tells its script. */
export const countedFromMs = 24 * hourMs;

/** What is left of the time to pay; undefined where that is more than a day, or nothing. The script counts on in the same way. */
export function leftText(texts: Words, leftMs: number): string | undefined {
  if (leftMs <= 0 || leftMs > countedFromMs) return undefined;
  if (leftMs < secondsFromMs) return filled(texts.leftSeconds, { s: Math.ceil(leftMs / 1_000) });
  const minutes = Math.floor(leftMs / minuteMs);
  if (leftMs < hourMs) return filled(texts.leftMinutes, { m: minutes });
  return filled(texts.leftHours, { h: Math.floor(minutes / 60), m: minutes % 60 });
}

/** Formatters are costly to make and cheap to use; there are as many as languages and currencies. */
const formatters = new Map<string, unknown>();

function formatter<Made>(name: string, make: () => Made): Made {
  const known = formatters.get(name) as Made | undefined;
  if (known !== undefined) return known;
  const made = make();
  formatters.set(name, made);
  return made;
}

/** Directions of writing that are forced on the text around them, and line ends; a name that holds one could turn the page round. */
const DIRECTIONS = /[\u202A-\u202E\u2066-\u2069]/gu;
const CONTROLS = /[\p{Cc}\u2028\u2029]+/gu;

/** A stranger's text as it is shown: without what changes the direction of writing or breaks a line. It is still to be escaped. */
export const shown = (text: string): string => text.replace(DIRECTIONS, "").replace(CONTROLS, " ");
