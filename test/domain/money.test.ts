import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  currencyProblem,
  formatAmountText,
  MAX_AMOUNT_MINOR,
  MAX_TOTAL_MINOR,
  parseAmount,
} from "../../src/domain/money.ts";
import { amountNumber, money } from "../../src/wire/values.ts";

const anyAmountMinor = fc.integer({ min: 1, max: MAX_AMOUNT_MINOR });

describe("parseAmount", () => {
  test.each([
    [21, 2_100],
    [1500.75, 150_075],
    [0.01, 1],
    [0.29, 29],
    [1.1, 110],
    [1e3, 100_000],
    [999_999_999.99, MAX_AMOUNT_MINOR],
  ])("%d is %d minor units", (value, amountMinor) => {
    expect(parseAmount(value)).toEqual({ ok: true, amountMinor });
  });

  test.each([
    [0, "NOT_POSITIVE"],
    [-0, "NOT_POSITIVE"],
    [-21, "NOT_POSITIVE"],
    [1.005, "TOO_MANY_DECIMALS"],
    [0.1 + 0.2, "TOO_MANY_DECIMALS"],
    [1e-7, "TOO_MANY_DECIMALS"],
    [Number.MIN_VALUE, "TOO_MANY_DECIMALS"],
    [999_999_999.991, "TOO_MANY_DECIMALS"],
    [1_000_000_000, "TOO_LARGE"],
    [1e21, "TOO_LARGE"],
    [Number.MAX_VALUE, "TOO_LARGE"],
    [Number.NaN, "NOT_A_NUMBER"],
    [Number.POSITIVE_INFINITY, "NOT_A_NUMBER"],
    ["21", "NOT_A_NUMBER"],
    [null, "NOT_A_NUMBER"],
    [undefined, "NOT_A_NUMBER"],
    [[21], "NOT_A_NUMBER"],
  ])("%s is refused as %s", (value, problem) => {
    expect(parseAmount(value)).toEqual({ ok: false, problem });
  });

  test.each([
    [999_999_999.99, 99_999_999_999],
    [1_000_000_000, 100_000_000_000],
    [70_368_744_177_663.99, 7_036_874_417_766_399],
  ])("a total of %d is %d minor units", (value, amountMinor) => {
    expect(parseAmount(value, MAX_TOTAL_MINOR)).toEqual({ ok: true, amountMinor });
  });

  test.each([
    [90_071_992_547_409.94, "TOO_LARGE"],
    [1e21, "TOO_LARGE"],
    [1_000_000_000.005, "TOO_MANY_DECIMALS"],
  ])("a total of %d is refused as %s", (value, problem) => {
    expect(parseAmount(value, MAX_TOTAL_MINOR)).toEqual({ ok: false, problem });
  });

  test("every total up to 2^46 survives the way out and back through JSON", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 46 * 100 - 1 }), (amountMinor) => {
        const wire = JSON.parse(JSON.stringify(amountNumber(money(amountMinor, "UAH"))));
        expect(parseAmount(wire, MAX_TOTAL_MINOR)).toEqual({ ok: true, amountMinor });
      }),
    );
  });

  test("every amount survives the way out and back through JSON", () => {
    fc.assert(
      fc.property(anyAmountMinor, (amountMinor) => {
        const wire = JSON.parse(JSON.stringify(amountNumber(money(amountMinor, "UAH"))));
        expect(parseAmount(wire)).toEqual({ ok: true, amountMinor });
      }),
    );
  });

  test("any number is either an amount inside the limits or refused", () => {
    fc.assert(
      fc.property(fc.double(), (value) => {
        const parsed = parseAmount(value);
        if (!parsed.ok) return;
        expect(Number.isSafeInteger(parsed.amountMinor)).toBe(true);
        expect(amountNumber(money(parsed.amountMinor, "UAH"))).toBe(value);
      }),
    );
  });
});

describe("formatAmountText", () => {
  test.each([
    [2_100, "21.00"],
    [150_075, "1500.75"],
    [1, "0.01"],
    [0, "0.00"],
    [-5, "-0.05"],
    [123_456_789_012_345_678n, "1234567890123456.78"],
  ])("%s minor units are %s", (amountMinor, text) => {
    expect(formatAmountText(amountMinor)).toBe(text);
  });

  test("a number that cannot be minor units is a bug and throws", () => {
    expect(() => formatAmountText(0.5)).toThrow(new RangeError("an amount in minor units is a safe integer, not 0.5"));
    expect(() => formatAmountText(2 ** 53)).toThrow(RangeError);
  });
});

test.each([
  ["UAH", undefined],
  ["EUR", "UNSUPPORTED_CURRENCY"],
  ["XAU", "UNSUPPORTED_CURRENCY"],
  ["uah", "INVALID_CURRENCY"],
  ["ABC", "INVALID_CURRENCY"],
  ["", "INVALID_CURRENCY"],
])("currencyProblem: %s is %s where only UAH is settled", (code, problem) => {
  expect(currencyProblem(code, ["UAH"])).toBe(problem);
});
