import fc from "fast-check";
import { expect, test } from "vitest";
import { ibanProblem, ibanSentence } from "../../src/domain/iban.ts";
import { ibanCheckDigits } from "../support/iban.ts";

const documentedSamples = [
  "UA761372924114433543273694797",
  "UA063808160041469948322523389",
  "UA623808162831885412078690000",
];

/** Of the registry's form UA2!n6!n19!c, with check digits that another program computed. */
const withLetters = ["UA45305299ABCDEFGHIJKLMNOPQRS", "UA213808160000000026007Z33566"];

const anyAccount = fc.stringMatching(/^[0-9]{6}[0-9A-Z]{19}$/);

test.each(documentedSamples)("ibanProblem: the documented sample %s is right", (iban) => {
  expect(ibanProblem(iban)).toBeUndefined();
});

test.each(withLetters)("ibanProblem: %s, which has letters, is right", (iban) => {
  expect(ibanProblem(iban)).toBeUndefined();
  expect(ibanProblem(iban.toLowerCase())).toBe("WRONG_SHAPE");
});

test.each([
  ["", "WRONG_SHAPE"],
  ["UA76137292411443354327369479", "WRONG_SHAPE"],
  ["UA7613729241144335432736947970", "WRONG_SHAPE"],
  ["UA723445993115212345678", "WRONG_SHAPE"],
  ["ua761372924114433543273694797", "WRONG_SHAPE"],
  ["UA76 1372924114433543273694797", "WRONG_SHAPE"],
  ["DE761372924114433543273694797", "WRONG_SHAPE"],
  ["UA76137292411443354327369479A", "WRONG_CHECK_DIGITS"],
  ["UA76137292411443354327369479a", "WRONG_SHAPE"],
  ["UA76137292411443354327369479\u0661", "WRONG_SHAPE"],
  ["UA7613729A4114433543273694797", "WRONG_SHAPE"],
  ["UAA61372924114433543273694797", "WRONG_SHAPE"],
  ["UA761372924114433543273694797\n", "WRONG_SHAPE"],
  [" UA761372924114433543273694797", "WRONG_SHAPE"],
  [null, "WRONG_SHAPE"],
  [761372924114433, "WRONG_SHAPE"],
  [["UA761372924114433543273694797"], "WRONG_SHAPE"],
  ["UA771372924114433543273694797", "WRONG_CHECK_DIGITS"],
  ["UA761372924114433543273694798", "WRONG_CHECK_DIGITS"],
])("ibanProblem: %s is refused as %s", (text, problem) => {
  expect(ibanProblem(text)).toBe(problem);
});

test("ibanProblem: computed check digits pass and each account has exactly one spelling", () => {
  fc.assert(
    fc.property(anyAccount, (account) => {
      const right = ibanCheckDigits(account);
      for (let number = 0; number < 100; number += 1) {
        const digits = String(number).padStart(2, "0");
        expect(ibanProblem(`UA${digits}${account}`) === undefined).toBe(digits === right);
      }
    }),
    { numRuns: 30 },
  );
});

test("ibanProblem: any single wrong digit is found", () => {
  fc.assert(
    fc.property(anyAccount, fc.nat({ max: 24 }), fc.integer({ min: 1, max: 9 }), (account, place, shift) => {
      fc.pre(/[0-9]/.test(account.charAt(place)));
      const wrong = String((Number(account[place]) + shift) % 10);
      const changed = `${account.slice(0, place)}${wrong}${account.slice(place + 1)}`;
      expect(ibanProblem(`UA${ibanCheckDigits(account)}${changed}`)).toBe("WRONG_CHECK_DIGITS");
    }),
  );
});

test.each([
  ["02", "99"],
  ["97", "00"],
  ["98", "01"],
])(
  "ibanProblem: of an account with the check digits %s, %s have the same remainder and are refused",
  (right, other) => {
    const accounts = Array.from({ length: 1_000 }, (_, number) => `305299${String(number).padStart(19, "0")}`);
    const account = accounts.find((digits) => ibanCheckDigits(digits) === right);
    expect([ibanProblem(`UA${right}${account}`), ibanProblem(`UA${other}${account}`)]).toEqual([
      undefined,
      "WRONG_CHECK_DIGITS",
    ]);
  },
);

test("ibanSentence: what follows the field's name", () => {
  expect(ibanSentence).toEqual({
    WRONG_SHAPE: "is not a Ukrainian IBAN of 29 characters",
    WRONG_CHECK_DIGITS: "has wrong IBAN check digits",
  });
});
