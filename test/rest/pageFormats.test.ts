import { expect, test } from "vitest";
import { bankSearchText } from "../../src/rest/pages/payment/bankSearch.ts";
import { happened, leftText, shown, sumText, until } from "../../src/rest/pages/payment/formats.ts";
import { qrCode } from "../../src/rest/pages/payment/qrCode.ts";
import { filled, type Words, words } from "../../src/rest/pages/payment/words.ts";

// How the payment page writes sums, times, names and codes.

test.each([
  ["uk", "1499.50", "UAH", "1 499,50 ₴"],
  ["en", "1499.50", "UAH", "UAH 1,499.50"],
  ["uk", "0.01", "EUR", "0,01 EUR"],
  ["uk", "90071992547409.91", "UAH", "90 071 992 547 409,91 ₴"],
] as const)("%s: %s %s is %s", (language, decimal, currency, text) => {
  const written = sumText(language, decimal, currency);
  expect(written.replaceAll(/[\u00a0\u202f]/g, " ")).toBe(text);
  // No space at which a line could break.
  expect(written).not.toContain(" ");
});

const now = new Date("2026-11-24T13:31:00Z");
test.each([
  ["2026-11-24T13:42:00Z", "15:42", "сьогодні о\u00a015:42", "15:42", "today at\u00a015:42"],
  // In Kyiv it is the next day already.
  [
    "2026-11-24T22:30:00Z",
    "00:30, 25 листопада",
    "25 листопада о\u00a000:30",
    "00:30 on 25 November",
    "on 25 November at\u00a000:30",
  ],
  ["2026-06-01T09:00:00Z", "12:00, 1 червня", "1 червня о\u00a012:00", "12:00 on 1 June", "on 1 June at\u00a012:00"],
  [
    "2027-01-02T09:00:00Z",
    "11:00, 2 січня 2027 р.",
    "2 січня 2027 р. о\u00a011:00",
    "11:00 on 2 January 2027",
    "on 2 January 2027 at\u00a011:00",
  ],
])("%s is told by the clock of Kyiv, with the day when that is not today", (at, untilUk, atUk, untilEn, atEn) => {
  const instant = new Date(at);
  expect(until("uk", instant, now)).toBe(untilUk);
  expect(happened("uk", instant, now)).toBe(atUk);
  expect(until("en", instant, now)).toBe(untilEn);
  expect(happened("en", instant, now)).toBe(atEn);
});

const minute = 60_000;
test.each([
  [-1, undefined],
  [0, undefined],
  [1, "1 s left"],
  [2 * minute - 1, "120 s left"],
  [2 * minute, "2 min left"],
  [60 * minute - 1, "59 min left"],
  [60 * minute, "1 h 0 min left"],
  [24 * 60 * minute, "24 h 0 min left"],
  [24 * 60 * minute + 1, undefined],
])("of %i ms is left: %j", (leftMs, text) => {
  expect(leftText(words.en, leftMs)).toBe(text);
});

test("a text of others keeps its characters but those that turn or break what stands around it", () => {
  expect(shown("Кафе «Ю» \u{1F355}‎")).toBe("Кафе «Ю» \u{1F355}‎");
  expect(shown("\u202Aa\u202B\u202C\u202D\u202E\u2066\u2067\u2068\u2069b\r\n\u0085c\u007Fd")).toBe("ab c d");
});

test.each([
  ["Каштан Банк", "305221", "каштан банк kashtan bank 305221"],
  ["Щедрий", "300000", "щедрий shchedryi 300000"],
  ["PrivatBank", "305299", "privatbank пріватбанк приватбанк 305299"],
  ["Zhytlo Ch", "1", "zhytlo ch житло ч 1"],
  ["A-Bank 24", "2", "a-bank 24 а-банк 24 2"],
])("%s is found in both scripts", (name, bic, found) => {
  expect(bankSearchText(name, bic)).toBe(found);
});

test("the code has its quiet zone inside the picture, and is drawn once for a link", () => {
  const code = qrCode("https://pay.example/api/v1/merchants/order?id=1&mobile=1");
  const [, side = "0"] = /viewBox="0 0 (\d+) \1"/.exec(code.markup) ?? [];
  const moved = [...code.markup.matchAll(/M(\d+) (\d+)h(\d+)v1H(\d+)z/g)].map((found) => found.slice(1).map(Number));
  const columns = moved.flatMap(([x = 0, , width = 0]) => [x, x + width]);
  const rows = moved.map(([, y = 0]) => y);
  expect([Math.min(...columns), Math.max(...columns)]).toEqual([4, Number(side) - 4]);
  expect([Math.min(...rows), Math.max(...rows) + 1]).toEqual([4, Number(side) - 4]);
  // The upper left finder pattern: seven modules wide.
  expect(moved[0]).toEqual([4, 4, 7, 4]);
  expect(qrCode("https://pay.example/api/v1/merchants/order?id=1&mobile=1")).toBe(code);
  expect(qrCode("https://pay.example/api/v1/merchants/order?id=2&mobile=1")).not.toBe(code);
});

/** The places that a text leaves open. */
const places = (text: unknown): string[] =>
  [...String(text).matchAll(/\{(\w+)\}/g)].map(([, name = ""]) => name).sort();

test("both languages say the same things and leave the same places open", () => {
  const uk: Words = words.uk;
  for (const [key, text] of Object.entries(words.en)) {
    const other = uk[key as keyof Words];
    expect(places(JSON.stringify(text)), key).toEqual(places(JSON.stringify(other)));
    expect(JSON.stringify(text), key).not.toMatch(/[а-яіїєґ]/i);
    expect(JSON.stringify(other), key).toMatch(/[а-яіїєґ]|^"\{/i);
  }
  expect(filled("{a}{b}{c}", { a: 1, b: "x" })).toBe("1x");
});
